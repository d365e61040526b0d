/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "parts.h"

int two(int x)
{
    int sum = 3;
    for (int i = 0; i < x; i++)
        sum = sum * 21 + i;
    return sum & 0xffff;
}

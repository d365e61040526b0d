/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "parts.h"

int five(int x)
{
    int sum = 6;
    for (int i = 0; i < x; i++)
        sum = sum * 42 + i;
    return sum & 0xffff;
}

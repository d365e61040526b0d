/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "parts.h"

int three(int x)
{
    int sum = 4;
    for (int i = 0; i < x; i++)
        sum = sum * 28 + i;
    return sum & 0xffff;
}

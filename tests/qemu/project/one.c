/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "parts.h"

int one(int x)
{
    int sum = 2;
    for (int i = 0; i < x; i++)
        sum = sum * 14 + i;
    return sum & 0xffff;
}

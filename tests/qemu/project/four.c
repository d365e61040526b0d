/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "parts.h"

int four(int x)
{
    int sum = 5;
    for (int i = 0; i < x; i++)
        sum = sum * 35 + i;
    return sum & 0xffff;
}

/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <stdio.h>

#include "parts.h"

int main(void)
{
    for (int i = 1; i <= 200; i++)
        printf("%d %d %d %d %d %d\n", i, one(i), two(i), three(i), four(i), five(i));
    return 0;
}

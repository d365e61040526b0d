/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int steps = argc > 1 ? atoi(argv[1]) : 4;
    for (int step = 0; step < steps; step++) printf("%.17g,\n", sin(2 * 3.14159265358979323846 * step / steps));
}

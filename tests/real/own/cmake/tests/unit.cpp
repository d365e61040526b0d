// SPDX-License-Identifier: MIT OR Apache-2.0
#include "shape/core.h"
#include "shape/shape.h"
#include <cmath>
#include <cstdio>

static int failed;
static void close_to(double got, double want, double by) {
    if (std::fabs(got - want) > by) {
        std::printf("got %g, want %g\n", got, want);
        failed++;
    }
}

int main() {
    close_to(shape_sine(16), 1, 1e-12);
    close_to(shape_sine(-16), -1, 1e-12);
    close_to(shape::area("square", 2), 4, 1e-12);
    close_to(shape::area("disc", 1), 3.1365, 1e-3);
    return failed;
}

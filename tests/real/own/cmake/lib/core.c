/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "shape/core.h"

static const double sines[] = {
#include "sines.inc"
};

double shape_sine(int turn64) { return sines[((turn64 % 64) + 64) % 64]; }

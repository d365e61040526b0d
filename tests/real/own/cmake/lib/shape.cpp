// SPDX-License-Identifier: MIT OR Apache-2.0
#include "shape/shape.h"
#include "shape/core.h"
#include "shape/version.h"

namespace shape {
double area(const std::string &kind, double size) {
    if (kind == "square") return size * size;
    if (kind == "disc") {
        // 64 triangles with the centre.
        return 32 * size * size * shape_sine(1);
    }
    throw std::invalid_argument("no such shape: " + kind);
}
const char *version() { return SHAPE_VERSION; }
}

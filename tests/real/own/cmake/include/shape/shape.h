/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef SHAPE_SHAPE_H
#define SHAPE_SHAPE_H
#include <stdexcept>
#include <string>
namespace shape {
/* The area of a regular figure: "square" by its side, "disc" by its radius. */
double area(const std::string &kind, double size);
const char *version();
}
#endif

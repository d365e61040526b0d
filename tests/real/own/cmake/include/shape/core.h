/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef SHAPE_CORE_H
#define SHAPE_CORE_H
#ifdef __cplusplus
extern "C" {
#endif
/* The sine of a whole number of 64ths of a turn. */
double shape_sine(int turn64);
#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT OR Apache-2.0 */
unsigned long round_to(unsigned long cents, unsigned long step) { return (cents + step / 2) / step * step; }

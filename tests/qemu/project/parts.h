/* SPDX-License-Identifier: MIT OR Apache-2.0 */
int one(int x);
int two(int x);
int three(int x);
int four(int x);
int five(int x);

/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <stdio.h>
const char *words(void);
int main(void) { return puts(words()) < 0; }

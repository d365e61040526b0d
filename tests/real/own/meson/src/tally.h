/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#pragma once
#include <stddef.h>
/* Counts known words in a text; returns how many kinds were seen. */
size_t tally_known(const char *text, size_t len);
/* As tally_known, for a file that is mapped. Negative: the errno. */
long tally_file(const char *path);

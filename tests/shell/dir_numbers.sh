#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a path relative to a directory's fd is relative to what the fd is now, whatever its number meant before.
. "${0%/*}/lib.sh"

tree() { mkdir a b c && : >a/in_a && : >b/in_b && : >c/in_c; }
checks() { helper dir_numbers; }
main

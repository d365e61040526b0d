#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: 16 threads that open files of the view at the same time each get the right one.
. "${0%/*}/lib.sh"

tree() {
    mkdir many && cd many
    for i in $(seq 0 63); do printf 'bytes of file %03d\n' $i >$i; done
}

checks() { helper threads; }
after() { only_in_view made.0 made.15; }
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: O_TMPFILE makes a file without a name, linkat gives it one, and what gets none leaves nothing behind.
. "${0%/*}/lib.sh"

tree() { mkdir d && echo text >file; }

checks() {
    helper unnamed
    is "$(ls -d never null back 2>/dev/null)" '' 'no name that was refused is there'
}

after() {
    only_in_view shared d/by_fd
    native && return
    "$VRIFT" run -w tree -- sleep 0.5
    is "$(ls "$T"/home/staging/*/ | grep -c '^[4-7]')" 0 'unnamed files end with their last fd'
}
main

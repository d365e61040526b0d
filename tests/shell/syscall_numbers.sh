#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a path call by its number, through syscall(2), is the same call; openat2 keeps its restrictions.
. "${0%/*}/lib.sh"
tree() {
    echo data >file
    mkdir d
    echo one >d/one
    echo two >d/two
}
checks() { helper syscall_numbers; }
after() {
    only_in_view n n/f n/s masked d/new2
    is "$(cat "$TREE/file")" data 'the real file is as it was'
}
main

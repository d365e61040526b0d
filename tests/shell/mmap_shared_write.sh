#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what is written through a shared mapping is in the file, also when its descriptor was
# closed long before, and is read by other processes.
. "${0%/*}/lib.sh"

tree() { printf 'mapped bytes of the tree' >file && head -c 100000 /dev/zero >big && printf 'private' >private; }

checks() {
    helper mmap_write
    is "$(cat file)" 'MAPPED bytes of the TREE' 'another process reads what the mapping wrote'
    is "$(cat made)" 'through a mapping alone' 'also in a file made for it'
    is "$(tr -d '\0' <big)" 'first' 'also in a large one'
    is "$(tail -c 4 big | tr -d '\0')" '' 'no byte beyond it changed'
    is "$(cat private)" private 'a private mapping changes nothing'
}

after() {
    is "$(view_cat file)" 'MAPPED bytes of the TREE' 'the bytes outlive the run'
    is "$(view_cat made)" 'through a mapping alone' 'those of the new file too'
    only_in_view made
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: empty files are files: each its own, although all have equal bytes; sizes 0 stay 0.
. "${0%/*}/lib.sh"

tree() {
    : >a && : >b && echo full >c && echo full >d && mkdir dir
    touch -d 2001-02-03 a b c d
}

checks() {
    expect 0 stat a size
    is "$(cat a b | wc -c)" 0 'nothing to read'
    fails 'two empty files are two inodes' [ "$("$BIN/call" stat a ino)" = "$("$BIN/call" stat b ino)" ]
    : >new
    expect 0 stat new size
    expect 100644 stat new mode
    fails 'test -s of an empty file' [ -s new ]
    echo x >a
    is "$(cat a b)" x 'writing one leaves the other empty'
    : >c
    expect 0 stat c size
    is "$(cat d)" full 'truncating one leaves its equal'
    check 'truncation moves the mtime' [ c -nt d ]
    : >>b
    expect 981158400.000000000 stat b mtime
    cp b copy && cmp b copy
    expect 0 stat copy size
    cat b b b >joined
    expect 0 stat joined size
    mkdir many && (cd many && seq 200 | xargs touch)
    is "$(find many -type f -empty | wc -l)" 200 '200 empty files'
    is "$(find many -type f -printf '%i\n' | sort -u | wc -l)" 200 'and 200 inodes'
    printf '\0' >nul
    expect 1 stat nul size
    is "$(od -An -tx1 nul | tr -d ' ')" 00 'one zero byte is not an empty file'
    truncate -s 5 hole
    is "$(od -An -tx1 hole | tr -d ' ')" 0000000000 'a hole reads as zeros'
    dd if=/dev/null of=nothing status=none
    expect 0 stat nothing size
    exits 0 'grep finds nothing in /dev/null and an empty file' sh -c '! grep x b'
}

after() {
    is "$(view_cat new | wc -c)" 0 'still empty after the run'
    is "$(view_cat nul | wc -c)" 1 'and the zero byte is there'
    only_in_view new copy joined hole
}
main

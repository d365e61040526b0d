#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: truncate, ftruncate, fallocate and O_TRUNC change the file of the view to the byte.
. "${0%/*}/lib.sh"

tree() {
    for n in path trunc grow fd read; do echo 0123456789 >$n; done
    mkdir d && ln -s path soft && touch -d 2001-02-03 path trunc grow
    head -c 300000 /dev/urandom >big
}

checks() {
    expect 0 truncate path 4
    is "$(cat path)" 0123 'truncate shortens'
    check 'and moves the mtime' [ path -nt grow ]
    expect 0 truncate path 6
    is "$(od -An -tx1 path | tr -d ' ')" 303132330000 'and pads with zeros'
    expect 0 truncate soft 2
    is "$(cat path)" 01 'through a symlink'
    expect 0 truncate grow 5000000
    expect 5000000 stat grow size
    is "$(tail -c +12 grow | tr -d '\0' | wc -c)" 0 'the hole reads as zeros'
    want=$(head -c 200001 big | cksum)
    expect 0 truncate big 200001
    is "$(cksum <big)" "$want" 'a large file keeps what is left'
    touch -d 2001-02-03 grown_before
    expect 0 open trunc 'O_WRONLY|O_TRUNC'
    expect 0 stat trunc size
    check 'O_TRUNC moves the mtime' [ trunc -nt grown_before ]
    expect EISDIR truncate d 0
    expect ENOENT truncate missing 0
    expect ENOTDIR truncate path/x 0
    expect EINVAL truncate path -1
    expect EFBIG truncate path 9000000000000000000
    expect 2 stat path size
    helper ftruncate
    truncate -s +3 made
    expect 53 stat made size
    fallocate -l 100 made
    expect 100 stat made size
}

after() {
    is "$(view_cat path)" 01 'the size outlives the run'
    only_in_view made
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: writing a file of the view changes that file alone: not the real one, not one with equal
# bytes (which share a blob); it keeps its identity, and what was written is there after close.
. "${0%/*}/lib.sh"

tree() {
    echo original >one && cp one twin && cp one three && cp one four
    seq 100000 >big
    ln -s one alias
    touch -d 2001-02-03 one twin three four big
}

checks() {
    ino=$("$BIN/call" stat one ino)
    echo rewritten >one
    is "$(cat one)" rewritten 'a truncating write is read back'
    expect "$ino" stat one ino
    is "$(cat twin)" original 'a file with equal bytes keeps them'
    check 'the write moves the mtime' [ one -nt twin ]
    echo more >>twin
    is "$(cat twin)" "original
more" 'an append keeps what was there'
    printf ORIG | dd of=three conv=notrunc status=none
    is "$(cat three)" ORIGinal 'an overwrite in place keeps the rest'
    printf XY | dd of=big bs=1 seek=300000 conv=notrunc status=none
    is "$(wc -c <big)" "$(seq 100000 | wc -c)" 'a write in the middle keeps the size'
    is "$(dd if=big bs=1 skip=300000 count=2 status=none)" XY 'the middle has the new bytes'
    is "$(head -c 300000 big | cksum)" "$(seq 100000 | head -c 300000 | cksum)" 'the bytes before it are kept'
    is "$(tail -c +300003 big | cksum)" "$(seq 100000 | tail -c +300003 | cksum)" 'the bytes after it are kept'
    : 3<>four # opened for writing, nothing written
    is "$(cat four)" original 'an open for writing alone changes nothing'
    expect 981158400.000000000 stat four mtime
    echo through >alias
    is "$(cat one)" through 'a write through a symlink reaches its target'
    for i in 1 2 3 4 5 6 7 8 9 10; do echo "$i" >cycle; cat cycle; done >cycles
    is "$(tr '\n' ' ' <cycles)" '1 2 3 4 5 6 7 8 9 10 ' 'each of ten writes is read back at once'
}

after() {
    is "$(view_cat one)" through 'the bytes outlive the run'
    is "$(view_cat three)" ORIGinal 'so do those written in place'
    is "$(cat "$TREE/one")" original 'the real file has its own'
    only_in_view cycle cycles
}
main

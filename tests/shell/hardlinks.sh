#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: hard links are names of one file: one inode number, one content, one mode, a count.
. "${0%/*}/lib.sh"

tree() {
    echo tree >a && ln a b && mkdir d && ln a d/c && echo tree >equal && ln -s a soft
}

ino() { "$BIN/call" lstat "$1" ino; }

checks() {
    expect 3 stat a nlink
    is "$(ino a) $(ino d/c)" "$(ino b) $(ino b)" 'links of the tree are one inode'
    fails 'a file with equal bytes is another' [ "$(ino a)" = "$(ino equal)" ]
    expect 1 stat equal nlink
    echo through >d/c
    is "$(cat a b equal)" 'through
through
tree' 'a write through one name is read through the others'
    echo made >x
    expect 0 link x y
    expect 0 link x "$VIEW/d/z"
    expect 3 stat y nlink
    is "$(ino x)" "$(ino d/z)" 'links of the view are one inode'
    chmod 600 y
    expect 100600 stat d/z mode
    expect 0 utimens y omit 5.000000006
    expect 5.000000006 stat x mtime
    rm x
    is "$(cat y)" made 'the bytes stay with the other names'
    expect 2 stat y nlink
    mv y w
    expect 2 stat d/z nlink
    sed -i s/made/edited/ w
    is "$(cat d/z)" made 'sed -i replaces one name only'
    expect 1 stat d/z nlink
    expect EEXIST link a b
    expect EEXIST link equal a
    expect ENOENT link missing new
    expect ENOENT link a missing/new
    expect EPERM link d d2
    expect ENOTDIR link a b/x
    expect 0 link soft soft2
    expect 120777 lstat soft2 mode
    is "$(ino soft)" "$(ino soft2)" 'a symlink can have two names'
    native || expect EXDEV link a "$OUTER/outside"
    cp -al d copied
    is "$(ino copied/c)" "$(ino a)" 'cp -al links'
    expect 4 stat a nlink
    for i in $(seq 100); do ln a many.$i; done
    expect 104 stat a nlink
    rm many.*
    expect 4 stat a nlink
    is "$(find . -samefile a | sort | tr '\n' ' ')" './a ./b ./copied/c ./d/c ' 'find -samefile'
}

after() {
    is "$(view_cat b)" through 'the bytes outlive the run'
    is "$(cat "$TREE/a" "$TREE/b" "$TREE/d/c" | sort -u)" tree 'the real links have their own'
    only_in_view d/z w soft2 copied/c
}
main

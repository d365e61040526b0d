#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: '..' goes where the kernel would go: inside the view, past its root into the real parent,
# and back in again; through symlinks, from a working directory and from a descriptor.
. "${0%/*}/lib.sh"

tree() {
    echo top >file && mkdir -p a/b/c && echo deep >a/b/c/file && ln -s a/b/c short
    echo sibling >"$OUTER/sibling"
}

checks() {
    echo made >made
    is "$(cat a/../file a/b/../../file ./a/./b/c/../../../file)" 'top
top
top' 'inside the view'
    is "$(cat short/../c/file)" deep '.. after a symlink is the parent of its target'
    expect ENOENT stat short/../file
    expect ENOENT stat missing/../file
    expect ENOTDIR stat file/../file
    expect ENOTDIR stat file/..
    is "$(cat ../sibling)" sibling 'past the root is the real parent'
    is "$(cat a/../../sibling "$VIEW/../sibling")" 'sibling
sibling' 'also from below and by absolute path'
    is "$(cat ../tree/made "$OUTER/tree/made" "$VIEW/../tree/a/../made")" 'made
made
made' 'and back into the view'
    expect "$VIEW" realpath a/..
    expect "$OUTER" realpath ..
    expect "$VIEW/made" realpath ../tree/made
    expect "$("$BIN/call" stat . ino)" stat a/.. ino
    expect "$("$BIN/call" stat "$OUTER" ino)" stat .. ino
    cd a/b/c
    is "$(cat ../../../made)" made 'from a working directory below'
    is "$(cat ../../../../sibling)" sibling 'and out of the view from there'
    cd "$VIEW/.."
    is "$(pwd -P)" "$OUTER" 'cd .. leaves the view'
    is "$(cat tree/made)" made 'and its name leads back in'
    is "$(env -C tree/a cat ../made)" made 'also for a child that starts there'
    cd tree/a
    is "$(pwd -P)" "$VIEW/a" 'cd goes back in'
    mkdir ../b_new ../../out_new
    cd "$VIEW"
    mv a/b/c moved
    is "$(cd moved && cat ../made)" made '.. of a moved directory is its new parent'
    rmdir b_new ../out_new
    : >../made_outside
    expect ENOENT stat b_new
    is "$(cd / && cat ."$VIEW"/../sibling)" sibling 'a relative path from the root folder'
    is "$(cat /../../.."$VIEW"/made)" made '.. of the root folder is itself'
}

after() {
    check 'what was made past the root is a real file' [ -f "$OUTER/made_outside" ]
    only_in_view made moved
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: '..' goes where the kernel would go: inside the view, past its root into the real parent,
# and back in again; through symlinks, from a working directory and from a descriptor.
. "${0%/*}/lib.sh"

tree() {
    echo top >file && mkdir -p a/b/c && echo deep >a/b/c/file && ln -s a/b/c short
    echo sibling >"$OUTER/sibling"
    mkdir -p "$OUTER/other/deep" "$OUTER/other/tree" && ln -s other/deep "$OUTER/jump" && echo real >"$OUTER/other/tree/made"
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
    is "$(cat "$OUTER/jump/../tree/made" && cd "$OUTER" && cat jump/../tree/made)" 'real
real' 'after a symlink outside it is the parent of its target, whatever the names say'
    cd "$VIEW"
    is "$(cat "$OUTER/./tree/b_new/../../sibling" "$OUTER/./tree/b_new/../made")" 'sibling
made' 'by a folder that only the view has'
    expect ENOENT stat "$OUTER/./tree/no_folder/../made"
    is "$(cat "$OUTER/./tree/short/../c/file" "/$OUTER/tree/short/../c/file")" 'deep
deep' 'after a symlink, too, where the path says it in other words'
    expect ENOENT stat "$OUTER/../${OUTER##*/}/tree/short/../file"
    is "$(cd .. && cat tree/short/../c/file ./tree/short/../c/file)" 'deep
deep' 'and from outside'
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

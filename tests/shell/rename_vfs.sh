#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: rename(2) and renameat2(2) in the view: the replacement that compilers rely on, the
# kernel's errors, and inode numbers that travel with the file.
. "${0%/*}/lib.sh"

tree() {
    for f in a b c target; do echo "$f" >$f; done
    ln c c2
    mkdir d d/sub empty full && echo x >full/x && echo y >d/sub/y
    ln -s a soft
    echo 'int main(void) { return 0; }' >main.c
}

replaces() {
    ino=$("$BIN/call" stat a ino)
    expect 0 rename a target
    expect ENOENT stat a
    expect "$ino" stat target ino
    is "$(cat target)" a 'the replaced name has the new bytes'
    echo new >tmp.$$ && mv tmp.$$ target
    is "$(cat target)" new 'a temporary file renamed over it'
    gcc -c main.c -o main.o && gcc main.o -o prog
    check 'the program that gcc left runs' ./prog
    is "$(ls | grep -c '^tmp\|^cc')" 0 'no temporary name stays'
    expect 0 rename target target
    is "$(cat target)" new 'a rename to itself changes nothing'
    expect 0 rename c c2
    expect 2 stat c nlink
    is "$(cat c c2)" "c
c" 'a rename to a hard link of itself does nothing'
    expect 0 rename soft moved_link
    expect a readlink moved_link
}

refuses() {
    expect EISDIR rename b d
    expect ENOTDIR rename d b
    expect ENOTEMPTY rename d full
    expect EINVAL rename d d/sub/deeper
    expect ENOENT rename missing b
    expect ENOENT rename b missing/b
    expect ENOENT rename b ''
    expect ENOTDIR rename b target/b
    expect ENOTDIR rename b new/
    expect EBUSY rename . elsewhere
    expect EEXIST renameat2 b target RENAME_NOREPLACE
    expect EINVAL renameat2 b target 'RENAME_NOREPLACE|RENAME_EXCHANGE'
    expect ENOENT renameat2 b missing RENAME_EXCHANGE
}

directories() {
    expect 0 rename d empty
    expect ENOENT stat d
    is "$(cat empty/sub/y)" y 'a directory over an empty one brings what it holds'
    expect 0 rename empty/ again/
    is "$(cat "$VIEW/again/sub/y")" y 'its absolute path follows'
    expect 0 rename again/sub moved_out
    is "$(cat moved_out/../moved_out/y)" y '.. of a moved directory is its new parent'
    is "$(cd moved_out && cat ../b)" b 'so it is from inside'
}

exchanges() {
    expect 0 renameat2 b target RENAME_EXCHANGE
    is "$(cat b target)" "new
b" 'an exchange swaps two files'
    expect 0 renameat2 b full RENAME_EXCHANGE
    is "$(cat full b/x)" "new
x" 'and a file with a directory'
    expect 0 renameat2 full fresh RENAME_NOREPLACE
    is "$(cat fresh)" new 'NOREPLACE to a free name'
}

# Across the border rename may fail with EXDEV only; mv copies then. In native mode there is no border.
border() {
    echo out >"$OUTER/outside"
    native || expect EXDEV rename "$OUTER/outside" came_in
    native || expect EXDEV rename target "$OUTER/went_out"
    check 'mv into the view' mv "$OUTER/outside" came_in
    is "$(cat came_in)" out 'has the bytes'
    check 'mv out of the view' mv target "$OUTER/went_out"
    is "$(cat "$OUTER/went_out")" b 'has the bytes'
    expect ENOENT stat target
}

checks() {
    replaces
    refuses
    directories
    exchanges
    border
}

after() {
    is "$(cat "$OUTER/went_out")" b 'what left the view is a real file'
    check 'what came in left the real folder' [ ! -e "$OUTER/outside" ]
    only_in_view prog fresh came_in again moved_out
    gone_in_view_only a d target
}
main

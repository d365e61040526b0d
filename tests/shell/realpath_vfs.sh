#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: realpath(3) gives view paths for what is in the view, and never the names behind it.
. "${0%/*}/lib.sh"

tree() {
    mkdir -p a/b && echo x >a/b/f && ln -s a/b soft && ln -s "$VIEW/a" abs && ln -s missing dangling
    mkdir "$OUTER/real" && ln -s "$VIEW/a/b" "$OUTER/real/in"
}

checks() {
    expect "$VIEW" realpath .
    expect "$VIEW/a/b/f" realpath a/b/f
    expect "$VIEW/a/b/f" realpath "$VIEW/a//./b/../b/f"
    expect "$VIEW/a/b/f" realpath soft/f
    expect "$VIEW/a/b" realpath soft/
    expect "$VIEW/a/b/f" realpath abs/b/f
    expect "$VIEW/a/b/f" realpath "$OUTER/real/in/f"
    expect "$OUTER/real" realpath ../real
    expect "$OUTER" realpath "$VIEW/.."
    expect ENOENT realpath missing
    expect ENOENT realpath dangling
    expect ENOENT realpath missing/..
    expect ENOENT realpath ''
    expect ENOTDIR realpath a/b/f/
    expect ENOTDIR realpath a/b/f/..
    echo made >made && mkdir new && mv a/b new/
    expect "$VIEW/made" realpath made
    expect "$VIEW/new/b/f" realpath new/b/f
    expect ENOENT realpath soft/f
    expect ENOENT realpath a/b/f
    is "$(cd new/b && realpath f . ..)" "$VIEW/new/b/f
$VIEW/new/b
$VIEW/new" 'realpath(1) from below'
    is "$(readlink -f new/b/f; readlink -m new/none/x; readlink -e abs)" "$VIEW/new/b/f
$VIEW/new/none/x
$VIEW/a" 'readlink -f, -m, -e'
    is "$(exec 7<new/b/f; readlink /proc/self/fd/7)" "$VIEW/new/b/f" '/proc/self/fd of a file'
    is "$(exec 7<new/b; readlink /proc/self/fd/7)" "$VIEW/new/b" '/proc/self/fd of a directory'
    is "$(exec 7>writing; readlink /proc/self/fd/7; readlink -f /proc/self/fd/7)" "$VIEW/writing
$VIEW/writing" '/proc/self/fd of a file being written'
    is "$(cat /proc/self/fd/7 7<made; cat /dev/fd/7 7<made)" "made
made" 'and opened by that name'
}

after() { only_in_view made new/b/f; }
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: the working directory is a directory of the view: named by its view path, kept by
# children, followed when it is renamed.
. "${0%/*}/lib.sh"

tree() { mkdir -p a/b/c tmp && echo top >file && echo in >a/b/f && ln -s a/b soft; }

checks() {
    is "$(pwd -P; env pwd -P; bash -c 'pwd -P'; sh -c 'cd . && pwd -P')" "$VIEW
$VIEW
$VIEW
$VIEW" 'pwd says the view path'
    cd a/b
    is "$(env pwd -P)" "$VIEW/a/b" 'cd, then pwd in a child'
    is "$(cat f ../../file)" "in
top" 'relative paths start there'
    is "$(readlink /proc/self/cwd)" "$VIEW/a/b" '/proc/self/cwd'
    cd ../../soft
    is "$(pwd -P)" "$VIEW/a/b" 'through a symlink'
    is "$(pwd -L)" "$VIEW/soft" 'and its logical name'
    cd "$VIEW/a/b"
    mv ../b ../moved
    is "$(env pwd -P)" "$VIEW/a/moved" 'pwd after a rename of the working directory'
    is "$(cat f)" in 'its files are found'
    mv ../../a ../../z
    is "$(env pwd -P)" "$VIEW/z/moved" 'and after a rename of its parent'
    : >made_here && cd "$VIEW"
    expect 0 stat z/moved/made_here
    expect ENOENT chdir a
    expect ENOTDIR chdir file
    expect ENOTDIR chdir file/
    is "$(cd z && make -s -C moved -f - <<'END'
all: ; @pwd -P; cat f
END
)" "$VIEW/z/moved
in" 'make -C'
    is "$(cd /; env pwd -P; cd "$VIEW/z"; env pwd -P)" "/
$VIEW/z" 'out of the view and back in'
    helper cwd "$VIEW"
}

after() { only_in_view z/moved/made_here by_fchdir; }
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: unlink(2) takes a name out of the view alone, with the kernel's errors; a name that
# is gone is gone for every call, although the real file is still there to be found.
. "${0%/*}/lib.sh"

tree() {
    for f in a b c d e; do echo "$f" >$f; done
    mkdir dir dir/sub && echo in >dir/in
    ln -s a soft && ln -s missing dangling && ln -s dir to_dir
    ln c hard
}

checks() {
    expect 0 unlink a
    expect ENOENT unlink a
    expect ENOENT stat a
    expect ENOENT lstat a
    expect ENOENT access a F_OK
    expect ENOENT open a O_RDONLY
    expect ENOENT open "$VIEW/a" O_RDONLY
    expect ENOENT realpath a
    expect ENOENT stat soft
    expect 0 lstat soft
    fails 'cat of an unlinked file' cat a
    is "$(ls | grep -cx a)" 0 'it is not listed'
    is "$(echo [a])" '[a]' 'the shell does not glob it'
    expect EISDIR unlink dir
    expect EISDIR unlink to_dir/sub
    expect ENOTDIR unlink b/x
    expect ENOTDIR unlink b/
    expect ENOENT unlink ''
    expect ENOENT unlink missing/x
    expect 0 unlink soft
    expect 0 unlink dangling
    expect 0 unlink to_dir
    expect 0 stat dir
    expect 2 stat c nlink
    expect 0 unlink c
    expect 1 stat hard nlink
    is "$(cat hard)" c 'the other hard link keeps the bytes'
    : >a
    expect 0 stat a size
    expect 0 unlink a
    expect 0 remove b
    expect ENOTEMPTY remove dir
    expect 0 remove dir/sub
    rm -f d "$VIEW/e"
    rm dir/in
    is "$(ls)" "dir
hard" 'what is left'
}

after() {
    gone_in_view_only a b c d e soft dangling to_dir dir/in dir/sub
    is "$(cat "$TREE/a")" a 'the real file keeps its bytes'
}
main

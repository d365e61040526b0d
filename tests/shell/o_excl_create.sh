#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: O_CREAT|O_EXCL makes a name that was free, or fails with EEXIST: also through a dangling
# symlink, and for exactly one of many that try at once.
. "${0%/*}/lib.sh"

tree() {
    echo data >file && echo data >removed && mkdir d
    ln -s missing dangling && ln -s file soft
}

checks() {
    expect EEXIST open file 'O_WRONLY|O_CREAT|O_EXCL' 644
    expect EEXIST open file 'O_RDONLY|O_CREAT|O_EXCL' 644
    expect EEXIST open d 'O_RDONLY|O_CREAT|O_EXCL' 644
    expect EEXIST open soft 'O_WRONLY|O_CREAT|O_EXCL' 644
    expect EEXIST open dangling 'O_WRONLY|O_CREAT|O_EXCL' 644
    expect ENOENT lstat missing
    expect EEXIST open file 'O_WRONLY|O_CREAT|O_EXCL|O_TRUNC' 644
    is "$(cat file)" data 'a refused creation does not truncate'
    expect 0 open new 'O_WRONLY|O_CREAT|O_EXCL' 600
    expect 100600 stat new mode
    expect EEXIST open new 'O_WRONLY|O_CREAT|O_EXCL' 600
    # Its real file still exists; the view's word counts.
    rm removed
    expect 0 open removed 'O_WRONLY|O_CREAT|O_EXCL' 644
    expect 0 stat removed size
    expect ENOENT open d/x/y 'O_WRONLY|O_CREAT|O_EXCL' 644
    expect EISDIR open d 'O_RDONLY|O_CREAT' 644
    expect EISDIR open newdir/ 'O_WRONLY|O_CREAT' 644
    for round in 1 2 3 4 5; do
        for i in 1 2 3 4 5 6 7 8; do "$BIN/call" open lock$round 'O_WRONLY|O_CREAT|O_EXCL' 644 >"won.$i" & done
        wait
        is "$(cat won.* | sort | tr '\n' ' ')" \
            '0 EEXIST EEXIST EEXIST EEXIST EEXIST EEXIST EEXIST ' "round $round: one of eight wins"
    done
    sh -c 'set -C; echo mine >noclobber'
    fails 'noclobber refuses' sh -c 'set -C; echo yours >noclobber' 2>/dev/null
    is "$(cat noclobber)" mine 'and leaves the file'
}

after() { only_in_view new lock1 noclobber; }
main

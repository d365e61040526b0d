#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: several processes that append to one file of the view lose no line and tear none.
. "${0%/*}/lib.sh"

tree() { echo 'line from the tree' >log; }

append_lines() { # FILE PROCESSES LINES
    for p in $(seq "$2"); do
        (i=0; while [ $i -lt "$3" ]; do i=$((i + 1)); echo "line $p $i of this process" >>"$1"; done) &
    done
    wait
}

checks() {
    append_lines log 4 200 # each line its own open and close
    is "$(wc -l <log)" 801 'no line is lost'
    is "$(grep -cx 'line [1-4] [0-9]* of this process' log)" 800 'no line is torn'
    is "$(sort -u log | wc -l)" 801 'no line is doubled'
    is "$(head -n 1 log)" 'line from the tree' 'what was there comes first'
    is "$(grep '^line 3' log | awk '{ print $3 }' | sort -nc && echo sorted)" sorted 'each process keeps its order'
    for p in 1 2 3 4; do (for i in $(seq 1000); do echo "kept open $p $i"; done) >>open & done
    wait
    is "$(sort -u open | grep -cx 'kept open [1-4] [0-9]*')" 4000 'nor with descriptors that stay open'
    # A writer without O_APPEND in between must not move the end for those that append.
    exec 8>>mixed 9<>mixed
    echo aaaa >&8
    printf b >&9
    echo cccc >&8
    exec 8>&- 9>&-
    is "$(cat mixed)" "baaa
cccc" 'an append goes to the end, wherever others write'
}

after() {
    is "$(view_cat log | wc -l)" 801 'nothing is lost after the run'
    only_in_view open mixed
}
main

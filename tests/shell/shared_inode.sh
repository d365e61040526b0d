#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: whoever has a file open sees what others write to it, and locks exclude, over sealing and writing again.
. "${0%/*}/lib.sh"

tree() {
    printf 'old bytes' | tee read equal posix ofd >/dev/null
    : >lock && : >lock2
    echo log >followed
}

# until_has TEXT FILE: waits for it.
until_has() { until_true grep -q "$1" "$2"; }

checks() {
    cat read equal posix ofd lock lock2 >/dev/null
    helper shared_inode
    tail -n +1 -f followed >followed.out &
    tail_pid=$!
    until_has log followed.out
    for i in 1 2 3; do
        echo "line $i" >>followed
        until_has "line $i" followed.out
    done
    kill "$tail_pid"
    is "$(tail -n 1 followed.out)" 'line 3' 'tail -f follows'
}

after() { is "$(view_cat equal)" 'old bytes' 'what was sealed did not change'; }
main

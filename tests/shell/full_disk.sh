#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a full disk below VRIFT_HOME is an error that says so, never a file with wrong bytes; with
# space again, all goes on.
. "${0%/*}/lib.sh"

tree() { echo data >file && echo keep >kept; }

may_mount

# In native mode the small disk carries the view itself; otherwise the home behind it.
if [ -z "${VRIFT_TEST_INSIDE:-}" ]; then
    small=$VRIFT_HOME
    [ "$MODE" = vrift ] || small=$OUTER
    export small
    small_disk "$small" size=48m
fi

filled() {
    fails 'a write that does not fit fails' sh -c 'head -c 100000000 /dev/urandom >big 2>"$1"' sh "$T/err"
    check 'and says that there is no space' grep -qi 'no space left' "$T/err"
    size=$(stat -c %s big)
    check "what fitted is the file's size ($size)" [ "$size" -lt 100000000 ]
    is "$(head -c "$size" big | wc -c)" "$size" 'and is read'
    is "$(cat file kept)" 'data
keep' 'other files keep their bytes'
    rm big
    until_room
}

# The daemon may be reading a file that is removed: its space comes back when it has noticed.
until_room() {
    tries=0
    until [ "$(df --output=avail -k "$small" | tail -1)" -gt 20000 ] || [ "$tries" -ge 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

room_again() {
    echo small >small
    is "$(cat small)" small 'with space again, files are written'
    expect ENOENT stat big
}

# Sealed when it has been closed for a moment, too large to be in the store as well, and written over before
# it was: nothing refers to it.
written_over() {
    head -c 30000000 /dev/urandom >big
    sleep 1
    # Who has it open, as the daemon itself has while it tries to store it, is no reason to refuse.
    exec 3<big
    : >big
    exec 3<&-
    is "$(stat -c %s big)" 0 'the file is empty again'
    head -c 15000000 /dev/urandom >big
    sleep 1
    truncate -s 5 big
    is "$(wc -c <big)" 5 'and short again'
    rm big
}

phases() {
    in_view filled
    in_view written_over
    in_view room_again
}

after() {
    is "$(view_cat small)" small 'the bytes are there after the run'
    only_in_view small
    native || check 'the daemon answers' "$VRIFT" daemon status
}
main

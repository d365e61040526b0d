#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: inodes of removed files that are kept for new ones (RFC 0007) make room when the file system has none left.
. "${0%/*}/lib.sh"

tree() { echo data >file; }

may_mount

# In native mode the small disk carries the view itself; otherwise the home behind it.
if [ -z "${VRIFT_TEST_INSIDE:-}" ]; then
    small=$VRIFT_HOME
    [ "$MODE" = vrift ] || small=$OUTER
    export small
    small_disk "$small" nr_inodes=1500,size=1g
fi

blank() { find "$VRIFT_HOME/staging" -type f -empty | wc -l; }

folders() { mkdir d1 d2 d3 d4 d5; }
removed() {
    helper reuse remove
    native && return
    waited=0
    while [ "$(blank)" -lt 200 ] && [ "$waited" -lt 100 ]; do sleep 0.1; waited=$((waited + 1)); done
    check "removed files are kept: $(blank)" [ "$(blank)" -ge 200 ]
}
fill() {
    mkdir "$small/filler"
    n=0
    while touch "$small/filler/$n" 2>"$T/err"; do n=$((n + 1)); done
    check 'the small disk has no inode left' grep -qi 'no space left' "$T/err"
}

# Their numbers come next, and nothing is kept for them.
made() {
    native && rm "$small"/filler/[1-5]
    rmdir d1 d2 d3 d4 d5
    for n in 1 2 3 4 5; do echo "new $n" >"new$n" || not_ok "new$n is made"; done
    is "$(cat new1 new2 new3 new4 new5 | wc -l)" 5 'new files are made'
}

phases() {
    in_view folders
    in_view removed
    fill
    in_view made
    rm -r "$small/filler"
}

after() { is "$(view_cat new3)" 'new 3' 'the bytes are there after the run'; }
main

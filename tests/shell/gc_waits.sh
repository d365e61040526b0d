#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a collection that somebody asks for waits for one that began by itself; both collect.
. "${0%/*}/lib.sh"

tree() { echo one >file; }
fill() {
    i=0
    while [ $i -lt 6000 ]; do echo "$i of many" >"many-$i"; i=$((i + 1)); done
}
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
said() { here "$@" >"$T/said" 2>&1; }
phases() {
    in_view fill
    if native; then ok 'collections # SKIP there are none without vrift'; return; fi
    exits 0 'a fork' said fork tree other
    exits 0 'in which all is gone' said run -q -w other -- sh -c 'rm many-*; i=0; while [ $i -lt 6000 ]; do echo "$i other" >n$i; i=$((i + 1)); done'
    # Its content is garbage from now on, which the daemon collects by itself at leisure.
    exits 0 'it is removed' said rm other
    # It begins within half a second and takes its time; one after the other, until long after that.
    sleep 0.6
    failed=0 round=0
    until=$(($(date +%s) + 3))
    while [ "$(date +%s)" -lt $until ]; do
        said gc || failed=$((failed + 1))
        round=$((round + 1))
    done
    is $failed 0 "$round collections by hand, none refused"
    exits 0 'the store is sound' said fsck
    is "$(here cat many-5999)" '5999 of many' 'what is in use stays'
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a file that changes while it is read is read again; one that does not stop changing is named, with
# exit code 1, after the rest is in; no mix of two states is ever taken in.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
works() { echo made >made && is "$(cat file)" data 'the view works'; }

phases() {
    in_view works
    if native; then ok "taking in a changing file # SKIP native mode has no vrift"; return; fi
    mkdir "$T/busy" && echo a >"$T/busy/a" && echo z >"$T/busy/z"
    truncate -s 48M "$T/busy/log"
    "$BIN/keep_writing" "$T/busy/log" &
    writer=$!
    exits 1 'a file that keeps changing: exit code 1' "$VRIFT" ingest "$T/busy" >"$T/said" 2>&1
    cat "$T/said"
    check 'it is named, with the reason' grep -q 'log.*kept changing' "$T/said"
    is "$("$VRIFT" cat -w busy a z | tr '\n' ' ')" 'a z ' 'the rest is in'
    fails 'no state of it is in' "$VRIFT" cat -w busy log >/dev/null
    kill "$writer" && wait "$writer"
    exits 0 'once it is at rest: exit code 0' "$VRIFT" ingest "$T/busy"
    is "$("$VRIFT" cat -w busy log | sha256sum)" "$(sha256sum <"$T/busy/log")" 'with its bytes'

    # Each state is all of one letter: a mix of two would show.
    "$BIN/keep_writing" "$T/busy/letters" 20000 &
    writer=$!
    until [ -s "$T/busy/letters" ]; do sleep 0.01; done
    for round in 1 2 3 4 5 6 7 8 9 10; do
        "$VRIFT" sync -w busy >/dev/null 2>&1
        is "$("$VRIFT" cat -w busy letters 2>/dev/null | fold -w1 | sort -u | wc -l)" 1 "one state, round $round"
    done
    kill "$writer" && wait "$writer"
}
main

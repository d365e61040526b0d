#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a clock that is put forward by ten years and back by twenty, with the daemon running and over restarts, holds up
# nothing: what is put is got, transactions end, the audit log stays whole, snapshots keep their order and their
# signatures, runs end; what the guard says of files of the future is said.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
inside() { echo made >made; }

quiet() { "$@" >"$T/out" 2>"$T/err"; }
year=31536000

# jump YEARS: the daemon's clock and that of what is run here.
jump() { echo $(($1 * year)) >"$T/offset"; }

works() {
    exits 0 "$1: put" quiet "$VRIFT" state put "/state/clock/$2" "$2" --sync
    is "$("$VRIFT" state get "/state/clock/$2")" "$2" "$1: get"
    exits 0 "$1: several, at once" quiet "$VRIFT" state del --sync "/state/clock/$2"
    exits 2 "$1: what is denied" quiet "$VRIFT" state put /state/keystore/x y
    is "$("$VRIFT" audit | grep -c 'write of /state/keystore/x: denied')" "$3" "$1: which is written down"
    exits 0 "$1: the audit log is whole" quiet "$VRIFT" audit verify
    exits 0 "$1: a run" quiet "$VRIFT" -q run -- sh -c "echo $2 >file; sleep 0.01"
    is "$("$VRIFT" cat -w tree file)" "$2" "$1: what it made is there"
    exits 0 "$1: a snapshot" quiet "$VRIFT" snapshot -m "$2"
    exits 0 "$1: all are signed" quiet "$VRIFT" log --verify
    is "$("$VRIFT" log --json | grep -c '"number"')" "$3" "$1: none is lost"
    exits 0 "$1: the keystore" quiet "$VRIFT" key show
    exits 0 "$1: boot control" quiet "$VRIFT" boot stage --force "tree@$3"
    exits 0 "$1: the history" quiet "$VRIFT" history
    exits 0 "$1: collecting" quiet "$VRIFT" gc
}

jumps() {
    cd "$TREE" || exit
    "$VRIFT" daemon stop >/dev/null
    export JUMP_FILE="$T/offset" LD_PRELOAD="$BIN/jump.so"
    jump 0
    works 'at first' one 1
    now=$(date +%Y)
    jump 10
    works 'ten years on' two 2
    is "$("$VRIFT" log --json | sed -n 's/.*"time_ns": \([0-9]*\).*/\1/p' | sort -n | tail -n 1 | cut -c 1-10 | { read -r at; date -u -d "@$at" +%Y; })" \
        "$(date +%Y)" 'which is in the snapshot'
    fails 'and is another year' [ "$(date +%Y)" = "$now" ]
    jump -10
    works 'twenty back' three 3
    "$VRIFT" daemon stop >/dev/null
    works 'after a restart' four 4
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    jump 10
    works 'after kill -9, twenty on' five 5
    "$VRIFT" daemon stop >/dev/null
    jump 0
    works 'and back again' six 6
    is "$("$VRIFT" log --json | sed -n 's/.*"number": \([0-9]*\).*/\1/p' | sort -n | tr '\n' ' ')" '1 2 3 4 5 6 ' 'in their order'
    exits 0 'the store is whole' quiet sh -c '"$1" daemon stop >/dev/null && "$1" fsck' sh "$VRIFT"
    unset JUMP_FILE LD_PRELOAD
    "$VRIFT" status >/dev/null
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no daemon"; return; fi
    jumps
}
main

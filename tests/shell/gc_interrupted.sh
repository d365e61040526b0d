#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: `vrift gc` says how far it is, in plain lines, or in one line of a terminal of 20 columns; Ctrl-C at any step of it says
# what is kept, everything in use stays, and the next one removes the rest.
. "${0%/*}/lib.sh"
. "${0%/*}/terminal.sh"

tree() { echo one >file; }
fill() { for number in 1 2 3 4 5 6 7 8 9; do echo "used $number" >used-$number; done; }
said() { (cd "$VIEW" && "$VRIFT" "$@") >"$T/out" 2>"$T/err"; }
is_paused() { [ -e "$T/die.$1" ]; }
goes_on() { rm "$T/die.$1"; }
used() { (cd "$VIEW" && for number in 1 2 3 4 5 6 7 8 9; do [ "$("$VRIFT" cat used-$number)" = "used $number" ] || return 1; done); }
removed() { sed -n 's/^removed \([0-9]*\) blobs.*/\1/p' "$T/out"; }

# Interrupts a collection that has come to step $1.
interrupt() {
    exits 0 "garbage before: $1" said run -q -- sh -c 'for number in 1 2 3 4 5 6 7 8 9; do echo "$0 $number" >waste-$number; done' "$1"
    exits 0 'which was in use' said run -q -- sh -c 'rm waste-*'
    echo "pause gc $1" >"$T/die"
    (cd "$VIEW" && exec "$VRIFT" gc) >"$T/out" 2>"$T/err" &
    gc=$!
    until_true is_paused "gc-$1"
    check "$1: the collection is there" is_paused "gc-$1"
    until_true minds $gc
    kill -INT $gc
    exits 130 'Ctrl-C ends it' wait $gc
    is "$(cat "$T/err")" 'vrift: interrupted: what is in use is all there; vrift gc removes the rest' 'and it says what is kept'
    # Longer than the daemon waits between two looks whether anybody waits for it.
    sleep 0.2
    goes_on "gc-$1"
    exits 0 'the next one' said gc
    [ "$1" != marking ] || check "has all of the garbage: $(removed)" [ "$(removed)" -ge 9 ]
    exits 0 'and one after it' said gc
    is "$(removed)" 0 'has none'
    exits 0 'the store is sound' said fsck
    check 'what is in use is there' used
}

phases() {
    in_view fill
    if native; then ok 'collections # SKIP there are none without vrift'; return; fi
    export VIEW T
    "$VRIFT" daemon stop
    VRIFT_TEST_DIE=$T/die && export VRIFT_TEST_DIE
    for step in marking marked sweeping swept pruned; do
        interrupt $step
    done

    for quiet in '' --quiet; do
        echo 'pause gc marking' >"$T/die"
        (cd "$VIEW" && exec "$VRIFT" $quiet gc) >"$T/out" 2>"$T/err" &
        gc=$!
        until_true is_paused gc-marking
        # From half a second on there is progress to be shown.
        sleep 0.7
        goes_on gc-marking
        exits 0 "a slow one ${quiet:-by itself}" wait $gc
        case $quiet in
        '') check 'says how far it is, in a plain line' grep -q '^vrift: marking: [0-9]* files, ' "$T/err" ;;
        *) is "$(cat "$T/err")" '' 'says nothing' ;;
        esac
    done
    echo 'pause gc marking' >"$T/die"
    in_terminal 20 "$VRIFT" gc &
    gc=$!
    until_true is_paused gc-marking
    sleep 0.7
    goes_on gc-marking
    exits 0 'in a terminal of 20 columns' wait $gc
    check "it draws a line, no wider than the terminal: $(widest marking)" [ "$(widest marking | cut -d ' ' -f 1)" -eq 20 ]
    unset VRIFT_TEST_DIE
}
main

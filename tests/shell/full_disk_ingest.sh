#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: when the disk below VRIFT_HOME is full, taking in a directory is refused with exit code 3 and an
# error that says so; the workspace is as it was, or not there at all; with space again, it is taken in.
. "${0%/*}/lib.sh"

tree() { echo data >file; }

may_mount
[ "$MODE" = vrift ] || { ok 'taking in a directory # SKIP native mode has no vrift'; ok 'the test ran to its end'; exit 0; }
small_disk "$VRIFT_HOME" size=200m
[ "${VRIFT_TEST_INSIDE:-}" ] || head -c 176M /dev/zero >"$VRIFT_HOME/filler"

works() { echo made >made && is "$(cat file)" data 'the view works'; }

refused() {
    exits 3 "$1: exit code 3" "$VRIFT" ingest "$T/large" 2>"$T/err"
    cat "$T/err"
    check "$1: the error says that there is no space" grep -qi 'no space' "$T/err"
    check "$1: at most three lines" [ "$(grep -c '' "$T/err")" -le 3 ]
}

phases() {
    in_view works
    mkdir "$T/large" && head -c 1000 /dev/urandom >"$T/large/a" && echo b >"$T/large/b"
    for n in 1 2 3 4 5 6 7 8; do head -c 5000000 /dev/urandom >"$T/large/big$n"; done
    refused 'the first time'
    fails 'no half-made workspace is left' "$VRIFT" ls -w large
    is "$("$VRIFT" cat -w tree file)" data 'the other workspace is there'

    mkdir "$T/aside" && mv "$T/large"/big* "$T/aside"
    exits 0 'what fits is taken in' "$VRIFT" ingest "$T/large"
    is "$("$VRIFT" cat -w large b)" b 'with its bytes'
    mv "$T/aside"/big* "$T/large" && echo changed >"$T/large/b"
    refused 'again'
    is "$("$VRIFT" ls -w large | sort | tr -s ' \n' ' ')" 'a b ' 'the workspace is as it was: names'
    is "$("$VRIFT" cat -w large b)" b 'the workspace is as it was: bytes'

    rm "$VRIFT_HOME/filler"
    exits 0 'with space again, it is taken in' "$VRIFT" ingest "$T/large"
    is "$("$VRIFT" cat -w large b)" changed 'with what changed'
    is "$("$VRIFT" cat -w large big8 | sha256sum)" "$(sha256sum <"$T/large/big8")" 'and what is new'
}
main

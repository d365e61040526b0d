#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: an export that does not fit on its disk ends with exit code 1 and names what was not written; no
# file is there in part, none of those that were there is lost, and with space again the same command ends it.
. "${0%/*}/lib.sh"

tree() { echo data >file; }

may_mount
[ "$MODE" = vrift ] || { ok 'export # SKIP native mode has no vrift'; ok 'the test ran to its end'; exit 0; }

fills() {
    mkdir dir
    for n in 1 2 3 4; do head -c 3000000 /dev/urandom >dir/big$n; done
    echo changed >file
    sha256sum file dir/* >sums
}

# Every file that is there under its name has all its bytes; nothing else is there.
whole() {
    is "$(find "$T/out" -name '.vrift*' | wc -l)" 0 "$1: nothing is left beside"
    (cd "$T/out" && sha256sum --ignore-missing --status -c sums.expected) && ok "$1: what is there is whole" ||
        not_ok "$1: what is there is whole"
}

phases() {
    in_view fills
    small_disk "$T/out" size=40m
    head -c 32M /dev/zero >"$T/out/filler"
    "$VRIFT" cat -w tree sums >"$T/out/sums.expected"
    echo mine >"$T/out/mine"
    exits 1 'an export that does not fit: exit code 1' "$VRIFT" export -w tree --to "$T/out" 2>"$T/err" >"$T/said"
    cat "$T/err" "$T/said"
    check 'it says that there is no space' grep -qi 'no space' "$T/err" "$T/said"
    check 'it names a file' grep -q 'dir/big' "$T/err" "$T/said"
    whole 'full'
    is "$(cat "$T/out/mine")" mine 'what was there before is untouched'
    rm "$T/out/filler"
    exits 0 'with space again: exit code 0' "$VRIFT" export -w tree --to "$T/out"
    whole 'with space again'
    is "$(cd "$T/out" && sha256sum --status -c sums && echo all)" all 'all files are there'
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: when the store has no space left, what makes room still works (state del, rm, gc), and so does making durable
# what is there (sync); nothing that was acknowledged is lost, over kill -9 too.
. "${0%/*}/lib.sh"

tree() {
    echo data >file
    head -c 3000000 /dev/urandom >long
}

may_mount
if [ -z "${VRIFT_TEST_INSIDE:-}" ] && ! native; then
    mkdir -p "$VRIFT_HOME"
    mount -t tmpfs -o size=48m,mode=700 small "$VRIFT_HOME" || { not_ok 'a small disk is mounted'; exit 1; }
fi

inside() { echo made >made; }

state() { "$VRIFT" state "$@"; }
value() { head -c 900000 /dev/zero | openssl enc -aes-128-ctr -nosalt -K "$(printf %032d "$1")" -iv 0 2>/dev/null; }

# Values until there is no space for one more; then what is left of the disk, too.
fill() {
    put=0
    while value $((put + 1)) >"$T/value" && state put "/state/fill/$((put + 1))" <"$T/value" 2>"$T/err"; do
        put=$((put + 1))
        [ $put -lt 100 ] || break
    done
    check "values fill the store: $put" [ $put -gt 3 -a $put -lt 100 ]
    check 'what does not fit says so' grep -qi 'no space' "$T/err"
    cat /dev/zero >"$VRIFT_HOME/ballast" 2>/dev/null
    is "$(df --output=avail "$VRIFT_HOME" | tail -n 1 | tr -d ' ')" 0 'nothing is left'
}

full() {
    exits 3 'a put fails' state put /state/one/more <"$T/value" 2>/dev/null
    exits 0 'sync of values' state sync
    exits 0 'sync of the workspace' "$VRIFT" sync -w tree
    state get /state/fill/1 >"$T/got"
    value 1 >"$T/want"
    check 'so are values' cmp "$T/got" "$T/want"
    exits 0 'a value is deleted' state del --sync /state/fill/1 /state/fill/2
    exits 0 'a workspace is removed' "$VRIFT" rm other
    exits 0 'and what nobody refers to collected' "$VRIFT" gc
    rm "$VRIFT_HOME/ballast"
    value 1 >"$T/value"
    is "$(view_cat file)" data 'files are read'
    exits 0 'so that there is space again' state put /state/one/more <"$T/value"
}

afterwards() {
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    is "$(state ls /state/fill/ | wc -l)" $((put - 2)) 'after kill -9 all values but those deleted are there'
    state get "/state/fill/$put" >"$T/got"
    value "$put" >"$T/want"
    check 'the last one whole' cmp "$T/got" "$T/want"
    fails 'the workspace that was removed is not' "$VRIFT" ls -w other
    is "$(view_cat made)" made 'the other one is'
    check 'the daemon stops' "$VRIFT" daemon stop
    exits 0 'and the store is whole' "$VRIFT" fsck
}

phases() {
    in_view inside
    if native; then ok 'the rest # SKIP native mode has no store'; return; fi
    exits 0 'a fork' "$VRIFT" fork tree other
    fill
    full
    afterwards
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: damage of the store is found and named with the paths that it hits; what the cache or the real tree still
# has is put back; a damaged journal is refused until a repair is asked for; looking changes nothing.
. "${0%/*}/lib.sh"

tree() {
    for i in 1 2 3; do head -c 200000 /dev/urandom >"file$i"; done
    for i in 1 2 3 4 5 6 7 8; do head -c 500000 /dev/urandom >"more$i"; done
    echo small >small
}

inside() { head -c 150000 /dev/urandom >made; }

# Offset in the store of the bytes at 1000 of a file.
offset_in_store() {
    python3 - "$VRIFT_HOME/store.img" "$1" <<'PY'
import mmap, sys
with open(sys.argv[1], "rb") as store, open(sys.argv[2], "rb") as file:
    file.seek(1000)
    print(mmap.mmap(store.fileno(), 0, prot=mmap.PROT_READ).find(file.read(64)))
PY
}
# flip OFFSET: turns one byte of the store.
flip() {
    python3 - "$VRIFT_HOME/store.img" "$1" <<'PY'
import sys
with open(sys.argv[1], "r+b") as store:
    store.seek(int(sys.argv[2])); byte = store.read(1)[0]
    store.seek(int(sys.argv[2])); store.write(bytes([byte ^ 4]))
PY
}
# said COMMAND...: what it prints is in $T/out.
said() { "$@" >"$T/out"; }
sum() { sha256sum <"$VRIFT_HOME/store.img"; }

# A scrub that is interrupted goes on where it was, once; the next is a whole one.
resumed() {
    all=$(sed -n 's/^\([0-9]*\) blobs.*/\1/p' "$T/out")
    "$VRIFT" scrub --rate 1 >"$T/first" 2>&1 &
    scrub=$!
    tries=0
    until [ -s "$VRIFT_HOME/scrub.position" ] || [ "$tries" -ge 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    kill -INT "$scrub"
    wait "$scrub"
    exits 0 'a scrub after one that was interrupted' said "$VRIFT" scrub --rate 0
    cat "$T/out"
    rest=$(sed -n 's/^\([0-9]*\) blobs.*/\1/p' "$T/out")
    check "looks at the rest alone ($rest of $all)" [ "$rest" -lt "$all" ]
    exits 0 'the next one' said "$VRIFT" scrub --rate 0
    is "$(sed -n 's/^\([0-9]*\) blobs.*/\1/p' "$T/out")" "$all" 'is a whole one'
}

online() {
    exits 0 'a sound store, daemon running' said "$VRIFT" fsck
    check 'says so' grep -q '0 flaws' "$T/out"
    exits 0 'scrub of a sound store' said "$VRIFT" scrub --rate 0
    resumed
    flip "$(offset_in_store "$TREE/file1")"
    exits 1 'scrub finds a turned bit' said "$VRIFT" scrub
    check 'names the path' grep -q 'tree:.*file1' "$T/out"
    check 'and heals it' grep -q '^repaired' "$T/out"
    exits 0 'so that the next finds nothing' "$VRIFT" scrub
    view_cat made >"$T/made"
    rm -rf "$VRIFT_HOME/hot/"*
    flip "$(offset_in_store "$T/made")"
    exits 1 'what no file has' said "$VRIFT" fsck --repair
    check 'is named as damaged' grep -q '^damaged' "$T/out"
    check 'with its path' grep -q 'tree:.*made' "$T/out"
    fails 'and never read as good' sh -c 'cd "$2" && "$1" cat made >/dev/null 2>&1' sh "$VRIFT" "$VIEW"
    is "$(view_cat small)" small 'the rest is'
}

offline() {
    check 'the daemon stops' "$VRIFT" daemon stop
    before=$(sum)
    exits 1 'offline the same is found' said "$VRIFT" fsck
    is "$(sum)" "$before" "looking changes nothing"
    check 'with its path' grep -q 'tree:.*made' "$T/out"
    flip "$(offset_in_store "$TREE/file2")"
    flip 100
    exits 1 'as JSON' said "$VRIFT" fsck --json
    is "$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["flaws"]))' "$T/out")" 3 'three flaws'
    exits 1 'a repair' said "$VRIFT" fsck --repair
    exits 1 'leaves what cannot be mended' said "$VRIFT" fsck
    is "$(grep -c '^damaged' "$T/out")" 1 'which is one'
}


phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no store"; return; fi
    online
    offline
}
main

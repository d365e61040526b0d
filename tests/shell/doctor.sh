#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: `vrift doctor` has a line for everything that must be there, on a sound machine all are ok and the exit code is 0; what
# fails has its remedy in the line, and the exit code is 1.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
checks() { check 'there' [ -e file ]; }
has_line() { grep -q "^$1 *$2: " "$T/said"; }

phases() {
    in_view checks
    if native; then ok 'doctor # SKIP there is none without vrift'; return; fi
    exits 0 'a sound machine' sh -c '"$0" doctor >"$1"' "$VRIFT" "$T/said"
    for name in kernel fds inotify memlock 'out of reach' strict 'secure execution' 'set-user-ID programs' 'static programs' \
        vriftd 'preload library' preload 'state folder' space 'socket path' exec 'file system' clock 'runtime folder' \
        leftovers daemon store content leases 'watched directories' requests history keystore; do
        check "a line for $name" has_line ok "$name"
    done
    is "$(grep -c '^FAIL' "$T/said")" 0 'nothing fails'
    is "$("$VRIFT" doctor --json | python3 -c 'import json, sys; rows = json.load(sys.stdin); print(len([row for row in rows if row["ok"]]) > 25)')" \
        True 'the same as JSON'
    "$VRIFT" daemon stop >/dev/null
    touch -d '+2 hours' "$VRIFT_HOME/store.img"
    exits 1 'a clock before the last write to the store' sh -c '"$0" doctor >"$1"' "$VRIFT" "$T/said"
    check 'is named with its remedy' grep -q '^FAIL *clock: .* -- set the clock' "$T/said"
    touch "$VRIFT_HOME/store.img"
    mkdir "$T/bin"
    cp "$VRIFT" "${VRIFT%/*}/vriftd" "$T/bin"
    exits 1 'an installation without the library' sh -c '"$0" doctor >"$1"' "$T/bin/vrift" "$T/said"
    check 'is named' has_line FAIL 'preload library'
    is "$(grep '^FAIL' "$T/said" | grep -vc ' -- ')" 0 'each failure has its remedy'
}
main

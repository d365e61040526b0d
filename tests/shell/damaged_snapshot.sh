#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: damage in a directory of a snapshot is found and named with the snapshot; it costs that snapshot or fork and
# nothing else; nothing is collected as long as it is unknown what a damaged directory refers to.
. "${0%/*}/lib.sh"

tree() {
    mkdir -p src/unusual-name
    echo one >src/a
    echo two >src/unusual-name/b
}
before() { echo three >src/unusual-name/only-in-the-snapshot; }
since() { rm src/unusual-name/only-in-the-snapshot; cat src/a >/dev/null; }
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
said() { here "$@" >"$T/said" 2>&1; }
# damage NAME: turns a byte of each directory object that has the name.
damage() {
    python3 - "$VRIFT_HOME/store.img" "$1" <<'PY'
import re, sys
with open(sys.argv[1], "r+b") as store:
    data = store.read()
    for found in re.finditer(sys.argv[2].encode(), data):
        start = data.rfind(b"VRIFTDO1", 0, found.start())
        if start >= 0 and found.start() - start < 4096:
            store.seek(found.start()); store.write(b"X")
            print("damaged at", found.start())
PY
}
phases() {
    in_view before
    if native; then ok 'snapshots # SKIP there are none without vrift'; return; fi
    exits 0 'a snapshot' said snapshot
    in_view since
    exits 0 'a fork of now' said fork tree other
    exits 0 'an end' said daemon stop
    is "$(damage only-in-the-snapshot | wc -l)" 1 'one directory is damaged'
    exits 1 'the check says so' said fsck
    check 'and whose it is' grep -q 'tree@1:src/unusual-name' "$T/said"
    in_view since_again
    exits 0 'what is not damaged of it is there' said ls tree@1:src
    exits 3 'what is, is not' said ls tree@1:src/unusual-name
    exits 3 'nothing is collected' said gc
    check 'and why' grep -q 'a directory of tree@1 cannot be read' "$T/said"
    exits 3 'there is no way back to it' said rollback 1
    exits 0 'nor is anything changed' said run -q -- cat src/unusual-name/b
    is "$(cat "$T/said")" two 'the tree is as it was'
    exits 0 'it is removed' said rm tree@1
    exits 0 'now it is collected' said gc
    exits 0 'all is sound' said fsck

    # A fork that was changed, whose tree the journal begins with.
    exits 0 'a change in the fork' said run -q -w other -- sh -c 'echo more >src/unusual-name/more'
    pid=$(here daemon status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
    exits 0 'an end' said daemon stop
    exits 0 'a fork of the fork' said fork other third
    exits 0 'changed' said run -q -w third -- sh -c 'echo more >src/unusual-name/more-still'
    python3 - "$(here daemon status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')" <<'PY'
import os, signal, sys
# The supervisor would start another daemon before the damage is done.
pid = int(sys.argv[1])
parent = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
os.kill(parent, signal.SIGKILL) if parent > 1 else None
os.kill(pid, signal.SIGKILL)
PY
    sleep 0.5
    check 'directories are damaged' [ "$(damage unusual-name | wc -l)" -gt 0 ]
    exits 3 'it is not served as if it were nothing' said ls
    check 'with the next step' grep -q 'vrift fsck' "$T/said"
    exits 1 'the check names it' said fsck
    check 'by its name' grep -q "workspace 'third' cannot be read" "$T/said"
    exits 1 'repaired' said fsck --repair
    exits 0 'the others are served' said run -q -- cat src/unusual-name/b
    is "$(cat "$T/said")" two 'and whole'
    exits 1 'that one is gone' said ls -w third
}
since_again() { is "$(cat src/unusual-name/b)" two 'the workspace has all'; cat src/a >src/c; }
main

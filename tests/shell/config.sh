#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what is configured is shown with where it comes from, without a daemon; a key that is not known is an error with the one
# that was meant, and no daemon starts.
. "${0%/*}/lib.sh"

tree() { echo one >file; }
checks() { cat file >/dev/null; }
said() { "$VRIFT" "$@" >"$T/out" 2>"$T/err"; }

phases() {
    in_view checks
    if native; then ok 'configuration # SKIP there is none without vrift'; return; fi
    "$VRIFT" daemon stop
    exits 0 'shown' said config show
    check 'with defaults' grep -qx 'store.compression = 0' "$T/out"
    check 'and the environment' grep -qx "VRIFT_HOME = $VRIFT_HOME" "$T/out"
    printf '[store]\ncompression = 3\n' >"$VRIFT_HOME/config.toml"
    exits 0 'with origins' said config show --origin
    check 'the file' grep -A1 -x 'store.compression = 3' "$T/out"
    check 'is named' grep -q "^    $VRIFT_HOME/config.toml; default 0: " "$T/out"
    exits 0 'as JSON' said config show --json
    check 'both are there' grep -q '"origin": "environment"' "$T/out"
    printf '[store]\ncompresion = 3\n' >"$VRIFT_HOME/config.toml"
    exits 2 'a key that is not known' said config show
    check 'is named with the one that was meant' grep -q 'store.compresion is not known; did you mean store.compression?' "$T/err"
    check "in three lines at most" [ "$(wc -l <"$T/err")" -le 3 ]
    exits 3 'and no daemon starts with it' said ls -w tree
    check 'for that reason' grep -q 'did you mean store.compression?' "$T/err"
    rm "$VRIFT_HOME/config.toml"
    exits 0 'without the file all is as it was' said ls -w tree
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: before anything says that it is ready, what each part needs is probed; everything that is missing is named at once, with
# exit code 3; vrift doctor prints the same table; a daemon that comes back after a death does not ask for what only
# services need.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
inside() { echo made >made; }

quiet() { "$@" >"$T/out" 2>"$T/err"; }
restart() { "$VRIFT" daemon stop >/dev/null 2>&1; }
rows() { "$VRIFT" doctor | sed -n 's/^\(ok  \|FAIL\) needs \([a-z ]*\): .*/\1 \2/p'; }

needs() {
    is "$(rows)" "ok   settings
ok   sockets
ok   store device
ok   key file
ok   policy
ok   limits
ok   shim
ok   services" 'the table, with all there'
    restart
    # An installation without the preload library and one service.
    mkdir "$T/bin"
    cp "$VRIFT_BIN_DIR/vrift" "$VRIFT_BIN_DIR/vriftd" "$VRIFT_BIN_DIR"/vrift-* "$T/bin"
    rm -f "$T/bin/vrift-timed" "$T/bin"/*.d
    printf '[keystore]\nkey_file = "%s"\n' "$T/no-such-key" >"$VRIFT_HOME/config.toml"
    printf '[[alow]]\n' >"$VRIFT_HOME/policy.toml"
    for command in 'state ls' 'daemon start' 'ls -w tree'; do
        exits 3 "refused: $command" quiet env VRIFT_STORE=/dev/no-such-device "$T/bin/vrift" $command
        for part in 'store device: there is no store device /dev/no-such-device' "key file: .*$T/no-such-key" \
            'policy: .*policy.toml:1:3' 'shim: libvrift_shim.so is not installed'; do
            check "$command: it names $part" grep -q "$part" "$T/err"
        done
        check 'in three lines' [ "$(wc -l <"$T/err")" -le 3 ]
    done
    exits 1 'doctor' quiet env VRIFT_STORE=/dev/no-such-device "$T/bin/vrift" doctor
    is "$(sed -n 's/^FAIL needs \([a-z ]*\): .*/\1/p' "$T/out")" "store device
key file
policy
shim
services" 'has the same table'
    check 'with remedies' grep -q 'FAIL needs policy: .* -- mend policy.toml' "$T/out"
    rm "$VRIFT_HOME/policy.toml"
    : >"$T/no-such-key"
    exits 3 'an empty key file alone' quiet "$VRIFT" state ls
    check 'is named' grep -q "the key file $T/no-such-key is empty" "$T/err"
    echo secret >"$T/no-such-key"
    exits 0 'with it all is right' quiet "$VRIFT" state ls
    if [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 1024 ]; then
        restart
        exits 3 'few open files' quiet sh -c 'ulimit -n 200; exec "$1" state ls' sh "$VRIFT"
        check 'are named' grep -q '200 open files are allowed, 1024 are needed' "$T/err"
    fi
    printf 'no library at all, whatever its name says\n' >"$T/bin/libvrift_shim.so"
    restart
    exits 3 'a library that is none' quiet "$T/bin/vrift" state ls
    check 'is named' grep -q 'is no library for this machine' "$T/err"
    cp "$VRIFT_BIN_DIR/libvrift_shim.so" "$T/bin"
    exits 0 'without a service all else works' quiet "$T/bin/vrift" state ls
    fails 'but not what it is for' quiet "$T/bin/vrift" time get
    check 'which is said' grep -q 'vrift-timed is not installed' "$T/err"
    restart
}

comes_back() {
    exits 0 'it runs' quiet "$VRIFT" state ls
    rm "$T/no-such-key"
    pid=$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)
    kill -9 "$pid"
    # Until the supervisor has started it, vrift tries to start one of its own, which is refused.
    tries=0
    until quiet "$VRIFT" state ls || [ $tries -ge 200 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    exits 0 'after a death it serves without the key file' quiet "$VRIFT" state ls
    exits 1 'the keystore alone does not' quiet "$VRIFT" key show
    check 'which is said' grep -q "$T/no-such-key" "$T/err"
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no daemon"; return; fi
    needs
    comes_back
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a clock that is put forward by ten years and back by twenty, with the daemon and its services running and over
# restarts, holds up nothing: what is put is got, transactions end, the audit log stays whole, snapshots keep their order and their
# signatures, runs end; what the guard says of files of the future is said.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
inside() { echo made >made; }

quiet() { "$@" >"$T/out" 2>"$T/err"; }
year=31536000

# jump YEARS: the clock of the daemon, its services and what is run here, running or not.
jump() { printf '%-31d' $(($1 * year)) | dd of="$T/offset" conv=notrunc 2>/dev/null; }

# A vrift whose services have that clock, too: the daemon gives them no environment.
install() {
    mkdir "$T/bin"
    for part in vrift vriftd libvrift_shim.so; do cp "$VRIFT_BIN_DIR/$part" "$T/bin/"; done
    for service in keystored updated identityd timed; do
        printf '#!/bin/sh\nexport LD_PRELOAD="%s" JUMP_FILE="%s"\nexec "%s"\n' \
            "$BIN/jump.so" "$T/offset" "$VRIFT_BIN_DIR/vrift-$service" >"$T/bin/vrift-$service"
        chmod +x "$T/bin/vrift-$service"
    done
    VRIFT=$T/bin/vrift
}
identity() { "$VRIFT" identity "$@"; }
# service_year: in which year the services are, by the key that is new.
service_year() { "$VRIFT" key rotate --json | sed -n 's/.*"since_ns": \([0-9]*\).*/\1/p' | cut -c 1-10 | { read -r at; date -u -d "@$at" +%Y; }; }

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
    exits 0 "$1: the new key counts for boot control" quiet "$VRIFT" boot pin
    exits 0 "$1: boot control" quiet "$VRIFT" boot stage --force "tree@$3"
    is "$(service_year)" "$(date -u +%Y)" "$1: the keystore has that clock and makes another key"
    exits 0 "$1: what the older keys signed counts" quiet "$VRIFT" log --verify
    exits 0 "$1: the time settings" quiet "$VRIFT" time set timezone UTC
    exits 0 "$1: a machine logs in" quiet identity machine login always --key "$T/always"
    exits 0 "$1: enrolled for a month" quiet identity machine enrol "$2" --key "$T/$2" --expires 30d
    exits 0 "$1: one does as well" quiet identity machine login "$2" --key "$T/$2"
    exits 0 "$1: a token" quiet identity credential put "t$2" --file "$T/pass" --expires 30d
    exits 0 "$1: it is read" quiet identity credential get "t$2" --machine always --key "$T/always"
    exits 0 "$1: the history" quiet "$VRIFT" history
    exits 0 "$1: collecting" quiet "$VRIFT" gc
}

jumps() {
    cd "$TREE" || exit
    "$VRIFT" daemon stop >/dev/null
    install
    jump 0
    echo 'a pass phrase' >"$T/pass"
    export JUMP_FILE="$T/offset" LD_PRELOAD="$BIN/jump.so"
    exits 0 'a user' quiet identity user add --passphrase-file "$T/pass"
    exits 0 'and a machine without an end' \
        quiet identity machine enrol always --key "$T/always" --may credentials --passphrase-file "$T/pass"
    works 'at first' one 1
    now=$(date +%Y)
    jump 10
    exits 1 'a month is over' quiet identity machine login one --key "$T/one"
    check 'which is said' grep -q 'past its time' "$T/err"
    works 'ten years on' two 2
    is "$("$VRIFT" log --json | sed -n 's/.*"time_ns": \([0-9]*\).*/\1/p' | sort -n | tail -n 1 | cut -c 1-10 | { read -r at; date -u -d "@$at" +%Y; })" \
        "$(date +%Y)" 'which is in the snapshot'
    fails 'and is another year' [ "$(date +%Y)" = "$now" ]
    jump -10
    works 'twenty back' three 3
    exits 1 'what was past its time stays so' quiet identity machine login one --key "$T/one"
    "$VRIFT" daemon stop >/dev/null
    works 'after a restart' four 4
    exits 1 'also then' quiet identity machine login one --key "$T/one"
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

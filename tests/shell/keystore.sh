#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: the device key is made once and kept, signs and verifies, is never given away; snapshots are signed; a record
# that was changed, rolled back, swapped or removed is refused, whatever the policy let somebody write.
. "${0%/*}/lib.sh"

tree() { echo data >file; }

key() { "$VRIFT" key "$@"; }
device_id() { key show | sed -n '1s/ .*//p'; }
kill_daemon() { kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"; }
quiet() { "$@" >/dev/null 2>"$T/err"; }
restart() { "$VRIFT" daemon stop >/dev/null 2>&1; }

inside() { echo made >made; }

signing() {
    first=$(device_id)
    check 'there is a key' [ "${#first}" = 32 ]
    kill_daemon
    is "$(device_id)" "$first" 'it is the same after kill -9'
    key sign "$TREE/file" >"$T/sig"
    exits 0 'a right signature' key verify "$TREE/file" -s "$T/sig"
    echo other >"$T/other"
    exits 1 'of another file' key verify "$T/other" -s "$T/sig"
    awk '{ gsub(/0/, "x", $3); gsub(/1/, "0", $3); gsub(/x/, "1", $3); print }' "$T/sig" >"$T/sig2"
    exits 1 'a changed signature' key verify "$TREE/file" -s "$T/sig2"
    exits 2 'what is no signature' key verify "$TREE/file" -s "$T/other" 2>/dev/null
    exits 2 'the private key is refused' key show --private 2>"$T/err"
    check 'by an answer of its own' grep -q 'never leaves' "$T/err"
    fails 'nor is it in any answer' sh -c '"$1" key show --json | grep -q seed' sh "$VRIFT"

    cd "$TREE" || exit
    "$VRIFT" snapshot -m one >/dev/null
    exits 0 'the snapshot is signed' "$VRIFT" log --verify
    second=$(key rotate | sed 's/ .*//')
    fails 'another key' [ "$first" = "$second" ]
    is "$(device_id)" "$second" 'is in use'
    exits 0 'the old one verifies its signature' key verify "$TREE/file" -s "$T/sig"
    exits 0 'and its snapshot' "$VRIFT" log --verify
    "$VRIFT" snapshot -m two >/dev/null
    restart
    exits 0 'both after a restart' "$VRIFT" log --verify
    is "$("$VRIFT" log --verify --json | grep -c "\"key\": \"$first\"\\|\"key\": \"$second\"")" 2 'each by its key'
    exits 0 'the rotation is in the audit log' sh -c '"$1" audit | grep -q "keystored/rotate: done"' sh "$VRIFT"
}

# With a policy that lets the user at the records, as somebody who has the disk could be.
attacks() {
    restart
    cat >"$VRIFT_HOME/policy.toml" <<TOML
[[allow]]
uid = "owner"
may = ["read", "write", "list"]
below = "/state/"
[[allow]]
uid = "owner"
may = ["read", "write", "admin"]
below = "/service/"
[[allow]]
service = "keystored"
may = ["read", "write", "list"]
below = "/state/keystore/"
TOML
    state() { "$VRIFT" state "$@"; }
    save() { state get "/state/keystore/$1" >"$T/saved-$2-${1%%/*}"; }
    back() { state put "/state/keystore/$1" -f "$T/saved-$2-${1%%/*}"; }
    save device old
    save ledger old
    key rotate >/dev/null
    save device new
    save ledger new
    restart
    exits 0 'as it is, it opens' quiet key show
    for what in device ledger; do
        restart
        back $what old
        exits 3 "a $what that was rolled back is refused" key show 2>"$T/err"
        check "and it is said: $what" grep -q 'not as they were written\|not its newest\|was changed' "$T/err"
        back $what new
        restart
        exits 0 "the $what as it was is not" quiet key show
    done
    restart
    state put /state/keystore/device -f "$T/saved-new-ledger"
    exits 3 'a swapped record is refused' key show 2>/dev/null
    state del /state/keystore/device
    restart
    exits 3 'a key that was removed is not made anew' key show 2>"$T/err"
    check 'and it is said' grep -q 'is gone' "$T/err"
    back device new
    restart
    exits 0 'put back, it opens' quiet key show
    sed 's/"sealed":false/"sealed":true/' "$T/saved-new-device" >"$T/saved-bad-device"
    back device bad
    restart
    exits 3 'a record that says it is sealed' key show 2>/dev/null
    back device new
    restart
    # A signature of another snapshot under this one's name.
    cd "$TREE" || exit
    signatures=$(state ls /state/keystore/signatures/)
    one=$(echo "$signatures" | sed -n 1p) two=$(echo "$signatures" | sed -n 2p)
    state get "$one" >"$T/one"
    state put "$two" -f "$T/one"
    exits 1 'a swapped signature shows' sh -c '"$1" log --verify >"$2"' sh "$VRIFT" "$T/log"
    check 'as wrong' grep -q WRONG "$T/log"
    state del "$two"
    exits 1 'a removed one, too' sh -c '"$1" log --verify >"$2"' sh "$VRIFT" "$T/log"
    check 'as none' grep -q 'not signed' "$T/log"
}

sealing() {
    restart
    rm "$VRIFT_HOME/policy.toml"
    before=$(device_id)
    check 'doctor says that it is in the clear' sh -c '"$1" doctor | grep keystore | grep -q "in the clear"' sh "$VRIFT"
    head -c 32 /dev/urandom >"$T/key-file"
    printf '[keystore]\nkey_file = "%s"\n' "$T/key-file" >"$VRIFT_HOME/config.toml"
    restart
    is "$(device_id)" "$before" 'the key is the same, sealed'
    check 'doctor says that, too' sh -c '"$1" doctor | grep keystore | grep -q "sealed by"' sh "$VRIFT"
    key sign "$TREE/file" >"$T/sig"
    restart
    exits 0 'and signs after a restart' key verify "$TREE/file" -s "$T/sig"
    mv "$T/key-file" "$T/elsewhere"
    restart
    exits 3 'without the file it does not open' key show 2>"$T/err"
    check 'and the file is named' grep -q "$T/key-file" "$T/err"
    head -c 32 /dev/urandom >"$T/key-file"
    restart
    exits 3 'nor with another one' key show 2>"$T/err"
    check 'which is said' grep -q 'not the one' "$T/err"
    rm "$VRIFT_HOME/config.toml"
    restart
    exits 3 'nor with none configured' key show 2>/dev/null
    printf '[keystore]\nkey_file = "%s"\n' "$T/elsewhere" >"$VRIFT_HOME/config.toml"
    restart
    is "$(device_id)" "$before" 'with the right one it does, from wherever'
}

# A passphrase in place of the key file, and secrets of the user.
passphrases() {
    echo 'open sesame' >"$T/pass"
    echo 'another one' >"$T/pass2"
    echo 'an item' >"$T/item"
    before=$(device_id)
    exits 2 'what no passphrase seals is not unlocked' quiet key unlock --passphrase-file "$T/pass"
    exits 0 'an item' quiet key item put first --file "$T/item"
    exits 0 'a passphrase takes the place of the file' quiet key seal --passphrase-file "$T/pass"
    is "$(device_id)" "$before" 'the key is the same'
    rm "$VRIFT_HOME/config.toml"
    restart
    exits 3 'after a restart it is locked' quiet key show
    check 'which is said' grep -q 'the keystore is locked: vrift key unlock' "$T/err"
    check 'doctor says so, too' sh -c '"$1" doctor | grep "ok   keystore" | grep -q "by a passphrase, and locked"' sh "$VRIFT"
    exits 3 'no item is told' quiet key item get first
    exits 2 'the private key is refused as ever' quiet key show --private
    exits 1 'another passphrase' quiet key unlock --passphrase-file "$T/pass2"
    check 'is not the right one' grep -q 'not the right one' "$T/err"
    exits 0 'the right one' quiet key unlock --passphrase-file "$T/pass"
    is "$(device_id)" "$before" 'opens it'
    is "$(key item get first)" 'an item' 'with its items'
    exits 0 'another passphrase' quiet key seal --passphrase-file "$T/pass2"
    restart
    exits 1 'the old one opens nothing' quiet key unlock --passphrase-file "$T/pass"
    exits 0 'the new one, by stdin' sh -c 'cat "$2" | "$1" key unlock --passphrase-file -' sh "$VRIFT" "$T/pass2"
    is "$(key item list)" first 'items are listed'
    exits 1 'one that there is not' quiet key item get none
    exits 2 'a name that is a path' quiet key item put ../timed/x --file "$T/item"
    exits 0 'removed' quiet key item rm first
    exits 1 'it is gone' quiet key item get first
    exits 0 'sealing and unlocking are in the audit log' \
        sh -c '"$1" audit | grep -q "keystored/seal: done" && "$1" audit | grep -q "keystored/unlock: refused"' sh "$VRIFT"
    fails 'without a passphrase' sh -c '"$1" audit --json | grep -q sesame' sh "$VRIFT"
    fails 'which is not in the log either' grep -q sesame "$XDG_RUNTIME_DIR"/vrift/*/log
}

# A service's death is not noticed by the next who asks.
dying() {
    key show >/dev/null
    daemon=$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)
    service=$(cat "/proc/$daemon/task"/*/children | tr ' ' '\n' | head -n 1)
    is "$(cat "/proc/$service/comm")" vrift-keystored 'the service is a child of the daemon'
    is "$(grep -E '^(NoNewPrivs|Seccomp):' "/proc/$service/status" | tr -d '\n\t')" 'NoNewPrivs:1Seccomp:2' 'and confined'
    if [ "$(id -u)" != 0 ]; then
        fails 'nobody else of its user reads its memory' head -c 1 "/proc/$service/environ" 2>/dev/null
        fails 'nor the daemon'"'"'s' head -c 1 "/proc/$daemon/environ" 2>/dev/null
    fi
    kill -9 "$service"
    is "$(device_id)" "$before" 'a service that was killed is started again'
    service=$(cat "/proc/$daemon/task"/*/children | tr ' ' '\n' | head -n 1)
    "$VRIFT" daemon stop >/dev/null
    fails 'it ends with the daemon' [ -e "/proc/$service" ]
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no keystore"; return; fi
    signing
    attacks
    sealing
    dying
    passphrases
}
main

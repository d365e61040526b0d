#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: an identity is that of the user whom the kernel names; a machine logs in by challenge and answer as long as its key
# counts; tokens are sealed to their owner and in no record in the clear; three of five shares, and no fewer, open what a
# forgotten passphrase locks; a record that was changed, rolled back, removed or put in is refused.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
inside() { echo made >made; }

identity() { "$VRIFT" identity "$@"; }
quiet() { "$@" >"$T/out" 2>"$T/err"; }
restart() { "$VRIFT" daemon stop >/dev/null 2>&1; }
kill_daemon() { kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"; }
state() { "$VRIFT" state "$@"; }
folder=/state/identity/users/$(id -u)

users() {
    echo 'a pass phrase' >"$T/pass"
    echo 'another one' >"$T/pass2"
    exits 1 'at first there is none' quiet identity user show
    exits 1 'and no machine can be enrolled' quiet identity machine enrol m --key "$T/m"
    fails 'nor is a key left behind' [ -e "$T/m" ]
    exits 0 'a user' quiet identity user add --name 'A User' --passphrase-file "$T/pass"
    exits 2 'once' quiet identity user add --passphrase-file "$T/pass"
    is "$(identity user show | sed 's/  ed25519.*//')" "$(id -u)  A User" 'is whom the kernel names'
    kill_daemon
    is "$(identity user list | wc -l)" 1 'and there after kill -9'
    exits 2 'without a terminal and a file no passphrase' quiet setsid "$VRIFT" identity user passphrase
    exits 1 'a wrong passphrase' quiet identity recover split --passphrase-file "$T/pass2"
    exits 2 'an empty one' quiet identity user passphrase --passphrase-file /dev/null
    exits 0 'another one takes its place' \
        quiet identity user passphrase --passphrase-file "$T/pass" --new-passphrase-file "$T/pass2"
    exits 1 'the old one opens nothing' quiet identity recover split --passphrase-file "$T/pass"
    exits 2 'its record is not for everybody' quiet state get $folder/keystore.json
}

machines() {
    exits 0 'a machine' quiet identity machine enrol laptop --key "$T/laptop"
    is "$(stat -c %a "$T/laptop")" 600 'its key is for its owner alone'
    exits 0 'logs in' quiet identity machine login laptop --key "$T/laptop"
    exits 0 'a second one' quiet identity machine enrol server --key "$T/server" --may build
    is "$(identity machine login server --key "$T/server")" \
        "server of user $(id -u) is logged in; it may: build" 'may what was said'
    exits 1 'with the key of another it does not log in' quiet identity machine login laptop --key "$T/server"
    check 'which is said' grep -q 'not by the key of laptop' "$T/err"
    exits 1 'nor one that there is not' quiet identity machine login none --key "$T/server"
    exits 2 'a name with .. in it' quiet identity machine enrol ../../1/x --key "$T/x"
    exits 2 'one with a slash' quiet identity machine enrol a/b --key "$T/x"
    exits 2 'enrolled twice' quiet identity machine enrol laptop --key "$T/x"
    fails 'no key is left behind' [ -e "$T/x" ]
    cp "$T/laptop" "$T/old"
    exits 0 'rotate' quiet identity machine rotate laptop --key "$T/laptop"
    fails 'gives another key' cmp -s "$T/laptop" "$T/old"
    fails 'of which nothing is left over' [ -e "$T/laptop.new" ]
    exits 0 'that logs in' quiet identity machine login laptop --key "$T/laptop"
    exits 1 'the old one does not' quiet identity machine login laptop --key "$T/old"
    exits 1 'nor does it sign for a newer one' quiet identity machine rotate laptop --key "$T/old"
    restart
    exits 0 'after a restart the new one' quiet identity machine login laptop --key "$T/laptop"
    exits 0 'revoke' quiet identity machine revoke laptop
    exits 1 'ends it' quiet identity machine login laptop --key "$T/laptop"
    check 'which is said' grep -q 'is revoked' "$T/err"
    exits 2 'the same key does not come back' quiet identity machine enrol laptop --key "$T/laptop"
    rm "$T/laptop"
    exits 0 'a new one does' quiet identity machine enrol laptop --key "$T/laptop"
    exits 0 'and logs in' quiet identity machine login laptop --key "$T/laptop"
    is "$(identity machine list | sed 's/  ed25519.*//')" "laptop  valid
server  valid" 'both are listed'
    exits 2 'a time that is over' quiet identity machine enrol brief --key "$T/brief" --expires 2001-01-01T00:00:00Z
    exits 0 'a short one' quiet identity machine enrol brief --key "$T/brief" --expires 1s
    until_over() {
        tries=0
        while identity machine login brief --key "$T/brief" >/dev/null 2>"$T/err"; do
            tries=$((tries + 1))
            [ $tries -lt 600 ] || return 1
            sleep 0.05
        done
    }
    check 'is over' until_over
    check 'which is said' grep -q 'past its time' "$T/err"
    is "$(identity machine list | sed -n 's/^brief  \([a-z]*\) .*/\1/p')" expired 'and listed'
}

credentials() {
    printf 'secret-token-1234567' >"$T/token"
    exits 0 'a token needs no passphrase' \
        quiet identity credential put store --file "$T/token" --url https://store.example/ --expires 30d
    is "$(identity credential get store --passphrase-file "$T/pass2")" secret-token-1234567 'to be read it does'
    exits 1 'the right one' quiet identity credential get store --passphrase-file "$T/pass"
    exits 1 'one that there is not' quiet identity credential get none --passphrase-file "$T/pass2"
    is "$(identity credential list | sed 's/  since.*  / /')" 'store  valid https://store.example/' 'a list has no token'
    exits 1 'a machine that may not does not open it' \
        quiet identity credential get store --machine server --key "$T/server"
    exits 0 'one that may' \
        quiet identity machine enrol opener --key "$T/opener" --may credentials --passphrase-file "$T/pass2"
    is "$(identity credential get store --machine opener --key "$T/opener")" secret-token-1234567 'opens it'
    exits 0 'rotated' quiet identity machine rotate opener --key "$T/opener" --passphrase-file "$T/pass2"
    is "$(identity credential get store --machine opener --key "$T/opener")" secret-token-1234567 'as well'
    exits 0 'revoked' quiet identity machine revoke opener
    exits 1 'not any more' quiet identity credential get store --machine opener --key "$T/opener"
    echo other >"$T/token2"
    exits 0 'a second token' quiet identity credential put other --file "$T/token2"
}

recovery() {
    exits 2 'what is no share' quiet identity recover combine "$T/token" --new-passphrase-file "$T/pass"
    exits 0 'five shares' quiet identity recover split --passphrase-file "$T/pass2"
    for number in 1 2 3 4 5; do sed -n ${number}p "$T/out" >"$T/old$number"; done
    exits 0 'and five new ones' quiet identity recover split --passphrase-file "$T/pass2"
    is "$(wc -l <"$T/out")" 5 'are five lines'
    for number in 1 2 3 4 5; do sed -n ${number}p "$T/out" >"$T/share$number"; done
    combine() { identity recover combine "$@" --new-passphrase-file "$T/pass3"; }
    echo 'a third one' >"$T/pass3"
    exits 2 'two are too few' quiet combine "$T/share1" "$T/share2"
    check 'which is said' grep -q '2 different shares are there, 3 are needed' "$T/err"
    exits 2 'one twice does not count twice' quiet combine "$T/share1" "$T/share2" "$T/share2"
    exits 2 'of two splittings' quiet combine "$T/share1" "$T/share2" "$T/old3"
    exits 1 'older ones' quiet combine "$T/old1" "$T/old2" "$T/old3"
    awk '{ $4 = substr($4, 2) substr($4, 1, 1); print }' "$T/share3" >"$T/slip"
    exits 2 'a slip of the pen' quiet combine "$T/share1" "$T/share2" "$T/slip"
    exits 1 'and nothing has changed' quiet identity credential get store --passphrase-file "$T/pass3"
    exits 0 'three of them' quiet combine "$T/share5" "$T/share1" "$T/share3"
    is "$(identity credential get store --passphrase-file "$T/pass3")" secret-token-1234567 'give a new passphrase'
    exits 1 'in place of the old one' quiet identity credential get store --passphrase-file "$T/pass2"
    exits 0 'others again, by stdin' sh -c 'cat "$1"/share2 "$1"/share3 "$1"/share4 |
        "$2" identity recover combine - --new-passphrase-file "$1/pass2"' sh "$T" "$VRIFT"
    is "$(identity credential get store --passphrase-file "$T/pass2")" secret-token-1234567 'and so on'
}

# What is in the records, with a policy that shows them.
records() {
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
service = "identityd"
may = ["read", "write", "list"]
below = "/state/identity/"
[[allow]]
service = "identityd"
may = ["write"]
below = "/service/keystored/"
[[allow]]
service = "keystored"
may = ["read", "write", "list"]
below = "/state/keystore/"
TOML
    is "$(state ls /state/identity/ | sed "s,$folder/,,")" "credentials.json
keystore.json
ledger.json
machine_keys/brief.json
machine_keys/laptop.json
machine_keys/opener.json
machine_keys/server.json" 'the records are where they should be'
    for key in $(state ls /state/identity/); do
        state get "$key" >"$T/record"
        fails "no secret in $key" grep -q -e secret-token -e "$(sed 's/.* //' "$T/laptop")" -e 'pass phrase' "$T/record"
        check "it has a version: $key" grep -q '"version": 1' "$T/record"
    done
    # A record of before, as somebody could put it in place who has the disk.
    record=$folder/machine_keys/laptop.json
    state get $record >"$T/before"
    exits 0 'a machine is revoked' quiet identity machine revoke laptop
    state get $record >"$T/after"
    state put $record -f "$T/before"
    exits 3 'its older record is refused' quiet identity machine login laptop --key "$T/laptop"
    check 'which is said' grep -q 'not its newest record.*not as they were written' "$T/err"
    restart
    exits 3 'also after a restart' quiet identity machine login laptop --key "$T/laptop"
    state put $record -f "$T/after"
    exits 1 'the right one says what it is' quiet identity machine login laptop --key "$T/laptop"
    check 'revoked' grep -q 'is revoked' "$T/err"
    state get $folder/machine_keys/server.json >"$T/server.json"
    state del $folder/machine_keys/server.json
    exits 3 'one that was removed' quiet identity machine list
    state put $folder/machine_keys/server.json -f "$T/server.json"
    state put $folder/machine_keys/none.json -f "$T/server.json"
    exits 3 'one that was put in' quiet identity machine list
    state del $folder/machine_keys/none.json
    exits 0 'put right' quiet identity machine list
    exits 0 'a sealed keystore' quiet "$VRIFT" key seal --passphrase-file "$T/pass"
    restart
    exits 3 'keeps the keys of the ledger' quiet identity machine list
    check 'and how it is opened is said' grep -q 'vrift key unlock' "$T/err"
    exits 0 'unlocked' quiet "$VRIFT" key unlock --passphrase-file "$T/pass"
    exits 0 'it gives them' quiet identity machine list
    exits 0 'changes are in the audit log' \
        sh -c 'for act in add_user enrol rotate revoke relock share_out; do "$1" audit | grep -q "admin of /service/identityd/$act: done" || exit 1; done' sh "$VRIFT"
    fails 'without a secret' sh -c '"$1" audit --json | grep -e "\"what\"" -e "\"outcome\"" |
        grep -q -e "[0-9a-f]\{20\}" -e "pass phrase" -e secret-token' sh "$VRIFT"
    fails 'nor is one in the log' grep -q -e secret-token -e 'pass phrase' "$XDG_RUNTIME_DIR"/vrift/*/log
    exits 1 'removing it takes a word' quiet identity user remove
    exits 0 'the user is removed' quiet identity user remove --yes
    state put $record -f "$T/before"
    exits 3 'what was kept of it does not come back' quiet identity machine login laptop --key "$T/laptop"
    exits 0 'it is removed again' quiet identity user remove --yes
    is "$(state ls /state/identity/)" '' 'with all records'
    exits 1 'and is not there' quiet identity user show
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no identities"; return; fi
    users
    machines
    credentials
    recovery
    records
}
main

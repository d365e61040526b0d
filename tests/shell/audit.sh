#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: each administrative act of the command line, done or refused, is one entry of the audit log, with who it was; what
# only looks or is everyday work is none; which policy is in force is written down when it is another one; so are the
# daemon's end and a repair without a daemon. The log stays whole.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
inside() { echo made >made; }

audit() { "$VRIFT" audit "$@"; }
last_number() { audit -n 1 | awk '{ print $1 + 0 }'; }
quiet() { "$@" >"$T/out" 2>"$T/err"; }
me="uid $(id -u) gid $(id -g)"
export T VRIFT TREE
user=/state/identity/users/$(id -u)

# vrift with its arguments, and with what it asks for.
acts='
new   |0|made a snapshot first|cd "$TREE" && "$VRIFT" snapshot -m one
new   |0|and a fork|"$VRIFT" fork tree twig
admin |0|/service/keystored/rotate: done|"$VRIFT" key rotate
admin |2|/service/keystored/unlock: refused: no passphrase seals the keystore: vrift key seal|"$VRIFT" key unlock --passphrase-file "$T/pass"
admin |0|/service/keystored/seal: done|"$VRIFT" key seal --passphrase-file "$T/pass"
admin |0|/service/keystored/unlock: done|"$VRIFT" key unlock --passphrase-file "$T/pass"
read  |2|/service/keystored/private: denied: the private key never leaves the keystore: what it is for is signing, see: vrift key sign|"$VRIFT" key show --private
new   |0|signed by the new key|cd "$TREE" && "$VRIFT" snapshot -m two
admin |0|/service/updated/pin: done|"$VRIFT" boot pin
admin |0|/service/updated/stage: done|"$VRIFT" boot stage tree@2
admin |0|/service/updated/switch: done|"$VRIFT" boot switch --tries 1
write |0|/service/updated/attempt: done|"$VRIFT" boot attempt
write |0|/service/updated/health_ok: done|"$VRIFT" boot health-ok
write |1|/service/updated/health_ok: refused: no attempt is under way: vrift boot switch, then attempt|"$VRIFT" boot health-ok
admin |1|/service/updated/rollback: refused: nothing is there to go to: vrift boot stage SNAPSHOT|"$VRIFT" boot rollback
admin |0|/service/identityd/add_user: done|"$VRIFT" identity user add --passphrase-file "$T/pass"
admin |0|/service/identityd/relock: done|"$VRIFT" identity user passphrase --passphrase-file "$T/pass" --new-passphrase-file "$T/pass2"
admin |0|/service/identityd/share_out: done|"$VRIFT" identity recover split --passphrase-file "$T/pass2" >"$T/shares"
admin |0|/service/identityd/relock: done|"$VRIFT" identity recover combine "$T/shares" --new-passphrase-file "$T/pass"
admin |0|/service/identityd/enrol: done|"$VRIFT" identity machine enrol laptop --key "$T/laptop"
admin |0|/service/identityd/rotate: done|cp "$T/laptop" "$T/older" && "$VRIFT" identity machine rotate laptop --key "$T/laptop"
write |1|/service/identityd/login: denied: the answer is not by the key of laptop|"$VRIFT" identity machine login laptop --key "$T/older"
admin |0|/service/identityd/revoke: done|"$VRIFT" identity machine revoke laptop
admin |0|/service/identityd/remove_user: done|"$VRIFT" identity user remove --yes
admin |0|/service/timed/set: done|"$VRIFT" time set timezone UTC
admin |0|/service/timed/set: done|"$VRIFT" time set time_format_24h true
admin |0|/service/timed/set: done|"$VRIFT" time set future_guard true
admin |0|/service/timed/set: done|"$VRIFT" time set mtime real
admin |2|/service/timed/set: refused: never is none of real, clamp=SECONDS since 1970, source-date-epoch|"$VRIFT" time set mtime never
admin |0|state import, 2 keys: done|"$VRIFT" state import "$T/old.json"
write |2|/state/system/x: denied|"$VRIFT" state put /state/system/x y
admin |0|rollback tree@1: done|cd "$TREE" && "$VRIFT" rollback 1
admin |1|rollback tree@99: refused|cd "$TREE" && "$VRIFT" rollback 99
admin |0|rm twig: done|"$VRIFT" rm twig
admin |1|rm tree@99: refused|"$VRIFT" rm tree@99
admin |0|gc: done|"$VRIFT" gc
admin |0|scrub: done|"$VRIFT" scrub
admin |0|fsck --repair: done|"$VRIFT" fsck --repair
admin |0|export --force tree to $T/exported: done|"$VRIFT" export -w tree --force --to "$T/exported"
admin |0|sync --ours tree: done|cd "$TREE" && "$VRIFT" sync --ours
admin |0|sync --theirs tree: done|cd "$TREE" && "$VRIFT" sync --theirs
'

# One command a line: neither of these is an act.
works='
"$VRIFT" status
"$VRIFT" doctor
"$VRIFT" daemon start
"$VRIFT" ls -w tree
"$VRIFT" cat -w tree file
"$VRIFT" stat -w tree file
"$VRIFT" diff -w tree
"$VRIFT" log -w tree --verify
"$VRIFT" history
"$VRIFT" stats
"$VRIFT" fsck
"$VRIFT" sync -w tree
"$VRIFT" ingest "$TREE"
"$VRIFT" -q run -- true
"$VRIFT" fork tree another
"$VRIFT" key show
"$VRIFT" boot status
"$VRIFT" time get
"$VRIFT" identity machine list
"$VRIFT" state put /state/app/x y
"$VRIFT" state get /state/app/x
"$VRIFT" state del /state/app/x
"$VRIFT" state ls
"$VRIFT" audit verify
'

each_act() {
    echo 'a pass phrase' >"$T/pass"
    echo 'another one' >"$T/pass2"
    echo '{"content:old/a": "1", "inode:old/b": "2"}' >"$T/old.json"
    echo "$acts" >"$T/acts"
    while IFS='|' read -r right code what command; do
        [ "$command" ] || continue
        before=$(last_number)
        exits "$code" "exit code: $what" quiet sh -c "$command" </dev/null
        [ "$right" = 'new   ' ] && continue
        after=$(last_number)
        is "$((after - before))" 1 "one entry: $what"
        what=$(echo "$what" | sed "s|\$T|$T|")
        is "$(audit -n 1 | sed 's/^ *[0-9]*  [^ ]* [^ ]*  //')" "$me: $(echo $right) of $what" "which says so"
    done <"$T/acts"
    exits 0 'the log is whole' quiet audit verify
}

no_act() {
    echo "$works" >"$T/works"
    while read -r command; do
        [ "$command" ] || continue
        before=$(last_number)
        quiet sh -c "$command" </dev/null
        is "$(last_number)" "$before" "no entry: $command"
    done <"$T/works"
}

# Each act has an entry of its own, however fast they come.
flood() {
    before=$(last_number)
    seq 40 >"$T/numbers"
    while read -r _; do "$VRIFT" rollback -w tree 99 & done <"$T/numbers" 2>/dev/null
    wait
    is "$(($(last_number) - before))" 40 'forty acts are forty entries'
    fails 'and none is only counted' sh -c '"$1" audit | grep -q "further ones"' sh "$VRIFT"
}

in_force() { audit | sed -n 's/^ *[0-9]*  [^ ]* [^ ]*  \(.*: in force\)$/\1/p' | tail -n 1; }
newest() { audit -n "$1" | head -n 1 | sed 's/^ *[0-9]*  [^ ]* [^ ]*  //'; }

daemon_and_policy() {
    check 'the log begins with its store' \
        sh -c '"$1" audit | sed -n 1p | grep -q "^ *1  .*vriftd: admin of the log of the store $VRIFT_HOME/store.img: begun$"' sh "$VRIFT"
    check 'and the policy' \
        sh -c '"$1" audit | sed -n 2p | grep -q "vriftd: admin of the policy compiled in [0-9a-f]\{16\}: in force$"' sh "$VRIFT"
    number=$(last_number)
    "$VRIFT" daemon stop >/dev/null
    is "$(newest 1)" "$me: admin of daemon stop: done" 'the end of the daemon is an entry'
    is "$(last_number)" $((number + 1)) 'the same policy again is none'
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    is "$(last_number)" $((number + 1)) 'nor is it after kill -9'
    kill -TERM "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    tries=0
    while kill -0 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid 2>/dev/null)" 2>/dev/null && [ $tries -lt 600 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    is "$(newest 1)" "uid $(id -u): admin of daemon stop, by signal 15: done" 'the end by a signal, too'
    default=$(audit | sed -n '2s/.*in \([0-9a-f]*\): in force/\1/p')
    "$VRIFT" daemon stop >/dev/null
    printf '[[allow]]\nuid = "owner"\nmay = ["read", "write", "list"]\nbelow = "/state/"\n' >"$VRIFT_HOME/policy.toml"
    own=$(b3sum_of "$VRIFT_HOME/policy.toml")
    is "$(in_force)" "vriftd: admin of policy.toml $own, before it $default: in force" 'another policy is an entry'
    exits 0 'what it lets past the services' quiet "$VRIFT" state put /state/system/x y
    is "$(newest 1)" "$me: write of /state/system/x: allowed" 'is one'
    exits 0 'as is taking it away' quiet "$VRIFT" state del /state/system/x
    is "$(newest 1)" "$me: write of /state/system/x: allowed" 'again'
    "$VRIFT" daemon stop >/dev/null
    echo '# a remark' >>"$VRIFT_HOME/policy.toml"
    is "$(in_force | sed 's/policy.toml [0-9a-f]*,/policy.toml,/')" \
        "vriftd: admin of policy.toml, before it $own: in force" 'and each change of it'
    "$VRIFT" daemon stop >/dev/null
    rm "$VRIFT_HOME/policy.toml"
    is "$(in_force | sed 's/, before it .*:/:/')" "vriftd: admin of the policy compiled in $default: in force" 'also back again'
    "$VRIFT" daemon stop >/dev/null
    exits 0 'a repair without a daemon' quiet "$VRIFT" fsck --repair
    is "$(newest 1)" "$me: admin of fsck --repair, 0 repaired: done" 'is an entry'
    exits 0 'the log is whole after all' quiet audit verify
}

# What the daemon says of a policy's text: the log has it, and vrift doctor.
b3sum_of() { "$VRIFT" doctor | sed -n 's/.*needs policy.* rules, \([0-9a-f]*\).*/\1/p' | head -n 1; }

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no audit log"; return; fi
    each_act
    no_act
    flood
    daemon_and_policy
}
main

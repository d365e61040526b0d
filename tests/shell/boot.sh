#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a tree is staged if it is signed by the pinned key and not older; a switch allows so many attempts, over kill -9 after
# each; what is not declared healthy falls back by itself; a workspace can be forked from what is in use.
. "${0%/*}/lib.sh"

tree() { echo one >version; }

quiet() { "$@" >/dev/null 2>"$T/err"; }
boot() { "$VRIFT" boot "$@"; }
kill_daemon() { kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"; }
in_use() { boot status | sed -n 's/^\([ab]\)  .*in use.*/\1/p'; }

inside() { echo made >made; }

slots() {
    cd "$TREE" || exit
    "$VRIFT" snapshot -m one >/dev/null
    sleep 0.01
    "$VRIFT" -q run -- sh -c 'echo two >version'
    "$VRIFT" snapshot -m two >/dev/null
    exits 1 'at first nothing is in use' quiet boot status
    exits 1 'nothing to switch to' quiet boot switch
    exits 1 'a snapshot that there is not' quiet boot stage tree@9
    exits 0 'the first tree' quiet boot stage tree@1
    exits 1 'is not in use before it is tried' quiet boot status
    exits 0 'switch' quiet boot switch --tries 1
    exits 0 'attempt' quiet boot attempt
    is "$(in_use)" a 'the attempt uses it'
    exits 0 'healthy' quiet boot health-ok
    exits 0 'the second tree' quiet boot stage tree@2
    kill_daemon
    is "$(boot status | sed -n 2p)" "b  tree@2 $("$VRIFT" log --json | sed -n 's/.*"root": "\(.\{12\}\).*/\1/p' | head -n 1)" \
        'a stage survives the death of the daemon'
    is "$(in_use)" a 'what is in use stays'
    exits 0 'switch with one try' quiet boot switch --tries 1
    exits 1 'staging meanwhile is refused' quiet boot stage tree@2
    is "$(in_use)" a 'before the attempt the old one'
    kill_daemon
    exits 0 'the one attempt' quiet boot attempt
    is "$(in_use)" b 'uses the new one'
    "$VRIFT" fork trial --from boot:active >/dev/null
    is "$("$VRIFT" cat -w trial version)" two 'a fork follows what is in use'
    kill_daemon
    exits 0 'the next start' quiet boot attempt
    is "$(in_use)" a 'falls back by itself'
    exits 1 'health is not declared of what is not tried' quiet boot health-ok
    exits 1 'and there is nothing to roll back to' quiet boot rollback
    "$VRIFT" fork tree back --from boot:active >/dev/null
    is "$("$VRIFT" cat -w back version)" one 'a fork follows that, too'
    quiet boot switch
    quiet boot attempt
    exits 0 'healthy this time' quiet boot health-ok
    is "$(in_use)" b 'the new one stays'
    exits 1 'an older tree is refused' quiet boot stage tree@1
    check 'which is said' grep -q newer "$T/err"
    exits 0 'unless it is forced' quiet boot stage --force tree@1
    "$VRIFT" key rotate >/dev/null
    "$VRIFT" snapshot -m three >/dev/null
    exits 1 'a snapshot signed by another key than the pinned one' quiet boot stage tree@3
    check 'is refused as that' grep -q 'not signed by the pinned key' "$T/err"
    exits 0 'until that one is pinned' quiet boot pin
    exits 0 'which a person does' quiet boot stage tree@3
    exits 1 'a staged snapshot is not removed' quiet "$VRIFT" rm tree@3
    check 'which is said' grep -q 'snapshot 3 of tree is in boot slot a' "$T/err"
    exits 1 'nor is its workspace' quiet "$VRIFT" rm tree
    exits 0 'one that no slot has is' quiet "$VRIFT" rm tree@1
    exits 2 'the record is not for everybody to write' quiet "$VRIFT" state put /state/boot/slots '{}'
    exits 0 'stage, switch, rollback and pin are in the audit log' \
        sh -c 'for act in stage switch rollback pin; do "$1" audit | grep -q "admin of /service/updated/$act: " || exit 1; done' sh "$VRIFT"
    exits 0 'and the log is whole' quiet "$VRIFT" audit verify
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no boot control"; return; fi
    slots
}
main

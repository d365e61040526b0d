#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what the policy does not allow is denied and written down; a listing shows only what may be read; a policy that is
# not right keeps the daemon from starting and is named with line and column; an audit log that was tampered with shows.
. "${0%/*}/lib.sh"

tree() { echo data >file; }

state() { "$VRIFT" state "$@"; }
audit() { "$VRIFT" audit "$@"; }
quiet() { "$@" >/dev/null 2>"$T/err"; }
restart() { "$VRIFT" daemon stop >/dev/null 2>&1; }
policy() { restart; cat >"$VRIFT_HOME/policy.toml"; }

inside() { echo made >made; }

denials() {
    me="uid $(id -u) gid $(id -g)"
    for key in /state/audit/x /state/boot/x /state/identity/x /state/keystore/x /state/system/x; do
        exits 2 "not for everybody: $key" quiet state put $key value
        check "who and what is said: $key" grep -q "does not let $me write $key" "$T/err"
    done
    exits 0 'the rest is' quiet state put /state/app/x value
    exits 2 'whether a key is there is not told' quiet state get /state/keystore/none
    is "$(audit | grep -c "$me: write of /state/[a-z]*/x: denied")" 5 'each denial is in the audit log'
    exits 2 'listing what may not be listed' quiet state ls /state/keystore/
    exits 0 'the log is whole' quiet audit verify
    restart
    exits 0 'after a restart, too' quiet audit verify
    is "$(audit --json -n 2 | grep '"what"' | head -n 1 | tr -d ' ')" '"what":"/state/keystore/",' 'the last one, as JSON'

    policy <<TOML
[[allow]]
uid = "owner"
may = ["write"]
below = "/state/"
[[allow]]
gid = $(id -g)
may = ["read", "list"]
below = "/state/"
except = ["/state/secret/"]
[[allow]]
uid = 4000000000
may = ["read", "write", "list", "admin"]
below = "/state/secret/"
TOML
    state put /state/secret/a 1
    state put /state/seen/a 1
    is "$(state ls | grep -v audit)" "/state/app/x
/state/seen/a" 'a listing shows what may be read, by user and by group'
    exits 2 'the hidden key' quiet state get /state/secret/a
    exits 2 'is not deleted either' quiet state del /state/seen/a /state/secret/a
    is "$(state get /state/seen/a)" 1 'all or none'
    exits 2 'nor is a service asked' quiet "$VRIFT" key show
    seq 60 >"$T/numbers"
    while read -r number; do quiet state get "/state/secret/$number"; done <"$T/numbers"
    sleep 1.1
    quiet state get /state/secret/last
    total=$(audit | awk '/: denied( \([0-9]+ times\))?$/ { sub(/.*denied/, ""); gsub(/[^0-9]/, ""); n += $0 ? $0 : 1 } END { print n + 0 }')
    denied=$((5 + 1 + 1 + 1 + 1 + 1 + 60 + 1))
    is "$total" "$denied" 'of a flood of denials none is forgotten'
    exits 0 'and the log is whole' quiet audit verify
}

# parse LINE COLUMN WHAT: the policy on stdin is not right there.
wrong() {
    policy
    exits 3 "refused: $3" quiet state ls
    check "at line $1, column $2: $(sed -n 1p "$T/err")" grep -q "policy.toml:$1:$2: .*$3" "$T/err"
    check "in three lines: $3" [ "$(wc -l <"$T/err")" -le 3 ]
}

bad_policies() {
    printf '[[allow]]\nuid = 0\nmay = ["read", "rite"]\nbelow = "/state/"\n' | wrong 3 16 rite
    printf '[[allow]]\nuid = 0\nmay = ["read"]\nbelow = "/state/../"\n' | wrong 4 9 prefix
    printf '[[allow]]\nuid = 0\nmay = ["read"\nbelow = "/state/"\n' | wrong 4 1 ''
    printf '[[allow]]\nservice = "none"\nmay = ["read"]\nbelow = "/state/"\n' | wrong 2 11 'no service'
    printf '[[alow]]\n' | wrong 1 3 alow
    rm "$VRIFT_HOME/policy.toml"
    exits 0 'without it, all is as it was' quiet state get /state/seen/a
}

tampering() {
    policy <<TOML
[[allow]]
uid = "owner"
may = ["read", "write", "list"]
below = "/state/"
TOML
    log=/state/audit/log/000000000000000
    state get ${log}3 >"$T/three"
    state get ${log}4 >"$T/four"
    state get /state/audit/head >"$T/head"
    exits 0 'before' quiet audit verify
    state del ${log}3
    exits 1 'a removed entry' quiet audit verify
    is "$(audit verify)" 'entry 3 was removed' 'is named'
    sed 's/denied/allowed/' "$T/three" >"$T/changed"
    state put ${log}3 -f "$T/changed"
    is "$(audit verify)" 'entry 3 was changed' 'a changed one, too'
    state put ${log}3 -f "$T/four"
    is "$(audit verify | head -n 1)" 'entry 3 was changed' 'and one in the place of another'
    state put ${log}3 -f "$T/three"
    exits 0 'put back' quiet audit verify
    state put ${log%?}fff -f "$T/three"
    is "$(audit verify)" 'entry 4095 was put in' 'one that was put in'
    state del ${log%?}fff
    state del /state/audit/head
    exits 1 'a head that is gone' quiet audit verify
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    exits 2 'the log goes on' quiet state ls /state/x/../
    exits 2 'with what is denied' quiet "$VRIFT" key show
    exits 1 'and what is before does not pass for whole' quiet audit verify
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no policy"; return; fi
    denials
    bad_policies
    tampering
}
main

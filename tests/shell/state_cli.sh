#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: `vrift state` keeps what it was given, byte for byte, over kill -9 of the daemon; several keys change
# together; errors have their exit codes.
. "${0%/*}/lib.sh"

tree() { echo data >file; }

state() { "$VRIFT" state "$@"; }

# From inside a view the same space is seen.
inside() {
    echo x >made
    if native; then return; fi
    state put /state/from/inside "$(cat file)" && is "$(state get /state/from/inside)" data 'put and got in the view'
}

outside() {
    is "$(state get /state/from/inside)" data 'and outside of it'
    state put /state/app/empty ''
    is "$(state get /state/app/empty | wc -c)" 0 'an empty value'
    head -c 1048576 /dev/urandom >"$T/long"
    state put /state/app/long <"$T/long"
    state put /state/app/file -f "$T/long" --sync
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    check 'the longest value, from stdin, after kill -9' sh -c '"$1" state get /state/app/long | cmp - "$2"' sh "$VRIFT" "$T/long"
    check 'and from a file' sh -c '"$1" state get /state/app/file | cmp - "$2"' sh "$VRIFT" "$T/long"
    is "$(state ls /state/app/)" "/state/app/empty
/state/app/file
/state/app/long" 'a listing is sorted'
    is "$(state ls -l /state/app/l | tr -s ' ')" ' 1048576 /state/app/long' 'with lengths'
    is "$(state ls --limit 1 --after /state/app/empty /state/app/)" /state/app/file 'a page of it'
    is "$(state ls | grep -c /state/audit/log/) $(state ls | grep -c /state/app/file)" '0 1' 'without a prefix all but the log'
    check 'which is there' sh -c '"$1" state ls /state/audit/ | grep -q /state/audit/log/' sh "$VRIFT"
    check 'as JSON' sh -c '"$1" state ls --json /state/app/f | grep -q "\"bytes\": 1048576"' sh "$VRIFT"
    exits 1 'a key that is not there' state get /state/app/none 2>/dev/null
    exits 1 'deleting keys of which one is not there' state del /state/app/file /state/app/none 2>/dev/null
    exits 1 'deleting one that is not there' state del /state/app/none 2>/dev/null
    check 'deletes none' state get /state/app/file >/dev/null
    exits 0 'deleting several' state del --sync /state/app/file /state/app/long
    is "$(state ls /state/app/)" /state/app/empty 'they are gone'
    for bad in /etc/x /state/ /state/a/ /state//a /state/a/../b; do
        exits 2 "$bad is no key" state put "$bad" v 2>"$T/err"
        check "$bad: the rule is said" grep -q 'a key' "$T/err"
    done
    head -c 1048577 /dev/zero >"$T/longer"
    exits 2 'a value above 1 MiB' state put /state/app/longer -f "$T/longer" 2>/dev/null
    exits 0 'sync' state sync
    seq 2500 | while read -r i; do echo "/state/many/$i"; done | LC_ALL=C sort >"$T/want"
    # Over several pages of the protocol.
    seq 2500 | awk 'BEGIN { printf "{" } { printf "%s\"content:many/%d\": \"%d\"", (NR > 1 ? "," : ""), $1, $1 } END { print "}" }' >"$T/many.json"
    is "$(state import "$T/many.json")" '2500 keys imported' 'many keys, at once'
    check 'a listing over several pages is whole' sh -c '"$1" state ls /state/many/ | cmp - "$2"' sh "$VRIFT" "$T/want"
}

older_keys() {
    printf '{"content:old/a": "text", "inode:/old/b": {"size": 4}, "content:/state/old/c": [0, 1, 255]}' >"$T/old.json"
    exits 0 'keys of an older form' sh -c '"$1" state import "$2" >"$3"' sh "$VRIFT" "$T/old.json" "$T/out"
    is "$(cat "$T/out")" '3 keys imported' 'are imported'
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    is "$(state get /state/old/a) $(state get /state/old/b) $(state get /state/old/c | od -An -tu1 | tr -s ' ')" \
        'text {"size":4}  0 1 255' 'and there after kill -9'
    exits 2 'once' state import "$T/old.json" 2>"$T/err"
    check 'the import is in the audit log' sh -c '"$1" audit | grep -q "admin of state import, 3 keys: done"' sh "$VRIFT"
    check 'what is there already is named' grep -q 'content:old/a collides with /state/old/a' "$T/err"
    printf '{"content:new/a": "1", "inode:new/b": "2", "inode:new/a": "3"}' >"$T/two.json"
    exits 2 'two keys that collide' state import "$T/two.json" 2>"$T/err"
    check 'are both named' grep -q 'content:new/a and inode:new/a collide' "$T/err"
    printf '{"content:new/a": "1", "inode:old/b": "2"}' >"$T/two.json"
    exits 2 'one that collides with the space' state import - <"$T/two.json" 2>/dev/null
    printf '{"content:new/a": "1", "content:audit/x": "2"}' >"$T/two.json"
    exits 2 'one that the policy does not allow' state import "$T/two.json" 2>/dev/null
    is "$(state ls /state/new/)" '' 'imports none'
    exits 2 'what is no JSON' state import "$T/long" 2>/dev/null
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no key-value space"; return; fi
    outside
    older_keys
}
main

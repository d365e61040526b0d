#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: time settings are checked before they are kept; a run's files are no later than the policy says, and its programs
# know by SOURCE_DATE_EPOCH; files of the future are named; vrift log shows the chosen zone.
. "${0%/*}/lib.sh"

tree() {
    echo data >file
    touch -d '2001-01-01 UTC' file
}

quiet() { "$@" >/dev/null 2>"$T/err"; }
set_time() { "$VRIFT" time set "$@"; }
mtime_of() { (cd "$TREE" && "$VRIFT" stat --json "$1" | sed -n 's/.*"mtime_ns": \(-\{0,1\}[0-9]*\)[0-9]\{9\}.*/\1/p'); }

inside() { echo made >made; }

settings() {
    is "$("$VRIFT" time get)" "timezone UTC
time_format_24h true
mtime real
future_guard true" 'what holds when nobody has said anything'
    exits 2 'a zone that there is not' quiet set_time timezone Europe/Nowhere
    check 'is named' grep -q 'no time zone Europe/Nowhere' "$T/err"
    for bad in ../../etc/passwd /etc/passwd '' posixrules/x; do exits 2 "no zone: $bad" quiet set_time timezone "$bad"; done
    exits 2 'a policy that there is not' quiet set_time mtime never
    exits 2 'a setting that there is not' quiet set_time colour blue
    exits 0 'a zone' quiet set_time timezone Europe/Berlin
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    is "$("$VRIFT" time get timezone)" Europe/Berlin 'is kept over kill -9'
    exits 2 'the record is not for everybody to write' quiet "$VRIFT" state put /state/system/settings/time.json '{}'
    exits 0 'but to read' quiet "$VRIFT" state get /state/system/settings/time.json
    is "$("$VRIFT" audit | grep -c 'admin of /service/timed/set: done')" 1 'the change is in the audit log'
    cd "$TREE" || exit
    "$VRIFT" snapshot -m one >/dev/null
    check 'vrift log shows the zone' sh -c '"$1" log | grep -qE " (CET|CEST)  one"' sh "$VRIFT"
    set_time time_format_24h false
    check 'and twelve hours' sh -c '"$1" log | grep -qE " [AP]M (CET|CEST)  one"' sh "$VRIFT"
    set_time timezone UTC
    set_time time_format_24h true
}

runs() {
    cd "$TREE" || exit
    unset SOURCE_DATE_EPOCH
    is "$("$VRIFT" -q run -- sh -c 'echo ${SOURCE_DATE_EPOCH-unset}')" unset 'real: programs are told nothing'
    set_time mtime clamp=1000000000
    is "$("$VRIFT" -q run -- sh -c 'echo $SOURCE_DATE_EPOCH; echo new >new; mkdir dir; echo x >dir/x; touch -d @5 old; ln -s x link')" \
        1000000000 'clamp: programs are told'
    for name in new dir/x link; do is "$(mtime_of $name)" 1000000000 "$name is no later"; done
    is "$(mtime_of old)" 5 'what was earlier stays'
    is "$(mtime_of file)" 978307200 'and so does what the run did not change'
    is "$("$VRIFT" cat new)" new 'the bytes are those that were written'
    exits 0 'the next run sees these times' "$VRIFT" -q run -- sh -c '[ "$(stat -c %Y new)" = 1000000000 ] && [ "$(stat -c %Y dir/x)" = 1000000000 ]'
    workspace=$("$VRIFT" status --json | sed -n 's/.*"workspace": "\([^"]*\)".*/\1/p' | head -n 1)
    workspace=${workspace:-tree}
    set_time mtime real -w "$workspace"
    "$VRIFT" -q run -- sh -c 'echo later >later'
    fails 'a workspace with a policy of its own' [ "$(mtime_of later)" = 1000000000 ]
    is "$("$VRIFT" time get mtime -w "$workspace")" real 'which is shown'
    set_time mtime default -w "$workspace"
    set_time mtime source-date-epoch
    exits 2 'without the variable the run is refused' quiet "$VRIFT" run -- true
    check 'and it is said why' grep -q 'SOURCE_DATE_EPOCH, which is not set' "$T/err"
    SOURCE_DATE_EPOCH=1100000000 "$VRIFT" -q run -- sh -c 'echo again >again'
    is "$(mtime_of again)" 1100000000 'with it, it is what counts'
    exits 2 'unless it is no number' env SOURCE_DATE_EPOCH=yesterday "$VRIFT" -q run -- true 2>/dev/null
    set_time mtime real
    "$VRIFT" -q run -- sh -c 'touch -d 2099-01-01 future' 2>"$T/err"
    check 'a file of the future is named' grep -q '1 file of this run is dated in the future, among them .*future' "$T/err"
    set_time future_guard false
    "$VRIFT" -q run -- sh -c 'touch -d 2099-01-02 future' 2>"$T/err"
    is "$(cat "$T/err")" '' 'unless nobody wants to know'
}

phases() {
    in_view inside
    if native; then ok "the rest # SKIP native mode has no time settings"; return; fi
    settings
    runs
}
main

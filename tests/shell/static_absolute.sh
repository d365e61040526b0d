#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: where mount namespaces are to be had, statically linked programs, and what they start, find the workspace
# by absolute paths too; the real tree is not there for them.
. "${0%/*}/lib.sh"

tree() {
    echo one >one && mkdir sub && echo gone >gone && ln -s "$VIEW/one" soft
}

checks() {
    echo changed >one && rm gone
    is "$(busybox cat "$VIEW/one")" changed 'reads by an absolute path'
    is "$(busybox cat soft)" changed 'through an absolute symlink'
    is "$(cd / && busybox cat "$VIEW/one")" changed 'from outside'
    is "$(cd "$OUTER" && busybox cat tree/one)" changed 'from above'
    fails 'does not see what was removed' busybox cat "$VIEW/gone" 2>/dev/null
    is "$(cd sub && busybox pwd)" "$VIEW/sub" 'knows where it is'
    (cd / && busybox sh -c 'echo new >"$0/new"; mkdir "$0/made"; mv "$0/one" "$0/made/one"; rm "$0/soft"' "$VIEW")
    is "$(cat new made/one)" "new
changed" 'writes by absolute paths'
    fails 'and removes' [ -L soft ]
    is "$(busybox sh -c 'cat "$0/new"; echo more >>"$0/new"; exec /bin/cat "$0/new"' "$VIEW")" "new
new
more" 'what it starts sees the same'
    is "$(busybox ls "$OUTER/tree")" "$(ls)" 'nothing else is there'
    cp "$BIN/static_calls" tool
    is "$("$VIEW/tool" cat "$VIEW/new" && busybox readlink -f tool)" "new
more
$VIEW/tool" 'one of the view by its absolute path'
    printf '#!%s sh\ncat "${0%%/*}/new"\n' "$(command -v busybox)" >script && chmod +x script
    is "$("$VIEW/script")" "new
more" 'a script with a static interpreter by its absolute path'
    if ! native; then
        is "$(busybox env | grep -c VRIFT_VIEW)" 0 'it is in no view itself'
        is "$(busybox id -u)" "$(id -u)" 'it is the same user'
    fi
}

doctor_says() { "$VRIFT" doctor | grep -q "^ok *out of reach: .* $1"; }

after() {
    only_in_view new made/one tool
    native || check 'doctor says so' doctor_says 'at its own path'
}

if ! native && ! unshare --user --map-root-user --mount true 2>/dev/null; then
    ok 'no mount namespaces on this machine # SKIP unshare --user --mount does not work'
    ok 'the test ran to its end'
    exit 0
fi
main

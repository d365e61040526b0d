#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: without mount namespaces statically linked programs have the workspace by relative paths, and are named
# with what is missing; dynamic programs that they start see the same files, by absolute paths too.
. "${0%/*}/lib.sh"
export VRIFT_NAMESPACE=off

tree() {
    echo one >one && mkdir sub
}

checks() {
    echo changed >one
    is "$(busybox cat one)" changed 'reads by a relative path'
    is "$(busybox sh -c 'echo static >seen; /bin/sh -c "cat \$0/seen" "$0"' "$VIEW")" static 'what it starts sees what it wrote, by an absolute path'
    busybox sh -c '/usr/bin/env cp seen "$0/copied"; exec /usr/bin/env mv "$0/copied" "$0/sub/moved"' "$VIEW"
    is "$(cat sub/moved)" static 'and writes there, not into the real tree'
    is "$(cd sub && busybox sh -c 'exec /usr/bin/env pwd')" "$VIEW/sub" 'and knows where it is'
    is "$(busybox sh -c 'exec /usr/bin/env busybox cat seen')" static 'and starts static ones again'
    cp "$BIN/static_calls" tool
    is "$("$VIEW/tool" run cat seen)" static 'a static program of the view'
    is "$(busybox sh -c 'exec /usr/bin/env -i /bin/sh -c "cat \$0/seen" "$0"' "$VIEW")" static 'with an empty environment'
}

phases() {
    in_view checks 2>"$T/warnings"
    cat "$T/warnings"
    native && return
    is "$(grep -c 'by absolute ones it sees the real files (VRIFT_NAMESPACE=off)' "$T/warnings")" 2 \
        'each program is named once, with what is missing'
}

doctor_says() { "$VRIFT" doctor | grep -q "^ok *out of reach: .* $1"; }

after() {
    only_in_view seen sub/moved
    native || check 'doctor says so' doctor_says 'by relative paths alone'
}
main

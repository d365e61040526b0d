#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a program that was started as root and becomes another user goes on working in the view, with that
# user's rights.
. "${0%/*}/lib.sh"

tree() {
    for how in setuid seteuid setreuid setresuid; do
        mkdir "$how" && chmod 777 "$how" && echo old >"$how/old"
        cp "$BIN/call" "$how/tool" && chmod 755 "$how/tool"
        printf '#!/bin/sh\ntest $(cat old) = old && ./tool stat script size >/dev/null\n' >"$how/script"
        chmod 755 "$how/script"
    done
}

checks() {
    if [ "$(id -u)" != 0 ]; then
        ok 'becoming another user # SKIP only root may'
        return
    fi
    # ld.so must be able to read the library for that user; a program whose real user differs gets none.
    may_exec=exec
    if ! native && ! setpriv --reuid=65534 --clear-groups test -r "$VRIFT_BIN_DIR/libvrift_shim.so"; then
        may_exec=''
        ok 'executing as the other user # SKIP that user may not read the library'
    fi
    for how in setuid seteuid setreuid setresuid; do
        with=$may_exec
        [ "$how" != seteuid ] || with=
        cd "$VIEW/$how" && helper other_user "$how" $with
    done
}
main

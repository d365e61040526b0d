#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a program that was started as root and becomes another user goes on working in the view, with that
# user's rights.
. "${0%/*}/lib.sh"

tree() {
    for how in setuid seteuid setreuid setresuid; do
        mkdir "$how" && chmod 777 "$how" && echo old >"$how/old"
    done
}

checks() {
    if [ "$(id -u)" != 0 ]; then
        ok 'becoming another user # SKIP only root may'
        return
    fi
    for how in setuid seteuid setreuid setresuid; do
        cd "$VIEW/$how" && helper other_user "$how"
    done
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: fsync, fdatasync, syncfs and sync in the view return when bytes and names survive a power cut;
# with VRIFT_FSYNC=end they return at once, and the end of the run syncs.
. "${0%/*}/lib.sh"

tree() { echo data >file; }

# Prints the records of the journal that a power cut would lose now, asked by a process outside the view.
ASK='echo -'
native || ASK="env -u LD_PRELOAD '$VRIFT' daemon status --json | sed -n 's/^ *\"unsynced_records\": \\([0-9]*\\).*/\\1/p'"

each() { helper sync_calls "$ASK"; }
at_the_end() {
    export VRIFT_FSYNC=end
    helper sync_calls "$ASK"
}

phases() {
    in_view each
    in_view at_the_end
    native && return
    is "$(sh -c "$ASK")" 0 'the end of the run syncs'
    exits 2 'another value is refused' env VRIFT_FSYNC=never "$VRIFT" run -w tree -- true 2>"$T/err"
    check 'and named' grep -q 'VRIFT_FSYNC=never' "$T/err"
}

after() { only_in_view made_for_fsync late_fsync; }
main

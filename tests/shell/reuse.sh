#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: files that are made after others were removed are new files, although they are staged in the removed
# ones' inodes; a file that anybody still has open, by an fd, a mapping or O_PATH, keeps its bytes.
. "${0%/*}/lib.sh"

tree() { echo x >x; }

# Staging files that wait for their vnodes: empty, and nobody's.
blank() { find "$VRIFT_HOME/staging" -type f -empty | wc -l; }

ahead() { helper reuse ahead; }
dying() { helper reuse dying; }
late() { helper reuse late; }
removing() { helper reuse remove; }
making() { helper reuse make; }
holding() { helper reuse hold; }
racing() { helper reuse race; }

phases() {
    native || in_view ahead
    native || {
        VRIFT_TEST_DIE=$T/die && export VRIFT_TEST_DIE
        "$VRIFT" daemon stop
        in_view dying
        in_view late
        unset VRIFT_TEST_DIE
        "$VRIFT" daemon stop
    }
    in_view removing
    if native; then ok 'removed files are kept for others # SKIP native mode has no staging files'; else
        waited=0
        while [ "$(blank)" -lt 200 ] && [ "$waited" -lt 100 ]; do sleep 0.1; waited=$((waited + 1)); done
        before=$(blank)
        check "removed files are kept for others: $before" [ "$before" -ge 200 ]
    fi
    in_view making
    if native; then ok 'and were taken # SKIP native mode has no staging files'; else
        # Two hundred new files do without new inodes; what is left blank is less.
        check "and were taken: $(blank) are left" [ "$(blank)" -le "$((before - 200))" ]
    fi
    in_view holding
    in_view racing
}
main

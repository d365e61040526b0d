#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a daemon that is killed in the middle of a call is not noticed by the caller: whichever request it is, and
# at whichever step of it, the call gives the same result and is carried out once.
. "${0%/*}/lib.sh"

tree() { mkdir a b c d e f lost; }

# The supervisor gives up after 60 deaths in a minute: each third has a daemon of its own.
a() { cd a && helper each_call 0; }
b() { cd b && helper each_call 1; }
c() { cd c && helper each_call 2; }
# After many others.
d() { cd d && helper each_call 0 in-a-row; }
e() { cd e && helper each_call 1 in-a-row; }
f() { cd f && helper each_call 2 in-a-row; }

lost() { cd lost && helper each_call lost; }

phases() {
    native || { VRIFT_TEST_DIE=$T/die && export VRIFT_TEST_DIE; }
    for third in a b c d e f; do
        native || "$VRIFT" daemon stop
        in_view $third
    done
    if native; then ok 'an answer that is lost with its page # SKIP native mode has no daemon'; else
        "$VRIFT" daemon stop
        "$VRIFT" daemon start
        DAEMON_PID_FILE=$(echo "$XDG_RUNTIME_DIR"/vrift/*/pid) && export DAEMON_PID_FILE
        in_view lost
    fi
}
main

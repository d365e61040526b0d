#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: ten `vrift run` at once, where there is no home, no daemon and no workspace yet, all
# succeed and share one daemon and one workspace.
. "${0%/*}/lib.sh"

tree() { echo tree >file && mkdir d && seq 200 | sed 's,^,d/,' | xargs touch; }

# Each waits until all ten are in, so that none is over before the last begins.
one() {
    n=$1
    vrift_run sh -c ': >"$1/in.$2"; until [ "$(ls "$1" | wc -l)" -ge 10 ]; do sleep 0.05; done
        echo "made by $2" >"made.$2" && cat file' sh "$T/in" "$n" >"$T/out.$n" 2>"$T/err.$n"
    echo $? >"$T/code.$n"
    : >"$T/in/in.$n" # one that failed to start must not keep the others waiting
}

# One line a daemon: the serving processes, not the supervisor that each has as its parent.
daemons() {
    for process in /proc/[0-9]*; do
        [ "$(cat "$process/comm" 2>/dev/null)" = vriftd ] || continue
        parent=$(sed -n 's/^PPid:[[:space:]]*//p' "$process/status")
        [ "$(cat "/proc/$parent/comm" 2>/dev/null)" = vriftd ] || continue
        cat "$process/environ" "$process/cmdline" 2>/dev/null | tr '\0' '\n' | grep -qF "$VRIFT_HOME" && echo "$process"
    done
}

checks() { is "$(cat made.* | sort | wc -l)" 10 'an eleventh run sees what all ten made'; }

phases() {
    # The daemon that took in the tree goes; the ten start from nothing.
    native || "$VRIFT" daemon stop
    export VRIFT_HOME="$T/fresh/home"
    mkdir "$T/in"
    ten=''
    for n in 1 2 3 4 5 6 7 8 9 10; do one $n & ten="$ten $!"; done
    wait $ten
    for n in 1 2 3 4 5 6 7 8 9 10; do
        is "$(cat "$T/code.$n")" 0 "run $n succeeds"
        [ "$(cat "$T/code.$n")" = 0 ] || cat "$T/err.$n"
        is "$(cat "$T/out.$n")" tree "run $n read the tree"
    done
    native || is "$(daemons | wc -l)" 1 'one daemon serves them'
    in_view checks
}

after() { only_in_view made.1 made.2 made.3 made.4 made.5 made.6 made.7 made.8 made.9 made.10; }
main

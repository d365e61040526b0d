#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: nothing is lost when statically linked programs run at once, beside programs that are not, or are killed;
# each is named once in a run, and so is a set-user-ID program.
. "${0%/*}/lib.sh"

tree() {
    mkdir a b c
    echo old >shared && echo old >late && echo old >gone
    for n in 1 2 3 4 5 6 7 8 9; do echo "$n" >"c/$n"; done
}

# Waits until a file is there that a program made which the library does not reach.
await_real() { until_true is_real "$1" || { not_ok "$1 was made in time"; return 1; }; }
is_real() { find "$VRIFT_HOME/worktree" "$VIEW" -path "*$1" | grep -q .; }

# Nobody may have asked for its exit code yet.
is_dead() { ! grep -qs '^State:[[:space:]]*[A-WY]' "/proc/$1/status"; }

two_at_once() {
    busybox sh -c 'for n in 1 2 3 4 5 6 7 8 9; do echo a$n >a/$n; mv c/$n a/c$n; done' &
    busybox sh -c 'for n in 1 2 3 4 5 6 7 8 9; do echo b$n >b/$n; busybox sleep 0.01; done; rm gone' &
    for n in 1 2 3 4 5 6 7 8 9; do echo "d$n" >"d$n"; ln "d$n" "e$n"; done
    wait
    for n in 1 2 3 4 5 6 7 8 9; do cat "a/$n" "b/$n" "d$n" "a/c$n"; done >all
    is "$(sort all | tr '\n' ' ')" "1 2 3 4 5 6 7 8 9 a1 a2 a3 a4 a5 a6 a7 a8 a9 b1 b2 b3 b4 b5 b6 b7 b8 b9 d1 d2 d3 d4 d5 d6 d7 d8 d9 " \
        'two static programs and a dynamic one that write at once'
    is "$(ls c | wc -l)" 0 'what they moved is gone'
    fails 'what they removed is gone' [ -e gone ]
    is "$(busybox cat d9 e9)" "d9
d9" 'and the next one sees it all'
}

later_wins() {
    busybox sh -c 'until [ -e go ]; do busybox sleep 0.02; done; echo static >late' &
    busybox sh -c 'echo static >shared; : >ready; busybox sleep 0.3' &
    await_real /ready && busybox sh -c ': >go'
    sleep 0.05
    echo dynamic >shared
    wait
    is "$(cat shared)" dynamic 'of two writes to one file the later stands: the dynamic one'
    is "$(cat late)" static 'and the static one'
}

killed() {
    "$BIN/static_calls" linger half lingering &
    await_real /lingering
    kill -9 $!
    wait $! 2>/dev/null
    native && kill -9 "$(cat lingering)" 2>/dev/null
    # The helper and the program die together, and then what it wrote is taken in.
    until_true [ -e half ]
    is "$(cat half)" half 'killed half-way: what it had written is there'
    check 'and it is dead' is_dead "$(cat lingering)"
    "$BIN/static_calls" linger half2 lingering2 &
    await_real /lingering2
    kill -TERM $!
    wait $!
    is "$?" 143 'a signal is passed on'
    is "$(cat half2)" half 'and what it had written is there'
    exits 124 'timeout ends one' timeout 3 "$BIN/static_calls" linger half3 lingering3
    is "$(cat half3)" half 'as if it had run by itself'
    # Left running when the run ends.
    (setsid busybox sh -c 'busybox sleep 0.2; echo left >left_running' >/dev/null 2>&1 &)
    until_true busybox grep -q left left_running
    is "$(busybox cat left_running)" left 'one that runs on in the background'
}

checks() {
    two_at_once
    later_wins
    killed
}

names() {
    is "$(su --version)" "$(env -u LD_PRELOAD su --version)" 'a set-user-ID program runs'
    busybox true && busybox true && sh -c 'busybox true'
}

phases() {
    in_view checks
    native && { in_view names; return; }
    in_view names 2>"$T/warnings"
    cat "$T/warnings"
    is "$(grep -c 'busybox is statically linked' "$T/warnings")" 1 'a static program is named once in a run'
    is "$(grep -c '/su runs with other rights' "$T/warnings")" 1 'a set-user-ID program is named'
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: a fifo of the view blocks, pairs and carries bytes as on a plain file system.
. "${0%/*}/lib.sh"

tree() { mkdir d; }

checks() {
    helper fifos
    mkfifo shell
    { cat <shell >got; } &
    printf 'through a shell' >shell
    wait
    is "$(cat got)" 'through a shell' 'redirections of a shell'
    is "$(find . -type p | sort | tr '\n' ' ')" './shell ./stays ' 'find -type p'
    is "$(stat -c '%F %a' stays)" 'fifo 640' 'stat'
}

after() {
    only_in_view shell stays
    native && return
    exits 1 'export names what it leaves out' "$VRIFT" export -w tree --to "$T/out" 2>"$T/said"
    is "$(grep -c 'fifo' "$T/said")" 2 'the fifos'
    check 'the rest was exported' [ -e "$T/out/got" -a ! -e "$T/out/stays" ]
}
main

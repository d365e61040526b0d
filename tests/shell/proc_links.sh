#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a link of /proc or /dev to an open file is the file of the view, also for writing; sealed bytes that
# other files share are never written through it.
. "${0%/*}/lib.sh"
tree() {
    for name in one one2 two two2 three three2 stream stream2 stream3 removed removed2; do echo same >$name; done
    for name in attributes attributes2; do echo data >$name; done
    mkdir d && echo inner >d/inner
    cp "$BIN/call" program
}
checks() {
    helper proc_links
    echo through >stdin_made
    is "$(cat /dev/stdin <stdin_made)" through 'the shell: /dev/stdin'
    sh -c 'echo more >/dev/stdout' >stdout_made
    is "$(cat stdout_made)" more 'the shell: /dev/stdout'
    is "$(./program readlink /proc/self/exe)" "$VIEW/program" 'a program of the view: /proc/self/exe'
    is "$(./program stat /proc/self/exe ino)" "$("$BIN/call" stat program ino)" 'a program of the view: stat of /proc/self/exe'
}
main

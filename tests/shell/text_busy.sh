#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a program of the view that is being executed cannot be written (ETXTBSY), also after it was renamed;
# its twin with the same bytes can. When it has ended, it can be written again.
. "${0%/*}/lib.sh"

tree() {
    cp "$BIN/call" program && chmod 755 program
}

refused() {
    expect ETXTBSY open "$1" O_WRONLY
    expect ETXTBSY open "$1" O_RDWR
    expect ETXTBSY open "$1" 'O_RDONLY|O_TRUNC'
    expect ETXTBSY truncate "$1" 123
    expect ETXTBSY truncate "$1" 0
}

checks() {
    cp program made && cp program twin
    for each in program made; do
        mkfifo "gate.$each"
        # Waits in its open for the other end of the fifo.
        "./$each" open "gate.$each" O_RDONLY >"out.$each" &
        pid=$!
        until [ "$(readlink "/proc/$pid/exe")" = "$PWD/$each" ]; do sleep 0.01; done
        refused "$each"
        mv "$each" "$each.moved"
        refused "$each.moved"
        expect 0 open "$each.moved" O_RDONLY
        expect 0 open twin O_WRONLY
        : >"gate.$each"
        wait "$pid"
        is "$(cat "out.$each")" 0 "$each ran to its end"
        expect 0 open "$each.moved" O_WRONLY
        expect 0 truncate "$each.moved" 123
    done
}
main

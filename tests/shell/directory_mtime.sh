#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a directory's mtime moves when its entries change, and only then.
. "${0%/*}/lib.sh"

tree() {
    mkdir d e && cd d && mkdir sub empty && echo x >sub/x
    for f in file gone moved over under; do echo x >$f; done
}

past=981158400.000000000
# moves|keeps DIR COMMAND...: the mtime of DIR after the command
moves() {
    dir=$1 && shift && touch -d @981158400 d e
    "$@" || not_ok "$*"
    fails "$dir: mtime moves: $*" [ "$("$BIN/call" stat "$dir" mtime)" = $past ]
    fails "$dir: ctime is new: $*" [ "$("$BIN/call" stat "$dir" ctime)" = $past ]
}
keeps() {
    dir=$1 && shift && touch -d @981158400 d e
    "$@" || not_ok "$*"
    is "$("$BIN/call" stat "$dir" mtime)" $past "$dir: mtime stays: $*"
}

checks() {
    moves d sh -c ': >d/created'
    moves d mkdir d/made
    moves d ln -s file d/soft
    moves d ln d/file d/hard
    moves d mkfifo d/fifo
    moves d rm d/gone
    moves d rmdir d/empty
    moves d mv d/created d/renamed
    moves d mv d/moved e/moved
    moves e mv d/renamed e/renamed
    moves d mv d/over d/under
    moves d "$BIN/call" renameat2 d/file d/under RENAME_EXCHANGE
    keeps d sh -c 'echo more >>d/file'
    keeps d sh -c ': >d/file'
    keeps d sh -c 'echo y >d/sub/y'
    keeps d touch d/file
    keeps d chmod 600 d/file
    keeps d chmod 700 d/sub
    keeps d cat d/file
    keeps d ls d
    keeps d sh -c '! mkdir d/sub 2>/dev/null'
    keeps d sh -c '! rm d/missing 2>/dev/null'
    keeps d "$BIN/call" rename d/file d/file
}

after() { only_in_view d/made d/soft e/moved; }
main

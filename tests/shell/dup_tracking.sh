#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a descriptor names its file, however it was handed on: fstat gives the inode, size and
# times that stat gives for the path, after dup, exec and a journey over a socket.
. "${0%/*}/lib.sh"

tree() {
    echo 'some bytes' >file && echo 'equal bytes' >twin1 && cp twin1 twin2 && mkdir d
    touch -d '2001-02-03 04:05:06.789' file twin1 && touch -d 2002-02-02 twin2 d
}

checks() {
    : >empty_made
    helper dup_tracking
}
after() { only_in_view made; }
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a file of the view that is unlinked or replaced while open stays readable and writable
# through its descriptors, with st_nlink 0, and leaves no name behind.
. "${0%/*}/lib.sh"

tree() {
    for n in read written replaced doomed; do echo "bytes of $n" >$n; done
    mkdir d && echo x >d/x
    echo own >own && chmod 640 own && touch -d @1000000000 own && echo other >other && echo new >new
    mkdir closed && chmod 710 closed
}

checks() { helper unlink_open; }

after() {
    gone_in_view_only read written doomed d own new closed
    is "$(view_cat replaced)" newer 'the replacing file is there'
}
main

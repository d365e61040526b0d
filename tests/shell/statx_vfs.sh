#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: every stat call tells the same of a file of the view; the view is one device, and each
# file has an inode number of its own, also where bytes are equal.
. "${0%/*}/lib.sh"

tree() {
    echo equal >a && cp a b && mkdir d && cp a d/c && ln -s a soft && ln -s none dangling && : >empty
    chmod 640 a && touch -d '2001-02-03 04:05:06.789012345' a
}

checks() {
    echo equal >made && mkdir newdir && mkfifo fifo
    helper statx a b d d/c soft dangling empty made newdir fifo .
    is "$(stat -c %a-%s-%F-%h-%.9Y a)" "640-6-regular file-1-$(date -d '2001-02-03 04:05:06' +%s).789012345" 'stat(1)'
    is "$(find . ! -name '.made*' -printf '%D\n' | sort -u | wc -l)" 1 'one device'
    is "$(find . -printf '%i\n' | sort -u | wc -l)" "$(find . | wc -l)" 'distinct inode numbers'
    fails 'files with equal bytes are two files' [ a -ef b ]
    check 'a symlink leads to the same file' [ a -ef soft ]
    is "$(stat -f -c %T . >/dev/null && echo fine)" fine 'stat -f of the view'
    exits 0 'df of the view' sh -c 'df . >/dev/null'
    stat -c %i a b made >"$T/inodes"
}

later() { is "$(stat -c %i a b made)" "$(cat "$T/inodes")" 'inode numbers stay in a later run'; }
phases() { in_view checks; in_view later; }
after() { only_in_view made newdir; }
main

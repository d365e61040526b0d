#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: root makes device nodes in the view and uses them; anybody else is refused, as everywhere.
. "${0%/*}/lib.sh"

tree() { mkdir d; }

# Whether this machine lets this user make device nodes at all.
may_make() { mknod "$T/tmp/probe" c 1 3 2>/dev/null && rm "$T/tmp/probe"; }

checks() {
    if ! may_make; then
        fails 'mknod of a device is refused' mknod node c 1 3
        is "$(echo ?ode)" '?ode' 'and makes nothing'
        return
    fi
    umask 0
    check 'a character device is made' mknod -m 640 null c 1 3
    is "$(stat -c '%F %a %t:%T %s %h' null)" 'character special file 640 1:3 0 1' 'it has its numbers'
    check 'a block device is made' mknod d/ram b 1 2
    is "$(stat -c '%F %a %t:%T' d/ram)" 'block special file 666 1:2' 'it has its numbers, too'
    check 'it takes what is written' sh -c 'echo lost >null'
    is "$(cat null)" '' 'and gives nothing back'
    check 'zero is zero' mknod zero c 1 5
    is "$(head -c 3 zero | od -An -tx1)" ' 00 00 00' 'zeros are read'
    is "$(stat -L -c %t:%T /dev/fd/0 <null)" 1:3 'fstat of an open node'
    ln null linked && mv linked d/moved
    is "$(stat -c '%t:%T %h' d/moved)" '1:3 2' 'a second name, moved'
    fails 'a second one of the name' mknod null c 1 3
    is "$(find . -type c | sort | tr '\n' ' ')" './d/moved ./null ./zero ' 'find knows what they are'
    rm null && check 'the other name works still' sh -c 'echo lost >d/moved'
    rm -r d && fails 'the block device is gone' test -e d/ram
}
main

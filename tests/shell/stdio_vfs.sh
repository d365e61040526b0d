#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: streams of the C library open, make and change files of the view in each of their modes.
. "${0%/*}/lib.sh"

tree() { for n in read write append update second; do echo 0123456789 >$n; done && mkdir d; }

checks() {
    helper stdio
    is "$(cat write append update)" 'new
0123456789
more
01xx456789' 'another process reads what was written'
}

after() {
    is "$(view_cat exclusive)" once 'the bytes outlive the run'
    only_in_view exclusive wplus reopened
}
main

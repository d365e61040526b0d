#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: after fork, parent and child both are in the view: same files, shared offsets, own
# working directories.
. "${0%/*}/lib.sh"

tree() { echo 0123456789 >digits && mkdir d && echo in >d/f; }

checks() {
    helper fork
    (cd d && cat f && : >../from_subshell)
    is "$(ls d)" f 'a subshell that changed directory left this one alone'
    is "$(seq 50 | xargs -P 4 -I{} sh -c 'echo {} >many.{}'; cat many.* | sort -n | tail -n 1)" 50 '50 children made a file each'
    is "$(cat digits & wait)" 0123456789 'a background child reads'
}

after() { only_in_view from_child from_subshell many.1 many.50; }
main

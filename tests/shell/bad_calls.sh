#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: bad arguments (paths that are too long, null pointers, fds that are none, unknown flags) fail with the
# kernel's errno and change nothing.
. "${0%/*}/lib.sh"
tree() {
    echo data >file
    mkdir d && echo inner >d/inner
    ln -s file link
    ln -s d dlink
    ln -s nowhere dangling
}
checks() {
    helper bad_paths
    helper bad_fds
}
after() { only_in_view nowhere; }
main

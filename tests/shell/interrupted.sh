#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: signal handlers may call into the view at any moment, and fds may be closed behind the library's back.
. "${0%/*}/lib.sh"
tree() {
    echo data >file
    echo data >twin
    mkdir d work
    echo one >d/one
}
checks() { helper interrupted; }
main

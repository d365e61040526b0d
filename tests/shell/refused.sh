#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what would change or name the real tree behind the view is refused with the documented errno.
. "${0%/*}/lib.sh"
tree() {
    echo data >file
    mkdir d
}
checks() {
    if native; then ok 'refusals # SKIP they are of the view alone'; return; fi
    helper refused "$VIEW/file"
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: paths relative to a directory's descriptor are resolved from that directory, wherever it
# has gone since.
. "${0%/*}/lib.sh"

tree() {
    mkdir -p d/sub other && echo data >d/file && echo top >file && echo x >d/sub/x
    echo outside >"$OUTER/outside"
}

checks() {
    helper dirfd
    is "$(env -C other sh -c 'cat ../file')" top 'a child that starts in a directory of the view'
}
after() { only_in_view moved/made moved/sub/in_sub other/renamed; }
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: extended attributes of the view do what they do on ext4, and are kept with the file.
. "${0%/*}/lib.sh"

tree() { echo text >file; }

checks() { helper xattrs; }

# After a restart of the daemon, from journal and checkpoint.
again() {
    is "$(python3 -c 'import os; print(os.getxattr("hard", "user.one"), os.getxattr("dir", "user.stays"))')" \
        "b'second value' b'here'" 'kept'
    cp -a renamed copy 2>said
    is "$(python3 -c 'import os; print(os.getxattr("copy", "user.one"))')" "b'second value'" 'cp -a'
    is "$(cat said)" '' 'cp -a says nothing'
}

phases() {
    in_view checks
    native || kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    in_view again
    native || "$VRIFT" daemon stop
    in_view again
}
main

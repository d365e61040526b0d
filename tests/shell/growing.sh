#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: the index grows under 16 readers, and none of them fails or sees another file.
. "${0%/*}/lib.sh"
tree() {
    mkdir steady grown
    for name in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo x >steady/$name; done
}
index_file() { ls -i "$XDG_RUNTIME_DIR"/vrift/*/w/*/index; }
checks() {
    native || before=$(index_file)
    helper growing 16 9000
    native || check 'the index was replaced by a larger one' [ "$(index_file)" != "$before" ]
}
after() {
    only_in_view grown/0/a_name_of_some_length_0 grown/8/a_name_of_some_length_8999
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: data moves between fds of the view and others without the program, and space is reserved, as on any file system.
. "${0%/*}/lib.sh"
tree() {
    printf 0123456789abcdef >source
    cp source source2
}
checks() {
    mkdir "$OUTER/outside"
    helper moving "$OUTER/outside"
}
after() {
    only_in_view copy copy3 sized
    is "$(cat "$OUTER/outside/in")" 0123456789abcdef 'what is outside is there'
}
main

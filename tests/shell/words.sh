#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: wordexp expands names of the view and runs commands in it.
. "${0%/*}/lib.sh"
tree() { echo 3 >gone.c; }
checks() {
    rm gone.c
    mkdir made && echo 1 >made/one.c && echo 2 >made/two.c
    helper words
    fails 'no file was made by a refused word' [ -e made/evil ]
}
after() { gone_in_view_only gone.c; }
main

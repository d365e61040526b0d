#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: the loader names libraries of the view by their paths in the view.
. "${0%/*}/lib.sh"
tree() {
    echo 'int answer(void) { return 42; }' >answer.c
    mkdir lib
}
checks() {
    check 'a library is built' gcc -shared -fPIC -o lib/libanswer.so answer.c
    helper object_names "$VIEW/lib/libanswer.so"
}
after() { only_in_view lib/libanswer.so; }
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: the calls that a thread makes in the view need little stack: 64 KiB are enough.
. "${0%/*}/lib.sh"

tree() {
    mkdir -p deep/a/b/c && echo data >deep/a/b/c/file && ln -s deep/a/b soft
    mkdir many && (cd many && seq 500 | xargs touch)
}

checks() { helper small_stack "$VIEW"; }
after() { only_in_view renamed made_dir; }
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a vfork child may close, dup2 and chdir before it execs; its parent's descriptors and
# working directory stay as they were, although both share one memory.
. "${0%/*}/lib.sh"

tree() {
    echo one >one && echo two >two && mkdir d && echo in >d/f
}

checks() { helper vfork "$VIEW"; }
after() { only_in_view output made_by_child; }
main

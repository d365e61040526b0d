#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: while a file of the view is replaced by rename 1,000 times, readers see the old file or
# the new one, whole: never none, never a part.
. "${0%/*}/lib.sh"

tree() { mkdir d; }
checks() { helper rename_atomic; }
after() { only_in_view d/current; }
main

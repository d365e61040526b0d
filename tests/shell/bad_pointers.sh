#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a path argument that cannot be read is EFAULT, as the kernel says, and not the end of the program.
. "${0%/*}/lib.sh"

tree() { echo data >file; }
checks() { helper bad_pointers file; }
main

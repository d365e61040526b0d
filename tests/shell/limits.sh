#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: with 16 fds, a limit on the size of files or 64 MiB of memory, calls do what they can and fail as the kernel
# has it.
. "${0%/*}/lib.sh"
tree() {
    echo data >file
    head -c 8192 /dev/zero >big
    mkdir d && echo inner >d/inner
}
checks() {
    helper limits files
    helper limits size
    helper limits memory
    is "$(ulimit -v 65536; cat file; echo more >made; cat made; ls d)" "Data
more
inner" 'programs with 64 MiB of memory'
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a program started with an empty environment, and what it starts in turn, is in the view.
. "${0%/*}/lib.sh"

tree() { echo from the tree >file && echo real >changed; }

checks() {
    echo view >changed
    is "$(env -i /bin/cat changed)" view 'env -i: the child reads the view'
    env -i /bin/sh -c ': >by_child'
    expect 0 stat by_child
    is "$(env -i /bin/sh -c 'exec /usr/bin/env -i /bin/sh -c "/bin/cat changed; : >by_grandchild"')" view \
        'env -i twice: so does the grandchild'
    expect 0 stat by_grandchild
    is "$(env -u LD_PRELOAD cat changed)" view 'without LD_PRELOAD'
    is "$(LD_PRELOAD= cat changed)" view 'with an empty LD_PRELOAD'
    is "$(sh -c 'unset LD_PRELOAD VRIFT_VIEW VRIFT_RUNTIME VRIFT_WORKSPACE; cat changed; exec cat changed')" "view
view" 'a shell that unsets the variables'
    is "$(env -i A=1 B=2 /bin/sh -c 'echo $A$B')" 12 'the variables that are given arrive'
    helper exec_env
    is "$(cat by_execve by_execle by_fexecve by_posix_spawn by_clearenv by_putenv by_environ by_setenv by_unsetenv by_system by_popen by_number | sort -u)" view \
        'each way to start a program with another environment'
}

after() { only_in_view by_child by_grandchild by_execve by_posix_spawn; }
main

# SPDX-License-Identifier: MIT OR Apache-2.0
"""typed.py KEYS COMMAND...: runs a command on a terminal of its own and types. In KEYS, | stands between keys
that are typed when the program has taken the ones before it; \\r, \\e and \\xNN are as in C."""
import os
import pty
import select
import sys

QUIET_S = 0.3
LIMIT_S = 20


def drain(fd):
    """Reads until the program has nothing more to say for a while; False at its end."""
    while select.select([fd], [], [], QUIET_S)[0]:
        try:
            if not os.read(fd, 65536):
                return False
        except OSError:
            return False
    return True


def main():
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    keys = sys.argv[1].replace("\\e", "\\x1b").encode().decode("unicode_escape").encode("latin1")
    # Nothing is typed before the program has drawn its screen.
    select.select([fd], [], [], LIMIT_S)
    drain(fd)
    for part in keys.split(b"|"):
        os.write(fd, part)
        if not drain(fd):
            break
    else:
        select.select([fd], [], [], LIMIT_S)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main()

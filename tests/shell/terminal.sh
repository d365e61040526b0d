# SPDX-License-Identifier: MIT OR Apache-2.0
# For tests of what is drawn on a terminal and of Ctrl-C. Wants VIEW and T exported.

# Runs vrift in a terminal of $1 columns; the bytes that it drew go to $T/drawn.
in_terminal() {
    python3 - "$@" <<'PY'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
    os.environ['TERM'] = 'xterm'
    os.chdir(os.environ['VIEW'])
    os.execv(sys.argv[2], sys.argv[2:])
drawn = b''
while True:
    try:
        some = os.read(fd, 4096)
    except OSError:
        break
    if not some:
        break
    drawn += some
open(os.environ['T'] + '/drawn', 'wb').write(drawn)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}
# The longest line with $1 that was drawn, without what moves the cursor, and whether there are several.
widest() {
    python3 -c 'import re, sys
text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", open(sys.argv[1], "rb").read()).decode()
lines = [line for line in re.split("[\r\n]", text) if sys.argv[2] in line]
print(max(map(len, lines), default=0), len(lines) > 1)' "$T/drawn" "$1"
}
# The process has a handler for SIGINT.
minds() {
    caught=$(sed -n 's/^SigCgt:.*\(.\)$/\1/p' "/proc/$1/status")
    case $caught in [2367abefABEF]) ;; *) return 1 ;; esac
}

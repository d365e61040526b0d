#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: a Unix socket has a path of the view: bind, connect, send and the calls that tell names do what they do
# on a plain file system, between processes, over rename and unlink.
. "${0%/*}/lib.sh"

tree() { mkdir -p d/deep && echo text >file; }

checks() {
    helper unix_sockets
    python3 - <<'END'
import os, socket, stat
s = socket.socket(socket.AF_UNIX); s.bind("py.sock"); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect(os.path.abspath("py.sock"))
p, _ = s.accept(); c.sendall(b"x")
print("ok - python's sockets" if p.recv(1) == b"x" and s.getsockname() == "py.sock" else "not ok - python's sockets")
END
    is "$(find . -type s)" ./py.sock 'find -type s'
    is "$(ls -l | grep -c '^s.* py.sock$')" 1 'ls -l'
    is "$(stat -c %F py.sock)" socket 'stat'
}

after() {
    only_in_view py.sock
    native && return
    exits 1 'export names what it leaves out' "$VRIFT" export -w tree --to "$T/out" 2>"$T/said"
    is "$(grep -c 'py.sock.*socket' "$T/said")" 1 'the socket'
    check 'the rest was exported' [ -e "$T/out/.made-by-checks" -a ! -e "$T/out/py.sock" ]
    is "$(ls "$XDG_RUNTIME_DIR"/vrift/*/s | grep -c -v '\.n$')" 1 'only sockets that still have a name are kept'
}
main

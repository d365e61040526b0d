#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: in `vrift shell`, bash, zsh and fish have their terminal as anywhere: Ctrl-Z stops the job and not the shell or vrift, fg
# brings it back, Ctrl-C ends it alone, a job in the background goes on, and the shell's exit code is that of vrift.
. "${0%/*}/lib.sh"

tree() {
    echo real >file
    # It starts no process: one that is stopped between vfork(2) and exec(2) holds up its parent, in the view or not.
    cat >job <<'PY'
#!/usr/bin/env python3
import os, signal
def say(text): os.write(1, text)
def interrupted(*_):
    say(b'the job is interrupted\n')
    os._exit(3)
signal.signal(signal.SIGCONT, lambda *_: say(b'the job goes on\n'))
signal.signal(signal.SIGINT, interrupted)
say(b'the job is ready\n')
while True:
    signal.pause()
PY
    printf '#!/bin/sh\necho the shell has $1\n' >marker
    printf '#!/bin/sh\nread answer <gate\necho "$answer" >late\necho the background is done\n' >later
    chmod +x job marker later
}
checks() { echo view >file; }

# Types into a shell in a terminal, each line when the last one has shown what it must: a line a step.
typed() {
    python3 - "$@" <<'PY'
import os, pty, re, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM='dumb', SHELL=sys.argv[1])
    os.chdir(os.environ['VIEW'])
    os.execv(sys.argv[2], sys.argv[2:])
drawn, at = b'', 0
def shows(want):
    global drawn, at
    until = time.time() + 60
    while time.time() < until:
        found = re.search(want, drawn[at:])
        if found:
            at += found.end()
            return True
        if select.select([fd], [], [], 0.2)[0]:
            try:
                some = os.read(fd, 4096)
            except OSError:
                return False
            drawn += some
            if not some:
                return False
    return False
steps = [
    (b'./marker begun\n', rb'the shell has begun', 'the shell begins'),
    (b'./job\n', rb'the job is ready', 'a job begins'),
    (b'\x1a', rb'(?i)stopped|suspended', 'Ctrl-Z stops it'),
    (b'./marker gone-on\n', rb'the shell has gone-on', 'the shell goes on'),
    (b'fg\n', rb'the job goes on', 'fg brings it back'),
    (b'\x03', rb'the job is interrupted', 'Ctrl-C comes to it'),
    (b'./marker stayed\n', rb'the shell has stayed', 'and not to the shell'),
    (b'mkfifo gate\n./later &\n./marker two\n', rb'the shell has two', 'a job in the background leaves the terminal'),
    (b'echo late >gate\n', rb'the background is done', 'and goes on'),
    # The shell may say in between that the job is done; while it is not, zsh and fish do not end.
    (b'wait; cat file late; exit 5\n', rb'(?s)(view|real)\r?\n.*?late\r?\n', 'both have the same files'),
]
for line, want, what in steps:
    os.write(fd, line)
    good = shows(want)
    print('ok' if good else 'not ok', what, flush=True)
    if not good:
        print(drawn.decode(errors='replace'), file=sys.stderr)
        # The terminal goes, and with it what runs there.
        os.close(fd)
        sys.exit(1)
# Nothing is like this: it reads until the terminal is closed.
shows(rb'(?!)')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}

phases() {
    in_view checks
    export VIEW HOME="$T"
    # With this folder, fish does not make completions of all manual pages.
    mkdir -p "$T/.config/fish" "$T/.local/share/fish/generated_completions"
    : >"$T/.zshrc"
    for shell in bash zsh fish; do
        path=$(command -v $shell) || { not_ok "$shell is there"; continue; }
        if native; then set -- "$path" "$path" -i; else set -- "$path" "$VRIFT" shell; fi
        typed "$@" >"$T/steps" 2>"$T/drawn"
        is $? 5 "$shell: its exit code"
        is "$(grep -c '^ok' "$T/steps")" 10 "$shell: all steps are done"
        sed "s/^/# $shell: /" "$T/steps"
        grep -q '^not ok' "$T/steps" && cat "$T/drawn"
        if native; then rm -f "$VIEW/gate" "$VIEW/late"; else (cd "$VIEW" && "$VRIFT" run -q -- rm -f gate late); fi
    done
}
main

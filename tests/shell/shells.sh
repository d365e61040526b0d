#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: `vrift shell` shows its mark in the prompt of bash, zsh and fish, which read the user's own files and change none of
# them; the lines of `vrift env` put each of them into the view.
. "${0%/*}/lib.sh"

tree() { echo real >file; }
checks() { echo view >file; }

# A shell in a terminal: what it drew.
in_terminal() {
    python3 - "$@" <<'PY'
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM='dumb', SHELL=sys.argv[1])
    os.chdir(os.environ['VIEW'])
    os.execv(sys.argv[2], sys.argv[2:])
drawn, said, until = b'', False, time.time() + 60
while time.time() < until:
    if select.select([fd], [], [], 0.5)[0]:
        try:
            some = os.read(fd, 4096)
        except OSError:
            break
        if not some:
            break
        drawn += some
    elif not said and b'(vrift ' in drawn:
        os.write(fd, b'echo in the $OWN; cat file; exit 5\n')
        said = True
sys.stdout.buffer.write(drawn)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
}

phases() {
    in_view checks
    if native; then ok 'shells # SKIP there is no view without vrift'; return; fi
    export VIEW
    # With the second folder, fish does not make completions of all manual pages.
    mkdir -p "$T/.config/fish" "$T/.local/share/fish/generated_completions"
    echo 'OWN=rc-of-bash' >"$T/.bashrc"
    echo 'OWN=rc-of-zsh; PROMPT="%% "' >"$T/.zshrc"
    echo 'EARLY=1' >"$T/.zshenv"
    echo 'set OWN rc-of-fish' >"$T/.config/fish/config.fish"
    for shell in bash zsh fish; do
        path=$(command -v $shell) || { not_ok "$shell is there"; continue; }
        in_terminal "$path" "$VRIFT" shell >"$T/drawn" 2>&1
        is $? 5 "$shell: its exit code"
        check "$shell: the mark is in the prompt" grep -aq '(vrift tree) ' "$T/drawn"
        check "$shell: it read the user's own file" grep -aq "in the rc-of-$shell" "$T/drawn"
        check "$shell: it is in the view" grep -aq '^view' "$T/drawn"
    done
    (cd "$VIEW" && "$VRIFT" env) >"$T/env"
    (cd "$VIEW" && "$VRIFT" env --fish) >"$T/env.fish"
    is "$(cd "$VIEW" && bash -c ". '$T/env'; cat file")" view 'bash takes the lines'
    is "$(cd "$VIEW" && zsh -fc ". '$T/env'; cat file")" view 'zsh takes the lines'
    is "$(cd "$VIEW" && fish --no-config -c "source '$T/env.fish'; cat file")" view 'fish takes its own'
}
main

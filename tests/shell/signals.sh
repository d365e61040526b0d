#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: SIGTERM and SIGHUP that `vrift run` gets are the command's, once; SIGINT and SIGQUIT, which a terminal sends to both, end
# neither vrift nor the saving of what was written; what whoever started it wants ignored stays ignored; a daemon that is killed
# meanwhile is started again; vrift hears of its command's end even if it was started by who wants to hear of none.
. "${0%/*}/lib.sh"
export VIEW T

tree() {
    # Says what it gets, ends with SIGTERM or when it is told to; SIGINT and SIGQUIT are noted.
    cat >minds <<'PY'
#!/usr/bin/env python3
import os, signal, sys, time
place, name = sys.argv[1], sys.argv[2]
got = open(name, 'w', buffering=1)
def note(number, _):
    got.write(signal.Signals(number).name + '\n')
    if number == signal.SIGTERM:
        sys.exit(7)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        got.write('ignored ' + number.name + '\n')
    else:
        signal.signal(number, note)
blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
got.write('blocked %d\n' % len(blocked))
open(place + '/ready', 'w').close()
while not os.path.exists(place + '/end'):
    time.sleep(0.01)
    if os.path.exists(place + '/step'):
        os.rename(place + '/step', place + '/stepped')
PY
    chmod +x minds
}
checks() { echo view >file; }

# sent NAME HOW SIGNAL...: a run of `minds NAME` that is sent signals, each when the one before it was taken; its exit code. HOW:
# plain, or which signal is ignored when it begins.
sent() {
    python3 - "$MODE" "$VRIFT" "$@" <<'PY'
import os, signal, subprocess, sys, time
mode, vrift, name, how, *numbers = sys.argv[1:]
place, view = os.environ['T'] + '/' + name, os.environ['VIEW']
os.mkdir(place)
def begin():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if how != 'plain':
        signal.signal(getattr(signal, how), signal.SIG_IGN)
def until(path):
    end = time.time() + 120
    while not os.path.exists(place + '/' + path):
        if time.time() > end or run.poll() is not None:
            sys.exit(99)
        time.sleep(0.01)
command = [] if mode == 'native' else [vrift, 'run', '--']
run = subprocess.Popen(command + ['./minds', place, name], cwd=view, preexec_fn=begin)
until('ready')
for number in numbers:
    if number == 'KILL-DAEMON':
        if mode != 'native':
            import glob
            for pid in glob.glob(os.environ['XDG_RUNTIME_DIR'] + '/vrift/*/pid'):
                os.kill(int(open(pid).read()), signal.SIGKILL)
        continue
    run.send_signal(getattr(signal, number))
    if number != 'SIGTERM' and run.poll() is None:
        open(place + '/step', 'w').close()
        until('stepped')
        os.unlink(place + '/stepped')
if 'SIGTERM' not in numbers:
    open(place + '/end', 'w').close()
sys.exit(run.wait())
PY
}
said() { view_cat "$1" | tr '\n' ' '; }

phases() {
    in_view checks
    exits 7 'SIGTERM is the command'"'"'s' sent term plain SIGTERM
    is "$(said term)" 'blocked 0 SIGTERM ' 'once, and no signal is blocked'
    exits 0 'SIGHUP is the command'"'"'s' sent hup plain SIGHUP
    is "$(said hup)" 'blocked 0 SIGHUP ' 'once'
    exits 7 'both, one after the other' sent both plain SIGHUP SIGTERM
    is "$(said both)" 'blocked 0 SIGHUP SIGTERM ' 'in their order'
    exits 0 'what is to be ignored' sent ignored SIGHUP SIGHUP
    is "$(said ignored)" 'ignored SIGHUP blocked 0 ' 'is ignored by the command, too'
    exits 7 'who wants to hear of no child' sent deaf SIGCHLD SIGTERM
    is "$(said deaf)" 'blocked 0 SIGTERM ' 'has a run as others have'
    exits 7 'the daemon is killed' sent killed plain KILL-DAEMON SIGHUP SIGTERM
    is "$(said killed)" 'blocked 0 SIGHUP SIGTERM ' 'and the signals come through'
    if native; then ok "SIGINT for vrift alone # SKIP natively the command is what gets it"; return; fi
    exits 0 'SIGINT and SIGQUIT, sent to vrift alone' sent int plain SIGINT SIGQUIT
    is "$(said int)" 'blocked 0 ' 'are for the terminal to send'
}
main

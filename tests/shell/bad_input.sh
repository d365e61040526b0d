#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: bad input is named in at most three lines, with the exit code that the contract says, and
# changes nothing; `run` passes on what became of its command.
. "${0%/*}/lib.sh"

tree() { echo data >file && printf '#!/bin/sh\n' >not_executable; }

# refuses CODE NAMED WHAT COMMAND...: the exit code, and stderr of one to three lines that name NAMED
refuses() {
    code=$1 named=$2 what=$3
    shift 3
    exits "$code" "$what: exit code $code" "$@" 2>"$T/err" >"$T/out"
    tail -n 3 "$T/out"
    lines=$(wc -l <"$T/err")
    check "$what: one to three lines on stderr ($lines)" [ "$lines" -ge 1 -a "$lines" -le 3 ]
    check "$what: they name $named" grep -qF -- "$named" "$T/err"
    fails "$what: no panic" grep -q panicked "$T/err"
}

vrift_in() { (cd "$1" && shift && "$VRIFT" "$@"); }

# What a shell says in native mode is what `vrift run` says.
commands() {
    for code in 0 1 2 3 42 125 255; do exits $code "the command's code $code" vrift_run sh -c "exit $code"; done
    for signal in HUP INT KILL TERM SEGV; do
        exits $((128 + $(kill -l $signal 2>/dev/null || /bin/kill -l $signal))) "128 + SIG$signal" vrift_run sh -c "kill -$signal \$\$"
    done
    exits 127 'command not found: 127' vrift_run no-such-command
    exits 127 'a missing path: 127' vrift_run ./missing
    exits 126 'not executable: 126' vrift_run ./not_executable
    exits 126 'a directory: 126' vrift_run /
}

ingests() {
    refuses 2 "$T/missing" 'ingest of a missing directory' "$VRIFT" ingest "$T/missing"
    refuses 2 "$TREE/file" 'ingest of a file' "$VRIFT" ingest "$TREE/file"
    mkdir "$T/unreadable" && chmod 000 "$T/unreadable"
    refuses 2 "$T/unreadable" 'ingest of an unreadable directory' "$VRIFT" ingest "$T/unreadable"
    mkdir "$T/odd" && mkfifo "$T/odd/a_fifo" && echo rest >"$T/odd/z_rest"
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$T/odd/a_socket"
    exits 1 'ingest of a tree with a fifo and a socket' "$VRIFT" ingest "$T/odd" >"$T/out" 2>&1
    check 'the fifo is named' grep -q a_fifo "$T/out"
    check 'the socket is named' grep -q a_socket "$T/out"
    is "$(vrift_in "$T/odd" cat z_rest)" rest 'the rest is in'
    refuses 1 missing 'cat of a missing file' vrift_in "$TREE" cat missing
    refuses 2 no-such-command 'an unknown command' "$VRIFT" no-such-command
    refuses 2 --no-such-option 'an unknown option' "$VRIFT" ingest --no-such-option
}

homes() {
    mkdir "$T/closed" && chmod 555 "$T/closed"
    refuses 3 "$T/closed" 'a home that cannot be made' env VRIFT_HOME="$T/closed/home" "$VRIFT" ingest "$TREE"
    refuses 3 "$T/closed" 'a home that cannot be written' env VRIFT_HOME="$T/closed" "$VRIFT" ingest "$TREE"
    echo x >"$T/a_file"
    refuses 3 "$T/a_file" 'a home that is a file' env VRIFT_HOME="$T/a_file" "$VRIFT" ingest "$TREE"
}

# damaged NAME WHAT: a copy of the store, changed by damage_NAME, is refused and left as it is
damaged() {
    export VRIFT_HOME="$T/home.$1"
    cp -a "$T/home" "$VRIFT_HOME"
    "damage_$1" "$VRIFT_HOME/store.img"
    sum=$(sha256sum <"$VRIFT_HOME/store.img")
    refuses 3 store.img "$2" vrift_in "$TREE" run -- true
    refuses 3 store.img "$2, ls" vrift_in "$TREE" ls .
    is "$(sha256sum <"$VRIFT_HOME/store.img")" "$sum" "$2: the store is left as it is"
    VRIFT_HOME=$T/home
}
damage_truncated() { truncate -s 5000 "$1"; }
damage_empty() { truncate -s 0 "$1"; }
# Both superblocks (blocks 0 and 16, docs/spec/store.md) say version 2, with the CRC32 of that: the one in gzip's trailer.
damage_newer() {
    block=$1.block
    for at in 0 16; do
        dd if="$1" of="$block" bs=4096 skip=$at count=1 2>/dev/null
        printf '\002' | dd of="$block" bs=1 seek=8 conv=notrunc 2>/dev/null
        head -c 4092 "$block" | gzip -c | tail -c 8 | head -c 4 | dd of="$block" bs=1 seek=4092 conv=notrunc 2>/dev/null
        dd if="$block" of="$1" bs=4096 seek=$at conv=notrunc 2>/dev/null
    done
    rm "$block"
}
damage_foreign() { head -c 1000000 /dev/urandom >"$1"; }

phases() {
    in_view commands_inside
    commands
    if native; then ok "errors of vrift's own commands # SKIP native mode has no vrift"; return; fi
    ingests
    homes
    check 'the daemon stops' "$VRIFT" daemon stop
    damaged truncated 'a truncated store'
    damaged empty 'an empty store'
    damaged foreign 'a store of random bytes'
    damaged newer 'a store from a newer version'
    is "$(vrift_in "$TREE" cat file)" data 'the sound store still serves'
}
commands_inside() { exits 126 'not executable, from a shell in the view' sh -c './not_executable 2>/dev/null'; }
main

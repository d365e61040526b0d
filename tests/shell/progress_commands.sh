#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: ingest, sync and export say how far they are, in plain lines or in one line of a terminal of 20 columns, and nothing
# with --quiet; Ctrl-C in the middle of each says what is kept, and the same command does the rest. What a command reports is
# the same in a terminal of 20 columns as anywhere.
. "${0%/*}/lib.sh"
. "${0%/*}/terminal.sh"

tree() { mkdir dir && for number in 1 2 3 4 5 6 7 8 9; do echo "real $number" >dir/$number; done; }
checks() { mkdir out && for number in 1 2 3 4 5 6 7 8 9; do echo "made $number" >out/$number; done; }
is_paused() { [ -e "$T/$paused" ]; }
# begin STEP COMMAND...: starts it and waits until it is in the middle; its process is $pid
begin() {
    echo "pause $1" >"$T/die"
    paused=die.$(echo "$1" | tr ' ' -)
    shift
    (cd "$VIEW" && exec "$@") >"$T/out" 2>"$T/err" &
    pid=$!
    until_true is_paused
    is_paused || not_ok "in the middle of $*"
}
# From half a second on there is progress to be shown.
goes_on() { sleep 0.7 && rm "$T/$paused"; }

# each NAME STEP KEPT COMMAND...: what a command says of itself, however it is looked at
each() {
    name=$1 step=$2 kept=$3
    shift 3
    prepare
    begin "$step" "$VRIFT" "$@"
    goes_on
    exits 0 "$name: takes its time" wait $pid
    check "$name: says how far it is" grep -q "^vrift: ${step#export }: [0-9]* .*files, " "$T/err"
    prepare
    begin "$step" "$VRIFT" --quiet "$@"
    goes_on
    exits 0 "$name: a quiet one" wait $pid
    is "$(cat "$T/err")" '' "$name: says nothing"
    prepare
    echo "pause $step" >"$T/die"
    in_terminal 20 "$VRIFT" "$@" &
    pid=$!
    until_true is_paused
    goes_on
    exits 0 "$name: in a terminal of 20 columns" wait $pid
    check "$name: draws lines that fit: $(widest "${step#export }")" [ "$(widest "${step#export }: " | cut -d ' ' -f 1)" -eq 20 ]
    prepare
    begin "$step" "$VRIFT" "$@"
    until_true minds $pid
    kill -INT $pid
    exits 130 "$name: Ctrl-C" wait $pid
    is "$(cat "$T/err")" "vrift: interrupted: $kept" "$name: says what is kept"
    rm "$T/$paused"
    exits 0 "$name: the same again" env -C "$VIEW" "$VRIFT" "$@" >"$T/out" 2>"$T/err"
}
said() { (cd "$VIEW" && "$VRIFT" "$@") >"$T/said" 2>"$T/err"; }

phases() {
    in_view checks
    if native; then ok 'progress # SKIP there is none without vrift'; return; fi
    export VIEW T
    "$VRIFT" daemon stop
    VRIFT_TEST_DIE=$T/die && export VRIFT_TEST_DIE
    whole='a directory is taken in as a whole or not at all; vrift status tells'

    mkdir "$T/new" && for number in 1 2 3 4 5 6 7 8 9; do echo "new $number" >"$T/new/$number"; done
    prepare() { "$VRIFT" rm new >"$T/out" 2>&1; }
    each ingest reading "$whole" ingest "$T/new"
    is "$("$VRIFT" cat -w new 1 9 | tr '\n' ' ')" 'new 1 new 9 ' 'ingest: all is there'

    prepare() { echo "changed $((changes += 1))" >"$T/new/5"; }
    changes=0
    each sync reading "$whole" sync --all -w new
    is "$("$VRIFT" cat -w new 5)" "changed $changes" 'sync: the change is there'

    prepare() { rm -rf "$T/export"; }
    each export 'export writing' 'every file that was written is complete; the same command writes the rest' \
        export --to "$T/export"
    is "$(cat "$T/export/out/1" "$T/export/out/9" | tr '\n' ' ')" 'made 1 made 9 ' 'export: all is there'
    prepare
    echo 'export writing 5' >"$T/die"
    exits 0 'an export during which the daemon dies' said export --to "$T/export"
    check 'it died' [ ! -e "$T/die" ]
    exits 0 'the same again' said export --to "$T/export"
    is "$(cat "$T"/export/out/* | wc -l) $(find "$T/export" -name '.vrift*' | wc -l)" '9 0' 'all is there, and nothing beside'

    # What has no stages says that it is waited for, on a terminal.
    echo 'pause asked Snapshot' >"$T/die"
    paused=die.asked-Snapshot
    in_terminal 20 "$VRIFT" snapshot -m waited &
    pid=$!
    until_true is_paused
    goes_on
    exits 0 'a snapshot that takes its time' wait $pid
    check "says that it is waited for: $(widest 'waiting: ')" [ "$(widest 'waiting: ' | cut -d ' ' -f 1)" -gt 10 ]
    begin 'asked Snapshot' "$VRIFT" snapshot -m piped
    goes_on
    exits 0 'without a terminal' wait $pid
    is "$(cat "$T/err")" '' 'nothing is said'
    exits 0 'a snapshot' said snapshot -m 'a text that is longer than the terminal is wide'
    exits 0 'a fork' said fork tree 'a-fork-whose-name-is-longer-than-that'
    exits 0 'a run' said run -q -- sh -c 'echo a command that is longer than that >out/made'
    for command in status log diff 'history 1' history stats ls tree doctor 'daemon status' 'config show'; do
        said $command
        code=$?
        in_terminal 20 "$VRIFT" $command
        is $? $code "$command: the same exit code in a terminal of 20 columns"
        python3 -c 'import re, sys
text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", open(sys.argv[1], "rb").read()).replace(b"\r\n", b"\n")
numbers = lambda text: re.sub(rb"[0-9.]+", b"0", text)
sys.exit(numbers(text) != numbers(open(sys.argv[2], "rb").read() + open(sys.argv[3], "rb").read()))' "$T/drawn" "$T/said" "$T/err"
        is $? 0 "$command: the same text"
    done
    for command in 'ingest .' sync 'export out/1 --to '"$T/export" 'snapshot -m two' 'fork tree quiet' rollback 'rm quiet' gc fsck scrub; do
        said --quiet $command
        is "$? $(cat "$T/err")" '0 ' "--quiet $command: nothing on stderr"
    done
    unset VRIFT_TEST_DIE
}
main

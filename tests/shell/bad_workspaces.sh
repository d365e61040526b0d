#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: bad input to the commands for workspaces is named in at most three lines, with the exit code that the contract says,
# and changes nothing: names that are taken or not there, paths outside, targets that cannot be written, workspaces in use, a
# real directory that vanished or became a file, two take-ins at once.
. "${0%/*}/lib.sh"

tree() { echo data >file && mkdir dir && echo more >dir/inner; }
checks() { echo made >made; }
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
state() { (cd "$VIEW" && "$VRIFT" daemon status --json | sed -n "/\"workspaces\"/,\$p" && "$VRIFT" log && "$VRIFT" tree .); }

# refuses CODE NAMED WHAT COMMAND...
refuses() {
    code=$1 named=$2 what=$3
    shift 3
    state >"$T/before"
    exits "$code" "$what: exit code $code" "$@" 2>"$T/err" >"$T/out"
    lines=$(wc -l <"$T/err")
    check "$what: one to three lines on stderr ($lines)" [ "$lines" -ge 1 -a "$lines" -le 3 ]
    check "$what: they name $named" grep -qF -- "$named" "$T/err"
    fails "$what: no panic" grep -q panicked "$T/err"
    state >"$T/after"
    check "$what: nothing changed" cmp -s "$T/before" "$T/after"
}

names() {
    exits 0 'a fork' here fork tree taken >"$T/out" 2>&1
    exits 0 'a snapshot' here snapshot -m one >"$T/out" 2>&1
    refuses 2 taken 'a fork of a name that is taken' here fork tree taken
    refuses 2 tree 'a fork of its own name' here fork tree tree
    for bad in '' a/b a@b a:b "$(printf 'a\nb')" "$(printf '%0200d' 0)"; do
        refuses 2 'workspace name' "a fork that cannot be called so" here fork tree "$bad"
    done
    refuses 1 nobody 'a fork of what is not there' here fork nobody new
    refuses 1 77 'a fork of a snapshot that is not there' here fork tree new --from 77
    refuses 1 77 'a rollback to one' here rollback 77
    refuses 1 77 'a diff with one' here diff tree@77
    refuses 1 77 'a look into one' here ls tree@77:
    refuses 1 77 'one to be removed' here rm tree@77
    refuses 1 nobody 'a workspace that is not there' here rm nobody
    refuses 1 nobody 'sync of one' here sync -w nobody
    refuses 1 nobody 'a run in one' here run -w nobody -- true
    refuses 1 "$T/home" 'sync where there is none' env -C "$T/home" "$VRIFT" sync
}

paths() {
    for path in ../file /etc/passwd dir/../../file; do
        refuses 1 "$path" "export of a path outside: $path" here export "$path"
        refuses 1 "$path" "ls of a path outside: $path" here ls "$path"
        refuses 1 "$path" "cat of a path outside: $path" here cat "$path"
    done
    refuses 1 missing 'export of what is not there' here export missing
    mkdir "$T/closed" && chmod 555 "$T/closed"
    refuses 2 "$T/closed" 'export to where nobody may write' here export made --to "$T/closed/sub"
    refuses 1 made 'export into a directory that cannot be written' here export made --to "$T/closed"
    is "$(ls -A "$T/closed")" '' 'and nothing is there'
    refuses 2 "$T/home/store.img" 'export to a file' here export made --to "$T/home/store.img"
}

in_use() {
    mkfifo "$T/go"
    (cd "$VIEW" && exec "$VRIFT" run -q -- sh -c "echo in >inside; read _ <'$T/go'") &
    run=$!
    tries=0
    until here cat inside >/dev/null 2>&1 || [ $((tries += 1)) -gt 200 ]; do sleep 0.05; done
    refuses 1 'in use' 'a workspace in use is removed' here rm tree
    refuses 1 'in use' 'or rolled back' here rollback
    exits 0 'a take-in goes on beside it' here sync >"$T/out" 2>&1
    echo >"$T/go"
    exits 0 'the run ends as it would' wait $run
    is "$(here cat inside)" in 'with what it made'
}

# Two at a time take turns: each ends well, and one of them finds what is new.
at_once() {
    (cd "$TREE" && for number in $(seq 400); do echo "$number" >"dir/$number"; done)
    for number in 1 2 3 4; do
        here sync --json >"$T/sync.$number" 2>&1 &
        eval "pid$number=$!"
    done
    for number in 1 2 3 4; do eval "exits 0 \"take-in $number at the same time\" wait \$pid$number"; done
    is "$(cat "$T"/sync.* | sed -n 's/^ *"added": \([0-9]*\),/\1/p' | awk '{ sum += $1 } END { print sum }')" 400 'each file is taken in once'
    exits 0 'nothing differs' here sync
    is "$(here ls dir | wc -l)" 401 'all are there'
    (cd "$TREE" && rm dir/[0-9]*)
    exits 0 'and gone again' here sync >"$T/out" 2>&1
}

vanished() {
    mkdir "$T/gone" && echo kept >"$T/gone/file"
    exits 0 'another directory' "$VRIFT" ingest "$T/gone" --name gone >"$T/out" 2>&1
    mv "$T/gone" "$T/aside"
    refuses 2 "$T/gone" 'sync of a directory that vanished' "$VRIFT" sync -w gone
    is "$("$VRIFT" cat -w gone file)" kept 'the workspace has what it had'
    exits 0 'and can be used' "$VRIFT" run -q -w gone -- true
    echo 'a file' >"$T/gone"
    refuses 2 "$T/gone" 'sync of a directory that became a file' "$VRIFT" sync -w gone
    refuses 2 "$T/gone" 'ingest of it' "$VRIFT" ingest "$T/gone"
    refuses 2 "$T/gone" 'export to it' "$VRIFT" export -w gone --force
    is "$(cat "$T/gone")" 'a file' 'which stays what it is'
    rm "$T/gone" && mv "$T/aside" "$T/gone"
    echo new >"$T/gone/new"
    exits 0 'when it is there again' "$VRIFT" sync -w gone >"$T/out" 2>&1
    is "$("$VRIFT" cat -w gone new)" new 'it is followed'
}

phases() {
    in_view checks
    if native; then ok 'commands for workspaces # SKIP there are none without vrift'; return; fi
    names
    paths
    in_use
    at_once
    vanished
    manifest "$TREE" >"$T/manifest.before" # what at_once made and removed
}
main

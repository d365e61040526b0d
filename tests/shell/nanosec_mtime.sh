#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: times keep their nanoseconds: those that came with the real tree, those that were set in
# the view, at once and after what was written has been sealed and synced.
. "${0%/*}/lib.sh"

real=981173106.123456789
tree() {
    echo data >file && mkdir d && ln -s file soft
    "$BIN/call" utimens file $real $real
    "$BIN/call" lutimens soft $real 1000000000.000000001
    "$BIN/call" utimens d $real $real
} >/dev/null

checks() {
    expect $real stat file mtime
    expect $real stat d mtime
    expect 1000000000.000000001 lstat soft mtime
    is "$(stat -c %.9Y file)" $real 'stat(1) says the same'
    expect 0 utimens file 7.000000001 1234567890.987654321
    expect 1234567890.987654321 stat file mtime
    echo fresh >set_after_write
    expect 0 utimens set_after_write omit 1111111111.111111111
    expect 1111111111.111111111 stat set_after_write mtime
    cp -p file copy
    expect 1234567890.987654321 stat copy mtime
    mkdir made
    expect 0 utimens made omit 5.000000005
    expect 0 lutimens soft omit 6.000000006
    expect 0 utimens file 8.000000009 omit
    expect 1234567890.987654321 stat file mtime
    expect 8.000000009 stat file atime
    echo old >before_1970
    expect 0 utimens before_1970 omit -1.500000000
    echo far >year_2100
    expect 0 utimens year_2100 omit 4102444800.000000001
    echo now >written && stat -c %.9Y written >"$T/written_at"
    # relatime: the first read after a write counts.
    sleep 0.05 && cat written >"$T/read" && stat -c %.9X written >"$T/read_at"
    stat -c %.9Z file >"$T/changed_at"
    check 'ctime moved when the mtime was set' [ "$(cat "$T/changed_at")" != $real ]
}

later() {
    expect 1234567890.987654321 stat file mtime
    expect 1111111111.111111111 stat set_after_write mtime
    expect 1234567890.987654321 stat copy mtime
    expect 5.000000005 stat made mtime
    expect 6.000000006 lstat soft mtime
    expect -1.500000000 stat before_1970 mtime
    expect 4102444800.000000001 stat year_2100 mtime
    expect "$(cat "$T/written_at")" stat written mtime
    is "$(stat -c %.9X written)" "$(cat "$T/read_at")" 'the time of the last read is kept'
    is "$(stat -c %.9Z file)" "$(cat "$T/changed_at")" 'ctime is kept too'
}
after_sync() { later; }
after_restart() { later; }

sync_view() { native || check 'vrift sync' sh -c 'cd "$1" && "$2" sync' sh "$VIEW" "$VRIFT"; }
phases() {
    in_view checks
    in_view later
    sync_view
    in_view after_sync
    native || check 'the daemon stops and starts' sh -c '"$1" daemon stop && "$1" daemon start' sh "$VRIFT"
    in_view after_restart
}

after() { only_in_view copy set_after_write; }
main

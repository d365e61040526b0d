#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: inotify on directories and files of the view tells what processes of the view do there, as on ext4.
. "${0%/*}/lib.sh"

tree() { mkdir d e && echo old >d/old && echo f >f; }

checks() {
    helper inotify
    timeout 20 inotifywait -q -m -e create,close_write,moved_to,delete --format '%e %f' d >waited 2>&1 &
    wait_pid=$!
    sleep 1
    echo x >d/by_wait && mv d/by_wait d/moved && rm d/moved
    until_has 'DELETE moved' waited
    kill "$wait_pid"
    is "$(tr '\n' ';' <waited)" 'CREATE by_wait;CLOSE_WRITE,CLOSE by_wait;MOVED_TO moved;DELETE moved;' 'inotifywait -m'
}

# until_has TEXT FILE: waits for it.
until_has() { until_true grep -q "$1" "$2"; }

# A watch outlives the daemon.
restarted() {
    mkdir -p kept
    timeout 60 inotifywait -q -m -e create --format '%f' kept >kept.out 2>&1 &
    wait_pid=$!
    sleep 1
    touch kept/one
    until_has one kept.out
    native || kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    touch kept/two
    until_has two kept.out
    kill "$wait_pid"
    is "$(tr '\n' ' ' <kept.out)" 'one two ' 'watches outlive the daemon'
}

phases() {
    in_view checks
    in_view restarted
}
main

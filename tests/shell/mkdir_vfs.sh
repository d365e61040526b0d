#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: mkdir(2) makes directories in the view alone, with the right mode, times, links and errors.
. "${0%/*}/lib.sh"

tree() {
    mkdir d && echo f >file
    ln -s missing dangling && ln -s d to_dir
}

checks() {
    expect EEXIST mkdir d 755
    expect EEXIST mkdir d/ 755
    expect EEXIST mkdir file 755
    expect EEXIST mkdir . 755
    expect EEXIST mkdir dangling 755
    expect EEXIST mkdir to_dir 755
    expect ENOENT mkdir missing/x 755
    expect ENOENT mkdir '' 755
    expect ENOTDIR mkdir file/x 755
    links=$("$BIN/call" stat . nlink)
    umask 027
    expect 0 mkdir masked 777
    expect 40750 stat masked mode
    umask 0
    expect 0 mkdir sticky 1777
    expect 41777 stat sticky mode
    umask 022
    expect 0 mkdir slash/ 755
    expect 40755 stat slash mode
    expect $((links + 3)) stat . nlink
    expect 2 stat masked nlink
    expect "$(id -u):$(id -g)" stat masked owner
    expect 0 mkdir to_dir/through 755
    expect 0 stat d/through
    check 'mkdir -p' mkdir -p p/q/r/s
    check 'mkdir -p again' mkdir -p p/q/r/s
    expect 0 stat "$VIEW/p/q/r/s"
    is "$(ls -A p/q/r/s)" '' 'a new directory is empty'
    is "$(cd p/q/r/s && echo deep >f && cat f)" deep 'and takes files'
    is "$(find . -type d | sort | tr '\n' ' ')" \
        '. ./d ./d/through ./masked ./p ./p/q ./p/q/r ./p/q/r/s ./slash ./sticky ' 'all of them are listed'
}

after() { only_in_view masked sticky slash d/through p/q/r/s p/q/r/s/f; }
main

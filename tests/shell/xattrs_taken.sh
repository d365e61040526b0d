#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: extended attributes of users come in with a file or a directory and with their changes, and go out with an export.
. "${0%/*}/lib.sh"

# set PATH NAME VALUE, and all of a file's as NAME=VALUE, sorted
set_xattr() { /usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())' "$@"; }
xattrs() {
    /usr/bin/python3 -c 'import os, sys
print(*sorted(f"{n}={os.getxattr(sys.argv[1], n).decode()}" for n in os.listxattr(sys.argv[1]) if n.startswith("user.")))' "$1"
}

tree() {
    echo one >one && set_xattr one user.kind text && set_xattr one user.empty ''
    echo two >two && set_xattr two user.kind 'other text'
    echo none >none
    mkdir -p dir/below && set_xattr dir user.kind directory && set_xattr dir/below user.deep yes
    set_xattr . user.root here
}

checks() {
    is "$(xattrs one)" 'user.empty= user.kind=text' 'those of a file that was taken in'
    is "$(xattrs two)" 'user.kind=other text' 'and of another'
    is "$(xattrs none)" '' 'one has none'
    is "$(xattrs dir) $(xattrs dir/below) $(xattrs .)" 'user.kind=directory user.deep=yes user.root=here' 'those of directories'
    mkdir new && set_xattr new user.new dir
    cp -a one copied && is "$(xattrs copied)" 'user.empty= user.kind=text' 'cp -a keeps them'
    echo made >made && set_xattr made user.made here
    echo more >>two && set_xattr two user.kind changed
}

# A directory of its own that changes and is written to.
goes_on() {
    mkdir "$T/second" && cd "$T/second" || return
    echo one >one && set_xattr one user.kind first
    "$VRIFT" run -- sh -c 'echo seen >seen'
    set_xattr one user.kind second && set_xattr one user.more x
    echo late >late && set_xattr late user.late yes
    mkdir later && set_xattr later user.kind new
    "$VRIFT" run -- true
    set_xattr later user.kind newer
    is "$("$VRIFT" run -- /usr/bin/python3 -c 'import os; print(os.getxattr("later", "user.kind"))')" "b'newer'" \
        'a changed one of a directory'
    is "$("$VRIFT" run -- /usr/bin/python3 -c 'import os
print(*[os.getxattr("one", "user.kind"), os.getxattr("one", "user.more"), os.getxattr("late", "user.late")])')" \
        "b'second' b'x' b'yes'" 'changed and new ones of the real directory are taken in'
    "$VRIFT" run -- /usr/bin/python3 -c 'import os
open("out", "w").write("out"); os.setxattr("out", "user.out", b"made")'
    check 'export' "$VRIFT" export
    is "$(xattrs out)" 'user.out=made' 'and exported with the file'
    is "$(xattrs one)" 'user.kind=second user.more=x' 'what was not exported stays'
    cd "$T" || return
}

after() {
    native && return
    (cd "$TREE" && check 'export to another directory' "$VRIFT" export --to "$T/out")
    is "$(xattrs "$T/out/made")" 'user.made=here' 'a new file has its own'
    is "$(xattrs "$T/out/two")" 'user.kind=changed' 'a changed one its new ones'
    is "$(xattrs "$T/out/new")" 'user.new=dir' 'and a new directory'
    is "$(xattrs "$T/out/copied")" 'user.empty= user.kind=text' 'and a copy'
    goes_on
}

if ! (: >"$T/probe" && set_xattr "$T/probe" user.probe x) 2>/dev/null; then
    ok 'extended attributes # SKIP the file system of the test has none'
    ok 'the test ran to its end'
    exit 0
fi
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: Go's tool chain, which has a loader but makes its own system calls, builds in the view what it builds natively.
. "${0%/*}/lib.sh"
export GOCACHE="$T/cache" GOFLAGS=-buildvcs=false GOPATH="$T/go"

tree() {
    printf 'module example.org/hello\n\ngo 1.19\n' >go.mod
    mkdir greet && printf 'package greet\n\nfunc Hello() string { return "hello" }\n' >greet/greet.go
    printf 'package main\n\nimport "example.org/hello/greet"\n\nfunc main() { println(greet.Hello()) }\n' >main.go
}

checks() {
    check 'go build' go build -trimpath -o hello .
    is "$(./hello 2>&1 | tail -n 1)" hello 'what it built runs'
}

after() {
    only_in_view hello
    cp -r "$TREE" "$T/again" && (cd "$T/again" && go build -trimpath -o hello .)
    view_cat hello >"$T/hello"
    check 'the same bytes as natively' cmp "$T/hello" "$T/again/hello"
}

if ! command -v go >/dev/null; then
    ok 'Go builds in the view # SKIP no go on this machine'
    ok 'the test ran to its end'
    exit 0
fi
main

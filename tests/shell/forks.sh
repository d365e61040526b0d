#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a fork has everything of its origin, outputs and times too, so that nothing is built again; each changes for
# itself, at the same path and at the same time; it survives its origin and the daemon; it takes no space of its own.
. "${0%/*}/lib.sh"

tree() {
    mkdir src
    for i in 1 2 3 4; do echo "const char *f$i(void) { return __FILE__; }" >src/f$i.c; done
    printf 'all: out/f1.o out/f2.o out/f3.o out/f4.o\nout/%%.o: src/%%.c; @mkdir -p out; gcc -g -c -o $@ $(CURDIR)/$<; echo $* >>log\n' >Makefile
    head -c 3000000 /dev/urandom >large
}
build() { exits 0 'make' make -s; }
in_fork() { # NAME COMMAND...
    name=$1
    shift
    (cd "$VIEW" && "$VRIFT" run -q -w "$name" -- "$@")
}
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
said() { here "$@" >"$T/said"; }
used() { here gc --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["total_bytes"])'; }

phases() {
    in_view build
    if native; then ok 'forks # SKIP there are none without vrift'; return; fi
    before=$(used)
    exits 0 'a fork' here fork tree one
    exits 0 'and another' here fork tree two
    exits 2 'not twice the same' here fork tree two
    exits 2 'nor a name that is none' here fork tree a/b
    exits 1 'nor from a snapshot that is not there' here fork tree three --from 4
    exits 1 'nor of a workspace that is not there' here fork nobody three
    exits 0 'nothing is to be made' in_fork one make -q
    is "$(in_fork one pwd)" "$VIEW" 'it is seen at the same path'
    is "$(in_fork one stat -c '%i %Y %Z %y' out/f1.o large)" "$(here run -q -- stat -c '%i %Y %Z %y' out/f1.o large)" \
        'numbers and times are the same'
    check "ten forks take little: $(used) of $before" [ "$(used)" -lt $((before + 1000000)) ]

    # Both at once, each past the meeting point only when the other has come there.
    for name in one two; do
        other=$([ $name = one ] && echo two || echo one)
        in_fork $name sh -c "echo 'int $name;' >>src/f3.c; : >$T/here.$name
            until [ -e $T/here.$other ]; do sleep 0.05; done; make -s; cat log | tail -n 1; wc -l <log" >"$T/$name.out" 2>&1 &
    done
    wait
    for name in one two; do
        is "$(cat "$T/$name.out")" 'f3
5' "$name made what it had to"
        is "$(here cat -w $name src/f3.c | tail -n 1)" "int $name;" "$name has its own source"
    done
    is "$(here cat src/f3.c | wc -l)" 1 'the origin has not changed'
    exits 1 'they differ' said diff one two
    is "$(cut -c 1-10 "$T/said")" 'M out/f3.o
M src/f3.c' 'by what was changed in them'
    is "$(in_fork one cat out/f3.o | strings | grep "^$VIEW/src/f3.c\$" | sort -u)" "$VIEW/src/f3.c" 'absolute paths in outputs are those of the origin'
    is "$(cd / && "$VRIFT" run -q -w one --at "$T/elsewhere/x" -- sh -c 'pwd; tail -n 1 $0' "$T/elsewhere/x/src/f3.c")" \
        "$T/elsewhere/x
int one;" 'a fork at another path'
    check 'where nothing was made' [ ! -e "$T/elsewhere" ]

    # The current directory means the origin; a fork does not follow the real directory by itself.
    echo edited >>"$TREE/src/f4.c"
    manifest "$TREE" >"$T/manifest.before" # this was the test itself
    is "$(in_fork one tail -n 1 src/f4.c)" 'const char *f4(void) { return __FILE__; }' 'a fork is not changed from outside'
    is "$(here run -q -- tail -n 1 src/f4.c)" edited 'the origin follows'
    exits 0 'a fork follows when told' said sync -w two
    is "$(in_fork two tail -n 1 src/f4.c)" edited 'then it has it'

    exits 0 'a fork of a fork' said fork one three
    exits 0 'its origin is removed' here rm one
    exits 0 'and the first of all' here rm tree
    exits 0 'garbage is collected' said gc
    pid=$(here daemon status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
    kill -9 "$pid"
    is "$(in_fork three sh -c 'make -q; echo $?; tail -n 1 src/f3.c; cksum <large')" "0
int one;
$(cksum <"$TREE/large")" 'it lives on'
    exits 0 'the store is sound' said fsck
    exits 0 'an orderly end' said daemon stop
    exits 0 'and it is there again' in_fork three make -q
    exits 0 'gone with the rest' here rm three two
    is "$(here daemon status | grep -c ^workspace)" 0 'no workspace is left'
}
main

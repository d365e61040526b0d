#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: two builds in two workspaces at once, with the same file names, do not mix.
. "${0%/*}/lib.sh"

other=$OUTER/'other tree'

project() { # NAME
    cat >Makefile <<END
all: prog; ./prog >output
prog: a.o b.o; gcc -o \$@ \$^
%.o: %.c meet; gcc -c -o \$@ \$<
# Neither build gets past this before the other has come here.
meet:
	: >$T/here.$1
	until test -e $T/here.tree && test -e $T/here.other; do sleep 0.05; done
	: >\$@
END
    echo "const char *name = \"$1\";" >a.c
    printf '#include <stdio.h>\nextern const char *name;\nint main(void) { puts(name); return 0; }\n' >b.c
}
tree() { project tree; }

checks() {
    exits 0 'the first build' make -s
    is "$(cat output)" tree 'it has its own source'
}

counters_moved() {
    moved=0
    for counters in "$XDG_RUNTIME_DIR"/vrift/*/w/*/counters; do
        [ "$(od -An -v -t u8 -j 8 -N 8 "$counters")" -gt 0 ] && moved=$((moved + 1))
    done
    echo $moved
}

phases() {
    mkdir "$other"
    (cd "$other" && project other)
    manifest "$other" >"$T/other.before"
    native || check "ingest of the second" "$VRIFT" ingest "$other"
    (VIEW=$other && vrift_run make -s) >"$T/other.log" 2>&1 &
    second=$!
    in_view checks
    code=0
    wait $second || code=$?
    is $code 0 'the second build'
    [ $code = 0 ] || cat "$T/other.log"
}

after() {
    is "$(VIEW=$other && view_cat output)" other 'it has its own source'
    is "$(view_cat output)" tree 'the first one still has its own'
    only_in_view prog a.o output
    if native; then ok 'the second tree is unchanged # SKIP it is the copy itself'; return; fi
    manifest "$other" | cmp -s - "$T/other.before" && ok 'the second tree is unchanged' || not_ok 'the second tree is unchanged'
    is "$(counters_moved)" 2 'lookups in both views'
}
main

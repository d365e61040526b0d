#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a touched file in the view makes make rebuild what depends on it, and nothing else;
# every call that sets times does so.
. "${0%/*}/lib.sh"

tree() {
    cat >Makefile <<'END'
prog: main.o a.o b.o
	gcc -o $@ $^
main.o: main.c a.h b.h
a.o: a.c a.h
b.o: b.c b.h
%.o: %.c
	gcc -c -o $@ $<
END
    for n in a b; do
        echo "int $n(void);" >$n.h
        printf '#include "%s.h"\nint %s(void) { return 0; }\n' $n $n >$n.c
    done
    printf '#include "a.h"\n#include "b.h"\nint main(void) { return a() + b(); }\n' >main.c
    touch -d 2001-01-01 ./*
}

built() { make | sed -n 's/^gcc .*-o \([^ ]*\).*/\1/p' | sort | tr '\n' ' '; }

checks() {
    is "$(built)" 'a.o b.o main.o prog ' 'the first make builds all'
    exits 0 'make has nothing to do' make -q
    touch a.h
    exits 1 'a touched header makes it stale' make -q
    is "$(built)" 'a.o main.o prog ' 'make rebuilds what depends on it alone'
    exits 0 'and then has nothing to do' make -q
    touch -d 2002-01-01 a.h b.h a.c
    exits 0 'an old time does not make it stale' make -q
    touch -r prog b.c && rm b.o
    is "$(built)" 'b.o prog ' 'a removed object is made again'
    touch -d '1 hour' b.h
    is "$(built 2>/dev/null)" 'b.o main.o prog ' 'a time to come counts as newer'
    touch -d 2002-01-01 b.h
    helper utimes "$VIEW"
}

after() { only_in_view prog a.o b.o main.o; }
main

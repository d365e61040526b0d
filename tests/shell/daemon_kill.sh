#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a build goes on when the daemon is killed (SIGKILL) ten times while it runs: exit code 0
# and the same bytes as a build outside.
. "${0%/*}/lib.sh"

kills=10
gate=$T/gate

# 40 objects. Every fourth one opens a gate and waits until a kill has happened, so that all ten
# fall into one make however fast it is, while its other job compiles on.
tree() {
    cat >Makefile <<'END'
OBJECTS = $(patsubst %.c,%.o,$(wildcard part*.c)) main.o
prog: $(OBJECTS)
	$(CC) -o $@ $^
	./$@ >output
%.o: %.c parts.h
	if grep -q GATE $< && test -n "$(GATE)"; then n=$$(sed -n 's/.*GATE //p' $<); : >$(GATE)/ask.$$n; \
	until test -e $(GATE)/done.$$n; do sleep 0.05; done; fi
	$(CC) -O1 -c -o $@.tmp $< && mv $@.tmp $@
END
    : >parts.h
    { printf '#include <stdio.h>\n#include "parts.h"\nint main(void) { int sum = 0;\n'
      for i in $(seq 40); do echo "sum += part$i($i);"; done
      printf '%s\n' 'printf("%d\n", sum); return 0; }'; } >main.c
    for i in $(seq 40); do
        echo "int part$i(int x);" >>parts.h
        { [ $((i % 4)) -ne 0 ] || echo "// GATE $((i / 4))"
          printf '#include "parts.h"\nint part%d(int x) { return x * %d + 1; }\n' $i $i; } >part$i.c
    done
}

daemon_pid() { "$VRIFT" daemon status --json 2>/dev/null | sed -n 's/.*"pid" *: *\([0-9][0-9]*\).*/\1/p'; }

# Kills a daemon that has not been killed before; whoever needs one next must start it.
kill_daemon() {
    native && return
    until pid=$(daemon_pid) && [ "$pid" ] && [ "$pid" != "$last_pid" ] && [ "$(cat "/proc/$pid/comm")" = vriftd ]; do
        sleep 0.05
    done
    kill -KILL "$pid"
    last_pid=$pid
}

killer() {
    last_pid=''
    while [ "$(ls "$gate" | grep -c done)" -lt $kills ]; do
        for ask in "$gate"/ask.*; do # in whatever order make comes to them
            n=${ask##*.}
            [ -e "$ask" ] && [ ! -e "$gate/done.$n" ] || continue
            kill_daemon
            echo "$last_pid" >>"$gate/killed"
            : >"$gate/done.$n"
        done
        sleep 0.05
    done
}

build() { exits 0 'make -j2 succeeds' make -s -j2 GATE="$gate"; }
again() { exits 0 'make has nothing left to do' make -q; }

phases() {
    mkdir "$gate"
    cp -a "$TREE" "$T/outside"
    check 'the build outside' make -s -j2 -C "$T/outside"
    killer &
    killer_pid=$!
    in_view build
    # A build that failed early opens no more gates.
    [ "$(ls "$gate" | grep -c done)" -eq $kills ] || kill $killer_pid
    wait $killer_pid
    is "$(wc -l <"$gate/killed")" $kills "$kills kills while make ran"
    native || is "$(sort -u "$gate/killed" | wc -l)" $kills 'each of another daemon'
    in_view again
}

after() {
    for f in main.o prog output $(cd "$TREE" && echo part*.c | sed 's/\.c/.o/g'); do
        view_cat "$f" | cmp -s - "$T/outside/$f" || { not_ok "same bytes as outside: $f"; return; }
    done
    ok 'every object and the program have the same bytes as outside'
    only_in_view prog output part40.o
}
main

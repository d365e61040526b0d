#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a snapshot is the whole tree, bytes, times, numbers and links, and going back to it brings exactly that back,
# also after the daemon was killed and started anew; what was there before is kept; damage and collection spare it.
. "${0%/*}/lib.sh"

tree() {
    mkdir -p src/deep/deeper include
    for i in 1 2 3; do echo "int f$i(void) { return $i; }" >src/f$i.c; done
    printf 'OBJECTS = out/f1.o out/f2.o out/f3.o\nall: out/lib.a\nout/lib.a: $(OBJECTS); ar rcs $@ $(OBJECTS)\nout/%%.o: src/%%.c; @mkdir -p out; gcc -c -o $@ $<; echo built >>log\n' >Makefile
    ln -s deep/deeper src/link
    ln src/f1.c include/hard
    chmod 751 src/deep
    touch -d '2001-02-03 04:05:06.789' include/old
}

xattr() { python3 -c "import os; print(os.$1)"; }
build() {
    exits 0 'make' make -s
    mkfifo out/fifo
    xattr 'setxattr("src/f2.c", "user.note", b"one")'
    chmod 4711 out/f1.o
    sleep 60 >being-written & # has it open until the end
    echo $! >"$T/writer"
    until [ -e being-written ]; do sleep 0.05; done
    printf 'so far' >being-written
}
look() { manifest "$VIEW" >"$T/looked"; xattr 'listxattr("src/f2.c"), os.listxattr("src/f3.c")' >>"$T/looked"; }
upset() {
    # Every kind of change, hard links and directories that take each other's place among them.
    rm -r out && mkdir out && echo other >out/f1.o
    mv src/deep moved && mkdir -p src/deep/deeper && mv moved src/deep/deeper/moved
    ln src/f3.c src/f3-too && rm src/f1.c
    xattr 'removexattr("src/f2.c", "user.note")' && xattr 'setxattr("src/f3.c", "user.more", b"two")'
    echo more >>src/f2.c && chmod 600 src/f2.c
    mv include/old include/new && ln -sf elsewhere src/link
    i=0
    while [ $i -lt 300 ]; do echo $i >"src/many-$i"; i=$((i + 1)); done
    rm being-written
    mv src/f3.c x && mv src/f3-too src/f3.c && mv x src/f3-too
}
rebuild() {
    make -s -q && ok 'nothing is to be made' || not_ok 'nothing is to be made'
    is "$(wc -l <log)" 3 'each file was compiled once'
}
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
said() { here "$@" >"$T/said"; }
# same_as FILE WHAT: the view is what it was when FILE was written.
same_as() {
    rm -f "$T/looked"
    in_view look
    rm -f "$T/found" "$T/wanted"
    grep -zav '/\.made-by-\|^d [^/]*\.$' "$T/looked" >"$T/found"
    grep -zav '/\.made-by-\|^d [^/]*\.$' "$1" >"$T/wanted"
    if cmp -s "$T/found" "$T/wanted"; then ok "$2"; else
        not_ok "$2"
        tr '\0' '\n' <"$T/found" >"$T/f" && tr '\0' '\n' <"$T/wanted" | diff - "$T/f" | head -20
    fi
}

phases() {
    in_view build
    in_view look
    cp "$T/looked" "$T/one"
    if native; then ok 'snapshots # SKIP there are none without vrift'; kill "$(cat "$T/writer")"; return; fi
    exits 1 'no snapshot to go back to' here rollback
    exits 0 'a snapshot' here snapshot -m 'after the build'
    is "$(here cat @1:being-written)" 'so far' 'what is being written is in it as far as it was'
    kill "$(cat "$T/writer")"
    check 'nothing changed since' grep -q 'nothing changed since snapshot 1' <<-END
	$(here status)
	END
    in_view upset
    in_view look
    cp "$T/looked" "$T/two"
    exits 0 'another' said snapshot --json
    is "$(python3 -c 'import json, sys; row = json.load(open(sys.argv[1])); print(row["number"], row["current"])' "$T/said")" '2 True' 'its number'
    exits 1 'they differ' said diff 1 2
    check 'an added file' grep -q '^A src/many-7 ' "$T/said"
    check 'a changed one' grep -q '^M src/f2.c ' "$T/said"
    check 'a deleted one' grep -q '^D out/lib.a' "$T/said"
    exits 0 'a snapshot is like itself' here diff @2 tree@2
    is "$(here ls tree@1:include)" 'hard
old' 'a listing of a snapshot'
    is "$(here cat tree@1:src/f1.c)" 'int f1(void) { return 1; }' 'a file of a snapshot that is gone now'
    exits 0 'a directory of a snapshot, by a symlink' said ls @1:src/link
    check 'what a symlink is' grep -q 'target *deep/deeper' <<-END
	$(here stat @1:src/link)
	END
    exits 1 'no such snapshot' here ls @7:
    exits 0 'back to the first' here rollback 1
    same_as "$T/one" 'all is as it was'
    in_view rebuild
    pid=$(here daemon status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])')
    kill -9 "$pid"
    same_as "$T/one" 'also after the daemon was killed'
    exits 0 'garbage is collected' said gc
    exits 0 'forward to the second' here rollback 2
    same_as "$T/two" 'all is as it was then'
    exits 0 'the daemon is ended' said daemon stop
    same_as "$T/two" 'also after an orderly end'
    exits 0 'the store is sound' said fsck
    (cd "$VIEW" && "$VRIFT" run -q -- sh -c ": >$T/running; until [ -e $T/go ]; do sleep 0.05; done") &
    until [ -e "$T/running" ]; do sleep 0.05; done
    exits 1 'not while a run is under way' here rollback 1
    exits 1 'nor is it removed then' here rm tree
    : >"$T/go"
    wait $!
    exits 0 'a snapshot is removed' here rm tree@1
    exits 1 'and gone' here ls @1:
    check 'the others stay' grep -q '^.* 2 ' <<-END
	$(here log)
	END
    exits 0 'collected again' said gc
    exits 0 'sound still' said fsck
    in_view look
}
main

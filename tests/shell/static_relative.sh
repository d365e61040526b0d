#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: statically linked programs read and write the workspace by relative paths, and never the real tree; what
# they did is seen by the next program.
. "${0%/*}/lib.sh"

tree() {
    echo one >one && echo two >two && echo three >three && echo x >'odd name'
    mkdir -p src/deep empty && echo deep >src/deep/file && ln -s one soft && ln two hard
    chmod 640 three && touch -d '2001-02-03 04:05:06.123456789' three
    mkdir locked && echo kept >locked/file && chmod 555 locked
}

reads() {
    is "$(busybox cat one)" one 'reads a file of the tree'
    is "$(cd src && busybox cat deep/file ../one)" "deep
one" 'from another directory, and upwards'
    is "$(busybox cat soft)" one 'through a symlink'
    is "$(busybox stat -c '%a %h %Y' three)" "640 1 $(stat -c %Y three)" 'mode, links and time'
    is "$(busybox stat -c %h hard)" 2 'hard links'
    echo changed >one && is "$(busybox cat one)" changed 'sees what was written a moment before'
    rm two && fails 'and what was removed' busybox cat two 2>/dev/null
    is "$(busybox cat hard)" two 'the other name is still there'
    mv src moved && is "$(busybox cat moved/deep/file)" deep 'and what was renamed'
    chmod 600 hard && is "$(busybox stat -c %a hard)" 600 'and a mode'
    touch -d '2003-02-03 04:05:06.5' hard && is "$(busybox stat -c %Y hard)" "$(stat -c %Y hard)" 'and a time'
    is "$(busybox ls -A)" "$(ls -A)" 'the same names'
}

writes() {
    busybox sh -c 'echo new >new; echo more >>one; mkdir -p made/below; echo in >made/below/in; rm -r moved
        mv three renamed; ln -s new link; ln new other; chmod 711 new; cp -p renamed copy; rmdir empty'
    is "$(cat new)" new 'a new file'
    is "$(cat one)" "changed
more" 'an appended one'
    is "$(cat made/below/in)" in 'one in new directories'
    fails 'a removed directory' [ -e moved ]
    fails 'a removed empty one' [ -e empty ]
    fails 'the old name of a renamed one' [ -e three ]
    is "$(cat renamed)" three 'its new name'
    is "$(stat -c '%a %y' renamed | cut -c1-33)" "640 2001-02-03 04:05:06.123456789" 'with mode and time to the ns'
    is "$(readlink link)" new 'a symlink'
    is "$(stat -c '%h %a' other)" '2 711' 'a hard link and a mode'
    is "$(stat -c %Y copy)" "$(stat -c %Y renamed)" 'a kept time (busybox keeps seconds)'
    busybox touch -d '2005-06-07 08:09:10' copy && is "$(stat -c %Y copy)" "$(busybox stat -c %Y copy)" 'a time that was set'
    busybox sed -i s/new/newer/ new && is "$(cat new)" newer 'replaced in place'
    cp hard twin && "$BIN/static_calls" patch twin TW
    is "$(cat twin) $(cat hard)" 'TWo two' 'written in place: files of equal bytes stay apart'
    chmod 400 hard && cp -p hard twin2 && busybox chmod 644 twin2 && is "$(stat -c %a hard)" 400 'and so do their modes'
    "$BIN/static_calls" write 'odd name' odd && is "$(cat 'odd name')" odd 'a blank in the name'
    is "$(busybox cat locked/file)" kept 'a directory that may not be written'
    exits 1 'it refuses to be written' "$BIN/static_calls" write locked/new x 2>/dev/null
    busybox chmod 755 locked && busybox sh -c 'echo y >locked/new' && is "$(cat locked/new)" y 'until it may'
}

starts() {
    printf 'all: out\nout: one\n\tbusybox sort one >out\n\tbusybox cp out out2\n\tcat out2 >out3\n' >Makefile
    make -s && is "$(cat out3)" "$(sort one)" 'make starts one, and goes on with what it made'
    is "$(echo piped | busybox tr a-z A-Z | busybox cat)" PIPED 'in a pipe'
    is "$(env -i "$(command -v busybox)" cat one | head -n 1)" changed 'with an empty environment'
    is "$(echo one | xargs busybox cat | head -n 1)" changed 'by xargs'
    is "$(python3 -c 'import subprocess; print(subprocess.check_output(["busybox", "cat", "new"]).decode(), end="")')" newer 'by vfork or posix_spawn'
    is "$(nice busybox cat new)" newer 'by execvp'
    cp "$BIN/static_calls" tool && is "$(./tool cat new)" newer 'one that is in the view itself'
    is "$("$VIEW/tool" cat new)" newer 'by its absolute path'
    printf '#!%s sh\necho script; cat new\n' "$(command -v busybox)" >script && chmod +x script
    is "$(./script)" "script
newer" 'a script with a static interpreter'
    exits 7 'its exit code' busybox sh -c 'exit 7'
    exits 126 'one that must not be executed' sh -c 'chmod -x tool; ./tool cat new 2>/dev/null'
    exits 143 'its signal' sh -c 'busybox sh -c "kill -TERM \$\$"; exit $?' 2>/dev/null
    exits 137 'a kill' sh -c '"$0" raise 9; exit $?' "$BIN/static_calls" 2>/dev/null
    is "$(bash -c 'exec -a other busybox true' 2>&1)" 'other: applet not found' 'its argv[0]'
    is "$(cd /tmp && busybox pwd)" /tmp 'outside the view it stays outside'
}

children() {
    busybox sh -c 'echo from static >seen; cat seen; /bin/sh -c "cat seen; echo from dynamic >back"; cat back' >out4
    is "$(cat out4)" "from static
from static
from dynamic" 'what it starts sees what it wrote, and the other way round'
    is "$(cat back)" 'from dynamic' 'and all of it is taken in'
    "$BIN/static_calls" run make -s -f - <<'END'
all:
	echo made by make >by_make
END
    is "$(cat by_make)" 'made by make' 'a static program that starts make'
}

checks() {
    reads
    writes
    starts
    children
}

after() {
    only_in_view new made/below/in out3 back by_make
    gone_in_view_only two three empty
    is "$(cat "$TREE/one")" one 'the real file is as it was'
}
main

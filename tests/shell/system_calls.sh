#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a process that touches no path of the view makes at most six system calls more than without the library (one or two
# more for each folder outside that is not one of the system's), and one that only reads metadata asks the daemon nothing.
. "${0%/*}/lib.sh"

tree() { mkdir dir && echo data >dir/file && ln -s dir/file link && echo more >other; }

works() { echo made >made && is "$(cat dir/file)" data 'the view works'; }

# Which pages of memory share a place in a table of the library depends on where they are; where that cannot be fixed, a call
# more or less.
fixed=$(setarch -R echo setarch -R 2>/dev/null)

# calls FILE COMMAND...: system calls from the first after execve on
calls() {
    $fixed strace -o "$@" >/dev/null && grep -c '^[a-z]' "$1"
}

# outside COMMAND MAX: at most so many more for a command that has nothing to do with the view
outside() {
    without=$(calls "$T/without" $1)
    with=$(calls "$T/with" -E "LD_PRELOAD=$preload" -E VRIFT_SAMPLE=0 $1)
    check "$1: at most $2 more: $without without, $with with" [ $((with - without)) -le "$2" ]
}

phases() {
    in_view works
    if native; then ok "system calls # SKIP native mode has no shim"; return; fi
    without=$(calls "$T/without" /bin/true)
    eval "$(cd "$TREE" && "$VRIFT" env)"
    mkdir "$T/outside" && for n in 1 2 3 4 5 6 7 8; do mkdir "$T/outside/$n" && : >"$T/outside/$n/file"; done
    preload=$LD_PRELOAD
    unset LD_PRELOAD
    with=$(calls "$T/with" -E "LD_PRELOAD=$preload" -E VRIFT_SAMPLE=0 /bin/true)
    sampled=$(calls "$T/sampled" -E "LD_PRELOAD=$preload" -E VRIFT_SAMPLE=1 /bin/true)
    looked_at=$(calls "$T/looked_at" -E "LD_PRELOAD=$preload" -E VRIFT_SAMPLE=1 "$BIN/own_calls" nothing)
    not_looked_at=$(calls "$T/looked_at" "$BIN/own_calls" nothing)
    check "the library is loaded" grep -q libvrift_shim.so "$T/with"
    check "at most six more: $without without, $with with" [ $((with - without)) -le 6 ]
    is "$sampled" "$with" 'no more in the sample, as the program has no system calls of its own'
    check "three more where it has: $not_looked_at without, $looked_at with" [ $((looked_at - not_looked_at)) -le 9 ]

    # In a run a process enters itself in the roll of its processes.
    for command in 'cat dir/file' 'ls -l' 'sh -c :'; do
        without=$(cd "$TREE" && calls "$T/without" -E "LD_PRELOAD=$preload" -E VRIFT_SAMPLE=0 $command)
        taken=$(counter 6)
        with=$(cd "$TREE" && calls "$T/with" -E "LD_PRELOAD=$preload" -E VRIFT_SAMPLE=0 -E VRIFT_RUN=1 $command)
        is "$(counter 6)" $((taken + 1)) "$command: entered itself"
        is "$with" $((without + 4)) 'with four system calls, getpid and clock_gettime at either end'
    done

    for command in 'cat /etc/hostname' 'head -n 1 /etc/passwd' 'wc /etc/passwd' 'sort /etc/passwd' 'test -f /usr/bin/env' \
        'readlink /etc/mtab' 'date -r /etc/passwd'; do
        outside "$command" 6
    done
    # Where the folders lead, and what a tree walk's directories are, is asked once for each.
    outside "cat $T/outside/1/file" 20
    outside "cat $T/outside/1/file $T/outside/1/file $T/outside/1/file" 22
    outside "du $T/outside" 60
    outside "tar cf /dev/null -C $T outside" 70

    cd "$TREE"
    for command in 'stat dir/file other link' 'ls -lR .' 'find . -newer other' 'du -a .' 'readlink link' \
        'realpath link' 'test -x dir/file' 'stat missing'; do
        # The first time, du and find ask for a real folder of each directory that they change into.
        env LD_PRELOAD="$preload" $command >/dev/null 2>&1
        lookups=$(counter 1) requests=$(counter 3)
        env LD_PRELOAD="$preload" $command >/dev/null 2>&1
        check "$command: asked the index" [ "$(counter 1)" -gt "$lookups" ]
        is "$(counter 3)" "$requests" "$command: no request"
    done
    cd "$T"
}
main

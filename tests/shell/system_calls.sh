#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a process that touches no path makes at most six system calls more than without the library, and
# one that only reads metadata asks the daemon nothing.
. "${0%/*}/lib.sh"

tree() { mkdir dir && echo data >dir/file && ln -s dir/file link && echo more >other; }

works() { echo made >made && is "$(cat dir/file)" data 'the view works'; }

# calls FILE COMMAND...: system calls from the first after execve on
calls() {
    strace -o "$@" >/dev/null && grep -c '^[a-z]' "$1"
}

phases() {
    in_view works
    if native; then ok "system calls # SKIP native mode has no shim"; return; fi
    without=$(calls "$T/without" /bin/true)
    eval "$(cd "$TREE" && "$VRIFT" env)"
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

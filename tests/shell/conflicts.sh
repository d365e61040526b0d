#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what both sides changed is named and left alone, again and again, until somebody says whose change stands; then
# that side's is there, whole directories included, and it is named no more.
. "${0%/*}/lib.sh"

tree() {
    for name in changed gone-here gone-there same; do echo old >$name; done
    mkdir dir kept && echo old >dir/file && echo old >kept/file
}
ours() {
    echo ours >changed
    rm gone-here
    echo ours >gone-there
    echo both >same
    rm -r dir && echo ours >dir
    mkdir new && echo ours >new/a
    echo ours >made
    rm -r kept
}
theirs() {
    cd "$TREE" && echo theirs >changed && echo theirs >gone-here && rm gone-there && echo both >same &&
        echo theirs >dir/file && echo theirs >dir/more && echo theirs >new && mkdir made && echo theirs >made/inside &&
        echo theirs >kept/file
}
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
said() { here "$@" >"$T/said" 2>&1; }
named() { sed -n 's/^vrift: changed on both sides[^:]*: \([^:]*\):.*/\1/p' "$T/said" | sort | tr '\n' ' '; }
conflicts='changed dir dir/file dir/more gone-here gone-there kept/file made new '

phases() {
    in_view ours
    if native; then ok 'take-in # SKIP there is none without vrift'; return; fi
    (theirs)
    manifest "$TREE" >"$T/manifest.before" # the other side of this test
    exits 0 'a fork for each side' said fork tree theirs
    exits 1 'both changed something' said sync
    conflicts=$(named)
    check "what is named: $conflicts" [ "$(echo $conflicts | wc -w)" -ge 6 ]
    check 'and how to settle it' grep -q 'sync --ours' "$T/said"
    is "$(here cat changed)" ours 'the workspace has its own'
    exits 0 'a run goes on' said run -- true
    is "$(named)" "$conflicts" 'and names the same'
    exits 0 'settled for the workspace' said sync --ours
    check 'it says so' grep -q 'settled for the workspace' "$T/said"
    is "$(here cat changed gone-there dir new/a made | tr '\n' ' ')" 'ours ours ours ours ours ' 'its files stand'
    exits 1 'what it removed stays so' said stat gone-here
    exits 0 'nothing is left' said sync
    is "$(named)" '' 'to name'

    exits 1 'the fork still has them' said sync -w theirs
    exits 0 'settled for the real directory' said sync -w theirs --theirs
    is "$(here cat -w theirs changed gone-here dir/file dir/more new made/inside kept/file | tr '\n' ' ')" \
        'theirs theirs theirs theirs theirs theirs theirs ' 'its files are there'
    exits 1 'what was removed there is gone' said stat -w theirs gone-there
    exits 0 'nothing is left' said sync -w theirs
    is "$(cd "$VIEW" && "$VRIFT" run -q -w theirs -- find . ! -name '.made-by*' | sort | tr '\n' ' ')" \
        "$(cd "$TREE" && find . | sort | tr '\n' ' ')" 'the fork is like the real directory'
    exits 2 'both are not to be had' said sync --ours --theirs
}
main

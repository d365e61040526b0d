#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: export brings out bytes, modes, times, symlinks and hard links as the view has them; everything that stands in its way
# is named before anything is written, and nothing is; --force writes it.
. "${0%/*}/lib.sh"

tree() {
    mkdir dir gone && echo old >dir/changed && echo old >dir/other && echo old >gone/file && echo old >removed && echo same >same
    touch -d '2001-02-03 04:05:06.123456789' dir/other
}
makes() {
    echo new >dir/changed && chmod 640 dir/changed && touch -d '2002-03-04 05:06:07.987654321' dir/changed
    mkdir -p made/deep && echo made >made/deep/file && chmod 4711 made/deep/file && chmod 700 made/deep
    ln made/deep/file made/twin && ln -s deep/file made/link && ln -s /nowhere made/dangling
    : >made/empty && chmod 000 made/empty
    touch -h -d '2003-04-05 06:07:08.111222333' made/link
    touch -d '2004-05-06 07:08:09.444555666' made/deep
    rm -r gone removed
}
# What is to be the same, of everything but the directories whose times the export itself changes.
as_it_is() { find made dir/changed dir/other ! -path made ! -name '.made-by*' -printf '%p %y %m %n %s %T@ %l\n' | sort; }
inside() { makes && as_it_is >"$T/inside"; }
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
said() { here "$@" >"$T/said" 2>"$T/err"; }
state() { (cd "$TREE" && find . -printf '%p %y %m %n %s %T@ %l\n' | sort && find . -type f -readable -exec sha256sum {} + | sort); }
named() { sed -n 's/^vrift: changed on disk: \([^:]*\):.*/\1/p' "$T/err" | sort | tr '\n' ' '; }

phases() {
    in_view inside
    if native; then ok 'export # SKIP there is none without vrift'; return; fi
    exits 0 'what the test left' said run -q -- rm -f .made-by-inside
    # On disk: a changed file, a file in the place of a directory, a file that the view removed, one that both made.
    echo disk >"$TREE/dir/changed" && echo disk >"$TREE/removed"
    mkdir "$TREE/made" "$TREE/made/link" && echo disk >"$TREE/made/deep"
    state >"$T/before"
    exits 1 'an export with conflicts' said export
    is "$(named)" 'dir/changed made/deep made/link removed ' 'all are named'
    check 'and that nothing was written' grep -q 'nothing was written; --force overwrites them' "$T/err"
    state >"$T/after"
    check 'nothing was' cmp "$T/before" "$T/after"
    exits 0 'a part without them' said export dir/other gone
    check 'is written' [ ! -e "$TREE/gone" ]
    rmdir "$TREE/made/link"
    exits 0 'with --force all is' said export --force
    is "$(cd "$TREE" && as_it_is)" "$(cat "$T/inside")" 'kinds, modes, links, sizes and times are those of the view'
    is "$(cd "$TREE" && cat dir/changed made/deep/file made/twin | tr '\n' ' ')" 'new made made ' 'and bytes'
    is "$(cd "$TREE" && ls | tr '\n' ' ')" 'dir made same ' 'what the view removed is gone'
    is "$(stat -c %i "$TREE/made/twin")" "$(stat -c %i "$TREE/made/deep/file")" 'hard links are hard links'
    exits 0 'again' said export
    is "$(sed 's/ written.*, 0 deleted.*//' "$T/said")" '0 entries' 'there is nothing left to do'
    exits 0 'no difference' said diff
    exits 0 'to another directory' said export made dir/changed --to "$T/elsewhere"
    is "$(cd "$T/elsewhere" && find made dir/changed ! -path made -printf '%p %y %m %n %s %T@ %l\n' | sort)" \
        "$(grep -v '^dir/other' "$T/inside")" 'it is the same there'
    manifest "$TREE" >"$T/manifest.before" # the export's own work
}
main

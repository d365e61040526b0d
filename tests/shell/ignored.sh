#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what git ignores in a git work tree and what .vriftignore names is left out, and said; what git tracks, what was
# taken in before and everything of .git is there; a tree without git has its .gitignore for nothing (RFC 0013).
. "${0%/*}/lib.sh"

git_in() { git -c user.name=t -c user.email=t@t -c init.defaultBranch=main "$@" >/dev/null 2>&1; }

tree() {
    git_in init . || return 1
    printf 'target/\n*.log\n.env\ngenerated.h\n/vendor/\n' >.gitignore
    printf '!.env\n*.mine\n' >.vriftignore
    mkdir -p target/debug src vendor sub .git/info
    echo 'excluded' >>.git/info/exclude
    echo out >target/debug/out
    echo code >src/main.c && echo old >src/a.log && echo forced >src/tracked.log
    echo '!b.log' >sub/.gitignore && echo kept >sub/b.log && echo gone >sub/c.log
    echo SECRET=1 >.env && echo '#define X' >generated.h
    echo lib >vendor/tracked.c && echo junk >vendor/junk.c
    echo x >excluded
    git_in add -A . && git_in add -f src/tracked.log vendor/tracked.c && git_in commit -m one || return 1
    echo x >my.mine
    # A log of git's own: nothing in .git is ignored.
    echo log >.git/some.log
    mkdir "$T/plain" && echo '*.o' >"$T/plain/.gitignore" && echo o >"$T/plain/a.o"
}

checks() {
    for there in src/main.c src/tracked.log sub/b.log .env vendor/tracked.c .git/some.log .git/index .gitignore; do
        check "there: $there" [ -e $there ]
    done
    if native; then ok 'what is left out # SKIP nothing is without vrift'; return; fi
    for left in target src/a.log sub/c.log generated.h vendor/junk.c my.mine excluded; do
        check "left out: $left" [ ! -e $left ]
    done
    is "$(git status --porcelain)" '' 'git sees a clean tree'
    check 'git has all that it had' git fsck --strict
    mkdir -p target/debug && echo view >target/debug/out || not_ok 'a build can make what is ignored'
}

said() { (cd "$VIEW" && "$VRIFT" "$@") >"$T/said" 2>&1; }

phases() {
    in_view checks
    if native; then ok 'taking in again # SKIP there is none without vrift'; return; fi
    is "$(view_cat target/debug/out)" view "what the view made stays beside the ignored directory"
    exits 1 'an export does not write over what is there' said export target/debug/out
    (cd "$TREE" && mkdir target/new && echo more >target/new/file && echo two >>src/main.c)
    exits 0 'take-in' said sync --json
    check 'it tells what it left out' grep -q '"target"' "$T/said"
    exits 1 'a new file below an ignored directory stays out' said stat target/new
    (cd "$TREE" && printf '!.env\n!generated.h\nsrc/\n' >.vriftignore)
    exits 0 'take-in with other rules' said sync
    is "$(view_cat generated.h)" '#define X' 'a name that a rule gives back is there'
    is "$(view_cat src/main.c | tail -n 1)" two 'what was taken in stays, and is followed'
    (cd "$TREE" && echo three >>src/main.c && echo n >src/new.c && rm vendor/tracked.c)
    exits 0 'take-in' said sync
    is "$(view_cat src/main.c | tail -n 1)" three 'it follows further'
    fails 'a new name of that kind is left out' view_has src/new.c
    fails 'and what is deleted goes' view_has vendor/tracked.c

    exits 0 'a tree without git' said ingest "$T/plain"
    exits 0 'has what its .gitignore names' said cat -w plain a.o
    mkdir "$T/sub" && cp -a "$TREE/." "$T/sub"
    exits 0 'a folder of a work tree' said ingest "$T/sub/src" --name part
    exits 1 'has the rules of the whole' said stat -w part a.log
    exits 0 'and what is tracked' said stat -w part tracked.log
    exits 0 'an ignored folder that is named' said ingest "$T/sub/target" --name whole
    exits 0 'is taken in' said stat -w whole debug/out

    "$VRIFT" daemon stop && printf '[ingest]\ngitignore = false\n' >"$VRIFT_HOME/config.toml"
    exits 0 'configured not to look at .gitignore' said ingest "$T/sub" --name all
    exits 0 'all is there' said stat -w all target/debug/out
    exits 1 'but what .vriftignore names' said stat -w all src/new.c
    manifest "$TREE" >"$T/manifest.before" # the other side of this test
}
main

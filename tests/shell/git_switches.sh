#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what git and editors do to the real directory is taken in as it is: checkout, stash, branches, rebase, reset; saves
# by a file beside that is renamed, by a backup, in place. Only what changed is looked at.
. "${0%/*}/lib.sh"

git_in() { git -c user.name=t -c user.email=t@t -c init.defaultBranch=main -c advice.detachedHead=false "$@" >/dev/null 2>&1; }

tree() {
    git_in init . || return 1
    printf 'target/\n*.swp\n' >.gitignore
    mkdir -p src/deep lib target && echo one >src/a.c && echo one >src/deep/b.c && echo one >lib/c.c && echo o >target/o
    for number in $(seq 300); do echo "$number" >"lib/$number.c"; done
    git_in add -A . && git_in commit -m one && git_in checkout -b other || return 1
    echo other >src/a.c && git_in rm -r lib && echo 'a file' >lib && mkdir -p new/dir && echo n >new/dir/n.c
    git_in add -A . && git_in commit -m other && git_in checkout main
}
# git status refreshes its index: on both sides that would be a conflict.
export GIT_OPTIONAL_LOCKS=0
checks() { check 'there' [ -e src/deep/b.c ]; }
here() { (cd "$VIEW" && "$VRIFT" "$@"); }
said() { here "$@" >"$T/said" 2>&1; }
field() { sed -n "s/^ *\"$1\": \([^,]*\),*\$/\1/p" "$T/said"; }
real() { (cd "$TREE" && "$@") || not_ok "failed in the real directory: $*"; }

# same WHAT: a take-in that looks only at what was noticed, and then both are equal
same() {
    exits 0 "$1: taken in" said sync --json
    is "$(field noticed)" "${2:-true}" "$1: only what was noticed was looked at: $(field looked_at) names"
    looked_at=$(field looked_at)
    exits 0 "$1: no difference" said diff
    is "$(here run -q -- git status --porcelain)" "$(cd "$TREE" && git status --porcelain)" "$1: git sees the same"
}

phases() {
    in_view checks
    if native; then ok 'taking in # SKIP there is none without vrift'; return; fi
    exits 0 'what the test left is settled' said run -q -- rm .made-by-checks
    same 'nothing'
    real git_in checkout other
    same 'another branch'
    is "$(here cat lib src/a.c new/dir/n.c | tr '\n' ' ')" 'a file other n ' 'its files are there'
    real git_in checkout main
    same 'and back'
    is "$(here ls lib | grep -c c)" 301 'the directory is there again'
    echo changed >>"$TREE/src/a.c" && echo untracked >"$TREE/src/u.c" && rm "$TREE/lib/c.c"
    same 'edits'
    real git_in stash -u
    same 'git stash'
    is "$(here cat src/a.c)" one 'the edit is away'
    real git_in stash pop
    same 'git stash pop'
    is "$(here cat src/a.c src/u.c | tr '\n' ' ')" 'one changed untracked ' 'and there again'
    real git_in reset --hard
    real git_in clean -fd
    same 'reset and clean'
    real git_in checkout other~1
    real git_in cherry-pick other
    same 'a detached head'
    real git_in worktree add "$T/elsewhere" other
    same 'a further work tree elsewhere'
    (cd "$TREE" && echo v1 >src/.a.c.swp && cp src/a.c src/a.c~ && echo vim >src/4913 && rm src/4913 && mv src/a.c src/a.c.bak &&
        echo saved >src/a.c && rm src/a.c.bak src/.a.c.swp)
    same 'a save as by vim'
    (cd "$TREE" && echo emacs >"src/#a.c#" && cp -p src/a.c src/a.c~ && echo emacs >src/a.c && rm "src/#a.c#")
    same 'a save as by emacs'
    (cd "$TREE" && echo code >src/.tmp.123 && chmod 600 src/.tmp.123 && mv src/.tmp.123 src/a.c)
    same 'a save by rename'
    is "$(here cat src/a.c)" code 'it is there'
    (cd "$TREE" && sed -i s/code/sed/ src/a.c && touch -d '2020-01-01' lib/1.c)
    same 'sed -i, touch'
    is "$(here run -q -- stat -c %Y lib/1.c)" "$(stat -c %Y "$TREE/lib/1.c")" 'times follow'
    (cd "$TREE" && for number in $(seq 200); do echo build >"target/$number.o"; done)
    same 'a native build in an ignored directory'
    is "$looked_at" 0 'is not even looked at'
    (cd "$TREE" && git_in add -f target/1.o)
    same 'git tracks what is ignored'
    is "$(here cat target/1.o)" build 'it is there now'
    echo '*.o' >"$TREE/.gitignore"
    same 'other rules' false
    exits 0 'everything, when it is asked for' said sync --all --json
    is "$(field noticed) $(field added) $(field modified) $(field deleted)" 'false 0 0 0' 'finds that nothing was missed'
    manifest "$TREE" >"$T/manifest.before" # all that was done to it was done by this test
}
main

#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# A repository's life: what it holds, what git says of it, and that it is sound at the end.
set -euo pipefail
exec >transcript 2>transcript.err
export HOME=$PWD/.home GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE=2001-01-01T00:00:00Z
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org GIT_COMMITTER_DATE=2001-01-01T00:00:00Z
mkdir "$HOME"
git config --global protocol.file.allow always
# The same work gives the same objects: no deltas that depend on which thread was first.
git config --global pack.threads 1
# The word for each command comes before what it says.
git() { echo "\$ git $*"; command git "$@"; }

git init -q -b main .
printf 'transcript*\n.home\n' >.git/info/exclude
git add -A
git commit -q -m one
git status --short
echo '# changed' >>Makefile
git diff --stat
git stash -q
git status --short
git stash pop -q
git commit -q -a -m two
git checkout -q -b other HEAD~1
git mv README.md READYOU.md
echo new >new
git add new
git commit -q -m three
git checkout -q main
git merge -q -m merged other
git log --graph --format=%s%d
echo 'a clash' >new
git commit -q -a -m 'ours'
git checkout -q other
echo 'another' >new
git commit -q -a -m 'theirs'
git merge main -q || git diff --name-only --diff-filter=U
git checkout --theirs new
git add new
git commit -q -m 'settled'
git rebase -q --onto main HEAD~1 other || { git status --short; git rebase --abort; }
git cherry-pick --no-commit HEAD && git status --short
git reset -q --hard
git worktree add -q wt main
(cd wt && echo more >>new && git commit -q -a -m four && git status --short && git rev-parse --show-toplevel)
git worktree list
git worktree remove wt
git worktree prune
git tag -a v1 -m v1
git clone -q . cl
(cd cl && git pull -q && command git log --format=%s | wc -l && git submodule --quiet add "$PWD/../" sub && git commit -q -m sub)
git clone -q --no-local "file://$PWD" far
(cd far && echo far >far && git add far && git commit -q -m far && git push -q origin HEAD:from-far && git fsck --full --strict)
git bundle create -q all.bundle --all
git bundle verify -q all.bundle
command git archive HEAD | tar t | sort | head -n 3
git bisect start HEAD HEAD~2
git bisect reset
git grep -l units
git blame -s Makefile | tail -n 1
git notes add -m note
git checkout-index -a -f --prefix=copy/
diff -r copy/src src
git clean -q -f -d -x -e transcript\* -e .home
git mv src sources
git rm -q --cached new
git restore --staged new
git status --short | head -n 3
git reset -q --hard
git gc -q --prune=now
git repack -a -d -q
git pack-refs --all
git reflog expire --expire=now --all
git prune
git fsck --full --strict
git for-each-ref
git count-objects -v | sed '/size/d'
git ls-files -s | tail -n 3
git update-index --refresh
git status --short

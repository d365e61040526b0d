#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: everyday tools do in the view what they do elsewhere.
. "${0%/*}/lib.sh"

tree() {
    mkdir -p src/sub && seq 20 >src/numbers && echo one >src/sub/one && ln -s numbers src/soft && ln src/numbers src/hard
    printf '#!/bin/sh\necho run\n' >src/tool && chmod 755 src/tool && : >src/.hidden
    touch -d '2001-02-03 04:05:06.789' src/numbers src/sub/one
}

copies() {
    cp -a src a
    exits 0 'cp -a, diff -r' diff -r src a
    is "$(find a -printf '%P %m %s %T@ %l %n\n' | sort)" "$(find src -printf '%P %m %s %T@ %l %n\n' | sort)" \
        'modes, times, links'
    mv a b && mv b/numbers b/sub/
    expect 0 stat b/sub/numbers
    ln b/tool b/tool2 && ln -s ../src/tool b/tool3
    is "$(b/tool2; b/tool3)" "run
run" 'ln'
    install -D -m 750 src/tool inst/bin/tool
    expect 100750 stat inst/bin/tool mode
    rm -rf b
    expect ENOENT stat b
    dd if=src/numbers of=dd.out bs=7 status=none
    check 'dd' cmp src/numbers dd.out
    cp --reflink=auto src/numbers cp.out && cp -n src/tool cp.out
    check 'cp -n' cmp src/numbers cp.out
    split -l 5 src/numbers part.
    is "$(cat part.* | cksum)" "$(cksum <src/numbers)" 'split and cat'
}

texts() {
    sed -i 's/^1$/first/' src/numbers
    is "$(head -n 1 src/numbers)" first 'sed -i'
    is "$(cat src/hard | head -n 1)" 1 'sed -i leaves the other hard link'
    is "$(grep -r one src | sort)" 'src/sub/one:one' 'grep -r'
    sort -rn -o src/numbers src/numbers
    is "$(head -n 1 src/numbers)" 20 'sort -o over its input'
    is "$(awk '{ s += $1 } END { print s > "awk.out" }' src/hard; cat awk.out)" 210 'awk'
    echo tee | tee tee.1 tee.2 >tee.3
    is "$(cat tee.1 tee.2 tee.3 | sort -u)" tee 'tee'
    touch -d 2002-02-02 src/tool
    is "$(date -r src/tool +%F)" 2002-02-02 'touch -d'
    is "$(find src -newer src/tool -name numbers)" src/numbers 'find -newer'
    is "$(find src -name soft -exec readlink {} \;)" numbers 'find -exec'
    cp src/sub/one new && echo two >>new && diff -u src/sub/one new >change.patch
    patch -s src/sub/one change.patch
    is "$(cat src/sub/one)" "one
two" 'patch'
    patch -s -R -b src/sub/one change.patch
    is "$(cat src/sub/one src/sub/one.orig)" "one
one
two" 'patch -R -b'
    is "$(du -ab src | awk '$2 == "src/hard" { print $1 }')" "$(wc -c <src/hard)" 'du'
    is "$(wc -l <src/hard; md5sum src/hard | cut -c1-32)" "20
$(seq 20 | md5sum | cut -c1-32)" 'wc, md5sum'
}

archives() {
    tar cf src.tar src && mkdir un && tar xpf src.tar -C un
    exits 0 'tar c, tar x' diff -r src un/src
    is "$(cd un && find src -printf '%p %m %n\n' | sort)" "$(find src -printf '%p %m %n\n' | sort)" 'modes and links'
    is "$(stat -c %Y un/src/sub/one.orig)" "$(stat -c %Y src/sub/one.orig)" 'times'
    tar czf src.tgz src
    is "$(tar tzf src.tgz | sort)" "$(tar tf src.tar | sort)" 'tar z'
    gzip -k src.tar && gunzip -c src.tar.gz >unzipped.tar
    check 'gzip, gunzip' cmp unzipped.tar src.tar
    is "$(bash -c 'shopt -s globstar; echo un/**/one')" un/src/sub/one 'globstar'
}

repository() {
    git init -q repo && cd repo
    git config user.name t && git config user.email t@example.org
    cp -r ../src/. . && git add . && git commit -qm first
    is "$(git status --porcelain)" '' 'git: clean after the commit'
    echo changed >>numbers && rm tool && echo new >file
    is "$(git status --porcelain)" ' M numbers
 D tool
?? file' 'git status sees what changed'
    git checkout -q -- . && rm file
    check 'git checkout brings it back' ./tool
    git checkout -qb branch && echo x >only && git add only && git commit -qm second && git checkout -q -
    expect ENOENT stat only
    git merge -q branch
    expect 0 stat only
    git gc -q
    check 'git fsck' git fsck --strict --no-progress
    git clone -q . ../clone
    exits 0 'git clone' diff -r -x .git . ../clone
    cd "$VIEW"
}

checks() {
    copies
    texts
    archives
    repository
}

after() {
    only_in_view inst/bin/tool src.tar un/src/numbers repo/.git/HEAD clone/only
    is "$(head -n 1 "$TREE/src/numbers")" 1 'the real file has its own bytes'
}
main

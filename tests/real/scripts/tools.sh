#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# tar, rsync, cp, find, xargs, install, sed, patch and their like.
set -euo pipefail
exec >transcript 2>transcript.err
mkdir out
echo '$ tar'
tar cf out/a.tar --sort=name --mtime=@0 src include tools data
mkdir t
tar xpf out/a.tar -C t
diff -r src t/src && tar df out/a.tar -C t
tar c --sort=name --listed-incremental=out/snapshot -f /dev/null src
echo fresh >src/fresh
tar c --sort=name --listed-incremental=out/snapshot --mtime=@0 -f - src | tar t
rm out/snapshot
echo '$ rsync'
rsync -a src/ r/
rsync -aiO --delete src/ r/
rm r/fresh
echo more >>r/ast.c
rsync -aiHAXO --checksum --delete src/ r/
rsync -a --inplace --append src/ r/
rsync -a --link-dest="$PWD/src" src/ linked/
find linked -type f -links 2 | wc -l
rsync -a --backup --backup-dir="$PWD/bk" --ignore-times t/src/ r/
find bk -type f | wc -l
rsync -a --remove-source-files t/ gone/
find t gone -type f | sort
rsync -anO --out-format=%n src/ r/
echo '$ cp'
cp -a src c1
cp -al src c2
cp -as "$PWD/src" c3
find c2 -type f -printf '%n\n' | sort -u
find c3 -type l -printf '%l\n' | sed "s#^$PWD#VIEW#" | sort | head -n 2
cat c3/*.c | cksum
mkdir c4
cp -p --parents src/ast.c c4
cp --reflink=auto -u src/*.c c1
cp --backup=numbered src/fresh c1/
ls c1
[ src/ast.c -ef c2/ast.c ] && [ ! src/ast.c -nt c1/ast.c ] && echo same age
dd if=/dev/zero of=sparse bs=1 count=1 seek=1M status=none
cp --sparse=always sparse sparse2 && cmp sparse sparse2
truncate -s 3M sparse
fallocate -l 1M allocated
fallocate -p -o 4096 -l 8192 allocated
stat -c '%s %n' sparse sparse2 allocated
echo '$ find'
find . -name '*.c' -exec wc -l {} + | tail -n 1
find . -type f -newer out/a.tar ! -name 'transcript*' | sort
find src include -name '*.h' -execdir pwd \; | sed "s#^$PWD#VIEW#" | sort -u
find src -type f -print0 | xargs -0 -P 2 -n 1 sha256sum | sort
find . -samefile src/fresh | sort
find c3 -xtype l
find . -perm -u+x -type f | sort
find c1 -depth -name 'fresh*' -delete -print | sort
seq 20 | xargs -P 4 -I@ sh -c 'echo @ >out/x.@'
cat out/x.* | sort -n | tr '\n' ' '
echo '$ mv, install, ln'
mv src/fresh src/fresher
mv -T c1 c9
mv c9 out/
mv -n out/x.1 out/x.2
outside=$(mktemp)
mv out/x.3 "$outside" && cat "$outside"
mv "$outside" back && cat back
install -D -m 755 Makefile inst/a/b/Makefile
install -d -m 700 inst/p
ln -sfn src lnk
ln -sfn data lnk
readlink lnk
(cd lnk && pwd -L && pwd -P && cd .. && pwd) | sed "s#^$PWD#VIEW#"
echo '$ edit in place'
sed -i 's/int/INT/' src/*.c
sed -i.bak 1d README.md
perl -pi -e 's/INT/int/' src/*.c
diff -r src linked || true
diff -u --label a --label b README.md.bak README.md >p.diff || true
patch -s -R README.md <p.diff
cmp README.md README.md.bak && echo patched
patch -s --dry-run README.md.bak <p.diff
echo '$ pipes, locks, archives'
(flock 9 && echo locked) 9>lock
cat src/*.c | tee out/t1 out/t2 >/dev/null && cmp out/t1 out/t2
split -n 4 out/t1 out/sp.
cat out/sp.* | cmp - out/t1
sort -o out/t1 out/t1
shred -u out/t2
[ ! -e out/t2 ]
du -s --apparent-size -b src/ast.c
chmod -R go-rwx inst
chmod 000 back && chmod u+rw back
touch -d 2001-01-01 back
stat -c '%a %Y' back
gzip -n -k README.md
gunzip -c README.md.gz | cmp - README.md
xz -k README.md && xz -t README.md.xz
bzip2 -k README.md && bunzip2 -c README.md.bz2 | cmp - README.md
ar rcsD l.a README.md Makefile && ar t l.a
(cd out && mkdir -p deep/er && cd deep/er && mv ../../deep ../../moved && pwd -P && touch here) | sed "s#^$PWD#VIEW#"
du -a --inodes out/moved

#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# ccache in its modes, a compiler that works elsewhere (as distcc), recursive make with a job server, link-time
# optimisation, precompiled headers, profiles and coverage.
set -euo pipefail
exec >transcript 2>transcript.err
export CCACHE_DIR=$PWD/.ccache CCACHE_COMPRESS=1
counts() { ccache --print-stats | grep -E '^(direct_cache_hit|preprocessed_cache_hit|cache_miss|missing_cache_file)'; }

echo '$ ccache'
make -s -j2 CC='ccache gcc'
counts
make -s clean
make -s -j2 CC='ccache gcc'
counts
echo '/* more */' >>src/ast.c
make -s CC='ccache gcc'
counts
build/reckon '2^100'
mkdir -p lib
ln -s "$(command -v ccache)" lib/gcc
make -s clean
PATH=$PWD/lib:$PATH make -s -j2
counts
echo '$ ccache with links'
export CCACHE_HARDLINK=1 CCACHE_DIR=$PWD/.linked
for _ in 1 2; do
    make -s clean
    make -s -j2 CC='ccache gcc'
done
counts
unset CCACHE_HARDLINK
ccache -s >/dev/null
ccache -c
ccache -C >/dev/null
rm -rf .ccache .linked

echo '$ a compiler elsewhere'
make -s clean
make -s -j2 CC="${0%/*}/elsewhere"
build/reckon '3 mile to mm'

echo '$ make within make'
mkdir -p rec/a rec/b rec/c
printf 'all: a b c\na b c:\n\t+$(MAKE) -C $@\n.PHONY: all a b c\n' >rec/Makefile
for dir in a b c; do
    printf 'all: 1.o 2.o 3.o\n\tld -r -o all.o $^\n%%.o:\n\techo "int f$*$(notdir $(CURDIR));" | gcc -x c -c - -o $@\nMakefile:;\n' >rec/$dir/Makefile
done
make -s -C rec -j3 >/dev/null
make -s -C rec -j2 -B --output-sync=recurse >/dev/null
nm rec/*/all.o | sort

echo '$ gcc'
gcc -O2 -flto=2 -Iinclude -Ibuild/gen -Isrc -o lto src/*.c -lm
./lto '2^70'
echo '#include <stdio.h>' >p.h
gcc p.h -o p.h.gch
printf '#include "p.h"\nint main(void) { puts("precompiled"); }\n' >p.c
gcc -H -Winvalid-pch p.c -o p 2>&1 | sed -n 1p
./p
rm p.h.gch
gcc -O2 -fprofile-generate p.c -o p2
./p2
gcc -O2 -fprofile-use p.c -o p2
./p2
gcc --coverage p.c -o p3
./p3
gcov -t p3-p.gcno | tail -n 2
gcc -save-temps -g -gsplit-dwarf p.c -o p
ls p.*
objcopy --only-keep-debug p p.debug
strip p
objcopy --add-gnu-debuglink=p.debug p
./p
# Their stamps are random numbers or times.
rm ./*.gcda ./*.gcno lto p3

# SPDX-License-Identifier: MIT OR Apache-2.0
# The real projects: which Debian source package, which upstream tarball, and how each is built.
# The checksums are those in Debian's signed .dsc files. Sourced by bash scripts beside it.
REAL_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
. "$REAL_HERE/own.sh"
# Larger ones, for --long alone.
REAL_LARGE='pcre2 expat jsoncpp'
REAL_TARBALLS="lua zlib popt fribidi${REAL_ALL:+ $REAL_LARGE}"
REAL_PROJECTS="$REAL_TARBALLS cmake meson cargo python npm gyp debian go git tools editors compilers forks"
REAL_SRC=${REAL_SRC:-$REAL_HERE/../../target/real-src}

# project NAME sets
#   package, tarball, sha256, or for our own: source, a folder
#   build, test    run by sh in the project's folder
#   header, remake the header that is touched for the partial rebuild, and that rebuild
#   volatile       an extended regular expression for files whose bytes hold the date of the build,
#                  so that two native builds differ in them too
#   answer, wanted a command that runs what was built, and what it prints
project() {
    package='' tarball='' sha256='' source=''
    own_project "$1" && return
    case $1 in
    lua)
        package=lua5.4
        tarball=lua5.4_5.4.4.orig.tar.gz
        sha256=164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61
        build='make -j2 -C src linux-noreadline'
        test='make test'
        remake=$build
        header=src/lparser.h
        volatile='^$'
        answer="./src/lua -e 'print(_VERSION, 7 // 2, (\"x\"):rep(3))'"
        wanted=$(printf 'Lua 5.4\t3\txxx')
        ;;
    zlib)
        package=zlib
        tarball=zlib_1.2.13.dfsg.orig.tar.bz2
        sha256=71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1
        build='./configure && make -j2'
        test='make test'
        remake='make -j2'
        header=inftrees.h
        volatile='^\./configure\.log$'
        answer='echo hello, zlib | ./minigzip | ./minigzip -d'
        wanted='hello, zlib'
        ;;
    popt)
        # A library and its test programs by autoconf, automake and libtool.
        package=popt
        tarball=popt_1.19+dfsg.orig.tar.xz
        sha256=4cd0cd2963d0c4078f65949599d97135c15ee6c09cf3a36a9a1b2753025bb06b
        build='./configure && make -j2 && make DESTDIR="$PWD/stage" install'
        test='make -j2 check'
        remake='make -j2'
        header=src/poptint.h
        volatile='^\./config\.log$'
        answer='LD_LIBRARY_PATH=stage/usr/local/lib tests/test1 --arg2 foo'
        wanted='arg1: 0 arg2: foo'
        ;;
    fribidi)
        # A library by Meson whose tables are made by programs of the build; its tests run shell scripts.
        package=fribidi
        tarball=fribidi_1.0.8.orig.tar.bz2
        sha256=94c7b68d86ad2a9613b4dcffe7bbeb03523d63b5b37918bdf2e4ef34195c1e6c
        build='meson setup -Ddocs=false build && ninja -C build'
        test='meson test -C build && DESTDIR=$PWD/stage meson install -C build'
        remake='ninja -C build'
        header=lib/bidi-types.h
        volatile=$MESON_VOLATILE
        answer='printf "a \327\220\327\221 b\n" | build/bin/fribidi --nopad'
        wanted=$(printf 'a \327\221\327\220 b')
        ;;
    pcre2)
        # Autotools, libtool, and a test suite that runs for a minute.
        package=pcre2
        tarball=pcre2_10.42.orig.tar.gz
        sha256=c33b418e3b936ee3153de2c61cc638e7e4fe3156022a5c77d0711bcbb9d64f1f
        build='./configure --enable-jit && make -j2 && make DESTDIR="$PWD/stage" install'
        test='make -j2 check'
        remake='make -j2'
        header=src/pcre2_ucp.h
        volatile='^\./config\.log$'
        answer='echo hello | stage/usr/local/bin/pcre2grep -o "l+"'
        wanted=ll
        ;;
    expat)
        # C by CMake and Ninja, with ctest.
        package=expat
        tarball=expat_2.5.0.orig.tar.gz
        sha256=ab00ee05c7067fd10a35c5d2a4922ebba746ddd50ff83b79c828da17bbdf1757
        build='cmake -G Ninja -S expat -B build -DCMAKE_BUILD_TYPE=Release -DEXPAT_BUILD_DOCS=OFF && ninja -C build'
        test='ctest --test-dir build --output-on-failure && DESTDIR=$PWD/stage ninja -C build install'
        remake='ninja -C build'
        header=expat/lib/xmltok.h
        volatile=$CMAKE_VOLATILE
        answer='echo "<a><b></a>" | build/xmlwf/xmlwf'
        wanted='STDIN:1:8: mismatched tag'
        ;;
    jsoncpp)
        # C++ by CMake and Ninja; ctest runs programs in Python.
        package=libjsoncpp
        tarball=libjsoncpp_1.9.5.orig.tar.gz
        sha256=f409856e5920c18d0c2fb85276e24ee607d2a09b5e7d5f0a371368903c275da2
        build='cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Release && ninja -C build'
        test='ctest --test-dir build --output-on-failure && DESTDIR=$PWD/stage ninja -C build install'
        remake='ninja -C build'
        header=src/lib_json/json_tool.h
        volatile=$CMAKE_VOLATILE
        answer='build/bin/jsoncpp_test --test ValueTest/memberCount | tail -n 1'
        wanted='Testing ValueTest/memberCount: OK'
        ;;
    *)
        echo "no such project: $1 (there are: $REAL_PROJECTS)" >&2
        exit 2
        ;;
    esac
}

real_verified() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d ' ' -f 1)" = "$2" ]; }

# SPDX-License-Identifier: MIT OR Apache-2.0
# Projects of our own, a folder each in tests/real/own: one for a build system or a language. And scripts in
# tests/real/scripts that do in a copy of examples/reckon what a day of work does. Sourced by projects.sh.
#
# own_project NAME sets what project() does, with `source` (a folder) in place of a tarball. A script leaves what
# it says in the file `transcript`, which is compared like every other file.
# Of CMake: times of commands, of tests, random names of trial projects, names in the order of the folder.
CMAKE_VOLATILE='/(\.ninja_deps|\.ninja_log|CMakeOutput\.log|CMakeError\.log|CTestCostData\.txt|LastTest\.log|install_manifest\.txt)$'
# Of Meson: pickled sets have their order from a random seed; the rest holds times.
MESON_VOLATILE='/(\.ninja_deps|\.ninja_log|build\.dat|coredata\.dat|(meson-log|testlog)\.(txt|json)|testlog\.junit\.xml|install\.dat|meson_test_setup\.dat)$'

own_project() {
    source=$REAL_HERE/own/$1
    case $1 in
    cmake)
        build='cmake -G Ninja -B build -DCMAKE_BUILD_TYPE=Release . && ninja -C build'
        test='ctest --test-dir build --output-on-failure && DESTDIR=$PWD/stage ninja -C build install'
        remake='ninja -C build'
        header=include/shape/core.h
        volatile=$CMAKE_VOLATILE
        answer='stage/usr/local/bin/area disc 2 && build/area square 3'
        wanted=$(printf 'disc 12.546\nsquare 9.000')
        ;;
    meson)
        build='meson setup build && ninja -C build'
        test='meson test -C build && DESTDIR=$PWD/stage meson install -C build'
        remake='ninja -C build'
        header=src/words.txt
        volatile=$MESON_VOLATILE
        answer='LD_LIBRARY_PATH=$(dirname stage/usr/local/lib/*/libtally.so) stage/usr/local/bin/tally src/words.txt'
        wanted='4 src/words.txt'
        ;;
    cargo)
        # The folders of incremental compilation have random names.
        build='CARGO_INCREMENTAL=0 cargo build --offline --locked --release'
        test='CARGO_INCREMENTAL=0 cargo test --offline --locked &&
            cargo test --offline --locked --package ledger --target-dir incremental && rm -r incremental'
        remake=$build
        header=money/rates.txt
        # Times, and names in the order of a hash table with a random seed.
        volatile='/(invoked\.timestamp|output|\.rustc_info\.json|dep-(test-)?lib-money)$'
        answer='target/release/report'
        wanted=$(printf 'EUR 100\nUSD 90\nJPY 0')
        ;;
    python)
        build='/usr/bin/python3 setup.py -q bdist_wheel && /usr/bin/python3 setup.py -q build_ext --inplace'
        test='PYTHONPATH=src /usr/bin/python3 -B -m unittest discover -s tests &&
            /usr/bin/python3 -m venv --without-pip env && /usr/bin/python3 -m zipfile -e dist/*.whl env/lib/python3*/site-packages &&
            sleep 1.1'
        # It copies modules with times cut to whole seconds, and compares whole seconds alone: the header that is touched
        # after the tests must not be of the second in which it was built.
        remake='sleep 1.1; /usr/bin/python3 setup.py -q build_ext --inplace'
        header=src/grid/flood.h
        volatile='^$'
        answer='env/bin/python3 -B -m grid'
        wanted=$(printf 'one 7\ntwo 1')
        ;;
    debian)
        # A Debian package: debhelper, fakeroot with a preload library of its own, file owners that are not real.
        build='cd greeting-1.0 && dpkg-buildpackage -us -uc -b -rfakeroot'
        test='dpkg-deb -c greeting_*.deb | grep -q "rwxr-sr-x games/games .*/usr/bin/greeting" &&
            dpkg-deb -x greeting_*.deb root && dpkg-deb -x libgreeting1_*.deb root &&
            fakeroot sh -ec "mkdir own; chown 1:2 own; test \$(stat -c %u:%g own) = 1:2; tar c --mtime=@0 -f own.tar own" &&
            tar tvf own.tar | grep daemon/bin'
        remake='make -C greeting-1.0'
        header=greeting-1.0/words.c
        # The time of the build and the environment.
        volatile='\.(buildinfo|changes)$'
        answer='LD_LIBRARY_PATH=greeting-1.0 greeting-1.0/greeting'
        wanted='hello from the package'
        ;;
    go)
        # Go's own packages make their system calls themselves: such programs work on a copy of the workspace.
        export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOCACHE=$T/go-cache GOPATH=$T/go-path
        build='go build -trimpath -buildvcs=false -o tide ./cmd/tide'
        test='go vet ./... && go generate ./... && go test ./... && ./tide written && test -z "$(gofmt -l .)"'
        remake='go build -trimpath -buildvcs=false -o tide ./cmd/tide && touch tide'
        header=moon/phases.txt
        volatile='^$'
        answer='./tide'
        wanted='half'
        ;;
    npm)
        export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
        # Its cache and logs, which have times in their names.
        export npm_config_cache=$T/npm-cache
        build='npm install --loglevel=error && npm ls'
        test='npm test && npx greet 20 && npm pack --silent -w greet && npm ci --loglevel=error && npm rebuild'
        remake='make -s -C addon'
        header=addon/hands.c
        volatile='^$'
        answer='node -p "require(\".\").faces().join()"'
        wanted='0,30,60,90,120,150,180,150,120,90,60,30'
        ;;
    gyp)
        # What npm does with a native module that has no install script of its own: node-gyp, against the headers that
        # are there.
        export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
        export npm_config_cache=$T/npm-cache npm_config_nodedir=/usr
        # Debian has them elsewhere than others who package it.
        [ -e /usr/include/node/common.gypi ] || npm_config_nodedir=/usr/include/nodejs
        build='npm install --loglevel=error'
        test='npm test'
        remake='make -s -C build'
        header=src/names.txt
        volatile='^$'
        answer='node -p "require(\".\").phase(15)"'
        wanted=full
        ;;
    git | tools | editors | compilers)
        source=$REAL_HERE/../../examples/reckon
        build="bash '$REAL_HERE/scripts/$1.sh'"
        test='cat transcript.err >&2; test -s transcript'
        remake=''
        header='' answer='' wanted=''
        case $1 in
        # The time of the last change, the device and inode of each file.
        git) volatile='/\.git/(modules/sub/)?index$' ;;
        *) volatile='^$' ;;
        esac
        ;;
    *)
        source=''
        return 1
        ;;
    esac
}

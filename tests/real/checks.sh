# SPDX-License-Identifier: MIT OR Apache-2.0
# What tests/real/run does with one project. $dir is the project's folder in both halves, $out keeps
# what they gave: listings, the output of make, the sets of rebuilt files.

ok() { passed=$((passed + 1)); echo "ok $((passed + failed)) - $name: $*"; }
not_ok() { failed=$((failed + 1)); echo "not ok $((passed + failed)) - $name: $*"; }
check() {
    local what=$1
    shift
    if "$@"; then ok "$what"; else not_ok "$what"; fi
}
# same WHAT WANT GOT: two files are equal; shows where they are not.
same() {
    if cmp -s "$2" "$3"; then
        ok "$1 ($(wc -l <"$2") lines)"
    else
        not_ok "$1"
        diff "$2" "$3" | head -n 20 | sed 's/^/#   /' || true
    fi
}
# logged FILE COMMAND...: with a bound on its time; shows the end of the output if it fails.
logged() {
    local log=$1
    shift
    timeout -k 5 $limit_s "$@" >"$log" 2>&1 </dev/null && return
    echo "#   exit code $?: $*"
    tail -n 15 "$log" | sed 's/^/#   /'
    return 1
}

# Two listings of the current folder, made by whoever runs it: names with kinds and modes, then bytes.
# A folder's size and link count are the file system's own business.
LISTING='find . \( -type d -printf "%y %m %p\n" -o -printf "%y %m %n %l %p\n" \) | sort
find . -type f -print0 | sort -z | xargs -0r sha256sum'
# What a partial rebuild made: everything that is newer than the header that was touched.
REBUILD='touch "$1" && sh -c "$2" && find . -type f -newer "$1" | sort >"$3"'

# Bytes of files that hold the date say nothing; that the files are there does.
without_volatile() { awk -v volatile="$volatile" '!(NF == 2 && length($1) == 64 && $2 ~ volatile)' "$1"; }

# All that a tree promises to keep; only the time of reading may move.
fingerprint() {
    (cd "$1" && find . -printf '%y %m %U:%G %n %i %s %T@ %C@ %l %p\n' | sort &&
        find . -type f -print0 | sort -z | xargs -0r sha256sum)
}
unpack() {
    rm -rf "$dir"
    mkdir -p "$dir"
    if [ "$source" ]; then
        cp -R --preserve=mode,timestamps "$source/." "$dir"
        return
    fi
    tar -xf "$REAL_SRC/$tarball" -C "$dir" --strip-components=1 --no-same-owner
}
native_half() {
    dir=$T/$name/project out=$T/$name/out
    mkdir -p "$out"
    unpack
    touch "$out/started"
    cd "$dir"
    local start=$EPOCHREALTIME
    check 'native: builds' logged "$out/native.build" sh -c "$build"
    echo "#   native build: $(seconds_since "$start") s"
    check 'native: its tests pass' logged "$out/native.test" sh -c "$test"
    sh -c "$LISTING" >"$out/native.list"
    [ ! -e transcript ] || cp transcript "$out/native.transcript"
    if [ "$header" ]; then
        check 'native: rebuilds after a header' \
            logged "$out/native.remake" sh -c "$REBUILD" rebuild "$header" "$remake" "$out/native.newer"
        check 'native: the header made some files anew, not all' some_but_not_all
        sh -c "$LISTING" >"$out/native.list2"
        is_answer native sh -c "$answer"
    fi
    cd "$T"
    unpack
}

seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }
some_but_not_all() {
    local newer all
    newer=$(wc -l <"$out/native.newer")
    all=$(find . -type f -newer "$out/started" | wc -l)
    [ "$newer" -gt 0 ] && [ "$newer" -lt "$all" ]
}
is_answer() {
    local half=$1 got
    shift
    got=$(timeout -k 5 $limit_s "$@" 2>"$out/$half.answer" </dev/null) || true
    if [ "$got" = "$wanted" ]; then ok "$half: what was built runs"; else
        not_ok "$half: what was built runs"
        printf '#   got: %s\n#   want: %s\n' "$got" "$wanted"
        tail -n 5 "$out/$half.answer" | sed 's/^/#   /'
    fi
}

# The listing of the view goes to a file outside it: what vrift itself prints must not mix in.
view_listing() { logged "$out/list.log" "$vrift" run -- sh -c "($LISTING) >'$1'"; }

view_half() {
    fingerprint "$dir" >"$out/real.before"
    cd "$dir"
    check 'view: ingest' logged "$out/ingest" "$vrift" ingest "$dir" --name "$name"
    local start=$EPOCHREALTIME
    check 'view: builds' logged "$out/view.build" "$vrift" run -- sh -c "$build"
    echo "#   build in the view: $(seconds_since "$start") s"
    check 'view: its tests pass' logged "$out/view.test" "$vrift" run -- sh -c "$test"
    check 'view: can be listed' view_listing "$out/view.list"
    without_volatile "$out/native.list" >"$out/want"
    without_volatile "$out/view.list" >"$out/got"
    same 'view: same files, modes and bytes as natively' "$out/want" "$out/got"
    if [ -e "$out/native.transcript" ]; then
        "$vrift" cat -w "$name" transcript >"$out/view.transcript"
        same 'view: the commands say the same' "$out/native.transcript" "$out/view.transcript"
    fi
    exported
    [ ! "$header" ] || view_rebuilds
    cd "$T"
    check 'the daemon stops' logged "$out/stop" "$vrift" daemon stop
    fingerprint "$dir" >"$out/real.after"
    same 'the real tree is untouched' "$out/real.before" "$out/real.after"
}

# After one input was touched.
view_rebuilds() {
    is_answer view "$vrift" run -- sh -c "$answer"
    check 'view: rebuilds after a header' logged "$out/view.remake" \
        "$vrift" run -- sh -c "$REBUILD" rebuild "$header" "$remake" "$out/view.newer"
    same 'view: the header makes the same files anew as natively' "$out/native.newer" "$out/view.newer"
    check 'view: can be listed again' view_listing "$out/view.list2"
    without_volatile "$out/native.list2" >"$out/want"
    without_volatile "$out/view.list2" >"$out/got"
    same 'view: same files, modes and bytes after that' "$out/want" "$out/got"
}

# What export writes elsewhere, laid over a pristine copy without what the build deleted, must be the native build.
exported() {
    cp -a "$dir" "$out/merged"
    "$vrift" status -w "$name" >"$out/status"
    sed -n 's/^D //p' "$out/status" | (cd "$out/merged" && xargs -r -d '\n' rm -rf --)
    mkdir "$out/exported"
    check 'view: exports to another folder' logged "$out/export" "$vrift" export -w "$name" --to "$out/exported"
    cp -a "$out/exported/." "$out/merged/"
    (cd "$out/merged" && sh -c "$LISTING") >"$out/merged.list"
    without_volatile "$out/native.list" >"$out/want"
    without_volatile "$out/merged.list" >"$out/got"
    same 'view: what export wrote has the same files, modes and bytes' "$out/want" "$out/got"
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# What tests/suites/run does with one suite. A file NAME.sh beside it defines
#   prepare     fetches and installs what is needed into $SUITES
#   fill        what the directory holds before (runs in it; optional)
#   command     an array, the program that is run in the directory; "$dir" is its absolute path
#   cases LOG   reads what the program printed, writes a line `passed|failed|skipped CASE` for each case
#   native_command  what is run natively, if it is not the same
#   native_is_part  set: natively only some of the cases are run; the list tells how the others must end
#   limit_s     a bound on the time of one half
#   short_cases an extended regular expression: the cases that run without --long
#   as_user     set: as an ordinary user, also when root runs it

ok() { passed=$((passed + 1)); echo "ok $((passed + failed)) - $name: $*"; }
not_ok() { failed=$((failed + 1)); echo "not ok $((passed + failed)) - $name: $*"; }

# install_crate NAME VERSION: its program into $SUITES/bin.
install_crate() {
    [ -x "$SUITES/bin/$1-$2" ] && return
    cargo install --quiet --locked --root "$SUITES" --version "$2" "$1" >&2
    mv "$SUITES/bin/$1" "$SUITES/bin/$1-$2"
}

# needs FILE PACKAGE: a file that a Debian package brings.
needs() {
    [ -e "$1" ] && return
    echo "run: $1 is missing; run as root: apt-get install --yes --no-install-recommends $2" >&2
    exit 1
}

stop_daemons() {
    local pid_file pid
    for pid_file in "$T"/*/run/vrift/*/pid; do
        # One that ends by itself takes the file with it.
        pid=$(cat "$pid_file" 2>/dev/null) || continue
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = vriftd ] && kill "$pid" || continue
        # It syncs first, into the folder that is removed next.
        for _ in {1..100}; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
    done
}

# In the folder of the half, with a bound on its time. The shell function has the arrays of the suite.
half() {
    local half=$1 rc=0
    shift
    (cd "$dir" && HOME=$work/home TMPDIR=$dir/tmp VRIFT_HOME=$work/state XDG_RUNTIME_DIR=$work/run \
        timeout -k 5 "$limit_s" "${user[@]}" "$@") >"$out/$half.log" 2>&1 </dev/null || rc=$?
    if [ $rc -ge 124 ]; then
        not_ok "$half: ended by itself (exit code $rc)"
        tail -n 5 "$out/$half.log" | sed 's/^/#   /'
    fi
    cases "$out/$half.log" | LC_ALL=C sort -u -k 2 >"$out/$half.list"
}

# Sum of a counter over the workspaces of this suite: proves that the library was active.
counter() {
    local file sum=0
    for file in "$work"/run/vrift/*/w/*/counters; do
        [ -f "$file" ] && sum=$((sum + $(od -An -v -t u8 -j "$(($1 * 8))" -N 8 "$file")))
    done
    echo "$sum"
}

# The directory as it is for whoever looks from outside.
fingerprint() { (cd "$dir" && find . -printf '%y %m %U:%G %n %i %s %T@ %C@ %l %p\n' | LC_ALL=C sort); }

suite() {
    name=$1
    local work=$T/$name out=$T/$name/out dir=$T/$name/dir expected=$here/expected/$name
    local limit_s=300 short_cases='' as_user='' native_is_part='' user=() command=() native_command=()
    fill() { :; }
    mkdir -p "$work/home" "$out" "$dir"
    mkdir -m 700 "$work/state" "$work/run"
    . "$here/$name.sh"
    prepare
    echo "# $name"
    bin=$VRIFT_BIN_DIR
    if [ "$as_user" ] && [ "$(id -u)" = 0 ]; then
        user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        # The checkout may lie where that user cannot look.
        mkdir "$work/bin"
        bin=$work/bin
        cp "$VRIFT_BIN_DIR"/{vrift,vriftd,vrift-keystored,libvrift_shim.so} "$command" "$bin"
        command[0]=$bin/${command##*/}
    fi
    native_half
    if [ "$write" ]; then write_list; else compare_native; fi
    [ "$native_only" ] || view_half
}

fresh_dir() {
    chmod -R u+rwX "$dir"
    rm -rf "$dir"
    mkdir -p "$dir/tmp"
    (cd "$dir" && fill)
    [ ${#user[@]} -eq 0 ] || chown -R 65534:65534 "$work"
}

native_half() {
    local start=$EPOCHREALTIME
    fresh_dir
    [ ${#native_command[@]} -gt 0 ] || native_command=("${command[@]}")
    half native "${native_command[@]}"
    echo "#   native: $(wc -l <"$out/native.list") cases in $(seconds_since "$start") s"
    fresh_dir
}

view_half() {
    local before start=$EPOCHREALTIME
    before=$(fingerprint)
    half view "$bin/vrift" run -- "${command[@]}"
    echo "#   in the view: $(wc -l <"$out/view.list") cases in $(seconds_since "$start") s"
    compare_view
    if [ "$(counter 0)" -gt 0 ] && [ "$(counter 1)" -gt 0 ]; then
        ok "the library was active: $(counter 0) processes, $(counter 1) lookups"
    else
        not_ok 'the library was active'
    fi
    if [ "$(fingerprint)" = "$before" ]; then ok 'the real directory is unchanged'; else
        not_ok 'the real directory is unchanged'
    fi
    stop_daemons
}

seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }

# The lines of the list that count in this run.
expected_lines() {
    if [ "$long" ] || [ -z "$short_cases" ]; then cat "$expected"; else
        awk -v short="$short_cases" '$2 ~ short' "$expected"
    fi
}

# The machine may let a case fail that passed where the list was made: then it has no say about the view.
compare_native() {
    expected_lines | awk '
        FILENAME == ARGV[1] { ended[$2] = $1; next }
        $1 == "timed" { next }
        { wanted = $1 == "limit" ? "passed" : $1 }
        !($2 in ended) { print "gone", $2; next }
        ended[$2] != wanted { print "differs", $2, wanted, ended[$2] }
    ' "$out/native.list" - >"$out/native.diff"
    sed -n 's/^differs \([^ ]*\) \(.*\) \(.*\)/#   natively \3 on this machine, \2 in the list: \1/p' "$out/native.diff"
    if [ "$native_is_part" ]; then
        expected_lines | awk 'FILENAME == ARGV[1] { ran[$2] = 1; next } !($2 in ran)' "$out/native.list" - \
            >"$out/native.rest"
        [ -s "$out/native.list" ] && ok 'native: it runs' || not_ok 'native: it runs'
        cat "$out/native.rest" >>"$out/native.list"
    elif grep -q '^gone' "$out/native.diff"; then
        not_ok "native: all cases of the list ran"
        sed -n 's/^gone /#   did not run: /p' "$out/native.diff" | head -n 20
        tail -n 5 "$out/native.log" | sed 's/^/#   /'
    else
        ok "native: all $(expected_lines | wc -l) cases of the list ran"
    fi
}

# Each case in the view against the same case natively: one check a case, the failed ones named.
compare_view() {
    local kind case got want
    expected_lines | awk '
        FILENAME == ARGV[1] { native[$2] = $1; next }
        FILENAME == ARGV[2] { view[$2] = $1; next }
        $1 == "limit" { limit[$2] = 1 }
        $1 == "timed" { timed[$2] = 1 }
        END {
            for (each in native) {
                got = each in view ? view[each] : "missing"
                same = got == native[each]
                if (each in timed) kind = "timed"
                else if (each in limit) kind = same && got == "passed" ? "lifted" : "limit"
                else kind = same ? "same" : "differs"
                print kind, each, got, native[each]
            }
            for (each in view) if (!(each in native)) print "differs", each, view[each], "missing"
        }' "$out/native.list" "$out/view.list" - | LC_ALL=C sort >"$out/view.diff"
    passed=$((passed + $(grep -c '^same' "$out/view.diff")))
    echo "#   $(grep -c '^same' "$out/view.diff") cases ended as natively: $(
        awk '$1 == "same" { count[$3]++ } END { for (each in count) printf " %d %s", count[each], each }' "$out/view.diff")"
    while read -r kind case got want; do
        case $kind in
        differs) not_ok "$case: $got in the view, natively $want" ;;
        lifted) not_ok "$case: passes in the view, yet the list calls it a limit" ;;
        timed) echo "# natively, too, it fails on a busy machine, so it has no say: $case ($got, natively $want)" ;;
        limit) echo "# limit, see docs/limits.md: $case" ;;
        esac
    done < <(grep -v '^same' "$out/view.diff")
    [ ! "$keep" ] || echo "#   $out/view.log"
}

write_list() {
    touch "$expected"
    awk 'FILENAME == ARGV[1] { if ($1 ~ /limit|timed/) kept[$2] = $1; next } { if ($2 in kept) $1 = kept[$2]; print }' \
        "$expected" "$out/native.list" >"$out/new"
    mv "$out/new" "$expected"
    echo "# wrote $expected: $(wc -l <"$expected") cases"
}

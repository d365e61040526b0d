# SPDX-License-Identifier: MIT OR Apache-2.0
# A cargo workspace and an npm project, built once and forked ten times: in each fork everything is there and fresh, the
# tests run at once, an edit rebuilds only what it must, ten of them build at the same time, and the store grows by
# what differs. Sourced by run.
FORKS=10

forks_half() {
    name=forks
    limit_s=600
    echo "# forks: a cargo workspace and an npm project, $FORKS forks of each"
    [ "$native_only" ] && { echo '# forks have no native half'; return; }
    cargo_forks
    npm_forks
}

# begin PROJECT: a copy of our own project, taken in and built.
begin() {
    own_project "$1"
    dir=$T/forks-$1
    mkdir -p "$dir"
    (cd "$source" && tar c .) | tar x -C "$dir"
    before=$(cd "$dir" && find . | sort | sha256sum)
    check "$1: built once" in_fork '' "$T/log" sh -c "$build"
    local number
    for number in $(seq $FORKS); do
        check "$1: fork $number" "$vrift" fork "forks-$1" "$1-$number" >>"$T/log"
    done
}
# in_fork FORK LOG COMMAND...
in_fork() {
    local which=()
    [ "$1" ] && which=(-w "$1")
    local log=$2
    shift 2
    (cd "$dir" && logged "$log" "$vrift" run -q "${which[@]}" -- "$@")
}
used() { "$vrift" gc --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["store_bytes"])'; }
untouched() { [ "$(cd "$dir" && find . | sort | sha256sum)" = "$before" ]; }
at_once() { # PROJECT COMMAND: in all forks at the same time; $number is the fork's
    local number pids=()
    for number in $(seq $FORKS); do
        in_fork "$1-$number" "$T/log-$number" env number="$number" sh -c "$2" &
        pids+=($!)
    done
    wait "${pids[@]}"
    local pid
    for pid in "${pids[@]}"; do wait "$pid" || return; done
}

cargo_forks() {
    local cargo='CARGO_INCREMENTAL=0 cargo' number
    begin cargo
    local start grown
    start=$(used)
    for number in $(seq $FORKS); do
        check "cargo: a build in fork $number" \
            in_fork "cargo-$number" "$T/log" sh -c "$cargo build --offline --locked --release -v"
        same "cargo: nothing is compiled in fork $number" <(echo 0) <(grep -c 'Compiling\|Running' "$T/log" || true)
        check "cargo: each crate is fresh in fork $number" grep -q 'Fresh report' "$T/log"
    done
    check 'cargo: what was built runs' in_fork cargo-2 "$T/log" target/release/report
    grown=$(($(used) - start))
    check "cargo: ten forks, each with a build in which all was fresh: $grown bytes" [ $grown -lt 4000000 ]
    check 'cargo: ten builds at once, each with an edit of its own' at_once cargo \
        "echo \"pub fn fork() -> u32 { \$number }\" >>ledger/src/lib.rs; $cargo build --offline --locked --release -v"
    for number in $(seq $FORKS); do
        same "cargo: fork $number compiles what the edit reaches" <(printf 'ledger\nreport\n') \
            <(sed -n 's/^ *Compiling \([a-z-]*\) .*/\1/p' "$T/log-$number" | sort)
        same "cargo: fork $number has its own edit" <(echo "pub fn fork() -> u32 { $number }") \
            <(cd "$dir" && "$vrift" cat -w "cargo-$number" ledger/src/lib.rs | tail -n 1)
    done
    check 'cargo: the origin is still fresh' in_fork '' "$T/log" sh -c "$cargo build --offline --locked --release -v"
    same 'cargo: nothing is compiled there' <(echo 0) <(grep -c 'Compiling' "$T/log" || true)
    check 'cargo: the tests of a fork' in_fork cargo-3 "$T/log" sh -c "$test"
    check 'cargo: the project itself is as it was' untouched
    "$vrift" rm forks-cargo $(seq -f "cargo-%g" $FORKS)
}

npm_forks() {
    local number
    begin npm
    for number in $(seq $FORKS); do
        check "npm: the modules are there in fork $number" in_fork "npm-$number" "$T/log" npm ls
    done
    check 'npm: the tests run at once' in_fork npm-2 "$T/log" npm test
    check 'npm: nothing of the addon is to be made' in_fork npm-2 "$T/log" make -q -C addon
    check 'npm: ten runs of the tests at once' at_once npm \
        "echo \"// \$number\" >>lib/index.js; npm test && node -p 'require(\".\").faces().join()'"
    for number in $(seq $FORKS); do
        same "npm: fork $number answers" <(echo "$wanted") <(tail -n 1 "$T/log-$number")
        same "npm: fork $number has its own edit" <(echo "// $number") \
            <(cd "$dir" && "$vrift" cat -w "npm-$number" lib/index.js | tail -n 1)
    done
    check 'npm: the project itself is as it was' untouched
    "$vrift" rm forks-npm $(seq -f "npm-%g" $FORKS)
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# What every test shares. A test sources this file, defines
#   tree     fills the real tree (runs in it),
#   checks   what must hold in the view (runs in the view, in a process of its own),
#   after    what must hold outside, when all that ran in the view is over (optional),
# and ends with `main`. Several phases: define `phases`, which calls in_view FUNCTION.
#
# $TREE  the real tree, never written to        $VIEW  where the view is seen
# $OUTER the folder around $VIEW                $T     the test's own temporary folder
# In native mode $VIEW is a copy of the tree; otherwise $VIEW is $TREE.
set -u
T=${VRIFT_TEST_TMP:?run it with tests/shell/run}
MODE=$VRIFT_TEST_MODE
BIN=$VRIFT_TEST_BIN
VRIFT=$VRIFT_BIN_DIR/vrift
TREE=$T/tree
OUTER=$T
[ "$MODE" = vrift ] || OUTER=$T/native
VIEW=$OUTER/tree
SELF=$0
umask 022

native() { [ "$MODE" = native ]; }
ok() { printf 'ok - %s\n' "$*"; }
not_ok() { printf 'not ok - %s\n' "$*"; }

# is GOT WANT WHAT...
is() {
    is_got=$1 is_want=$2
    shift 2
    if [ "$is_got" = "$is_want" ]; then ok "$*"; else
        not_ok "$*"
        printf '  got:  %s\n  want: %s\n' "$is_got" "$is_want"
    fi
}

# check WHAT COMMAND...: the command succeeds.  fails WHAT COMMAND...: it does not.
check() {
    check_what=$1
    shift
    "$@" && ok "$check_what" || not_ok "$check_what (exit code $?: $*)"
}
fails() {
    fails_what=$1
    shift
    "$@" && not_ok "$fails_what (it succeeded: $*)" || ok "$fails_what"
}

# exits CODE WHAT COMMAND...
exits() {
    exits_want=$1 exits_what=$2 exits_got=0
    shift 2
    "$@" || exits_got=$?
    is "$exits_got" "$exits_want" "$exits_what"
}

# expect RESULT CALL ARGS...: one libc call; RESULT is what it gives or its errno's name.
expect() {
    expect_want=$1
    shift
    is "$("$BIN/call" "$@")" "$expect_want" "$*: $expect_want"
}

# helper NAME ARGS...: a C program that prints its own ok lines.
helper() { exits 0 "$1 ran to its end" "$BIN/$@"; }

# Waits until a command succeeds, two minutes at most: on a busy machine everything takes its time.
until_true() {
    until_end=$(($(date +%s) + 120))
    until "$@" 2>/dev/null; do
        [ "$(date +%s)" -lt "$until_end" ] || return 1
        sleep 0.02
    done
}

# Everything the real tree promises to keep; atime alone may move, as on any read.
manifest() {
    (cd "$1" && find . -printf '%y %m %U:%G %n %i %s %T@ %C@ %l %p\0' | sort -z &&
        find . -type f -print0 | sort -z | xargs -0r sha256sum -z) 2>&1
}

# Sum of counter number $1 over all workspaces of this test.
counter() {
    counter_sum=0
    for counter_file in "$XDG_RUNTIME_DIR"/vrift/*/w/*/counters; do
        [ -f "$counter_file" ] || continue
        counter_sum=$((counter_sum + $(od -An -v -t u8 -j "$(($1 * 8))" -N 8 "$counter_file")))
    done
    echo "$counter_sum"
}

vrift_run() {
    if native; then (cd "$VIEW" && "$@"); else (cd "$VIEW" && "$VRIFT" run -- "$@"); fi
}

# in_view FUNCTION: runs a function of the test in the view, then proves that it really ran there.
# It leaves a marker as its last act: made in the view, and nowhere else.
in_view() {
    mapped=$(counter 0) lookups=$(counter 1) requests=$(counter 3)
    exits 0 "$1 ran to its end in the view" vrift_run env VRIFT_TEST_INSIDE="$1" sh "$SELF"
    is "$(view_cat ".made-by-$1")" "made by $1" "$1 wrote into the view"
    if native; then
        ok "$1: the shim was active # SKIP native mode has no shim"
        return
    fi
    mapped=$(($(counter 0) - mapped)) lookups=$(($(counter 1) - lookups)) requests=$(($(counter 3) - requests))
    check "$1: the shim was active: $mapped processes, $lookups lookups, $requests requests" \
        [ "$mapped" -gt 0 -a "$lookups" -gt 0 -a "$requests" -gt 0 ]
    check "$1: what it made is not in the real tree" [ ! -e "$TREE/.made-by-$1" ]
}

# What the view holds, asked from outside, without the shim.
view_cat() { if native; then cat "$VIEW/$1"; else (cd "$VIEW" && "$VRIFT" cat -- "$1"); fi; }
view_has() {
    if native; then [ -e "$VIEW/$1" ] || [ -L "$VIEW/$1" ]; else (cd "$VIEW" && "$VRIFT" stat -- "$1" >/dev/null); fi
}
only_in_view() {
    for made; do
        check "in the view: $made" view_has "$made"
        check "not in the real tree: $made" [ ! -e "$TREE/$made" -a ! -L "$TREE/$made" ]
    done
}
gone_in_view_only() {
    for gone; do
        fails "gone in the view: $gone" view_has "$gone"
        check "still in the real tree: $gone" [ -e "$TREE/$gone" -o -L "$TREE/$gone" ]
    done
}

# The rest of the script runs in a mount namespace of its own, where it may mount what it likes.
may_mount() {
    if [ -z "${VRIFT_TEST_MAY_MOUNT:-}" ] && [ -z "${VRIFT_TEST_INSIDE:-}" ]; then
        export VRIFT_TEST_MAY_MOUNT=1
        [ "$(id -u)" = 0 ] || exec unshare -r -m sh "$0"
        exec unshare -m sh "$0"
    fi
}
# small_disk DIR OPTIONS: a tmpfs there; only outside of the view.
small_disk() {
    [ -z "${VRIFT_TEST_INSIDE:-}" ] || return 0
    mkdir -p "$1"
    mount -t tmpfs -o "$2,mode=700" small "$1" || { not_ok 'a small disk is mounted'; exit 1; }
}

phases() { in_view checks; }
after() { :; }

main() {
    if [ "${VRIFT_TEST_INSIDE:-}" ]; then
        inside=$VRIFT_TEST_INSIDE
        unset VRIFT_TEST_INSIDE
        "$inside" </dev/null
        echo "made by $inside" >"$VIEW/.made-by-$inside" || exit 1
        exit 0
    fi
    mkdir -p "$TREE" "$OUTER"
    (cd "$TREE" && tree) || { not_ok 'the tree was made'; exit 1; }
    manifest "$TREE" >"$T/manifest.before"
    if native; then cp -a "$TREE" "$VIEW"; else check 'ingest' "$VRIFT" ingest "$TREE"; fi
    phases
    after
    if ! native; then check 'the daemon stops' "$VRIFT" daemon stop; fi
    manifest "$TREE" >"$T/manifest.after"
    if cmp -s "$T/manifest.before" "$T/manifest.after"; then ok 'the real tree is unchanged'; else
        not_ok 'the real tree is unchanged'
        tr '\0' '\n' <"$T/manifest.before" >"$T/before"
        tr '\0' '\n' <"$T/manifest.after" | diff "$T/before" - | head -n 40
    fi
    ok 'the test ran to its end'
}

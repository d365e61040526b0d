#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: in a strict run a program's own system call on the view, or io_uring, is refused and named, and the run's
# exit code is 125; a run without any goes on as ever.
. "${0%/*}/lib.sh"

tree() {
    echo one >one && mkdir sub && echo beside >sub/beside && ln -s "$VIEW" "$OUTER/leads_in"
    printf 'int main(void) { return 0; }\n' >main.c
    printf 'all: main out\nmain: main.c\n\tgcc -o main main.c\n\t./main\nout: one\n\tsort one >out\n\tmkdir -p made && mv out made/out && cp made/out out\n' >Makefile
}

# strict CODE WHAT COMMAND...: a strict run; its stderr in $T/said.
strict() {
    strict_code=$1 strict_what=$2
    shift 2
    if native; then
        ok "$strict_what # SKIP native mode has no run"
        return
    fi
    exits "$strict_code" "$strict_what" strict_run "$@"
}
strict_run() { (cd "$VIEW" && "$VRIFT" run --strict -- "$@") 2>"$T/said" >"$T/out"; }
says() { check "it says: $1" grep -q "$1" "$T/said"; }
prints() { is "$(cat "$T/out")" "$1" "the program got $1"; }

checks() { make -s && is "$(cat out)" one 'an ordinary run'; }

phases() {
    in_view checks
    strict 0 'a build that goes through the C library' sh -c 'rm -rf made out main && make -s && cat out'
    strict 7 'the exit code of the command' sh -c 'exit 7'
    strict 0 'a path outside the view by a call of its own' "$BIN/own_calls" open /etc/passwd
    native && return
    prints done
    strict 125 'an open of its own by an absolute path' "$BIN/own_calls" open "$VIEW/one"
    prints EPERM
    says "strict: own_calls made its own system call openat on $VIEW/one: refused"
    strict 125 'by a relative path' "$BIN/own_calls" open one
    prints EPERM
    strict 125 'by a symlink outside' "$BIN/own_calls" stat "$OUTER/leads_in/sub/beside"
    prints EPERM
    strict 125 'by dots' "$BIN/own_calls" stat "$OUTER/other/../tree/one"
    strict 125 'a removal' "$BIN/own_calls" unlink "$VIEW/one"
    says 'own system call unlink'
    strict 125 'io_uring' "$BIN/own_calls" io_uring
    prints ENOSYS
    says 'own_calls made its own system call io_uring_setup'
    strict 125 'deep in a pipeline' sh -c 'echo x | xargs -I{} sh -c "\"$0\" stat \"$1/one\"; true"' "$BIN/own_calls" "$VIEW"
    cp "$BIN/static_calls" "$T/static_calls"
    if unshare --user --mount true 2>/dev/null; then
        strict 0 'a static program in its own namespace' busybox cat "$VIEW/one"
        prints one
    else
        ok 'a static program in its own namespace # SKIP no mount namespaces here'
    fi
    VRIFT_NAMESPACE=off
    export VRIFT_NAMESPACE
    strict 0 'a static program by a relative path' busybox cat one
    prints one
    strict 125 'and by an absolute path without a namespace' busybox cat "$VIEW/one"
    says 'busybox made its own system call open'
    unset VRIFT_NAMESPACE
}
main

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: a program of the sample that makes system calls of its own on the view, or asks for io_uring, is named at the
# end of the run, and nothing changes for it; others are not named.
. "${0%/*}/lib.sh"

tree() {
    echo one >one && mkdir sub && echo beside >sub/beside
    printf 'int main(void) { return 0; }\n' >main.c
}

# run SAMPLE WHAT COMMAND...: a run; its stderr in $T/said, its stdout in $T/out.
sampled() {
    sampled_rate=$1 sampled_what=$2
    shift 2
    (cd "$VIEW" && VRIFT_SAMPLE=$sampled_rate "$VRIFT" run -- "$@") 2>"$T/said" >"$T/out"
    is $? 0 "$sampled_what: exit code"
}
names() { check "it says: $1" grep -qF "$1" "$T/said"; }
silent() { fails "nobody is named" grep -F ' of its own on the view' "$T/said"; }

# Programs that are remembered.
looked_through() { cat "$XDG_RUNTIME_DIR"/vrift/*/w/*/counters | od -An -v -t u8 -w8 -j 1024 | grep -cvx ' *0'; }

checks() { gcc -o main main.c && ./main && is "$(cat one)" one 'a run'; }

phases() {
    in_view checks
    if native; then ok 'runs # SKIP native mode has none'; return; fi
    sampled 1 'an open of its own by an absolute path' "$BIN/own_calls" open "$VIEW/one"
    is "$(cat "$T/out")" done 'the call is made as ever'
    names "own_calls made 1 system call of its own on the view, unseen (openat $VIEW/one)"
    sampled 1 'by a relative path' "$BIN/own_calls" stat sub/beside
    names 'own_calls made 1 system call of its own on the view, unseen (stat sub/beside)'
    # What the kernel says to one who asks it natively.
    want=$("$BIN/own_calls" io_uring)
    sampled 1 'io_uring' "$BIN/own_calls" io_uring
    is "$(cat "$T/out")" "$want" 'io_uring_setup does what the kernel does'
    names 'own_calls made 1 system call of its own on the view, unseen (io_uring_setup)'
    sampled 1 'several processes' sh -c 'for i in 1 2 3; do "$0" open one; done' "$BIN/own_calls"
    names 'own_calls made 3 system calls of its own on the view, unseen (openat one)'
    for how in blocked blocked_thread in_handler ignored; do
        sampled 1 "SIGSYS $how" "$BIN/own_calls" $how "$VIEW/one"
        is "$(cat "$T/out")" done "SIGSYS $how: as natively"
        names 'own_calls made 1 system call'
    done
    # What a large program was found to have is remembered, as long as it is the same file.
    printf '.text\n.skip 300000, 0x90\n.section .note.GNU-stack,"",@progbits\n' >"$T/large.s"
    echo 'int main(void) { return 0; }' | gcc -o "$T/large" -x c - -x assembler "$T/large.s"
    sampled 1 'a large program without such calls' "$T/large"
    silent
    check 'it is remembered' [ "$(looked_through)" -gt 0 ]
    gcc -O2 -o "$T/large" -x c - -x assembler "$T/large.s" <<'EOF'
int main(void)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(257), "D"(-100), "S"("one"), "d"(0) : "rcx", "r11", "memory");
    return 0;
}
EOF
    for time in first second; do
        sampled 1 "another one by that name, the $time time" "$T/large"
        names 'large made 1 system call of its own on the view, unseen (openat one)'
    done
    sampled 1 'a path outside the view' "$BIN/own_calls" open /etc/passwd
    silent
    sampled 1 'programs that go through the C library' sh -c 'gcc -o main main.c && ./main && ls -lR . && sort one'
    silent
    sampled 0 'nothing is looked at' "$BIN/own_calls" open one
    silent
    # One in sixteen, where nothing is said: of 400 none is seen once in a hundred thousand million.
    seq 400 >"$T/many"
    (unset VRIFT_SAMPLE && cd "$VIEW" && "$VRIFT" run -- xargs -n 1 "$BIN/own_calls" open one) \
        <"$T/many" 2>"$T/said" >"$T/out"
    seen=$(sed -n 's/.*own_calls made \([0-9]*\) system call.*/\1/p' "$T/said")
    check "of 400 processes some are looked at, most are not: ${seen:-0}" [ "${seen:-0}" -gt 0 -a "${seen:-0}" -lt 100 ]
    exits 2 'a rate that is none' env VRIFT_SAMPLE=often "$VRIFT" run -- true
}
main

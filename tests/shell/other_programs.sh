#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: programs that this machine runs, but not by glibc's loader with the preload library, read and write the
# workspace and are named with the reason: musl's, static and dynamic, 32-bit ones, those of other processors by
# binfmt_misc, those with file capabilities, and those whose loader only the view has. A program without a loader
# fails as natively. A static one goes on when the daemon is killed.
. "${0%/*}/lib.sh"

nobody=65534

tree() {
    echo one >one && mkdir sub && echo below >sub/file
    cp "$BIN/musl_calls" "$BIN/musl_static_calls" "$BIN/static_32" .
    printf 'int main(void) { return 0; }\n' >main.c
    printf 'void _start(void) { __asm__("mov $1, %%eax; int $0x80"); }\n' >bare.c
    gcc -o no_loader -Wl,--dynamic-linker=/nonexistent/ld.so main.c
    gcc -m32 -nostdlib -ffreestanding -O1 -fpie -pie -o no_loader_32 -Wl,--dynamic-linker=/nonexistent/ld.so bare.c
    gcc -o own_loader -Wl,--dynamic-linker="$VIEW/loader" main.c
    # An ELF header for EM_AARCH64.
    { printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\267\000'; head -c 100 /dev/zero; } >foreign
    chmod 755 foreign
}

reads_and_writes() { # PROGRAM
    echo "for $1" >fresh
    is "$("./$1" cat fresh)" "for $1" "$1 reads what was written a moment before"
    "./$1" write "by_$1" written
    is "$(cat "by_$1")" written "$1 writes"
    (cd sub && "../$1" patch file B) && is "$(cat sub/file)" Below "$1 writes in place, upwards"
    echo below >sub/file
}

checks() {
    reads_and_writes musl_calls
    reads_and_writes musl_static_calls
    echo 32 >fresh
    ./static_32 fresh by_32 && is "$(cat by_32)" 32 'a 32-bit program reads and writes'
    exits 127 'a program whose loader is missing' sh -c './no_loader' 2>/dev/null
    expect ENOENT execv ./no_loader
    expect ENOENT execv ./no_loader_32
    if unshare --user --mount true 2>/dev/null; then
        cp /lib64/ld-linux-x86-64.so.2 loader && chmod 755 loader
        exits 0 'a program whose loader only the view has' ./own_loader
    else
        ok 'a program whose loader only the view has # SKIP no mount namespaces here'
    fi
    # Without a handler the kernel does not know it.
    fails 'of another processor, without a handler' ./foreign 2>/dev/null
}

# One whose daemon is killed while it runs.
goes_on() {
    "$BIN/musl_static_calls" write begun begun
    busybox sh -c 'echo $$ >started; until [ -e /proc/self ] && [ -e "$0" ]; do busybox sleep 0.05; done; cat one >late' "$T/killed" &
    if ! native; then
        until find "$VRIFT_HOME/worktree" -name started -size +0 | grep -q .; do sleep 0.05; done
        kill -KILL "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    fi
    echo beside >beside
    : >"$T/killed"
    exits 0 'a static program whose daemon was killed' wait $!
    is "$(cat late beside begun)" "one
beside
begun" 'what it wrote is there, and what was written beside it'
}

# A handler that this test's own user namespace alone has: cat reads the program, then its argument.
by_handler() {
    is "$(./foreign sub/file | tail -c 8)" changed 'a program of another processor reads the file of the view'
    is "$("$VIEW/foreign" "$VIEW/sub/file" | tail -c 8)" changed 'by absolute paths'
}


register() {
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null &&
        echo ':vst:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00::/bin/cat:' \
            >/proc/sys/fs/binfmt_misc/register 2>/dev/null
}

named() { # FILE TEXT
    native || check "it is named: $2" grep -qF "$2" "$1"
}

phases() {
    in_view checks 2>"$T/said"
    cat "$T/said"
    named "$T/said" 'musl_calls does not use glibc'\''s loader'
    named "$T/said" 'musl_static_calls is statically linked'
    named "$T/said" 'static_32 is a 32-bit program'
    named "$T/said" 'own_loader has its loader in the view'
    in_view goes_on
    if unshare --user --map-root-user --mount sh "$SELF" --register; then
        VRIFT_TEST_INSIDE=by_handler unshare --user --map-root-user --mount sh "$SELF" --handler 2>"$T/said"
        cat "$T/said"
        named "$T/said" 'foreign is for another processor'
    else
        ok 'a program of another processor # SKIP no binfmt_misc for user namespaces here'
    fi
    capabilities
}

# As an ordinary user with a home of its own: to root capabilities are nothing new.
capabilities() {
    if [ "$(id -u)" != 0 ]; then
        ok 'a program with file capabilities # SKIP only root may make one'
        return
    fi
    cp /bin/cat "$OUTER/capable" && setcap cap_net_raw+ep "$OUTER/capable"
    mkdir "$T/other" "$T/other/bin" && mkdir -m 700 "$T/other/home" "$T/other/run" "$T/other/tree"
    native || cp "$VRIFT" "${VRIFT%/*}/vriftd" "${VRIFT%/*}/libvrift_shim.so" "$T/other/bin"
    mkdir "$T/other/tree/sub" && echo below >"$T/other/tree/sub/file"
    chown -R $nobody:$nobody "$T/other"
    as_other() { setpriv --reuid=$nobody --regid=$nobody --clear-groups env VRIFT_HOME="$T/other/home" XDG_RUNTIME_DIR="$T/other/run" "$@"; }
    if native; then
        (cd "$T/other/tree" && OUTER=$OUTER as_other sh -c 'echo changed >sub/file; "$0" sub/file' "$OUTER/capable") >"$T/out"
    else
        (cd "$T/other/tree" && as_other "$T/other/bin/vrift" run -- sh -c 'echo changed >sub/file; "$0" sub/file' "$OUTER/capable") \
            >"$T/out" 2>"$T/said"
        cat "$T/said"
        is "$(cat "$T/other/tree/sub/file")" below 'the real file is what it was'
        as_other "$T/other/bin/vrift" daemon stop
    fi
    is "$(cat "$T/out")" changed 'a program with file capabilities reads by a relative path'
    named "$T/said" 'capable runs with other rights'
}

case ${1:-} in
--register)
    register
    exit
    ;;
--handler)
    register
    (cd "$VIEW" && echo changed >"$T/changed")
    unset VRIFT_TEST_INSIDE
    if native; then (cd "$VIEW" && sh "$SELF" --foreign); else (cd "$VIEW" && "$VRIFT" run -- sh "$SELF" --foreign); fi
    exit
    ;;
--foreign)
    echo changed >sub/file
    by_handler
    exit
    ;;
esac

after() { only_in_view by_musl_calls by_musl_static_calls by_32 late; }
main

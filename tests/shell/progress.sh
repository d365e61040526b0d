#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: what takes longer than a moment says how far it is, in one line that changes on a terminal (also of 20 columns), in
# plain lines elsewhere, and not with --quiet, with a daemon and without; Ctrl-C and the daemon's death leave whole files, and the same command goes on.
. "${0%/*}/lib.sh"
. "${0%/*}/terminal.sh"

tree() { mkdir few && for number in 1 2 3 4 5 6; do head -c 500000 /dev/urandom >few/$number; done; }
checks() {
    mkdir -p many && i=0
    while [ $i -lt 1500 ]; do
        echo "file $i" >many/$i
        i=$((i + 1))
    done
}
said() { (cd "$VIEW" && "$VRIFT" "$@") >"$T/out" 2>"$T/err"; }

# A vrift whose daemon takes two seconds to check a store that nobody serves; everything else is the daemon's.
slow_to_check() {
    bin=$T/slow real=$(dirname "$VRIFT")/vriftd
    mkdir "$bin" && cp "$VRIFT" "$bin/vrift"
    cat >"$bin/vriftd" <<SH
#!/bin/sh
case " \$* " in *' --fsck '*)
    for n in \$(seq 20); do
        echo '{"Progress":{"stage":"checking","files":'\$n',"bytes":0,"total_files":20}}' || exit 1
        sleep 0.1
    done
esac
exec '$real' "\$@"
SH
    chmod +x "$bin/vriftd"
}
whole() {
    for file in "$1"/many/*; do
        [ "$(cat "$file")" = "file ${file##*/}" ] || return 1
    done
    ! find "$1" -name '.vrift-export*' | grep -q .
}

phases() {
    in_view checks
    if native; then ok 'progress # SKIP there is none without vrift'; return; fi
    export VIEW T
    exits 0 'a slow check' said scrub --restart --rate 1
    check 'says how far it is, in plain lines' grep -q '^vrift: checking: [0-9]* files, ' "$T/err"
    fails 'and moves no cursor' grep -q "$(printf '\033')" "$T/err"
    exits 0 'a quiet one' said --quiet scrub --restart --rate 1
    is "$(cat "$T/err")" '' 'says nothing'
    exits 0 'in a terminal' in_terminal 80 "$VRIFT" scrub --restart --rate 1
    check 'it draws' grep -aq 'checking: ' "$T/drawn"
    exits 0 'in one of 20 columns' in_terminal 20 "$VRIFT" scrub --restart --rate 1
    is "$(widest checking)" '20 True' 'no line is wider'

    (cd "$VIEW" && exec "$VRIFT" scrub --restart --rate 1) >"$T/out" 2>"$T/err" &
    scrub=$!
    until_true grep -q checking "$T/err"
    kill -INT $scrub
    exits 130 'Ctrl-C ends it' wait $scrub
    check 'and it says what is kept' grep -q 'interrupted: .* goes on from there' "$T/err"
    exits 0 'the next one' said scrub
    check 'goes on from there' grep -q 'the scrub before' "$T/out"

    slow_to_check
    exits 0 'the daemon stops' said daemon stop
    (cd "$VIEW" && "$bin/vrift" fsck) >"$T/out" 2>"$T/err"
    is $? 0 'a check that takes its time, without a daemon'
    check 'says how far it is' grep -q '^vrift: checking: [0-9]* of 20 files, ' "$T/err"
    check 'and what came of it' grep -q 'verified; 0 flaws' "$T/out"
    (cd "$VIEW" && "$bin/vrift" --quiet fsck) >"$T/out" 2>"$T/err"
    is "$?$(cat "$T/err")" 0 'a quiet one says nothing'
    exits 0 'in a terminal of 20 columns' in_terminal 20 "$bin/vrift" fsck
    is "$(widest checking)" '20 True' 'no line is wider'
    (cd "$VIEW" && exec "$bin/vrift" fsck) >"$T/out" 2>"$T/err" &
    fsck=$!
    until_true grep -q checking "$T/err"
    kill -INT $fsck
    exits 130 'Ctrl-C ends it' wait $fsck
    check 'and it says what is kept' grep -q 'interrupted: nothing was changed by halves' "$T/err"
    exits 0 'the store is sound' said fsck
    "$real" --home "$VRIFT_HOME" --fsck --progress >"$T/out"
    is $? 0 'the daemon, asked how far it is'
    check 'says so in lines of their own' grep -q '^{"Progress":{"stage":"reading the journal"' "$T/out"
    is "$(tail -n 1 "$T/out" | grep -c '"flaws":\[\]')" 1 'before the result'

    mkdir "$T/a" "$T/b"
    (cd "$VIEW" && exec "$VRIFT" export many --to "$T/a") >"$T/out" 2>"$T/err" &
    export=$!
    until_true [ -e "$T/a/many/1" ]
    kill -INT $export 2>/dev/null
    wait $export
    # The daemon ends the file that it is at; a take-in has its turn after that.
    said sync
    check 'an interrupted export has whole files' whole "$T/a"
    exits 0 'the same command' said export many --to "$T/a"
    is "$(ls "$T/a/many" | wc -l)" 1500 'writes the rest'

    (cd "$VIEW" && exec "$VRIFT" export many --to "$T/b") >"$T/out" 2>"$T/err" &
    export=$!
    until_true [ -e "$T/b/many/1" ]
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    echo half >"$T/b/many/.vrift-export-1-1"
    exits 0 'an export goes on over the death of the daemon' wait $export
    said export many --to "$T/b"
    check 'with whole files, and nothing beside them' whole "$T/b"
    is "$(ls "$T/b/many" | wc -l)" 1500 'all of them'
}
main

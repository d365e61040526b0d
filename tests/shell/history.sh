#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: every run is remembered with its command, exit code, time, files and bytes, also over a restart of the daemon; a
# damaged history.db is begun anew with what can be read of it, and that is said (RFC 0012).
. "${0%/*}/lib.sh"

tree() { echo one >file && echo 'kept' >other; }
checks() { echo two >file && mkdir dir && echo new >dir/made && sleep 0.05 && exit_code=0; }
said() { (cd "$VIEW" && "$VRIFT" "$@") >"$T/said" 2>"$T/err"; }
has() { grep -q -- "$1" "$T/said"; }
field() { sed -n "s/^ *\"$1\": \([^,]*\),*$/\1/p" "$T/said" | head -n 1; }

phases() {
    in_view checks
    if native; then ok 'history # SKIP there is none without vrift'; return; fi
    exits 7 'a run that fails' said run -q -- sh -c 'echo "a b" >made; exit 7'
    exits 0 'the history' said history
    is "$(wc -l <"$T/said")" 2 'has both'
    check 'the command as it was typed' has "tree  sh -c 'echo \"a b\" >made; exit 7'"
    exits 0 'the last one as JSON' said history -n 1 --json
    is "$(field exit_code) $(field files_changed) $(field new_bytes)" '7 1 4' 'has exit code, files and bytes'
    exits 0 'one run' said history 1
    check 'has its processes' has 'ms\|s  .* sh '
    check 'and its files' has '^  dir/made (4 B)'
    exits 1 'a run that is not there' said history 99
    exits 0 'a process that was killed' said run -q -- sh -c ': >x; (sleep 100 & kill -9 $!); exit 0'

    # A run is written down when its answer is out; who asks waits for that.
    exits 0 'it is remembered' said history -n 1
    kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    exits 0 'after the death of the daemon' said history
    is "$(wc -l <"$T/said")" 3 'all are there'
    exits 0 'sums' said stats --json
    is "$(field runs) $(field failed_runs)" '3 1' 'count runs'
    exits 0 'for people' said stats
    check 'with the project' has '^  tree: [0-9]* files, .*; 3 runs in '
    before=$(said stats --json; echo "$(field contents) $(field known_contents)")
    exits 0 'equal bytes' said run -q -- cp file again
    exits 0 'are a hit' said stats --json
    is "$(field contents) $(field known_contents)" "$((${before% *} + 1)) $((${before#* } + 1))" 'in the store'
    check "and $(field lookups) look-ups" [ "$(field lookups)" -gt "$(field requests)" ]
    exits 0 'rates for people' said stats
    check 'are shares' has '^hits: [0-9.]*% of [0-9,]* path look-ups without the daemon; [0-9.]*% of [0-9]* contents* were in the store already$'
    exits 0 'only of a workspace' said history -w nothing
    is "$(cat "$T/said")" '' 'that has none'

    exits 0 'a report' said report -o "$T/page.html"
    check 'has the last run' grep -q 'Run 4 in tree' "$T/page.html"
    mkfifo "$T/pipe"
    cat "$T/pipe" >"$T/piped.html" &
    exits 0 'a report into a pipe' timeout 20 env -C "$VIEW" "$VRIFT" report -o "$T/pipe" >"$T/out" 2>&1
    check 'which stays a pipe' [ -p "$T/pipe" ]
    [ -p "$T/pipe" ] && wait $!
    check 'and brings the page' grep -q '</html>' "$T/piped.html"
    exits 2 'a report where nothing can be written' said report -o "$T/no/page.html"
    is "$(wc -l <"$T/err")" 1 'is refused in a line'
    exits 1 'a report of a run that is not there' said report --run 99 -o "$T/none.html"
    check 'writes nothing' [ ! -e "$T/none.html" ]

    # In the place of the file: something else; then a file whose middle is gone.
    "$VRIFT" daemon stop
    cp "$VRIFT_HOME/history.db" "$T/history.db"
    echo 'no database' >"$VRIFT_HOME/history.db"
    exits 0 'a run with a history.db that is none' said run -- true
    exits 0 'the history' said history
    is "$(wc -l <"$T/said")" 1 'begins anew'
    check 'and says so' grep -q 'history.db was damaged: it was begun anew with 0 of its runs; the old one is ' "$T/err"
    exits 0 'once' said history
    is "$(cat "$T/err")" '' 'said'
    for number in 1 2 3 4 5 6 7 8 9; do (cd "$VIEW" && "$VRIFT" run -q -- true "$(printf %04000d $number)"); done
    "$VRIFT" daemon stop
    dd if=/dev/urandom of="$VRIFT_HOME/history.db" bs=1024 seek=52 count=16 conv=notrunc 2>"$T/err"
    exits 0 'the history of a damaged file' said history
    check "has what can be read: $(wc -l <"$T/said")" [ "$(wc -l <"$T/said")" -ge 1 -a "$(wc -l <"$T/said")" -lt 10 ]
    check 'and says so' grep -q 'was damaged' "$T/err"
    exits 0 'a run' said run -q -- true new
    exits 0 'is remembered' said history
    check 'as ever' has 'true new$'

    # Cut off, to a part of it and to nothing; of a later layout.
    for len in 40960 5000 0; do
        "$VRIFT" daemon stop
        truncate -s $len "$VRIFT_HOME/history.db"
        exits 0 "the history of a file that was cut to $len bytes" said history
        check "has what can be read: $(wc -l <"$T/said")" [ "$(wc -l <"$T/said")" -lt 11 ]
        check 'and says so' grep -q 'history.db was damaged: it was begun anew with [0-9]* of its runs; the old one is ' "$T/err"
        exits 0 'a run' said run -q -- true "after $len"
        exits 0 'is remembered' said history -n 1
        check 'as ever' has "true 'after $len'\$"
        is "$(cat "$T/err")" '' 'and nothing more is said'
    done
    "$VRIFT" daemon stop
    printf '\0\0\0\11' | dd of="$VRIFT_HOME/history.db" bs=1 seek=60 conv=notrunc 2>/dev/null
    exits 0 'the history of a later layout' said history
    check 'begins anew with its runs' has "true 'after 0'\$"
    check 'and says so' grep -q "history.db is a later version's: it was begun anew with 1 of its runs; the old one is .*/history.db.later" "$T/err"
    if [ "$(id -u)" = 0 ]; then ok 'a file that may not be read # SKIP root may read each: tests/shell/run -u'; else
        "$VRIFT" daemon stop
        chmod 0 "$VRIFT_HOME/history.db"
        exits 0 'a run with a file that may not be read' said run -q -- true
        exits 3 'is not held up, which is said' said history
        check 'with what can be done' grep -q 'history.db cannot be read: .*' "$T/err"
        chmod 600 "$VRIFT_HOME/history.db"
        exits 0 'when it may be' said history
        check 'all is there' has "true 'after 0'\$"
    fi

    # Processes that change nothing: some become others, one runs no destructors, one is ended by a signal.
    exits 0 'a run that only reads' said run -q -- sh -c 'cat file; ls; sh -c "cat other; exec cat file other"; sh -c "kill -9 \$\$"; :'
    exits 0 'it' said history -n 1 --json
    number=$(field number)
    exits 0 'is remembered' said history "$number"
    is "$(grep -c '^  *+[0-9.]* s ' "$T/said")" "$(sed -n 's/^\([0-9]*\) processes, 0 files changed.*/\1/p' "$T/said")" 'with all its processes'
    is "$(sed -n 's/^  *+[0-9.]* s  *\([?0-9]\)[^ ]*\( s\)*  *[0-9]*  \([a-z]*\).*/\3 \1/p' "$T/said" | sed 's/[0-9]/0/' | sort | tr '\n' ' ')" \
        'cat 0 cat 0 cat 0 ls 0 sh 0 sh 0 sh ? ' 'one line for each program, with an end for each but the one that was killed'
    exits 0 'its report' said report -o "$T/page.html"
    is "$(grep -o '<rect[^>]*><title>[a-z]* ' "$T/page.html" | grep -c 'cat \|ls \|sh ')" 7 'has them all'
    is "$(grep -o '<rect class="open"' "$T/page.html" | wc -l)" 1 'one with an open end'
    # What a process writes there instead of its line: a count, then anything.
    exits 0 'a run with more processes than the roll has room for' said run -q -- sh -c 'cat file
        printf "\210\023\0\0\0\0\0\0" | dd of="$VRIFT_RUNTIME/counters" bs=1 seek=48 conv=notrunc 2>/dev/null; ls'
    exits 0 'is remembered' said history -n 1 --json
    check "and says how many are missing: $(field unlisted)" [ "$(field unlisted)" -gt 800 -a "$(field unlisted)" -lt 910 ]
    number=$(field number)
    exits 0 'one run' said history "$number"
    check 'says it too' has '^  and [89][0-9]* more$'
    check 'has those that are there still' has ' ls$'
    exits 0 'a run that writes anything into the roll' said run -q -- sh -c 'cat file
        dd if=/dev/urandom of="$VRIFT_RUNTIME/counters" bs=4096 seek=1 count=128 conv=notrunc 2>/dev/null
        dd if=/dev/urandom of="$VRIFT_RUNTIME/counters" bs=1 seek=48 count=8 conv=notrunc 2>/dev/null; ls'
    exits 0 'is remembered' said history -n 1
    check 'with its command' has ' sh -c '
    exits 0 'and a run after it' said run -q -- cat file
    exits 0 'has its history' said history -n 1 --json
    number=$(field number)
    exits 0 'with the process' said history "$number"
    check 'that it had' has ' cat file$'

    # One that cannot be written holds up nobody.
    "$VRIFT" daemon stop
    rm "$VRIFT_HOME"/history.db* && mkdir "$VRIFT_HOME/history.db"
    exits 0 'a run without a history' said run -q -- true
    exits 3 'which is said when it is asked for' said history
    rmdir "$VRIFT_HOME/history.db"
    exits 0 'and begins when it can' said history
}
main

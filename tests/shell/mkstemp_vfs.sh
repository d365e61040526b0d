#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: temporary files and directories whose template is in the view are made in the view.
. "${0%/*}/lib.sh"

tree() { mkdir d tmp; }

checks() {
    helper mkstemp "$VIEW"
    is "$(ls tmp | wc -l)" 100 'its 100 files are listed'
    rm tmp/*
    file=$(mktemp d/shell.XXXXXX) && echo x >"$file" && echo "$file" >names
    dir=$(mktemp -d -p d) && : >"$dir/f" && echo "$dir" >>names
    is "$(TMPDIR=$VIEW/tmp mktemp -u | sed 's/[^/]*$//')" "$VIEW/tmp/" 'mktemp honours TMPDIR in the view'
    printf 'int main(void) { return 0; }\n' >x.c
    TMPDIR=$VIEW/tmp gcc x.c -o prog
    check 'gcc with TMPDIR in the view' ./prog
    is "$(ls tmp)" '' 'it leaves nothing there'
    TMPDIR=$VIEW/tmp sort -S 1M --parallel=1 -o sorted <<END
$(seq 1000 -1 1)
END
    is "$(head -n 1 sorted)" 1 'sort with TMPDIR in the view'
}

after() {
    only_in_view prog sorted made_by_mkstemp
    view_cat names >"$T/names"
    is "$(wc -l <"$T/names")" 2 'two names from mktemp(1)'
    while read -r name; do only_in_view "$name"; done <"$T/names"
    is "$(find "$TREE/d" "$TREE/tmp" -mindepth 1)" '' 'the real directories are empty'
}
main

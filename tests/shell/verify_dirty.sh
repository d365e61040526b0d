#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: while one process writes, stat and read of another see what has been written so far.
. "${0%/*}/lib.sh"

tree() {
    echo 'bytes of the tree' >file && echo 'a log line' >log && echo keep >rewritten
    touch -d 2001-02-03 file log rewritten
}

checks() {
    exec 7>made
    expect 0 stat made size
    printf hello >&7
    is "$(cat made)" hello 'the first bytes are read before the close'
    expect 5 stat made size
    is "$(stat -c %s made; ls -l made | awk '{ print $5 }'; find made -printf '%s\n'; wc -c <made)" "5
5
5
5" 'every tool says the same size'
    printf ' world' >&7
    is "$(cat made)" 'hello world' 'then the next'
    is "$(env -i /bin/cat "$VIEW/made")" 'hello world' 'by absolute path, in a cleared environment'
    fails 'in-flight writes move the mtime' [ made -ot "$T/manifest.before" ]
    exec 7>&-
    expect 11 stat made size

    exec 7>>log
    echo 'more' >&7
    is "$(cat log)" "a log line
more" 'an append in flight'
    check 'its mtime moved' [ log -nt file ]
    mv log moved_log
    echo 'after the rename' >&7
    is "$(tail -n 1 moved_log)" 'after the rename' 'writes go on under the new name'
    exec 7>&-

    exec 7>rewritten
    is "$(cat rewritten)" '' 'a truncation is seen at once'
    exec 8<rewritten
    echo new >&7
    is "$(cat <&8)" new 'a reader that was there before the write sees it'
    exec 7>&- 8<&-

    exec 7<>file
    printf BYTES >&7
    is "$(cat file)" 'BYTES of the tree' 'an overwrite in place, in flight'
    chmod 600 file
    expect 100600 stat file mode
    expect 18 stat file size
    cp file copied
    is "$(cat copied)" 'BYTES of the tree' 'a copy made meanwhile has what was written'
    ln file linked && printf ' OF' >&7
    is "$(cat linked)" 'BYTES OF the tree' 'another hard link sees it too'
    exec 7>&-
    is "$(cat file linked | sort -u)" 'BYTES OF the tree' 'and after the close'

    # Two writers of one file, each with its own descriptor.
    exec 7<>two 8<>two
    printf aaaa >&7
    printf bb >&8
    is "$(cat two)" bbaa 'two writers share one file'
    exec 7>&- && printf cc >&8 && exec 8>&-
    is "$(cat two)" bbcc 'also when one has closed'
}

after() {
    is "$(view_cat made)" 'hello world' 'the bytes outlive the run'
    is "$(view_cat two)" bbcc 'those of two writers too'
    only_in_view made moved_log copied two
}
main

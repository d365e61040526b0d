#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: modes are those of the view: set by every chmod call, kept by writes and by later runs.
. "${0%/*}/lib.sh"

tree() {
    echo x >file && echo '#!/bin/sh' >script && chmod 644 script && mkdir d && ln -s file soft
    echo x >ro && chmod 444 ro && mkdir sticky && chmod 1777 sticky && mkdir setgid && chmod 2755 setgid
}

checks() {
    expect 100444 stat ro mode
    expect 41777 stat sticky mode
    expect 42755 stat setgid mode
    for mode in 600 755 444 000 777 4755 1644 664; do
        expect 0 chmod file $mode
        expect "$(printf %o $((0100000 | 0$mode)))" stat file mode
    done
    expect 0 chmod soft 640
    expect 100640 stat file mode
    expect 120777 lstat soft mode
    expect 0 chmod d 1770
    expect 41770 stat d mode
    expect ENOENT chmod missing 644
    expect ENOTDIR chmod file/x 644
    echo more >>file
    expect 100640 stat file mode
    chmod u+x,go= file
    expect 100700 stat file mode
    chmod +x script
    check 'a script made executable runs' ./script
    chmod -x script
    exits 126 'one that is not any more does not' sh -c './script 2>/dev/null'
    mkdir -p r/s && echo x >r/s/f && chmod -R go-rwx r
    is "$(find r -printf '%m ')" '700 700 600 ' 'chmod -R'
    umask 077 && : >private && mkdir privdir && umask 022
    expect 100600 stat private mode
    expect 40700 stat privdir mode
    install -m 751 script installed
    expect 100751 stat installed mode
    cp -p ro copy_of_ro
    expect 100444 stat copy_of_ro mode
    : >copy_of_file && chmod --reference=installed copy_of_file
    expect 100751 stat copy_of_file mode
    before=$("$BIN/call" stat d mtime) && chmod 755 d
    expect "$before" stat d mtime
    exec 7>made && chmod 604 made && echo x >&7 && exec 7>&-
    expect 100604 stat made mode
    check 'bash -c test -x' bash -c '[ -x installed ] && ! [ -x copy_of_ro ] && [ -r ro ]'
}

later() {
    expect 100700 stat file mode
    expect 100604 stat made mode
    expect 100600 stat private mode
    expect 100751 stat installed mode
}
phases() { in_view checks; in_view later; }

after() { only_in_view private installed copy_of_ro; }
main

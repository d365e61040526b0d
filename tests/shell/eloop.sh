#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a path may cross 40 symlinks, the 41st is ELOOP; a loop ends, also one that leaves the view.
. "${0%/*}/lib.sh"

tree() {
    echo end >l0 && mkdir d && ln -s "$OUTER/out" in
    for i in $(seq 41); do ln -s l$((i - 1)) l$i; done
    ln -s "$VIEW/in" "$OUTER/out"
}

checks() {
    is "$(cat l40)" end '40 links are fine'
    expect 0 stat l40
    expect "$VIEW/l0" realpath l40
    expect ELOOP stat l41
    expect ELOOP open l41 O_RDONLY
    expect ELOOP open l41 'O_WRONLY|O_CREAT' 644
    expect ELOOP access l41 F_OK
    expect ELOOP realpath l41
    expect ELOOP chmod l41 644
    expect ELOOP truncate l41 0
    expect 0 lstat l41
    expect l40 readlink l41
    is "$(cat l0)" end 'the end of the chain is untouched'
    ln -s self self && ln -s ping pong && ln -s pong ping && ln -s dir/x dir
    expect ELOOP stat self
    expect ELOOP open self 'O_RDONLY|O_CREAT' 644
    expect ELOOP stat ping
    expect ELOOP stat dir
    expect ELOOP stat dir/file
    expect ELOOP chdir self
    expect ELOOP mkdir self/x 755
    expect EEXIST mkdir self 755
    expect ELOOP rename l0 ping/x
    expect 0 rename self renamed
    expect ENOENT stat renamed
    expect 0 unlink ping
    expect ENOENT stat pong
    # Links in directories on the way count as well: 20 of them, then l20 and l21.
    ln -s . here
    twenty=$(printf 'here/%.0s' $(seq 20))
    is "$(cat "${twenty}l20")" end '20 directory links and 20 file links'
    expect ELOOP stat "${twenty}l21"
    # A loop of which one half is in the view and the other outside.
    expect ELOOP stat in
    expect ELOOP open in O_RDONLY
    expect ELOOP stat "$OUTER/out"
    # The count goes on across the border: 1 real link, then 39 or 40 of the view.
    ln -s "$VIEW/l39" "$OUTER/out39" && ln -s "$VIEW/l40" "$OUTER/out40"
    is "$(cat "$OUTER/out39")" end '40 links across the border'
    expect ELOOP stat "$OUTER/out40"
}

after() { only_in_view here pong renamed; }
main

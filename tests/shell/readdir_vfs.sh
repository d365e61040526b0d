#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a directory of the view lists what is in the view: what was made there, not what was
# removed there; with the inode numbers and types that stat gives.
. "${0%/*}/lib.sh"

tree() {
    mkdir d empty && cd d && mkdir sub .hidden_dir && echo x >sub/x
    for i in $(seq 300); do echo $i >tree.$i; done
    ln -s tree.1 soft && echo x >.hidden
}

checks() {
    cd d
    seq 150 | sed 's/^/tree./' | xargs rm
    seq 300 | sed 's/^/made./' | xargs touch
    mv tree.300 renamed && mkdir newdir && mkfifo fifo
    want=$({ seq -f 'tree.%.0f' 151 299; seq -f 'made.%.0f' 300; echo renamed; echo newdir; echo sub; echo soft; echo fifo; } | sort)
    is "$(ls | sort)" "$want" 'ls'
    is "$(ls -U | sort)" "$want" 'ls -U'
    is "$(printf '%s\n' *)" "$want" 'the glob of a shell'
    is "$(find . -mindepth 1 -maxdepth 1 ! -name '.*' -printf '%f\n' | sort)" "$want" 'find'
    is "$(bash -c 'printf "%s\n" *')" "$want" 'the glob of bash'
    is "$(ls -A | grep '^\.' | tr '\n' ' ')" '.hidden .hidden_dir ' 'hidden names'
    is "$(find . -type f | wc -l)" 452 'find -type f'
    is "$(find . -type d | sort | tr '\n' ' ')" '. ./.hidden_dir ./newdir ./sub ' 'find -type d'
    is "$(find . -type l -o -type p | sort | tr '\n' ' ')" './fifo ./soft ' 'find -type l, p'
    is "$(find . -mindepth 1 -printf '%i\n' | sort -u | wc -l)" "$(find . -mindepth 1 | wc -l)" 'inode numbers are distinct'
    is "$(du -a | wc -l)" "$(find . | wc -l)" 'du walks the same names'
    is "$(echo made.29*)" 'made.29 made.290 made.291 made.292 made.293 made.294 made.295 made.296 made.297 made.298 made.299' \
        'a pattern'
    is "$(ls -A ../empty)" '' 'an empty directory'
    exits 0 'rm -r while it lists' sh -c 'cp -r . ../copied && rm -r ../copied && [ ! -e ../copied ]'
    helper readdir
}

after() {
    only_in_view d/made.1 d/made.300 d/newdir d/renamed
    gone_in_view_only d/tree.1 d/tree.150
    native || is "$(cd "$VIEW" && "$VRIFT" ls d | grep -c 'made\.')" 300 'vrift ls lists them'
}
main

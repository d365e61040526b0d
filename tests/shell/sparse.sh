#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: holes stay holes: in files that are taken in, written in the view, copied when they are written again, made
# again from the store, and exported. What is a hole takes no space in the state folder.
. "${0%/*}/lib.sh"

# Bytes that a file's data takes, and those of the daemon's whole state folder.
space() { echo $(($(stat -c %b "$1") * 512)); }
state_bytes() { du -s --block-size=1 "$VRIFT_HOME" | cut -f 1; }
# within LIMIT GOT WHAT...
within() {
    within_limit=$1 within_got=$2
    shift 2
    check "$* ($within_got of at most $within_limit bytes)" [ "$within_got" -le "$within_limit" ]
}
# 1 MiB of zeros, 8 KiB of data, 90 MiB of zeros, 1 byte.
sparse() {
    dd if=/dev/urandom of="$1" bs=4096 count=2 seek=256 2>"$T/dd"
    printf x | dd of="$1" bs=1 seek=95420416 conv=notrunc 2>"$T/dd"
}

tree() {
    sparse given && sparse changed && sparse kept
    truncate -s 64M nothing
}

checks() {
    is "$(stat -c %s given)" 95420417 'the size of a file with holes'
    within 65536 "$(space given)" 'blocks of a file with holes that was taken in'
    is "$(space nothing)" 0 'blocks of a file that is one hole'
    truncate -s 4G huge
    echo end >>huge
    is "$(stat -c %s huge)" 4294967300 'the size of a file of 4 GiB'
    within 65536 "$(space huge)" 'its blocks'
    is "$(tail -c 4 huge)" end 'its last bytes'
    printf new | dd of=changed bs=1 seek=50000000 conv=notrunc 2>"$T/dd"
    within 131072 "$(space changed)" 'blocks of a file with holes that was written again'
    sparse written
    within 65536 "$(space written)" 'blocks of a file with holes that was written'
    cp --sparse=never nothing dense
    sha256sum given kept changed written nothing >sums
}

again() {
    check 'all bytes are the same' sha256sum --quiet -c sums
    is "$(tail -c 4 huge)" end 'the last bytes of 4 GiB'
    within 65536 "$(space huge)" 'the blocks of 4 GiB, once sealed'
    within 65536 "$(space written)" 'blocks of a file with holes, once sealed'
    within 131072 "$(space changed)" 'blocks of one that was written again, once sealed'
}

phases() {
    in_view checks
    if native; then
        in_view again
        return
    fi
    exits 0 'what the view holds is in the store' "$VRIFT" sync -w tree
    within 100000000 "$(state_bytes)" 'the state folder, with 4 GiB of holes in it'
    exits 1 'the hot tier is given up, and what is in use is more than a byte' "$VRIFT" gc --max-size 1
    in_view again
    within 100000000 "$(state_bytes)" 'the state folder, made again from the store'
    exits 0 'export' "$VRIFT" export -w tree --to "$T/out"
    within 65536 "$(space "$T/out/huge")" 'blocks of the 4 GiB that were exported'
    check 'exported bytes are the same' sh -c "cd '$T/out' && sha256sum --quiet --ignore-missing -c sums"
}

main

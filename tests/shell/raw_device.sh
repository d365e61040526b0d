#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: the store can be on a block device, with blocks of 512 and of 4096 bytes, as it can be in a file, and moves between
# them; a device that holds something else, is held by somebody else, is read-only or too small is refused and left as it is.
. "${0%/*}/lib.sh"

tree() {
    echo data >file
    head -c 3000000 /dev/urandom >long
}

checks() {
    echo made >made
    head -c 200000 long >part
    mkdir dir && echo deep >dir/deep
}

# loop BYTES SECTOR OPTIONS...: sets $device to a loop device over a file of its own, $image.
loops=''
loop() {
    image=$T/image.$(echo $loops | wc -w)
    truncate -s "$1" "$image"
    attach "$image" "$@"
}
attach() {
    attach_image=$1 attach_sector=$3
    shift 3
    device=$(losetup --show -f -b "$attach_sector" "$@" "$attach_image") || { not_ok 'a loop device'; exit 1; }
    loops="$loops $device"
}
detach_all() {
    for one in $loops; do losetup -d "$one" 2>/dev/null; done
}

# refused CODE PATTERN WHAT COMMAND...: fails with the code and says the pattern, in three lines at most.
refused() {
    refused_code=$1 refused_pattern=$2 refused_what=$3
    shift 3
    "$@" >"$T/out" 2>"$T/err"
    is "$?" "$refused_code" "refused: $refused_what"
    check "said: $refused_pattern" grep -q -- "$refused_pattern" "$T/err"
    check 'in three lines at most' [ "$(wc -l <"$T/err")" -le 3 ]
}

vriftd() { "$VRIFT_BIN_DIR/vriftd" "$@"; }
other() { XDG_RUNTIME_DIR=$T vriftd --home "$T/other" "$@"; }

what_is_there_is_left_alone() {
    loop 64M 512
    head -c 512 /dev/zero | tr '\0' 'x' | dd of="$device" bs=512 seek=8 conv=notrunc 2>/dev/null
    before=$(cksum <"$device")
    refused 3 'data of an unknown kind' 'unknown data' vriftd --store "$device" --init
    refused 3 'data of an unknown kind' 'unknown data, by the daemon' other --foreground --store "$device"
    mkfs.ext4 -q -F "$device"
    before=$(cksum <"$device")
    refused 3 'holds an ext2, ext3 or ext4 file system' 'a file system' vriftd --store "$device" --init
    refused 3 'nothing was done' 'another name' vriftd --store "$device" --init --overwrite /dev/null
    refused 3 'holds an ext2, ext3 or ext4 file system' 'a file system, by the daemon' other --foreground --store "$device"
    is "$(cksum <"$device")" "$before" 'it is as it was'
    mkdir "$T/mounted"
    mount "$device" "$T/mounted"
    refused 3 'in use: mounted' 'a mounted device' vriftd --store "$device" --init --overwrite "$device"
    umount "$T/mounted"
    exits 0 'overwritten when it is named again' vriftd --store "$device" --init --overwrite "$device"
    refused 3 'already holds a store' 'a store' vriftd --store "$device" --init
    is "$(blkid -p -o value -s TYPE "$device")" '' 'nobody takes it for a file system any more'
    loop 64M 512 -r
    refused 3 'read-only' 'a read-only device' vriftd --store "$device" --init
    loop 1M 512
    refused 3 'too small' 'a small device' vriftd --store "$device" --init
    loop 64M 4096
    refused 3 "--store $device --init makes one" 'a blank device is not formatted unasked' other --foreground --store "$device"
    refused 3 'there is no device' 'no device' vriftd --store /dev/no-such-device --init
    refused 3 'there is no store device' 'no device, by the daemon' other --foreground --store /dev/no-such-device
}

# The store of the test goes from its file to devices and back.
moved() {
    "$VRIFT" daemon stop
    cp "$VRIFT_HOME/store.img" "$T/kept"
    for sector in 4096 512; do
        loop 512M "$sector"
        dd if="$T/kept" of="$device" bs=1M conv=sparse,notrunc 2>/dev/null
        sync "$device"
        export VRIFT_STORE="$device"
        exits 0 "read from blocks of $sector" "$VRIFT" cat -w tree made
        check 'the daemon says where it is' sh -c '"$0" daemon status | grep -q "^store $1:"' "$VRIFT" "$device"
        is "$("$VRIFT" cat -w tree made)" made 'what was made is there'
        refused 3 'in use' 'a second daemon' other --foreground --store "$device"
        (cd "$VIEW" && "$VRIFT" run -- sh -c "echo $sector >on-$sector && cat long part >long-$sector && rm -f dir/deep")
        kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
        is "$("$VRIFT" cat -w tree on-$sector)" "$sector" 'written, and there after kill -9'
        exits 0 'fsck beside the daemon' "$VRIFT" fsck
        "$VRIFT" daemon stop
        # Nothing but the device.
        rm -rf "$VRIFT_HOME"
        mkdir -m 700 "$VRIFT_HOME"
        exits 0 'fsck without the daemon' "$VRIFT" fsck
        "$VRIFT" cat -w tree long-$sector >"$T/long"
        check 'an empty state folder and the device are all there is' cmp "$T/long" "$T/wanted"
        "$VRIFT" daemon stop
        dd if="$device" of="$T/kept" bs=1M 2>/dev/null
    done
    unset VRIFT_STORE
    printf '[store]\ndevice = "%s"\n' "$T/kept" >"$VRIFT_HOME/config.toml"
    is "$("$VRIFT" cat -w tree on-4096) $("$VRIFT" cat -w tree on-512)" '4096 512' 'back in a file all is there'
    exits 0 'and sound' "$VRIFT" fsck
}

phases() {
    in_view checks
    if native; then ok 'block devices # SKIP there is no store without vrift'; return; fi
    if ! probe=$(losetup -f 2>/dev/null) || [ ! -w "$probe" ]; then
        ok 'block devices # SKIP there are no loop devices for this user'
        return
    fi
    trap detach_all EXIT
    cat "$TREE/long" >"$T/wanted"
    head -c 200000 "$TREE/long" >>"$T/wanted"
    what_is_there_is_left_alone
    moved
}
after() { "$VRIFT" daemon stop >/dev/null; detach_all; trap - EXIT; }
main

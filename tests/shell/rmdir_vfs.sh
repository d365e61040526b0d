#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: rmdir(2) removes empty directories of the view alone, with the kernel's errors.
. "${0%/*}/lib.sh"

tree() {
    mkdir empty full full/sub other late
    echo x >full/x && echo f >file && echo l >late/l
    ln -s empty to_empty
}

checks() {
    expect ENOTEMPTY rmdir full
    expect ENOENT rmdir missing
    expect ENOENT rmdir ''
    expect ENOTDIR rmdir file
    expect ENOTDIR rmdir file/x
    expect ENOTDIR rmdir to_empty
    expect EINVAL rmdir .
    expect EINVAL rmdir full/.
    expect ENOTEMPTY rmdir full/sub/..
    links=$("$BIN/call" stat . nlink)
    expect 0 rmdir empty
    expect $((links - 1)) stat . nlink
    expect ENOENT stat empty
    expect ENOENT opendir empty
    expect ENOENT rmdir empty
    expect 0 unlinkdir other/
    # Empty in the view is what counts, not what the real directory holds.
    rm late/l
    expect 0 rmdir late
    expect 0 rmdir full/sub
    rm full/x
    expect 0 rmdir full
    mkdir full
    is "$(ls -A full)" '' 'a directory made again is empty'
    mkdir gone && cd gone && rmdir ../gone
    expect ENOENT open new 'O_WRONLY|O_CREAT' 644
    expect ENOENT mkdir sub 755
    is "$(ls -A .)" '' 'a removed working directory lists nothing'
    cd "$VIEW"
}

after() { gone_in_view_only empty other late full/sub full/x; }
main

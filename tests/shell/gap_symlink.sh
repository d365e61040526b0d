#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: symlinks of the view are followed, read and refused as the kernel does, also those that
# leave the view and those that come in from outside.
. "${0%/*}/lib.sh"

tree() {
    echo data >file && mkdir -p d/sub && echo in >d/in
    ln -s file from_tree
    ln -s ../file d/up
    ln -s "$OUTER/outside" leaves
    ln -s tree/only "$OUTER/dangles"
    echo outside >"$OUTER/outside"
}

checks() {
    expect 0 symlink file rel
    expect file readlink rel
    expect 0 symlink "$VIEW/file" abs
    expect "$VIEW/file" readlink abs
    is "$(cat rel abs from_tree d/up)" 'data
data
data
data' 'relative and absolute links are followed'
    expect 100644 stat rel mode
    expect 120777 lstat rel mode
    expect 4 lstat rel size
    expect "$("$BIN/call" stat file ino)" stat abs ino
    expect 0 symlink nowhere dangling
    expect ENOENT stat dangling
    expect 120777 lstat dangling mode
    expect ENOENT open dangling O_RDONLY
    expect 0 open dangling 'O_WRONLY|O_CREAT' 644
    expect 0 stat nowhere
    expect EEXIST symlink x rel
    expect ENOENT symlink '' empty
    expect ENOENT symlink x missing/link
    expect EINVAL readlink file
    expect ENOENT readlink missing
    expect ELOOP open rel 'O_RDONLY|O_NOFOLLOW'
    expect 0 open rel 'O_PATH|O_NOFOLLOW'
    ln -s d dir
    expect 120777 lstat dir mode
    expect 40755 lstat dir/ mode
    expect EINVAL readlink dir/
    expect ENOTDIR stat rel/
    expect ELOOP open dir 'O_RDONLY|O_NOFOLLOW'
    expect ENOTDIR open dir 'O_RDONLY|O_NOFOLLOW|O_DIRECTORY'
    is "$(cat dir/in dir/../file)" "in
data" 'through a link to a directory, and back by ..'
    ln -s dir/up twice
    is "$(cat twice)" data 'a link through a link to a link'
    expect "$VIEW/file" realpath twice
    mv d e
    expect ENOENT stat dir
    ln -sfn e dir
    is "$(cat dir/in)" in 'a replaced link'
    ln rel rel_hard
    expect 2 lstat rel_hard nlink
    expect 0 linkfollow rel to_file
    expect 100644 lstat to_file mode
    expect 0 lchown rel "$(id -u)" "$(id -g)"
    expect 0 unlink rel
    is "$(cat file)" data 'unlink of a link leaves its target'
    is "$(cat leaves)" outside 'a link that leaves the view'
    expect "$OUTER/outside" realpath leaves
    mkdir "$OUTER/dir" && ln -s "$VIEW/e" "$OUTER/dir/into" && ln -s "$OUTER/dir" go
    echo made >go/into/made
    is "$(cat e/made)" made 'a link from outside into the view'
    expect "$VIEW/e/made" realpath go/into/made
    expect "$("$BIN/call" stat e/made ino)" stat "$OUTER/dir/into/made" ino
    is "$(cd "$OUTER/dir" && cat into/made)" made 'relative to a directory outside'
    mkdir -p only/deep && echo only >only/deep/file
    is "$(cat "$OUTER/dangles/deep/file" "$OUTER/dangles/../only/deep/file")" 'only
only' 'a link from outside to a folder that only the view has'
    expect ENOENT stat "$OUTER/dangles/none/file"
    expect ENOENT stat "$OUTER/none/file"
    rm -r only
    is "$(tar cf - -C "$OUTER" dir/into/made | tar xOf -)" made 'relative to the fd of one'
    long=$(printf '%04095d' 0)
    expect 0 symlink "$long" longest
    expect "$long" readlink longest
    expect ENAMETOOLONG symlink "${long}0" longer
}

after() {
    only_in_view abs dangling nowhere dir twice e/made
    is "$(cat "$OUTER/outside")" outside 'the file outside is untouched'
}
main

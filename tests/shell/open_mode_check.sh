#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# runs-as: ordinary user
# Promise: open(2) in the view obeys the mode bits, as the kernel does. The files behind the view
# have modes of their own (blobs are 0555), so a shim that leaves the check to them is caught.
. "${0%/*}/lib.sh"

tree() {
    echo data >ro && chmod 444 ro
    echo data >plain
    echo tool >tool && chmod 755 tool
    mkdir fixed && echo in >fixed/in && chmod 555 fixed
}

modes_of_files() {
    expect EACCES open ro O_WRONLY
    expect EACCES open ro O_RDWR
    expect EACCES open ro 'O_WRONLY|O_TRUNC'
    expect EACCES open ro 'O_WRONLY|O_APPEND'
    expect EACCES creat ro 644
    expect EACCES truncate ro 0
    is "$(cat ro)" data 'a refused open leaves the bytes'
    chmod 000 plain
    expect EACCES open plain O_RDONLY
    expect EACCES open plain O_WRONLY
    expect EACCES access plain R_OK
    expect 0 access plain F_OK
    fails 'cat of a 0000 file' cat plain
    chmod 200 plain
    expect EACCES open plain O_RDONLY
    expect EACCES open plain O_RDWR
    expect 0 open plain O_WRONLY
    # The owner's bits decide for the owner, even when others may do more.
    chmod 077 plain
    expect EACCES open plain O_RDONLY
    chmod 644 plain
    expect 0 open plain O_RDWR
    expect EACCES access plain X_OK
    expect EACCES execv ./plain
    expect 0 access tool X_OK
    expect EPERM chown plain 0 0
    (umask 777 && : >sealed_off)
    expect 100000 stat sealed_off mode
    expect EACCES open sealed_off O_RDONLY
}

modes_of_directories() {
    mkdir d && echo x >d/f
    chmod 600 d # names, but no way through
    expect EACCES open d/f O_RDONLY
    expect EACCES stat d/f
    expect EACCES stat d/missing
    expect EACCES chdir d
    expect EACCES unlink d/f
    expect 0 opendir d
    chmod 300 d # a way through, but no names
    expect EACCES opendir d
    expect EACCES open d O_RDONLY
    expect 0 open d/f O_RDONLY
    expect 0 open d/new 'O_WRONLY|O_CREAT' 644
    chmod 500 d # nothing may be made, removed or renamed
    expect EACCES open d/another 'O_WRONLY|O_CREAT' 644
    expect EACCES mkdir d/sub 755
    expect EACCES symlink f d/link
    expect EACCES link plain d/hard
    expect EACCES unlink d/f
    expect EACCES rename d/f moved
    expect EACCES rename plain d/f
    expect 0 open d/f O_WRONLY
    expect EACCES unlink fixed/in
    expect 0 open fixed/in O_WRONLY
    chmod 700 d
    expect 0 unlink d/f
}

flags_of_fds() {
    is "$(/usr/bin/python3 -c 'if True:
        import fcntl, os
        for name in "tool", "made":
            fd = os.open(name, os.O_RDONLY | os.O_NOATIME | (os.O_CREAT if name == "made" else 0))
            print(bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NOATIME))')" "True
True" 'an fd opened with O_NOATIME says so'
}

checks() {
    flags_of_fds
    modes_of_files
    modes_of_directories
}
main

# SPDX-License-Identifier: MIT OR Apache-2.0
# pjdfstest: POSIX calls on files, their errors, permissions and times. Some of its cases are root's alone.
prepare() {
    install_crate pjdfstest 0.2.2
    command=("$SUITES/bin/pjdfstest-0.2.2" -c "$work/pjdfstest.toml" -p "$dir" -s /dev/shm)
    cp "$here/pjdfstest.toml" "$work"
}
cases() {
    sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        $2 == "ok" { print "passed", $1 }
        $2 == "FAILED" { print "failed", $1 }
        $2 == "skipped" { print "skipped", $1 }'
}

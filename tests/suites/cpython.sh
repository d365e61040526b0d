# SPDX-License-Identifier: MIT OR Apache-2.0
# CPython's own tests of its file, process and archive modules, with Debian's interpreter (libpython3.11-testsuite).
prepare() {
    local modules=(test_os test_posix test_shutil test_pathlib)
    [ ! "$long" ] || modules+=(test_glob test_tempfile test_fileio test_io test_mmap test_subprocess test_zipfile test_tarfile)
    needs /usr/lib/python3.11/test/test_os.py libpython3.11-testsuite
    command=(/usr/bin/python3.11 -m test -v "${modules[@]}")
}
limit_s=900
short_cases='^test\.test_(os|posix|shutil|pathlib)\.'
# `name (test.module.Class.name) ... ok`; with a docstring, the verdict is on the line after. Output of a test may stand
# between its name and its verdict.
cases() {
    awk '
        match($0, /^[A-Za-z_0-9]+ \([A-Za-z_0-9.]+\)/) {
            name = substr($0, 1, RLENGTH)
            sub(/.*\(/, "", name)
            sub(/\)$/, "", name)
        }
        name == "" { next }
        / \.\.\. .*skipped / || /^skipped / { print "skipped", name; name = ""; next }
        / \.\.\. (FAIL|ERROR)$/ || /^(FAIL|ERROR)$/ { print "failed", name; name = ""; next }
        /(^|[ .])ok$/ { print "passed", name; name = "" }
    ' "$1"
}

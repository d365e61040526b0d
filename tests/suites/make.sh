# SPDX-License-Identifier: MIT OR Apache-2.0
# GNU make's own tests, from Debian's source package, with Debian's make.
prepare() {
    needs /usr/bin/make make
    REAL_SRC=$SUITES/src "$repo/tests/real/fetch" make-dfsg make-dfsg_4.3.orig.tar.gz \
        be4c17542578824e745f83bcd2a9ba264206187247cb6a5f5df99b0a9d1f9047
    command=(sh -c 'cd tests && perl run_make_tests.pl -srcdir .. -make /usr/bin/make')
}
fill() {
    tar -xf "$SUITES/src/make-dfsg_4.3.orig.tar.gz" --strip-components=1 --no-same-owner
    # What its configure script would put there.
    sed 's/@CC@/gcc/; s/@[A-Z_]*@//' tests/config-flags.pm.in >tests/config-flags.pm
}
limit_s=900
# `category/name ..... ok (3 passed)`; what a test prints may come between.
cases() {
    awk '
        match($0, /^[a-z]+\/[^ ]+ \.\.\.+ /) { name = $1 }
        name == "" { next }
        / ok +\([0-9]+ passed\)/ { print "passed", name; name = "" }
        / N\/A/ { print "skipped", name; name = "" }
        /FAILED \([0-9]+\/[0-9]+ passed\)/ { print "failed", name; name = "" }
    ' "$1"
}

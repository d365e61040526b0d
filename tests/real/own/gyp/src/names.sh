# SPDX-License-Identifier: MIT OR Apache-2.0
# names.sh FROM TO: a C++ table of the lines of FROM.
{
    echo 'static const char *const NAMES[] = {'
    sed 's/.*/    "&",/' "$1"
    echo '};'
} >"$2"

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# words.sh INPUT OUTPUT: a line of text becomes an element of an array.
set -eu
{
    echo 'static const char *const words[] = {'
    sed 's/.*/    "&",/' "$1"
    echo '};'
} >"$2.new"
mv "$2.new" "$2"

#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: paths up to PATH_MAX work, longer ones are ENAMETOOLONG, and relative steps go deeper.
. "${0%/*}/lib.sh"

tree() {
    deep=$(printf 'n/%.0s' $(seq 100)) && mkdir -p "$deep" && echo deep >"${deep}file"
}

checks() {
    helper deep "$VIEW"
    deep=$(printf 'n/%.0s' $(seq 100))
    is "$(cat "${deep}file")" deep '100 levels of the tree'
    is "$(cd "$deep" && pwd -P)" "$VIEW/${deep%/}" 'cd and pwd down there'
    is "$(cd "$deep" && cat "$(printf '../%.0s' $(seq 100))made")" made 'and 100 levels up again'
    is "$(find steps | wc -l)" 42 'find walks below PATH_MAX'
    check 'rm -r removes a tree below PATH_MAX' rm -r steps
    expect ENOENT stat steps
}

after() { only_in_view made long; }
main

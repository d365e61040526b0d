#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: attributes and times are those of a plain file system, for root and for others.
. "${0%/*}/lib.sh"

tree() {
    mkdir -p sub/a
    echo equal >equal1 && echo equal >equal2
    echo left >left
    : >empty && ln -s equal1 soft
}

checks() { helper attributes; }

phases() {
    in_view checks
    native || kill -9 "$(cat "$XDG_RUNTIME_DIR"/vrift/*/pid)"
    in_view again
}

# Owners and modes after a restart.
again() { is "$(stat -c '%a' d0 d0/in | tr '\n' ' ')$([ "$(id -u)" != 0 ] || stat -c '%u:%g' equal2)" \
    "2775 2755 $([ "$(id -u)" != 0 ] || echo 12:34)" 'kept'; }
main

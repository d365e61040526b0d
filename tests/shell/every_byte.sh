#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Promise: a name may have every byte but '/' and NUL, and is never changed.
. "${0%/*}/lib.sh"
tree() { echo data >file; }
checks() { helper every_byte; }
main

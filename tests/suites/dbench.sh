# SPDX-License-Identifier: MIT OR Apache-2.0
# dbench: what clients of a file server do, replayed by several processes at once; each call must give the result
# that was recorded.
prepare() {
    needs /usr/bin/dbench dbench
    command=(bash -c "$EACH_LOAD" dbench)
}
EACH_LOAD='
    for clients in 1 4; do
        if dbench --directory=. --timelimit=10 --loadfile=/usr/share/dbench/client.txt "$clients" \
            >"$clients.log" 2>&1 && grep -q ^Throughput "$clients.log" && ! grep -q ERROR "$clients.log"; then
            echo "passed clients-$clients"
        else
            tail -n 20 "$clients.log"
            echo "failed clients-$clients"
        fi
    done'
cases() { grep -E '^(passed|failed) clients-[0-9]+$' "$1" || true; }

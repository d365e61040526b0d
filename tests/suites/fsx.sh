# SPDX-License-Identifier: MIT OR Apache-2.0
# fsx: random reads, writes, mappings and changes of size of one file; it knows what each byte must be. Each case
# is 100,000 operations from one seed.
prepare() {
    local seeds=5
    [ ! "$long" ] || seeds=20 limit_s=6000
    install_crate fsx 0.3.2
    command=(bash -c "$EACH_SEED" fsx "$SUITES/bin/fsx-0.3.2" "$here/fsx.toml" "$seeds")
    # Natively one seed shows that the program and its settings are right.
    native_command=("${command[@]}")
    native_command[-1]=1
}
EACH_SEED='
    seq "$3" | xargs -P 2 -I SEED bash -c "
        if \"\$0\" -f \"\$1\" -N 100000 -S SEED -q file.SEED >log.SEED 2>&1; then
            echo passed seed-SEED
        else
            sed s/^/seed-SEED:\ / log.SEED | tail -n 20
            echo failed seed-SEED
        fi" "$1" "$2"'
limit_s=1200
native_is_part=1
short_cases='^seed-[1-5]$'
cases() { grep -E '^(passed|failed) seed-' "$1" || true; }

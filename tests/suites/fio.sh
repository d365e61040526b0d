# SPDX-License-Identifier: MIT OR Apache-2.0
# fio: writes with a checksum in each block, then reads all of it back, by different calls and patterns.
prepare() {
    needs /usr/bin/fio fio
    command=(bash -c "$EACH_JOB" fio)
}
EACH_JOB='
    for engine in sync psync pvsync2 mmap libaio; do
        for pattern in write randwrite randrw; do
            job=$engine-$pattern
            if fio --name="$job" --ioengine="$engine" --rw="$pattern" --directory=. --size=8m --bsrange=512-64k \
                --numjobs=2 --randseed=1 --iodepth=8 --verify=crc32c --verify_fatal=1 --end_fsync=1 >"$job.log" 2>&1; then
                echo "passed $job"
            else
                tail -n 20 "$job.log"
                echo "failed $job"
            fi
            rm -f "$job".*.0
        done
    done'
cases() { grep -E '^(passed|failed) [a-z0-9]+-[a-z]+$' "$1" || true; }

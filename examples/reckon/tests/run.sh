#!/bin/sh
# Feeds each tests/*.in to the calculator and compares what it prints: run.sh PROGRAM
set -u
program=$1
here=$(dirname "$0")
passed=0 failed=0
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
for input in "$here"/*.in; do
    name=$(basename "$input" .in)
    "$program" <"$input" >"$work/$name" || [ $? -eq 1 ] || echo "reckon ended badly" >>"$work/$name"
    if cmp -s "$work/$name" "$here/$name.expected"; then
        echo "ok - $name"
        passed=$((passed + 1))
    else
        echo "not ok - $name"
        diff "$here/$name.expected" "$work/$name"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

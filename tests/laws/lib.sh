#!/bin/bash
# lib.sh: what the scripts around edgecrdt-sim share: TAP lines, a scratch
# folder. Sourced; BUILD names the build folder. What a case's command says
# goes to $tmp/out and is shown if it fails.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
SIM=$BUILD/edgecrdt-sim
base=/dev/shm
[ -w $base ] || base=/tmp
tmp=$(mktemp -d $base/edgecrdt-laws.XXXXXX)
trap 'rm -rf "$tmp"' EXIT
cases=0 failed=0

check() { # what, command...
    local what=$1
    shift
    cases=$((cases + 1))
    if "$@"; then
        echo "ok $cases - $what"
        return
    fi
    failed=$((failed + 1))
    [ ! -e "$tmp/out" ] || tail -n 40 "$tmp/out" | cut -c 1-300 | sed 's/^/# /'
    echo "not ok $cases - $what"
}

# says WORDS: did the last command say so?
says() { grep -qF -- "$1" "$tmp/out"; }

finish() {
    echo "1..$cases"
    [ $failed -eq 0 ]
    exit
}

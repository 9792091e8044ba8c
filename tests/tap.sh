#!/bin/bash
# tap.sh: what scripts that print TAP share: the top of the tree as working
# directory, BUILD, a scratch folder, cases. Sourced.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
BUILD=${BUILD:-$PWD/build}
base=${TEST_TMPDIR:-/dev/shm}
[ -w "$base" ] || base=/tmp
tmp=$(mktemp -d "$base/edgecrdt-test.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
cases=0 failed=0

# check WHAT COMMAND...: one case; why() tells of one that failed.
check() {
    local what=$1
    shift
    cases=$((cases + 1))
    if "$@" >"$tmp/case" 2>&1; then
        echo "ok $cases - $what"
        return
    fi
    failed=$((failed + 1))
    why | cut -c 1-300 | sed 's/^/# /'
    echo "not ok $cases - $what"
}
why() { cat "$tmp/case"; }

# needs PROGRAM...: these are in the build folder.
needs() {
    local p
    for p in "$@"; do
        [ -x "$BUILD/$p" ] && continue
        echo "Bail out! $BUILD/$p is missing: \`make check\` builds it"
        exit 2
    done
}

finish() {
    echo "1..$cases"
    [ $failed -eq 0 ]
    exit
}

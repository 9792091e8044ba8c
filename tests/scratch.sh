#!/bin/bash
# scratch.sh: a place for the scratch folders of test programs. One that fails
# or is killed leaves its own behind; this one goes. Sourced.
base=${TEST_TMPDIR:-/dev/shm}
[ -w "$base" ] || base=/tmp
scratch=$(mktemp -d "$base/edgecrdt-run.XXXXXX")
chmod 0755 "$scratch" # some tests become another user
trap 'rm -rf "$scratch"' EXIT
export scratch

# in_scratch COMMAND...: with a folder in it that is removed behind it.
in_scratch() {
    local own rc
    own=$(mktemp -d "$scratch/XXXXXX")
    chmod 0755 "$own"
    TEST_TMPDIR=$own "$@"
    rc=$?
    rm -rf "$own"
    return $rc
}
export -f in_scratch

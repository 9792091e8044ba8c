#!/bin/bash
# kill.sh: four writers, a reader and backups of one store, killed and stopped
# at random; every acknowledged commit must be there.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
base=${TEST_TMPDIR:-/dev/shm}
[ -w "$base" ] || base=/tmp
tmp=$(mktemp -d "$base/edgecrdt-kill.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
"$BUILD/tests/crash/kill_driver" "${KILLS:-250}" 4 full "$tmp/store"

#!/bin/bash
# damage_long.sh: 2,000 damaged data files, opened with ECRDT_CHECK and
# without, each in a process of its own.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
DAMAGED_FILES=${DAMAGED_FILES:-2000} exec "$BUILD/tests/crash/test_damage"

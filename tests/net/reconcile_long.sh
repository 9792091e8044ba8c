#!/bin/bash
# reconcile_long.sh: two stores of 1,000,000 items below each other's floor:
# 100 items differ, or none; bytes, turns and the longest step are judged and
# shown by the test program.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
RECONCILE_ITEMS=1000000 exec "$BUILD/tests/replication/test_session_reconcile"

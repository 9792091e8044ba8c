#!/bin/bash
# reconcile_long.sh: the same with 1,000,000 items; the test program counts
# turns as well, and judges stores of which nothing differs.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
RECONCILE_ITEMS=1000000 "$BUILD/tests/replication/test_session_reconcile" |
    sed 's/^\(not \)\?ok/# &/; s/^1\.\./# &/' >&2
[ "${PIPESTATUS[0]}" = 0 ] || exit 1
ITEMS=1000000 exec tests/net/reconcile.sh

#!/bin/bash
# sim_long.sh: ten thousand seeds of the simulator: all properties hold, and
# nothing that it can do was left out.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${BUILD:-$PWD/build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "1..2"
"$BUILD/edgecrdt-sim" run --seeds "${SEEDS:-1..10000}" --replicas 4 |
    tee "$log" | sed 's/^/# /'
grep -q '^PASS:' "$log" || echo -n 'not '
echo 'ok 1 - all properties hold'
! grep -q ' NONE$' "$log" && grep -q '^PASS:' "$log" || echo -n 'not '
echo 'ok 2 - every fault and every feature was exercised'

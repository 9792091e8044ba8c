#!/bin/bash
# kill_long.sh: functions and relays of a core and two edges on disk, 1,000
# of them killed at random, many stopped for a while. No acknowledged commit
# may be missing at any node, and all digests must be equal at the end. Then
# the same without relays: 2,000 writers and readers of one store.
. "$(dirname "$0")/../net/lib.sh"
K=$BUILD/tests/crash/kill_driver

# On disk, where FULL means something; net/lib.sh took memory.
rm -rf "$tmp"
tmp=$(mktemp -d "${KILL_DIR:-/tmp}/edgecrdt-kill.XXXXXX")
"$K" "${KILLS:-2000}" 5 full "$tmp/alone" >"$tmp/alone.tap"
check 'one store, killed writers and readers' [ $? -eq 0 ]
grep -E '^(not|#)' "$tmp/alone.tap"

for n in core edge1 edge2; do
    node $n full
done
port=$(free_port)
configure core core "$(listens "$port")" "$(accepts edge1)" "$(accepts edge2)"
configure edge1 edge "$(dials core "$port")"
configure edge2 edge "$(dials core "$port")"
"$K" "${KILLS:-1000}" 2 full "$tmp/core" "$tmp/edge1" "$tmp/edge2" -- "$D" \
    "$tmp/core.conf" "$tmp/edge1.conf" "$tmp/edge2.conf" >"$tmp/relays.tap"
check 'functions and relays of three nodes' [ $? -eq 0 ]
grep -E '^(not|#)' "$tmp/relays.tap"
finish

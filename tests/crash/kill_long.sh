#!/bin/bash
# kill_long.sh: 2,500 kills among eight writers, a reader and backups of one
# store; then 2,500 among functions, backups and relays of a core and two edges
# on disk: nine writers. Many are stopped for a while. No acknowledged commit
# may be missing at any node, each finished backup must be restored and right,
# and all digests must be equal at the end. KILLS=N changes both numbers.
. "$(dirname "$0")/../net/lib.sh"
K=$BUILD/tests/crash/kill_driver

# On disk, where FULL means something; net/lib.sh took memory.
rm -rf "$tmp"
tmp=$(mktemp -d "${KILL_DIR:-/tmp}/edgecrdt-kill.XXXXXX")
progress() { grep -E --line-buffered '^(not|#)'; }
"$K" "${KILLS:-2500}" 8 full "$tmp/alone" | progress
check 'one store, killed writers, readers and backups' \
    [ "${PIPESTATUS[0]}" -eq 0 ]

for n in core edge1 edge2; do
    node $n full
done
port=$(free_port)
configure core core "$(listens "$port")" "$(accepts edge1)" "$(accepts edge2)"
configure edge1 edge "$(dials core "$port")"
configure edge2 edge "$(dials core "$port")"
"$K" "${KILLS:-2500}" 3 full "$tmp/core" "$tmp/edge1" "$tmp/edge2" -- "$D" \
    "$tmp/core.conf" "$tmp/edge1.conf" "$tmp/edge2.conf" | progress
check 'functions, backups and relays of three nodes' \
    [ "${PIPESTATUS[0]}" -eq 0 ]
finish

#!/bin/bash
# reconcile.sh: relays of two stores that are below each other's floor: items
# that differ are found by fingerprints. ITEMS and MOST change the size.
. "$(dirname "$0")/lib.sh"
items=${ITEMS:-20000} most=${MOST:-300000}

port=$(free_port)
node core
node e1
configure core core "$(listens "$port")" "$(accepts e1)" 'audit_interval = 0'
configure e1 edge "$(dials core "$port")" 'audit_interval = 0'
for n in core e1; do check "$n starts" start $n; done
check "$items items" fill core b item "$items" 20
check 'are on both sides' agree b 300000 core e1
for n in e1 core; do stop $n; done

wire() { # bytes of the core's links so far, both ways
    "$H" peers "$tmp/core" | sed -nE \
        's/^peer .*bytes_in=([0-9]+) bytes_out=([0-9]+).*/\1 \2/p' |
        awk '{ print $1 + $2 }'
}

step=$((items / 50))
check 'the core writes 50 of them' "$H" differ "$tmp/core" b item 50 $step c
check 'the edge writes 50 others' "$H" differ "$tmp/e1" b item 50 $step ee
for n in core e1; do check "$n starts" start $n; done
begin=${EPOCHREALTIME/./}
check 'they end equal' agree b 60000 core e1
echo "# in $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
check 'and know it' peer_says core 'state=in sync' 20
sleep 2.5
bytes=$(wire)
echo "# $bytes bytes, handshake and all"
check "by at most $most bytes" [ "${bytes:-999999999}" -le "$most" ]
for n in e1 core; do check "$n stops" stop $n; done
for n in e1 core; do
    check "$n is sound" "$BUILD/edgecrdt" -s "$tmp/$n" verify
done
finish

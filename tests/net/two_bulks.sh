#!/bin/bash
# two_bulks.sh: an edge that is below the floors of two cores, which both fill
# it at once: it is killed, one of them is killed, the other goes on.
. "$(dirname "$0")/lib.sh"
E=$BUILD/edgecrdt

p1=$(free_port)
p2=$(free_port)
for n in c1 c2 e; do node $n; done
gc=$'gc_retention = 1\ngc_budget = 0'
configure c1 core "$gc" "$(listens "$p1")" "$(accepts c2)" "$(accepts e)"
configure c2 core "$gc" "$(listens "$p2")" "$(dials c1 "$p1")" "$(accepts e)"
configure e edge "$gc" "$(dials c1 "$p1")" "$(dials c2 "$p2")"
for n in c1 c2 e; do check "$n starts" start $n; done
fill c1 b gone 50
fill c1 b stay 50
check 'all are alike' agree b 10000 c1 c2 e
check 'the edge goes away' stop e

no_markers() {
    "$E" -s "$tmp/$1" stat --json | grep -q '"tombstones": *0\b'
}
for i in $("$E" -s "$tmp/c1" keys b gone); do "$E" -s "$tmp/c1" del b "$i"; done
fill c1 b many 40000 100
fill c2 b more 20000 100
set_key e b mine offline
check 'the cores agree' agree b 60000 c1 c2
for n in c1 c2; do
    "$E" -s "$tmp/$n" gc --retention 0 >/dev/null
    check "$n has no markers" no_markers $n
done
count() { "$E" -s "$tmp/e" keys b "$1" | wc -l; }

for delay in 0.1 0.3 0.6; do
    start e
    sleep $delay
    stop e KILL 2>/dev/null
    echo "# killed with $(count m) keys"
done
check 'the edge starts again' start e
sleep 0.2
stop c1 KILL 2>/dev/null
check 'the other core goes on alone' agree b 60000 c2 e
check 'nothing is back' [ "$(count gone)" = 0 ]
check 'the first core comes back' start c1
check 'all agree' agree b 60000 c1 c2 e
check 'what was written offline is everywhere' arrives c1 b mine offline
check 'all of it' [ "$(count m)" = 60001 ]
for n in e c1 c2; do
    check "$n stops" stop $n
    check "$n is sound" "$E" -s "$tmp/$n" verify
done
finish

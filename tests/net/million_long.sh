#!/bin/bash
# million_long.sh: 1,000,000 items to an empty node while both ends take local
# writes, on a link that is cut three times; local commits stay fast, and the
# bytes sent stay within 1.1 of a sync that was never cut.
. "$(dirname "$0")/lib.sh"
items=${ITEMS:-1000000}

port=$(free_port)
node core
node e1
configure core core "$(listens "$port")" "$(accepts e1)"
configure e1 edge "$(dials core "$port")"
fill core b item "$items" 50
start core

bytes_out() { # by all links of the core's relay so far
    sleep 2.5
    "$H" peers "$tmp/core" | sed -nE 's/^peer .*bytes_out=([0-9]+).*/\1/p'
}

# ---- without a cut
begin=${EPOCHREALTIME/./}
start e1
check "$items items reach an empty node" agree b 300000 core e1
echo "# in $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
clean=$(bytes_out)
echo "# $clean bytes, $((clean / items)) for each item"
stop e1 KILL 2>/dev/null
stop core 2>/dev/null

# ---- with cuts and local writes at both ends
rm -rf "$tmp/e1"
"$H" init "$tmp/e1" full
start core
start e1
for n in core e1; do
    "$H" load "$tmp/$n" b "local-$n" 20 100 >"$tmp/load.$n" &
    loads+=($!)
done
for _ in 1 2 3; do
    sleep 0.25
    stop e1 KILL 2>/dev/null
    start e1
done
wait "${loads[@]}"
for n in core e1; do
    sed "s/^/# local at $n: /" "$tmp/load.$n"
    p99=$(sed -E 's/.*p99_us=([0-9]+).*/\1/' "$tmp/load.$n")
    check "local commits at $n: p99 10 ms at most" [ "$p99" -le 10000 ]
done
check 'both ends agree' agree b 300000 core e1
again=$(bytes_out)
echo "# $again bytes with three cuts and 2000 writes at each end"
check 'a cut does not start over' [ "$again" -le $((clean * 11 / 10)) ]
finish

#!/bin/bash
# catch_up.sh: an edge missed 10,000 events and is far away: 150 ms each way, a
# slow line that is cut at random bytes. Dependent turns and bytes to catch up.
. "$(dirname "$0")/lib.sh"
EVENTS=${EVENTS:-10000}
BYTES=${BYTES:-64}
RATE=${RATE:-2000000} # bytes a second
P=$BUILD/tests/net/proxy
key_bytes=11 # "eventNNNNNN"
must=$((EVENTS * (key_bytes + BYTES + 40)))

port=$(free_port)
near=$(free_port)
node core
node e1
configure core core "$(listens "$port")" "$(accepts e1)"
configure e1 edge "$(dials core "$near")"

line() { # CUTS CUT_WITHIN
    "$P" "$near" "$port" 150 "$RATE" "$1" "$2" "$tmp/line" \
        2>"$tmp/line.log" &
    pid[line]=$!
}
line_ends() {
    kill "${pid[line]}" 2>/dev/null
    wait "${pid[line]}" 2>/dev/null
    unset 'pid[line]'
}
field() { # NAME: the sum over the connections
    sed -E "s/.*\b$1=([0-9]+).*/\1/" "$tmp/line" |
        awk '{ s += $1 } END { print s }'
}

# Both have met, so that the edge misses EVENTS of a bucket that it has.
check 'the core starts' start core
line 0 1
check 'the edge starts' start e1
set_key core b first 1
check 'the edge is in sync' arrives e1 b first 1 20000
stop e1
line_ends

fill core b event "$EVENTS" "$BYTES"
rm -f "$tmp/line"
line 0 1
begin=${EPOCHREALTIME/./}
check 'the edge starts again' start e1
check "it catches up with $EVENTS events" agree b 60000 core e1
echo "# in $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
sleep 0.5
stop e1
line_ends
sed 's/^/# /' "$tmp/line" | cut -c 1-120
bytes=$(($(field up) + $(field down)))
echo "# $bytes bytes, $((bytes * 1000 / must)) per mille of the bound"
check 'bytes: key + value + 40 for each event at most' [ $bytes -le $must ]
# Depth 4 ends the handshake, 5 is the edge's clock, 6 what it lacks.
late=$(sed -E 's/.*depth=//' "$tmp/line" | tail -n 1 |
    awk -F, '{ for (i = 8; i <= NF; i += 2) s += $i; print s + 0 }')
events=$(sed -E 's/.*depth=//' "$tmp/line" | tail -n 1 | cut -d , -f 6)
echo "# $events bytes in the first turn after the handshake, $late later"
check 'one dependent turn after the handshake' \
    [ $((late * 100)) -le "$events" ]

# ---- the same with cuts
stop core
rm -rf "$tmp/e1" "$tmp/core"
"$H" init "$tmp/e1" full
"$H" init "$tmp/core" full
start core
fill core b event "$EVENTS" "$BYTES"
rm -f "$tmp/line"
line 5 $((must / 8)) # all five come before the end
check 'the edge starts over a line with cuts' start e1
check 'it catches up through five cuts' agree b 120000 core e1
stop e1
line_ends
sed 's/^/# /' "$tmp/line" | cut -c 1-120
bytes=$(($(field up) + $(field down)))
echo "# $bytes bytes, $((bytes * 1000 / must)) per mille of the bound"
check 'the cuts came' [ "$(wc -l <"$tmp/line")" -ge 6 ]
check 'bytes with the cuts: within the bound as well' [ $bytes -le $must ]
finish

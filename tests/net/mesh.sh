#!/bin/bash
# mesh.sh: five cores, each linked with each, and a steady load on all of them:
# what came twice, the bytes in all, and two links that are cut for a while.
. "$(dirname "$0")/lib.sh"
SECONDS_OF_LOAD=${SECONDS_OF_LOAD:-5}
RATE=${RATE:-1000}
BYTES=${BYTES:-100}
cores=5

for i in $(seq $cores); do
    ports[i]=$(free_port)
    node "c$i" relaxed
done
# mesh NAME OTHER...: without the links to the others.
mesh() {
    local i=$1 j lines
    shift
    lines=("$(listens "${ports[i]}")")
    for j in $(seq $cores); do
        case " $i $* " in *" $j "*) continue ;; esac
        if [ "$j" -lt "$i" ]; then
            lines+=("$(dials "c$j" "${ports[j]}")")
        else
            lines+=("$(accepts "c$j")")
        fi
    done
    configure "c$i" core "${lines[@]}"
}
for i in $(seq $cores); do mesh "$i"; done
for i in $(seq $cores); do check "core $i starts" start "c$i"; done
in_sync() {
    local i n
    for i in $(seq $cores); do
        n=$("$H" peers "$tmp/c$i" | grep -c 'state=in sync')
        [ "$n" = $((cores - 1)) ] || return 1
    done
}
until_in_sync() {
    for _ in $(seq 200); do in_sync && return 0 || sleep 0.1; done
    return 1
}
check 'all links are in sync' until_in_sync

load() { # PREFIX SECONDS
    local i jobs=()
    for i in $(seq $cores); do
        "$BUILD/tests/net/rate" "$tmp/c$i" b "$1$i-" $((RATE / cores)) \
            "$2" "$BYTES" >"$tmp/rate.$i" &
        jobs+=($!)
    done
    wait "${jobs[@]}"
}
sum() { # FIELD of all records of peers
    for i in $(seq $cores); do "$H" peers "$tmp/c$i"; done |
        sed -nE "s/^peer .* $1=([0-9]+).*/\1/p" |
        awk '{ s += $1 } END { print s }'
}
rates() { # FIELD of what the loads printed, one a line
    sed -E "s/.*$1=([0-9]+).*/\1/" "$tmp"/rate.*
}
total() {
    awk '{ s += $1 } END { print s }'
}

# ---- what came twice, and the bytes in all
bytes_before=$(sum bytes_out)
load a "$SECONDS_OF_LOAD"
check 'all cores agree' agree b 20000 c1 c2 c3 c4 c5
sleep 2.5 # until the records are written
events=$(rates events | total)
slowest=$(rates ms | sort -n | tail -n 1)
must=$((($(rates keys | total) + events * (BYTES + 24)) * (cores - 1)))
payload=$((events * BYTES * (cores - 1)))
repeated=$(sum repeated)
bytes=$(($(sum bytes_out) - bytes_before))
echo "# $events events in $slowest ms, $(sum chunks_out) chunks"
echo "# payload: $repeated bytes of $payload came twice," \
    "$((repeated * 1000 / payload)) per mille"
echo "# $bytes bytes in all, $((bytes * 1000 / must)) per mille of" \
    "copies * (key + value + 24)"
check 'the load was held' \
    [ $((events * 1000 / slowest)) -ge $((RATE * 9 / 10)) ]
check 'at most 20 % of the payload came twice' \
    [ $((repeated * 5)) -le $payload ]
check 'at most 1.5 times the bytes that must travel' \
    [ $((bytes * 2)) -le $((must * 3)) ]

# ---- two links go and come back under load
load b 3 &
loading=$!
for i in 1 2 3 4; do # 1-2 and 3-4
    mesh $i $((i % 2 ? i + 1 : i - 1))
    kill -HUP "${pid[c$i]}"
done
cut() {
    local i
    for i in 1 2 3 4; do
        "$H" peers "$tmp/c$i" | grep -q "name=c$((i % 2 ? i + 1 : i - 1)) " &&
            return 1
    done
    return 0
}
until_cut() {
    for _ in $(seq 100); do cut && return 0 || sleep 0.1; done
    return 1
}
check 'two links are cut' until_cut
wait $loading
check 'all cores agree without them' agree b 20000 c1 c2 c3 c4 c5
load c 3 &
loading=$!
for i in 1 2 3 4; do
    mesh $i
    kill -HUP "${pid[c$i]}"
done
wait $loading
check 'and when they are back' agree b 20000 c1 c2 c3 c4 c5
check 'all links are in sync again' until_in_sync
finish

#!/bin/bash
# demo.sh: one core and three edge relays on loopback, fed by many short
# function processes, one edge cut off and healed; at the end every node is
# compared with an independent count by awk, sort and uniq.
#   BUILD=DIR [LOG=FILE] examples/demo.sh
set -u
feeders=3     # function processes at the same time, at each edge
slices=20     # one after the other, each a process of its own
pause=0.4     # seconds between two of them: a live site, not a batch
nodes='core edge1 edge2 edge3'
edges='edge1 edge2 edge3'
. "${0%/*}/demo_kit.sh"

take_log
# Split over edges and feeders as a load balancer does: line by line.
awk -v dir="$tmp" -v feeders=$feeders '
    { print >(dir "/part." NR % 3 + 1 "." int(NR / 3) % feeders) }' "$tmp/log"

# ---- the functions ----------------------------------------------------------

# One feeder: hands its part of the log to one short process after the other.
feed() { # edge number, feeder number
    local part=$tmp/part.$1.$2 id=$((($1 - 1) * feeders + $2)) lines step at=1
    lines=$(wc -l <"$part")
    step=$(((lines + slices - 1) / slices))
    while [ $at -le "$lines" ]; do
        sed -n "$at,$((at + step - 1))p" "$part" |
            "$BUILD/examples/access_counter" "$tmp/edge$1" \
                2>>"$tmp/functions.log" || return 1
        at=$((at + step))
        echo $((at > lines ? lines : at - 1)) >"$tmp/served.$id.new"
        mv "$tmp/served.$id.new" "$tmp/served.$id"
        sleep $pause
    done
}

feeder_pids=()
start_functions() {
    local e f
    for e in 1 2 3; do
        for ((f = 0; f < feeders; f++)); do
            feed $e $f &
            feeder_pids+=($!)
            pids+=($!)
        done
    done
}

# ---- the show ---------------------------------------------------------------

printf '%sOne core, three edges, %d requests over %d function processes%s\n' \
    "$bold" "$total" $((3 * feeders * slices)) "$plain"
expect
make_nodes
for n in $nodes; do start_relay "$n"; done
"$BUILD/examples/demo_watch" "$tmp" &
watch=$!
pids+=($watch)
start_functions

phase=$(awk -v s=$slices -v p=$pause 'BEGIN { print s * p / 3 }')
sleep "$phase"
kill -9 "${relay[edge3]}" || die "the relay of edge3 is not there"
echo 'cut off' | tr ' ' - >"$tmp/edge3.state"
say "edge3 is cut off: its relay was killed, its functions go on"
sleep "$phase"
start_relay edge3
say "edge3 is back"

for p in "${feeder_pids[@]}"; do
    wait "$p" || die "a function failed: $(complaint)"
done
echo yes >"$tmp/done"
wait $watch || die "the nodes did not agree within a minute"

compare_all
printf '\n%sAll four nodes agree with awk: %d paths, %d statuses, ' \
    "$green" "$(wc -l <"$tmp/expect.hits")" "$(wc -l <"$tmp/expect.status")"
printf '%d path-visitor pairs of %d requests. %d seconds in all.%s\n' \
    "$(awk '{ n += $2 } END { print n }' "$tmp/expect.visitors")" \
    "$total" $((SECONDS - begin)) "$plain"

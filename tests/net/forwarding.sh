#!/bin/bash
# forwarding.sh: edge to core to edge: latency, cuts, restarts of each node in
# the middle of a sync, one-off syncs, frozen functions, slow readers.
. "$(dirname "$0")/lib.sh"

star
for n in core e1 e2; do check "$n starts" start $n; done

set_key e1 b k v1
check 'a write at one edge reaches the other' arrives e2 b k v1
set_key e2 b back v2
check 'and back' arrives e1 b back v2

limit=30000 drained=5000
if sanitized 'asan|tsan'; then # these say nothing of speed
    limit=300000 drained=500
fi
"$H" latency "$tmp/e1" "$tmp/e2" b 200 >"$tmp/times"
sed 's/^/# edge to edge: /' "$tmp/times"
p50=$(sed -E 's/.*p50_us=([0-9]+).*/\1/' "$tmp/times")
check 'commit to readable: 30 ms median at most' [ "$p50" -le $limit ]
check 'the records say in sync' peer_says e1 'name=core state=in sync'

# ---- cut and heal
stop core KILL 2>/dev/null
set_key e1 b cut1 x
set_key e2 b cut2 y
fill e1 b offline 2000
check 'an edge sees that the core is gone' \
    peer_says e1 'name=core state=(unreachable|down|connecting)'
check 'the core starts again' start core
check 'what was written apart meets' agree b 20000 core e1 e2

# ---- restarts in the middle of a sync
stop e2 KILL 2>/dev/null
rm -rf "$tmp/e2"
"$H" init "$tmp/e2" full
fill core b many 60000
for victim in e2 core e1 e2 core; do
    [ -n "${pid[e2]:-}" ] || start e2
    sleep 0.2
    stop $victim KILL 2>/dev/null
    start $victim
done
check 'all agree after each node was killed mid-sync' \
    agree b 60000 core e1 e2

# ---- a frozen relay: others go on, it is noticed, it recovers
kill -STOP "${pid[e2]}"
set_key e1 b frozen 1
check 'a stopped edge holds up nobody' arrives core b frozen 1
fill e1 b slow 30000
check 'a stopped edge does not hold up a large sync' agree b 30000 core e1
kill -CONT "${pid[e2]}"
check 'it catches up when it goes on' agree b 30000 core e1 e2

# ---- a function frozen inside a write transaction
"$H" hold "$tmp/core" >"$tmp/hold" &
holder=$!
for _ in $(seq 100); do grep -q held "$tmp/hold" && break || sleep 0.05; done
kill -STOP $holder
set_key e1 b stuck 1
sleep 1
check 'the relay lives while its store is locked' kill -0 "${pid[core]}"
check 'and says whom it waits for' logged core 'waiting for the writer lock' 10
check 'reads of the locked store go on' arrives core b frozen 1
kill -KILL $holder
kill -CONT $holder 2>/dev/null
wait $holder 2>/dev/null
check 'and goes on when the lock is free' agree b 20000 core e1 e2

# ---- one-off syncs
node fn
cat >>"$tmp/core.conf" <<END
$(accepts fn)
END
kill -HUP "${pid[core]}"
check 'the core reads its configuration again' logged core 'read the conf'
set_key fn b from-fn z
check 'ecrdt_sync_once pushes and pulls' "$H" sync "$tmp/fn" "$tmp/fn.key" \
    20000 "${key[core]}@127.0.0.1:$port"
check 'then both sides hold all' agree b 5000 fn core e1
check 'a second one has nothing to do' "$H" sync "$tmp/fn" "$tmp/fn.key" 5000 \
    "${key[core]}@127.0.0.1:$port"
check 'its deadline passes when nobody is there' \
    bash -c "! '$H' sync '$tmp/fn' '$tmp/fn.key' 700 \
    '${key[core]}@127.0.0.1:1' >'$tmp/sync.out'"
check 'and it says why' grep -q 'rc=-3.*127.0.0.1:1.*refused' "$tmp/sync.out"

# ---- TERM drains
fill e1 b drain $drained
check 'TERM ends a relay with 0' stop e1 TERM
check 'after what it had was pushed' agree b 100 e1 core
check 'its record says so' peer_says e1 'self name=e1 running=0'
kill -STOP "${pid[core]}"
set_key e2 b late 1
begin=$SECONDS
stop e2 TERM
check 'a dead peer holds up a drain no longer than drain_timeout' \
    [ $((SECONDS - begin)) -le 7 ]
kill -CONT "${pid[core]}"
finish

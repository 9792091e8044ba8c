#!/bin/bash
# hostile.sh: wrong keys, garbage before and after the handshake, strangers
# that say nothing, peers that never read.
. "$(dirname "$0")/lib.sh"

star
node bad
node other
memory_is_bounded() { # WHAT: besides the mapped store
    local rss mapped limit=65536
    rss=$(awk '/VmRSS/ { print $2 }' "/proc/${pid[core]}/status")
    mapped=$(awk '/RssFile/ { print $2 }' "/proc/${pid[core]}/status")
    echo "# core: $((rss - mapped)) KiB besides the mapped store"
    sanitized asan && limit=524288 # freed memory is kept back there
    check "$1" [ $((rss - mapped)) -le $limit ]
}
for n in core e1; do check "$n starts" start $n; done

# ---- wrong keys
configure bad edge "$(dials core "$port")"
start bad
check 'an unknown key is refused, the dialer reads why' \
    peer_says bad 'name=core state=refused .*error=.*[^ ]'
check 'the refusing side logs the key' logged core "key=${key[bad]}"
check 'and counts it' peer_says core 'refused_keys=[1-9]'
stop bad
sed -i "s|${key[core]}|${key[other]}|" "$tmp/e2.conf"
start e2
check 'a core with another key than pinned is refused' \
    peer_says e2 'name=core state=refused'
stop e2
sed -i "s|${key[other]}|${key[core]}|" "$tmp/e2.conf"
echo 'realm = "elsewhere"' >>"$tmp/e2.conf"
start e2
check 'another realm is refused' peer_says e2 'name=core state=refused'
check 'its name is escaped in the log' logged e2 'not ours, \"elsewhere\" '
stop e2
sed -i '/^realm/d' "$tmp/e2.conf"

# ---- garbage
for bytes in 1 10 100 5000 200000; do
    check "$bytes random bytes get hung up on" "$H" garbage "$port" $bytes
done
for mode in raw type clock early chunk huge; do
    check "after the handshake: $mode" \
        "$H" hostile "$tmp/e2" "$tmp/e2.key" "${key[core]}" "$port" $mode
done
refusals() {
    "$H" peers "$tmp/core" | grep -o 'malformed=[0-9]*' |
        awk -F= '{ n += $2 } END { print n + 0 }'
}
before=$(refusals)
check 'a clock of absurd origins and counts is refused' \
    "$H" hostile "$tmp/e2" "$tmp/e2.key" "${key[core]}" "$port" origins
sleep 1.5
check 'and counted' [ "$(refusals)" -gt "$before" ]
memory_is_bounded 'in bounded memory'
check 'malformed links are counted' peer_says core 'malformed=[1-9]'
check 'a connection that says nothing is closed' "$H" half "$port" 7

# ---- a flood of half-open connections leaves room for peers
floods=()
for _ in $(seq 80); do
    "$H" half "$port" 6 2>/dev/null &
    floods+=($!)
done
sleep 0.5
start e2
set_key e1 b k v
check 'peers get in after a flood' arrives e2 b k v 20000
wait "${floods[@]}"

# ---- a peer that never reads
stop e2
"$H" deaf "$tmp/e2" "$tmp/e2.key" "${key[core]}" "$port" 60 >"$tmp/deaf" &
deaf=$!
for _ in $(seq 100); do grep -q deaf "$tmp/deaf" && break || sleep 0.05; done
fill e1 b big 200000 100
check 'a peer that never reads holds up nobody' agree b 60000 core e1
memory_is_bounded 'nor fills the memory'
kill $deaf
finish

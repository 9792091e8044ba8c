#!/bin/bash
# partial.sh: real relays that hold a part: two edges with different prefixes
# through one core, widening and narrowing while they run, by configuration
# and by command, with links cut in between.
. "$(dirname "$0")/lib.sh"
E=$BUILD/edgecrdt

star
for n in core e1 e2; do cp "$tmp/$n.conf" "$tmp/$n.base"; done
# holds NODE LINE...: its configuration, with these lines about what it holds.
holds() {
    local n=$1
    shift
    { cat "$tmp/$n.base" && printf '%s\n' "$@"; } >"$tmp/$n.conf"
}
digest_of() { "$E" -s "$tmp/$1" digest "${@:2}" | cut -f 2; }
# parts_agree BUCKET PREFIX NODE NODE [SECONDS]: until their parts are equal.
parts_agree() {
    local zeros=00000000000000000000000000000000 a b
    for _ in $(seq $((${5:-10} * 10))); do
        a=$(digest_of "$3" "$1" "$2") b=$(digest_of "$4" "$1" "$2")
        [ "$a" = "$b" ] && [ "$a" != $zeros ] && return 0
        sleep 0.1
    done
    echo "# $3 $a, $4 $b"
    return 1
}
lacks() { ! "$E" -s "$tmp/$1" get "$2" "$3" >"$tmp/out" 2>&1; }
count_keys() { "$E" -s "$tmp/$1" keys "${@:2}" | wc -l; }
# gone NODE BUCKET PREFIX [SECONDS]: until it holds no such key.
gone() {
    for _ in $(seq $((${4:-10} * 10))); do
        [ "$(count_keys "$1" "$2" "$3")" = 0 ] && return 0
        sleep 0.1
    done
    echo "# $1 has $(count_keys "$1" "$2" "$3") keys"
    return 1
}
shown() { "$E" -s "$tmp/core" peers | grep -qF -- "$1"; }
until_shown() {
    for _ in $(seq 80); do
        shown "$1" && return 0
        sleep 0.1
    done
    "$E" -s "$tmp/core" peers | sed 's/^/# /'
    return 1
}

fill core b a/ 2000
fill core b b/ 2000
fill core b c/ 2000
set_key core other k v
holds e1 'subscribe "b" { prefixes = {"a/"} }'
holds e2 'subscribe "b" { prefixes = {"b/", "c/"} }'
for n in core e1 e2; do check "$n starts" start $n; done

check 'the first edge has its prefix' parts_agree b a/ core e1
check 'the second has its two' parts_agree b b/ core e2
check 'both of them' parts_agree b c/ core e2
check 'the first edge holds no more' [ "$(count_keys e1 b)" = 2000 ]
check 'the second neither' [ "$(count_keys e2 b)" = 4000 ]
check 'no other bucket' lacks e1 other k
check 'they are in sync' peer_says e1 'name=core state=in sync'
check 'the core too' peer_says core 'name=e1 state=in sync'
check 'the core shows who holds what' \
    until_shown 'holds: b: a/, others: nothing'
check 'in JSON too' bash -c "'$E' --json -s '$tmp/core' peers |
    grep -q '\"holds\": *\"b: b/ c/, others: nothing\"'"

set_key e1 b b/from-e1 x
check 'a write outside reaches the core' arrives core b b/from-e1 x
check 'and the edge that holds it' arrives e2 b b/from-e1 x
set_key e2 b a/from-e2 y
check 'and the other way' arrives e1 b a/from-e2 y
set_key e1 new k z
check 'a bucket that nobody there holds' arrives core new k z

# ---- widening
"$E" -s "$tmp/e1" subscribe b a/ c/ >"$tmp/out" 2>&1
check 'widening brings the new prefix' parts_agree b c/ core e1
check 'and only that' [ "$(count_keys e1 b)" -le 4003 ]
set_key core b c/live 1
check 'which is live from then on' arrives e1 b c/live 1

# ---- widening with cuts in the middle
fill core b d/ 30000
kill -HUP "${pid[e2]}" # nothing changed: no act
"$E" -s "$tmp/e2" subscribe b b/ d/ >"$tmp/out" 2>&1
for _ in 1 2 3; do
    sleep 0.15
    stop e2 KILL 2>/dev/null
    # the command line's word counts while the configuration says nothing
    holds e2
    start e2
done
check 'a widening that was cut goes on' parts_agree b d/ core e2 60
check 'what it narrowed at once is forgotten' gone e2 b c/ 30

# ---- narrowing
id=$("$E" -s "$tmp/e1" stat | sed -n 's/^origin *//p')
set_key e1 b c/mine m
holds e1 'subscribe "b" { prefixes = {"a/"} }'
kill -HUP "${pid[e1]}"
check 'narrowing by configuration forgets' gone e1 b c/
check 'what it had written is at the core' arrives core b c/mine m
check 'the rest stays equal' parts_agree b a/ core e1
check 'what both hold can be verified' "$E" -s "$tmp/e1" verify \
    --against "${key[core]}@127.0.0.1:$port" --key "$tmp/e1.key"
check 'under a new incarnation' \
    [ "$id" != "$("$E" -s "$tmp/e1" stat | sed -n 's/^origin *//p')" ]
check 'the store is sound' "$E" -s "$tmp/e1" verify

stop core KILL 2>/dev/null
set_key e1 b a/last 1
holds e1 'subscribe "b" { prefixes = {"x/"} }'
kill -HUP "${pid[e1]}"
check 'without a core it waits and says so' logged e1 \
    "waits for a connected core that holds it" 15
check 'and keeps what it has' [ "$(count_keys e1 b a/)" -ge 2000 ]
check 'it still reads' arrives e1 b a/last 1
check 'the core starts again' start core
check 'then it goes' gone e1 b a/ 30
check 'and nothing was lost' arrives core b a/last 1

# ---- one-off syncs narrow too
node fn
printf '%s\n' "$(accepts fn)" >>"$tmp/core.conf"
kill -HUP "${pid[core]}"
check 'the core reads its configuration again' logged core 'read the conf'
fn_sync() {
    "$H" sync "$tmp/fn" "$tmp/fn.key" 20000 "${key[core]}@127.0.0.1:$port"
}
"$E" -s "$tmp/fn" unsubscribe --others
"$E" -s "$tmp/fn" subscribe b a/ b/
check 'a sync brings what is subscribed' fn_sync
check 'and no more' [ "$(count_keys fn other)" = 0 ]
check 'all of it' parts_agree b b/ core fn
set_key fn b b/fn 1
"$E" -s "$tmp/fn" subscribe b a/ >"$tmp/out" 2>&1
check 'a sync forgets what is subscribed no more' fn_sync
check 'at once' gone fn b b/ 1
check 'after it was handed over' arrives core b b/fn 1

# ---- all of it again
for n in e1 e2; do
    holds $n 'subscribe_others = "all"'
    kill -HUP "${pid[$n]}"
done
check 'everything again is everything' agree b 60000 core e1 e2
check 'in each bucket' agree other 20000 core e1 e2
finish

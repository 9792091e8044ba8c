#!/bin/bash
# floor.sh: stores that were away while removal markers were dropped, cores
# that hold the dropping up, one-sided collection, collection under a sync.
. "$(dirname "$0")/lib.sh"
E="$BUILD/edgecrdt"

port=$(free_port)
for n in c1 c2 e; do node $n; done
gc=$'gc_retention = 1\ngc_interval = 1\ngc_budget = 300'
configure c1 core "$gc" "$(listens "$port")" "$(accepts c2)" "$(accepts e)"
configure c2 core 'gc_budget = 0' "$(dials c1 "$port")"
configure e edge "$(dials c1 "$port")"

figure() { # NODE NAME
    "$E" -s "$tmp/$1" stat --json |
        grep -o "\"$2\": *[0-9]*" | grep -o '[0-9]*$'
}
tombs_are() { # NODE N: within 8 seconds
    for _ in $(seq 80); do
        [ "$(figure "$1" tombstones)" = "$2" ] && return 0
        sleep 0.1
    done
    echo "# $1 has $(figure "$1" tombstones) tombstones, not $2"
    return 1
}
absent() { ! "$E" -s "$tmp/$1" get b "$2" >/dev/null; }
says() { [ "$("$E" -s "$tmp/$1" get b "$2")" = "$3" ]; }

check 'the relays start' eval 'start c1 && start c2 && start e'
check 'c1 keeps markers for the time it is told' eval \
    '[ "$("$E" -s "$tmp/c1" setting gc-retention | tr -s " ")" = \
    "gc-retention 1s" ]'
fill c1 b stay 20
fill c1 b gone 30
check 'all are alike' agree b 8000 c1 c2 e

# ---- an edge misses deletes, and the dropping of their markers
check 'the edge goes away' stop e
for i in $("$E" -s "$tmp/c1" keys b gone); do "$E" -s "$tmp/c1" del b "$i"; done
"$E" -s "$tmp/e" set b mine offline
check 'the other core hears of it' tombs_are c2 30
check 'one core drops its markers' tombs_are c1 0
check 'the other keeps them: collection on one side' tombs_are c2 30
"$E" -s "$tmp/e" gc --retention 0 >/dev/null
check 'the edge returns' start e
check 'all are alike again' agree b 8000 c1 c2 e
first=$("$E" -s "$tmp/e" keys b gone | wc -l)
check 'nothing is back' [ "$first" = 0 ]
check 'what was written offline is there' eval \
    'says c1 mine offline && says c2 mine offline'
check 'the cores count right' [ "$("$E" -s "$tmp/c2" keys b | wc -l)" = 21 ]

# ---- a core that is away holds it up; also when its peer forgot by a restart
check 'a core goes away' stop c2
"$E" -s "$tmp/c1" del b mine
sleep 3
check 'its absence holds the marker' tombs_are c1 1
check 'the first core restarts' eval 'stop c1 && start c1'
sleep 3
check 'and knows that it was a core' tombs_are c1 1
check 'the core comes back' start c2
check 'then the marker goes' tombs_are c1 0
check 'both agree' eval 'agree b 8000 c1 c2 && absent c2 mine'

# ---- out of the configuration a core holds up nothing
check 'it leaves for good' stop c2
"$E" -s "$tmp/c1" del b "$("$E" -s "$tmp/c1" keys b stay | head -1)"
sed -i '/"c2"/d' "$tmp/c1.conf"
kill -HUP "${pid[c1]}"
check 'the marker goes without it' tombs_are c1 0

# ---- collection under a sync: many deletes, a new edge that fills up
node n
echo "$(accepts n)" >>"$tmp/c1.conf"
kill -HUP "${pid[c1]}"
fill c1 b many 20000 100
configure n edge "$gc" "$(dials c1 "$port")"
check 'a new edge starts to fill' start n
for i in $("$E" -s "$tmp/c1" keys b many0 | head -200); do
    "$E" -s "$tmp/c1" del b "$i"
    "$E" -s "$tmp/c1" gc --retention 0 >/dev/null
done
check 'it ends like the core' agree b 30000 c1 n e
check 'without what was deleted' [ "$("$E" -s "$tmp/n" digest b)" = \
    "$("$E" -s "$tmp/c1" digest b)" ]
for n in c1 e n; do
    check "$n stops" stop $n
    check "$n is sound" "$E" -s "$tmp/$n" verify
done
finish

#!/bin/bash
# churn_long.sh: ten million increments and a million elements that come and
# go, with relays, collection and a reader beside it: the files stay small.
# CHURN="INCREMENTS ELEMENTS" makes it shorter.
. "$(dirname "$0")/lib.sh"
read -r increments elements <<<"${CHURN:-10000000 1000000}"
limit=$((16 << 20))
E="$BUILD/edgecrdt"

port=$(free_port)
for n in c1 c2; do
    node $n
    "$E" -s "$tmp/$n" setting log-cap 4M >/dev/null
done
gc=$'gc_retention = 1\ngc_interval = 1\ngc_budget = 300'
configure c1 core "$gc" "$(listens "$port")" "$(accepts c2)"
configure c2 core "$gc" "$(dials c1 "$port")"
check 'the cores start' eval 'start c1 && start c2'
check 'they meet' peer_says c1 'in sync'

held() { du -cB1 "$tmp/$1" | awk 'END { print $1 }'; }
figure() { # NODE NAME
    "$E" -s "$tmp/$1" stat --json |
        grep -o "\"$2\": *[0-9]*" | grep -o '[0-9]*$'
}
peak=0
watch() {
    while sleep 1; do
        n=$(held c1)
        [ "$n" -gt $peak ] && peak=$n && echo "$peak" >"$tmp/peak"
    done
}
watch &
watcher=$!
check 'the churn' eval '"$BUILD/tests/net/churn_driver" "$tmp/c1" $increments \
    $elements >"$tmp/said"'
sed 's/^/# /' "$tmp/said"

small() { # NODE: files within the limit, all tombs gone
    for _ in $(seq 600); do
        [ "$(held "$1")" -lt $limit ] && [ "$(figure "$1" tombstones)" = 0 ] &&
            return 0
        sleep 0.1
    done
    echo "# $1 holds $(held "$1") bytes, $(figure "$1" tombstones) tombstones"
    return 1
}
check 'the cores agree' agree churn 60000 c1 c2
check 'the store is small' small c1
check 'its peer is, too' small c2
kill $watcher
wait $watcher 2>/dev/null
check 'nothing is lost' [ "$("$E" -s "$tmp/c2" count churn hits)" = \
    "$increments" ]
check 'nothing stays' [ "$(figure c2 items)" = 1 ]
for n in c1 c2; do
    echo "# $n: $(held $n) bytes held at the end (limit $limit)," \
        "$(figure $n bytes_used) of the file used," \
        "$(figure $n gc_tombstones) tombstones dropped"
done
echo "# c1: at most $(cat "$tmp/peak" 2>/dev/null || echo 0) bytes held"
for n in c1 c2; do
    check "$n stops" stop $n
    check "$n is sound" "$E" -s "$tmp/$n" verify
done
finish

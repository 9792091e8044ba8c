#!/bin/bash
# examples.sh: runs every example as its reader would, and checks what it
# says; sync_once against a relay runs in tests/net.
. "$(dirname "$0")/tap.sh"

same() {
    [ "$1" = "$2" ] && return
    printf 'got  %s\nwant %s\n' "$1" "$2"
    false
}
example() { "$BUILD/examples/$@"; }
edgecrdt() { "$BUILD/edgecrdt" "$@"; }

# local_counter: several at once lose nothing
for i in 1 2 3 4 5 6 7 8; do example local_counter "$tmp/count" & done \
    >"$tmp/runs" 2>&1
wait
check 'local_counter: eight at once are eight runs' \
    same "$(sort -k 3 -n "$tmp/runs" | tail -n 1)" 'run number 8'
check 'local_counter: a folder that cannot be is an error' \
    bash -c '! "$0" /dev/null/x 2>"$1" && grep -q local_counter: "$1"' \
    "$BUILD/examples/local_counter" "$tmp/err"

# two_stores: both print the same totals
check 'two_stores: both converge' \
    same "$(example two_stores "$tmp/a" "$tmp/b" | sort | tr '\n' ';')" \
    'Lisbon: 6 visits, 2 cities;Oslo: 6 visits, 2 cities;'
check 'two_stores: the digests are equal' \
    same "$(edgecrdt -s "$tmp/a" digest)" "$(edgecrdt -s "$tmp/b" digest)"

# iterate
edgecrdt -s "$tmp/i" init >/dev/null
edgecrdt -s "$tmp/i" set menu soup leek
edgecrdt -s "$tmp/i" sadd menu cakes plum apple >/dev/null
edgecrdt -s "$tmp/i" incr menu orders 3 >/dev/null
check 'iterate: registers, sets and counters in order' \
    same "$(example iterate "$tmp/i" menu | tr '\n' ';')" \
    'cakes = {apple, plum};orders = 3;soup = leek;'
check 'iterate: by prefix' \
    same "$(example iterate "$tmp/i" menu so)" 'soup = leek'

# sync_once without a peer: an error in words, the write stays
edgecrdt key gen --out "$tmp/key" >"$tmp/pub"
example sync_once "$tmp/once" "$tmp/key" "$(cat "$tmp/pub")@127.0.0.1:1" \
    >/dev/null 2>"$tmp/err"
code=$?
check 'sync_once: an unreachable peer is told' \
    bash -c "[ $code -ne 0 ] && grep -q '^sync_once: ' '$tmp/err'"
check 'sync_once: the write stays in the store' \
    same "$(edgecrdt -s "$tmp/once" count functions runs)" 1

# access_counter: what awk counts; bad lines are told
log() { # client path status agent
    printf '%s - - [d z] "GET %s HTTP/1.1" %s 1 "-" "%s"\n' \
        "$1" "$2" "$3" "$4"
}
limit=$(head -c 1024 /dev/zero | tr '\0' p)
{
    log 10.0.0.1 / 200 'curl \"quoted\"'
    log 10.0.0.2 / 200 curl
    log 10.0.0.1 /x 404 wget
    log 10.0.0.1 / 304 wget
    log 10.0.0.3 "$limit" 200 fits
    log 10.0.0.3 "${limit}p" 200 too-long
    echo 'not a log line'
    echo
    log 10.0.0.4 / 20x bad-status
    printf '10.0.0.5 - - [d z] "GET /cut HTTP/1.1" 200 5 "-" "no end'
} >"$tmp/log"
example access_counter "$tmp/web" <"$tmp/log" 2>"$tmp/err"
check 'access_counter: counts the good, reports the malformed' \
    same "$(cat "$tmp/err")" 'access_counter: 6 requests counted, 4 malformed'
check 'access_counter: hits' \
    same "$(edgecrdt -s "$tmp/web" keys --long hits / | tr '\t\n' ' ;')" \
    'counter 3 /;counter 1 /cut;counter 1 /x;'
check 'access_counter: a path of 1,024 bytes' \
    same "$(edgecrdt -s "$tmp/web" count hits "$limit")" 1
check 'access_counter: statuses' \
    same "$(edgecrdt -s "$tmp/web" keys --long status | tr '\t\n' ' ;')" \
    'counter 4 200;counter 1 304;counter 1 404;'
check 'access_counter: visitors' \
    same "$(edgecrdt -s "$tmp/web" smembers visitors / | tr '\n' ' ')" \
    '10.0.0.1 10.0.0.2 '
check 'access_counter: the last agent' \
    same "$(edgecrdt -s "$tmp/web" get agents 10.0.0.1)" wget
check 'access_counter: an agent without its closing quote' \
    same "$(edgecrdt -s "$tmp/web" get agents 10.0.0.5)" 'no end'
example access_counter -b 4 "$tmp/batched" <"$tmp/log" 2>/dev/null
check 'access_counter: batches count the same' \
    same "$(edgecrdt -s "$tmp/batched" keys --long hits)" \
    "$(edgecrdt -s "$tmp/web" keys --long hits)"
for i in 1 2 3 4; do
    example access_counter "$tmp/many" <"$tmp/log" 2>/dev/null &
done
wait
check 'access_counter: four at once lose nothing' \
    same "$(edgecrdt -s "$tmp/many" count hits /)" 12
check 'access_counter: wrong calls' bash -c \
    '! "$0" -b 0 x 2>/dev/null && ! "$0" 2>/dev/null && ! "$0" -b 1' \
    "$BUILD/examples/access_counter"

finish

#!/bin/bash
# demo_kit.sh: what the acts of the demo share: a scratch folder, a log, nodes
# on loopback, and the count by awk that they are compared with. Sourced, after
# nodes and edges were set.
export LC_ALL=C
BUILD=${BUILD:-$PWD/build}
LOG=${LOG:-}
requests=3000 # of the log that the demo writes itself

begin=$SECONDS
pids=()
tmp=
green= red= bold= plain=
if [ -t 1 ]; then
    green=$'\033[1;32m' red=$'\033[1;31m' bold=$'\033[1m' plain=$'\033[0m'
fi

# Ends what was started, the relays too, and leaves nothing behind.
clean_up() {
    local p tries=30
    for p in "${pids[@]}"; do kill "$p" 2>/dev/null; done
    for p in "${pids[@]}"; do
        while [ $tries -gt 0 ] && kill -0 "$p" 2>/dev/null; do
            sleep 0.1
            tries=$((tries - 1))
        done
        kill -9 "$p" 2>/dev/null
    done
    wait
    [ -n "$tmp" ] && rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
    local n
    printf '%sdemo: %s%s\n' "$red" "$*" "$plain" >&2
    for n in $nodes; do
        [ -s "$tmp/$n.log" ] && tail -n 3 "$tmp/$n.log" | sed "s/^/$n: /" >&2
    done
    exit 1
}

# A folder in memory if there is room, else on the disk with fewer flushes.
durability=--full
if [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" \
    -gt 500000 ] 2>/dev/null; then
    tmp=$(mktemp -d /dev/shm/edgecrdt-demo.XXXXXX)
else
    tmp=$(mktemp -d)
    durability=--relaxed
fi
edgecrdt=$BUILD/edgecrdt
for p in edgecrdt edgecrdtd examples/access_counter examples/demo_watch; do
    [ -x "$BUILD/$p" ] || die "$BUILD/$p is missing: run 'make'"
done

# ---- the log ----------------------------------------------------------------

# The same 3,000 requests each time: Park-Miller numbers, popular paths often,
# one path of 595 bytes.
write_log() {
    awk -v n=$requests '
        function rnd(m) { x = (x * 16807) % 2147483647; return x % m }
        BEGIN {
            x = 20150517
            long = "/search?q="
            while (length(long) < 595)
                long = long substr("abcdefghijklmnopqrstuvwxyz%20", 1 + rnd(20))
            long = substr(long, 1, 595)
            split("200 200 200 200 200 200 304 304 404 301 206 500", status)
            split("Mozilla/5.0 (X11; Linux x86_64)|curl/7.88.1|" \
                  "Googlebot/2.1 (+http://www.google.com/bot.html)|" \
                  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)|" \
                  "UniversalFeedParser/4.2 \\\"beta\\\"", agent, "|")
            split("blog img css projects articles feed", kind)
            for (i = 0; i < n; i++) {
                page = rnd(40) * rnd(40)
                path = "/" kind[1 + page % 6] "/" page
                if (rnd(9) == 0) path = "/"
                if (rnd(7) == 0) path = path "?page=" rnd(5)
                if (i % 251 == 250) path = long
                printf "203.0.%d.%d - - [17/May/2015:10:%02d:%02d +0000] " \
                    "\"GET %s HTTP/1.1\" %s %d \"-\" \"%s\"\n", rnd(4),
                    1 + rnd(200), int(i / 60) % 60, i % 60, path,
                    status[1 + rnd(12)], 100 + rnd(90000), agent[1 + rnd(5)]
            }
        }'
}

# The log to serve: LOG, or that of write_log.
take_log() {
    if [ -n "$LOG" ]; then
        cp "$LOG" "$tmp/log" || die "cannot read $LOG"
    else
        write_log >"$tmp/log"
    fi
    total=$(wc -l <"$tmp/log")
    [ "$total" -ge 100 ] ||
        die "a log of $total lines is too short to show much"
}

# ---- the nodes --------------------------------------------------------------

free_port() {
    local p
    while :; do
        p=$((20000 + RANDOM % 12000)) # below those of outgoing connections
        (: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null || break
    done
    echo $p
}

declare -A key
make_nodes() {
    local n port
    port=$(free_port)
    for n in $nodes; do
        key[$n]=$("$edgecrdt" key gen --out "$tmp/$n.key") || die "key gen"
        "$edgecrdt" -s "$tmp/$n" init $durability >/dev/null || die "init"
    done
    {
        printf 'store = "%s/core"\nkey_file = "%s/core.key"\n' "$tmp" "$tmp"
        printf 'name = "core"\nrole = "core"\n'
        printf 'listen = {"127.0.0.1:%d"}\n' "$port"
        for n in $edges; do
            printf 'peer "%s" { key = "%s" }\n' "$n" "${key[$n]}"
        done
    } >"$tmp/core.conf"
    for n in $edges; do
        {
            printf 'store = "%s/%s"\nkey_file = "%s/%s.key"\nname = "%s"\n' \
                "$tmp" "$n" "$tmp" "$n" "$n"
            printf 'peer "core" { address = "127.0.0.1:%d" key = "%s" }\n' \
                "$port" "${key[core]}"
        } >"$tmp/$n.conf"
    done
}

# What functions said last, but for their summaries.
complaint() { grep -v 'requests counted' "$tmp/functions.log" | tail -n 1; }

declare -A relay
start_relay() { # node: until it is ready
    local log=$tmp/$1.log was
    was=$(grep -c 'msg="ready"' "$log" 2>/dev/null)
    "$BUILD/edgecrdtd" -c "$tmp/$1.conf" 2>>"$log" &
    relay[$1]=$!
    pids+=($!)
    disown
    until [ "$(grep -c 'msg="ready"' "$log")" -gt "${was:-0}" ]; do
        kill -0 "${relay[$1]}" 2>/dev/null || die "the relay of $1 ended"
        sleep 0.05
    done
    echo running >"$tmp/$1.state"
}

# ---- what the nodes must agree on -------------------------------------------

# Lines that count: as access_counter.c has it, in awk's words.
good='NF >= 9 && $9 ~ /^[0-9][0-9][0-9]$/ && length($7) <= 1024 &&
    length($1) <= 1024'

expect() {
    awk "$good"' { print $7 }' "$tmp/log" | sort | uniq -c |
        awk '{ print $2, $1 }' | sort >"$tmp/expect.hits"
    awk "$good"' { print $9 }' "$tmp/log" | sort | uniq -c |
        awk '{ print $2, $1 }' | sort >"$tmp/expect.status"
    awk "$good"' { print $7, $1 }' "$tmp/log" | sort -u |
        awk '{ print $1 }' | uniq -c |
        awk '{ print $2, $1 }' | sort >"$tmp/expect.visitors"
}

# Compares one bucket of one node; shows the first keys that differ.
compare() { # node, bucket, type
    "$edgecrdt" -s "$tmp/$1" keys --raw --long --type "$3" "$2" |
        awk -F '\t' '{ print $3, $2 }' | sort >"$tmp/got"
    if ! diff "$tmp/expect.$2" "$tmp/got" >"$tmp/diff"; then
        printf '%s: %s differ (< awk, > store):\n' "$1" "$2"
        grep '^[<>]' "$tmp/diff" | head -n 6
        return 1
    fi >&2
}

say() { printf '%s\n' "$*" >>"$tmp/notes"; [ -t 1 ] || printf '%s\n' "$*"; }

# All nodes have the same digests, and the counts of awk.
compare_all() {
    local n failed=0
    for n in $nodes; do
        "$edgecrdt" -s "$tmp/$n" digest >"$tmp/digest.$n" || failed=1
        cmp -s "$tmp/digest.core" "$tmp/digest.$n" || {
            echo "digests of core and $n differ:" >&2
            diff "$tmp/digest.core" "$tmp/digest.$n" >&2
            failed=1
        }
        compare "$n" hits counter || failed=1
        compare "$n" status counter || failed=1
        compare "$n" visitors set || failed=1
    done
    [ $failed -eq 0 ] || die 'the nodes do not agree with awk'
    printf '\n%sdigests, the same at all nodes%s\n' "$bold" "$plain"
    sed 's/^/  /' "$tmp/digest.core"
}

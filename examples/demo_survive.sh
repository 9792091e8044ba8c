#!/bin/bash
# demo_survive.sh: the demo's second act: one edge is restored from an old
# backup, one cloned with all that tells a copy from its original, one loses
# its data file, one comes back after the others forgot what it missed; at the
# end all are compared with an independent count by awk, sort and uniq.
#   BUILD=DIR [LOG=FILE] examples/demo_survive.sh
set -u
rounds=3
nodes='core edge1 edge2 edge3 edge4 twin'
edges='edge1 edge2 edge3 edge4 twin'
. "${0%/*}/demo_kit.sh"

# ---- the log ----------------------------------------------------------------

take_log
# Each edge has its lines of each round.
awk -v dir="$tmp" -v rounds=$rounds -v n="$total" '
    { r = 1 + int((NR - 1) * rounds / n)
      print >(dir "/part." NR % 4 + 1 "." r) }' "$tmp/log"

# Visits of the first round that the second half of the log does not repeat:
# these are to be deleted, and must not come back.
visits() { awk "$good"' { print $7, $1 }' "$@" | sort -u; }
visits "$tmp"/part.?.1 >"$tmp/early"
visits "$tmp"/part.?.[23] >"$tmp/later"
comm -23 "$tmp/early" "$tmp/later" | awk '!seen[$1]++' | head -n 100 \
    >"$tmp/deleted"

# ---- what happens -----------------------------------------------------------

serve() { # edge, round [, store]
    "$BUILD/examples/access_counter" -b 10 "$tmp/${3:-edge$1}" \
        <"$tmp/part.$1.$2" 2>>"$tmp/functions.log" ||
        die "a function failed: $(complaint)"
}

stop_relay() { # node [, signal]
    kill "-${2:-TERM}" "${relay[$1]}"
    while kill -0 "${relay[$1]}" 2>/dev/null; do sleep 0.05; done
}

# Until these nodes have the same digests, and each link is in sync.
agree() { # node...
    local n tries=600
    while [ $tries -gt 0 ]; do
        for n; do
            "$edgecrdt" -s "$tmp/$n" digest >"$tmp/digest.$n" 2>/dev/null
            cmp -s "$tmp/digest.$1" "$tmp/digest.$n" || continue 2
        done && [ -s "$tmp/digest.$1" ] && return
        tries=$((tries - 1))
        sleep 0.1
    done
    die "$* did not agree within a minute"
}

# Gives a copied store a guard file that fits where it lies now, as if all
# that the guard knows had been cloned along: FORMAT.md, "guard".
forge_guard() { # store
    local file=$tmp/$1/guard hex born byte bit crc=$((0xffffffff)) i
    born=$(date -d "$(stat -c %w "$tmp/$1/data.mdb")" +%s%N 2>/dev/null)
    hex=$(od -An -v -tx1 "$file" | tr -d ' \n')
    hex=${hex:0:208}$(printf '%016x%016x' \
        "$(stat -c %i "$tmp/$1/data.mdb")" "${born:-0}")
    for ((i = 0; i < ${#hex}; i += 2)); do
        byte=$((16#${hex:i:2}))
        crc=$((crc ^ byte))
        for bit in 1 2 3 4 5 6 7 8; do
            crc=$((crc & 1 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1))
        done
    done
    hex=$hex$(printf '%08x' $((crc ^ 0xffffffff)))
    # shellcheck disable=SC2059 # the bytes are the format
    printf "$(sed 's/../\\x&/g' <<<"$hex")" >"$file"
}

until_logged() { # node, what
    local tries=200
    until grep -q "$2" "$tmp/$1.log"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "$1 does not say '$2'"
        sleep 0.05
    done
}

# The line of a log that explains what was found.
explained() { # node, what it must say
    local line
    line=$(grep -m 1 -F "$2" "$tmp/$1.log") || die "no line of $1 says '$2'"
    line=${line#*msg=\"}
    printf '  %-6s %s\n' "$1" "${line%%\"*}"
}

# ---- act two ----------------------------------------------------------------

printf '%sOne core, four edges, %d requests, and a bad year%s\n' \
    "$bold" "$total" "$plain"
expect
comm -23 <(visits "$tmp/log") "$tmp/deleted" | awk '{ print $1 }' | uniq -c |
    awk '{ print $2, $1 }' | sort >"$tmp/expect.visitors"
make_nodes
rm -r "$tmp/twin" # to be a copy of edge2
for n in core edge1 edge2 edge3 edge4; do start_relay "$n"; done
for e in 1 2 3 4; do serve $e 1; done
agree core edge1 edge2 edge3 edge4
say 'all five agree on the first third; edge1 is backed up; edge4 goes dark'
"$edgecrdt" -s "$tmp/edge1" backup "$tmp/backup" >/dev/null || die backup
stop_relay edge4

while read -r path client; do
    "$edgecrdt" -s "$tmp/core" srem visitors "$path" "$client" >/dev/null ||
        die "srem $path"
done <"$tmp/deleted"
for e in 1 2 3 4; do serve $e 2; done
agree core edge1 edge2 edge3
for n in core edge1 edge2 edge3; do
    "$edgecrdt" -s "$tmp/$n" gc --retention 0s >"$tmp/gc.$n" || die "gc $n"
done
say "$(wc -l <"$tmp/deleted") visits were deleted and forgotten:" \
    "$(head -n 1 "$tmp/gc.core")"

stop_relay edge1
rm -r "$tmp/edge1"
cp -a "$tmp/backup" "$tmp/edge1"
start_relay edge1
until_logged edge1 'new incarnation'
serve 1 3
say 'edge1 was lost and restored from its old backup; it served at once'

stop_relay edge2
cp -a "$tmp/edge2" "$tmp/twin"
forge_guard twin
for i in {1..40}; do
    "$edgecrdt" -s "$tmp/$([ $((i % 2)) = 0 ] && echo twin || echo edge2)" \
        sadd guests all "guest $i" >/dev/null || die sadd
done
start_relay edge2
start_relay twin
say 'edge2 was cloned with every fact of its guard; both wrote on unaware'

stop_relay edge3 KILL
rm "$tmp/edge3/data.mdb"
start_relay edge3
until_logged edge3 'is lost'
serve 3 3
say 'edge3 lost its data file and was started again, empty'

start_relay edge4
serve 4 3
say 'edge4 is back, from below the floor, with what it wrote in the dark'

agree $nodes
half=$(($(wc -l <"$tmp/part.2.3") / 2))
head -n $half "$tmp/part.2.3" >"$tmp/part.twin.3"
tail -n +$((half + 1)) "$tmp/part.2.3" >"$tmp/part.rest.3"
serve twin 3 twin
serve rest 3 edge2
say 'both twins serve their share of the rest'
agree $nodes

"$edgecrdt" -s "$tmp/core" scard guests all >"$tmp/guests"
[ "$(cat "$tmp/guests")" = 40 ] || die "$(cat "$tmp/guests") guests of 40"
compare_all
printf '\n%swhat the logs say%s\n' "$bold" "$plain"
explained edge1 'no identity (a backup): new incarnation'
explained edge2 'a copy of it is in use; new incarnation'
explained twin 'a copy of it is in use; new incarnation'
explained edge3 'data file of this store is lost'
explained edge4 'forgotten removals that this store missed'
printf '\n%sAll six nodes agree with awk: %d requests, %d visits, ' \
    "$green" "$total" "$(awk '{ n += $2 } END { print n }' \
        "$tmp/expect.visitors")"
printf '%d deleted and none came back. %d seconds in all.%s\n' \
    "$(wc -l <"$tmp/deleted")" $((SECONDS - begin)) "$plain"

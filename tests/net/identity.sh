#!/bin/bash
# identity.sh: stores that are restored, copied, started twice or rolled back
# under a running network: each gets a new incarnation and says why, what it
# wrote before comes back, nothing that a living node wrote is lost, and all
# digests are equal at the end.
. "$(dirname "$0")/lib.sh"
E=$BUILD/edgecrdt

star
node_id() {
    "$E" -s "$tmp/$1" --json stat | grep -o '"node": *"[0-9a-f]*"'
}
is_new() { [ "$(node_id "$1")" != "$2" ]; } # NODE FORMER_ID
has() { # NODE KEY VALUE
    [ "$("$E" -s "$tmp/$1" get b "$2" 2>/dev/null)" = "$3" ] && return
    echo "# $1: $2 is $("$E" -s "$tmp/$1" get b "$2" 2>&1)"
    return 1
}
restart() { start "$1" && agree b 20000 core e1 e2; }
halt() { stop "$1" >/dev/null 2>&1; }

for n in core e1 e2; do check "$n starts" start $n; done
set_key e1 b first e1
set_key core b first-core core
set_key e2 b first-e2 e2
check 'all agree' agree b 10000 core e1 e2

# ---- a backup comes back while the peers hold newer events of the store
for n in e1 core; do
    rm -rf "$tmp/copy"
    "$E" -s "$tmp/$n" backup "$tmp/copy" >/dev/null
    set_key $n b "later-$n" kept
    agree b 10000 core e1 e2
    id=$(node_id $n)
    halt $n
    rm -rf "${tmp:?}/$n"
    "$E" -s "$tmp/$n" restore "$tmp/copy" >/dev/null
    set_key $n b "again-$n" new
    check "$n restored from a backup: all agree" restart $n
    check "$n: a new incarnation" is_new $n "$id"
    check "$n: what it wrote after the backup is back" has $n "later-$n" kept
    check "$n: what it wrote after the restore reached others" \
        has e2 "again-$n" new
done

# ---- the data file of an older state; of another folder; none at all
old_data() {
    cat "$tmp/old.mdb" >"$tmp/e1/data.mdb" # in place: the same inode
}
lost_guard() { rm "$tmp/e1/guard"; }
lost_data() { rm "$tmp/e1/data.mdb"; }
copied() {
    mv "$tmp/e1" "$tmp/was"
    cp -a "$tmp/was" "$tmp/e1"
    rm -rf "$tmp/was"
}
while read -r what sentence; do
    id=$(node_id e1)
    halt e1
    cp "$tmp/e1/data.mdb" "$tmp/old.mdb"
    start e1
    set_key e1 b "$what" mine
    agree b 10000 core e1 e2
    halt e1
    $what
    check "$what: all agree" restart e1
    check "$what: a new incarnation" is_new e1 "$id"
    check "$what: the log says what was found" logged e1 "$sentence"
    check "$what: its own events are back" has e1 "$what" mine
done <<'CASES'
old_data restored or rolled back
lost_guard guard file is lost
lost_data data file of this store is lost
copied data file is a copy
CASES

# ---- a reboot is none of them, nor is a folder that moved
id=$(node_id e1)
halt e1
mv "$tmp/e1" "$tmp/moved" && mv "$tmp/moved" "$tmp/e1"
check 'moved and started again: all agree' restart e1
check '... the same incarnation' [ "$(node_id e1)" = "$id" ]

# ---- a volume snapshot: nothing that a guard could see, and then writes on
halt e1
mkdir "$tmp/snapshot"
cp "$tmp/e1"/{data.mdb,guard} "$tmp/snapshot"
start e1
for i in 1 2 3; do set_key e1 b "lost-$i" mine; done
agree b 10000 core e1 e2
halt e1
for f in data.mdb guard; do cat "$tmp/snapshot/$f" >"$tmp/e1/$f"; done
id=$(node_id e1)
for i in 1 2 3 4 5 6; do set_key e1 b "on-$i" mine; done
check 'snapshot: no guard saw it' [ "$(node_id e1)" = "$id" ]
check 'snapshot: all agree' restart e1
check 'snapshot: a new incarnation' is_new e1 "$id"
check 'snapshot: the log says so' logged e1 'rolled back, or a copy'
check 'snapshot: what peers had is back' has e1 lost-3 mine
check 'snapshot: what it wrote since is there' has core on-6 mine

# ---- one image started twice, all guard facts along: both write, then meet
halt e1
node e3
rm -rf "$tmp/e3"
cp -a "$tmp/e1" "$tmp/e3"
"$H" twin "$tmp/e3"
configure e3 edge "$(dials core "$port")"
halt core
configure core core "$(listens "$port")" "$(accepts e1)" "$(accepts e2)" \
    "$(accepts e3)"
for i in 1 2 3; do
    set_key e1 b shared "left-$i"
    set_key e3 b shared "right-$i"
    set_key e1 b "left-$i" one
    set_key e3 b "right-$i" two
done
check 'twins have one identity' [ "$(node_id e1)" = "$(node_id e3)" ]
for n in core e1 e3; do start $n; done
check 'twins and the others agree' agree b 20000 core e1 e2 e3
check 'they have two identities' is_new e1 "$(node_id e3)"
for n in e1 e2 e3; do
    check "$n has what the left one wrote" has $n left-3 one
    check "$n has what the right one wrote" has $n right-3 two
done
for n in core e1 e2 e3; do
    check "$n is sound" [ "$("$E" -s "$tmp/$n" verify)" = sound ]
done

# ---- both twins are gone before their peers meet
halt e1
halt e3
rm -rf "$tmp/e3"
cp -a "$tmp/e1" "$tmp/e3"
"$H" twin "$tmp/e3"
node far
far_port=$(free_port)
cp -a "$tmp/e1" "$tmp/seed" # far begins with what all know
rm -rf "$tmp/far"
"$E" -s "$tmp/seed" backup "$tmp/far" >/dev/null
configure far core "$(listens "$far_port")" "$(accepts e3)" \
    "$(dials core "$port")"
halt core
for i in 1 2 3 4 5; do set_key e1 b "gone-left-$i" one; done
for i in 1 2 3; do set_key e3 b "gone-right-$i" two; done
set_key e1 b gone-both left
set_key e3 b gone-both right
start core
start e1
check 'the left twin meets the core' agree b 10000 core e1 e2
halt e1
halt core
configure e3 edge "$(dials far "$far_port")"
start far
start e3
check 'the right twin meets another core' agree b 10000 far e3
halt e3
rm -rf "$tmp/e1" "$tmp/e3"
configure core core "$(listens "$port")" "$(accepts far)" "$(accepts e2)"
start core
check 'the cores agree, without the twins' agree b 20000 core far e2
check 'someone says that there were two' eval \
    'logged far "two stores wrote with one identity" 1 ||
     logged core "two stores wrote with one identity" 1'
merges() { # NODE: branches that its relay merged, as its own record says
    "$E" -s "$tmp/$1" --json stat |
        sed -n 's/.*"relay_fork_merges": *\([0-9]*\).*/\1/p'
}
merged() { [ $(($(merges core) + $(merges far))) -ge 1 ]; }
counted() {
    for _ in $(seq 100); do
        merged && return
        sleep 0.05
    done
    return 1
}
check 'and stat counts it' counted
for n in core far e2; do
    check "$n has what the left one wrote" has $n gone-left-5 one
    check "$n has what the right one wrote" has $n gone-right-3 two
done

finish

#!/bin/bash
# wait.sh: receipts between real processes: read-your-writes at another node,
# a core out of reach, relays killed in between, no relay at all.
. "$(dirname "$0")/lib.sh"

E=$BUILD/edgecrdt
star
node e3
configure core core "$(listens "$port")" "$(accepts e1)" "$(accepts e2)" \
    "$(accepts e3)"
for n in core e1 e2; do check "$n starts" start $n; done

# take NODE VERB...: writes there and keeps the receipt in $receipt.
take() {
    local n=$1 verb=$2
    shift 2
    receipt=$("$E" -s "$tmp/$n" "$verb" --receipt "$@" | tail -n 1)
    [ ${#receipt} -eq 96 ] || ! echo "# no receipt: $receipt"
}
waits() { # NODE EXIT_CODE [OPTION]...: for $receipt
    local n=$1 want=$2 got
    shift 2
    "$E" -s "$tmp/$n" wait "$@" "$receipt" 2>"$tmp/why"
    got=$?
    [ $got = "$want" ] || ! sed "s/^/# exit $got: /" "$tmp/why"
}
why() { grep -qF -- "$1" "$tmp/why" || ! sed 's/^/# said: /' "$tmp/why"; }
reads() { # NODE KEY VALUE: at once
    local got
    got=$("$E" -s "$tmp/$1" get b "$2")
    [ "$got" = "$3" ] || ! echo "# $2 is '$got'"
}

# ---- a function writes at one edge, the next one runs at the other
check 'a write with a receipt' take e1 set b cart 'three apples'
check 'the other edge waits until it is there' waits e2 0 --here --timeout 10
check 'and reads its own write' reads e2 cart 'three apples'
right=1
for i in $(seq 40); do
    take e1 set b cart "v$i" && waits e2 0 --here --timeout 10 &&
        reads e2 cart "v$i" || right=0
done
check '40 times, not once too early' [ $right = 1 ]
receipt=${receipt:0:90}000000
check 'a damaged one is refused' waits e2 64 --timeout 1
check 'in a sentence' why 'not a receipt'

# ---- at a core, at peers
check 'a counter has receipts too' take e1 incr b visits 5
check 'the core has it durably' waits e1 0 --core --timeout 10
check 'one peer has it' waits e1 0 --peers 1 --timeout 10
check 'there are no two' waits e1 1 --peers 2 --timeout 0.3
check 'it says how many' why 'at 2 peers after 300 ms: 1 peer holds it'
check "the other edge asks for a stranger's write" \
    waits e2 0 --core --timeout 10
check 'the core knows of both edges' waits core 0 --peers 2 --timeout 10
check 'at the core it is at a core' waits core 0 --core --timeout 10
check 'a write at the core' take core set b k v
check 'is at a core already' waits core 0 --core --timeout 10
"$H" receipts "$tmp/e1" b 100 >"$tmp/times"
sed 's/^/# commit to durable at the core and known: /' "$tmp/times"
p50=$(sed -E 's/.*p50_us=([0-9]+).*/\1/' "$tmp/times")
check 'commit to known at the core: 60 ms median at most' \
    [ "$p50" -le 60000 ]

"$H" load "$tmp/e1" b one 4 100000 >"$tmp/load1" &
load1=$!
"$H" load "$tmp/e1" b two 4 100000 >"$tmp/load2" &
load2=$!
"$H" receipts "$tmp/e1" b 30 >"$tmp/times"
sed 's/^/# the same while two processes write all the time: /' "$tmp/times"
p50=$(sed -E 's/.*p50_us=([0-9]+).*/\1/' "$tmp/times")
check 'writers do not keep the answer back: 500 ms median at most' \
    [ "${p50:-999999}" -le 500000 ]
wait $load1 $load2

# ---- before and after the core is reachable
stop core KILL 2>/dev/null
check 'a write while the core is away' take e1 set b lonely yes
check 'is not at a core' waits e1 1 --core --timeout 1
check 'the relay was asked' why "'edgecrdt peers' shows"
"$E" -s "$tmp/e1" wait --core --timeout 60 "$receipt" &
waiter=$!
check 'the core starts again' start core
check 'who has waited all the time wakes' wait $waiter

# ---- the relay dies in between
kill -STOP "${pid[core]}"
check 'a write that the core cannot take yet' take e1 set b torn yes
waits e1 1 --core --timeout 0.5
stop e1 KILL 2>/dev/null
kill -CONT "${pid[core]}"
check 'a write without a relay' take e1 set b torn2 yes
check 'is not at a core' waits e1 1 --core --timeout 12
check 'no relay has answered' why 'no relay has answered'
"$E" -s "$tmp/e1" wait --core --timeout 60 "$receipt" &
waiter=$!
sleep 0.3
check "the edge's relay starts again" start e1
check 'and answers who waits' wait $waiter

# ---- no relay, but a sync
check 'a write at a store without a relay' take e3 set b once x
sync_e3() {
    "$E" -s "$tmp/e3" sync --key "$tmp/e3.key" --timeout 60 \
        "${key[core]}@127.0.0.1:$port" >"$tmp/sync.out" 2>&1 ||
        ! sed 's/^/# /' "$tmp/sync.out"
}
check 'one round of sync' sync_e3
check 'it is at a core, and that is known' waits e3 0 --core --timeout 0.1
check 'another write' take e3 set b twice x
check 'is not' waits e3 1 --core --timeout 0.1

# ---- a bucket that is not here yet
check 'a bucket of its own' take e3 set fresh k v
check 'which others do not have' waits e2 1 --here --timeout 0.2
check 'is said so' why 'no bucket yet'
"$E" -s "$tmp/e2" wait --here --timeout 60 "$receipt" &
waiter=$!
check 'one round of sync' sync_e3
check 'then it is there' wait $waiter

for n in e2 e1 core; do check "$n stops" stop $n; done
finish

#!/bin/bash
# audit.sh: one store is damaged behind the library's back; the relays' audit
# and verify --against see it and name the key, and change nothing.
. "$(dirname "$0")/lib.sh"
E=$BUILD/edgecrdt

star
for n in core e1; do
    echo 'audit_interval = 1' >>"$tmp/$n.conf"
done
for n in core e1; do check "$n starts" start $n; done
fill e1 b user/ 3000 20
fill core c other/ 200 20
check 'b arrives' agree b 10000 core e1
check 'c arrives' agree c 10000 core e1

against() { # WANTED STORE KEY_OF [OPTION...]
    local want=$1 store=$2 of=$3 got
    shift 3
    "$E" -s "$tmp/$store" "$@" verify --timeout 10 --key "$tmp/$of.key" \
        --against "${key[core]}@127.0.0.1:$port" >"$tmp/out" 2>&1
    got=$?
    [ $got = "$want" ] || {
        echo "# exit $got, not $want: $(cat "$tmp/out")"
        return 1
    }
}
says() { grep -qE -- "$1" "$tmp/out" || ! sed 's/^/# /' "$tmp/out"; }
audited() { # until the relay's record counts one, for 10 seconds
    for _ in $(seq 100); do
        "$E" -s "$tmp/e1" --json peers | grep -qE "\"audits\":[1-9]" && return 0
        sleep 0.1
    done
    return 1
}

check 'equal stores: exit 0' against 0 e1 e1
check 'and it says so' says '^equal$'
check 'JSON counts' against 0 e1 e1 --json
check 'buckets and bytes' says '"equal":true,"buckets":2.*"bytes":[0-9]{3,5}}'
check 'the link of the relay stands' peer_says e1 'state=in sync'
check 'audits go on' audited
check 'and find nothing' bash -c \
    "! grep -q AUDIT '$tmp/core.log' '$tmp/e1.log'"

check 'a record is altered at e1' "$H" tamper "$tmp/e1" b user/0000042 alter
check 'verify --against: exit 1' against 1 e1 e1
check 'names bucket, type and key' says '^b	register	user/0000042	here:'
check 'and events of both sides' says \
    'here:	[0-9a-f]{32}:[0-9]+	there:	[0-9a-f]{32}:[0-9]+$'
check 'once more as JSON' against 1 e1 e1 --json
check 'with a sum' says '"equal":false,"buckets":2,.*"findings":1'
check 'a record is lost at the core' "$H" tamper "$tmp/core" c \
    other/0000007 lose
check 'is seen, too' against 1 e1 e1
check 'as nothing there' says 'other/0000007	here:	[0-9a-f:]*	there:	nothing'
check 'the audit of e1 logs it' logged e1 'msg="AUDIT:' 40
names_it() {
    grep -h AUDIT "$tmp/e1.log" | grep -qE \
        'key="register (user/0000042|other/0000007)"'
}
check 'with the key' names_it
mismatched() {
    for _ in $(seq 50); do
        "$E" -s "$tmp/e1" --json peers | grep -qE "\"mismatches\":[1-9]" &&
            return 0
        sleep 0.1
    done
    return 1
}
check 'and counts it' mismatched
check 'status tells of it' bash -c \
    "'$E' -s '$tmp/e1' status | grep -q '^audits that failed *[1-9]'"
check 'peers tells of it' bash -c \
    "'$E' -s '$tmp/e1' peers | grep -q 'found other content'"

# Not at equal clocks: the core stands still and lacks a write.
"$H" set "$tmp/e2" b k v
check 'another store is never at equal clocks' bash -c \
    "'$E' -s '$tmp/e2' verify --timeout 1 --key '$tmp/e2.key' \
    --against '${key[core]}@127.0.0.1:$port'; [ \$? = 75 ]" 2>/dev/null
check 'a key that is unknown there' bash -c \
    "'$E' -s '$tmp/e1' verify --timeout 3 --key '$tmp/core.key' \
    --against '${key[core]}@127.0.0.1:$port'; [ \$? -gt 1 ]" 2>/dev/null
for n in e1 core; do check "$n stops" stop $n; done
finish

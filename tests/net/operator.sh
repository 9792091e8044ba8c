#!/bin/bash
# operator.sh: what an operator does to a relay: check the configuration,
# reload good and bad ones, ask for the state, run two by mistake.
. "$(dirname "$0")/lib.sh"

star
port2=$(free_port)
status() { # WANTED COMMAND...
    local want=$1 got
    shift
    "$@" >"$tmp/out" 2>&1
    got=$?
    [ $got = "$want" ] || {
        echo "# status $got, not $want: $(cat "$tmp/out")"
        return 1
    }
}
says() { grep -qF -- "$1" "$tmp/out" || ! sed 's/^/# /' "$tmp/out"; }

check '--version' status 0 "$D" --version
check '--help' status 0 "$D" --help
check 'an unknown option is usage' status 64 "$D" --nonsense
check 'an argument is usage' status 64 "$D" extra
check '--check-config of a good one' status 0 "$D" -c "$tmp/core.conf" \
    --check-config
check 'tells what it found' says '1 listener, 2 peers'
check '--check-config changes nothing' bash -c "! ls '$tmp/core/relay.lock'" \
    2>/dev/null
check 'no such file' status 78 "$D" -c "$tmp/none.conf"
{
    cat "$tmp/core.conf"
    echo 'lisen = {"x"}'
} >"$tmp/bad.conf"
check 'a misspelt option' status 78 "$D" -c "$tmp/bad.conf" --check-config
check 'is named with file and line' \
    says "$tmp/bad.conf:$(wc -l <"$tmp/bad.conf"): no such option 'lisen'"
sed '/lisen/d; s/ed25519:/ed25519:x/' "$tmp/bad.conf" >"$tmp/bad2.conf"
check 'a bad key' status 78 "$D" -c "$tmp/bad2.conf" --check-config
check 'is named with its line' says "$tmp/bad2.conf:7: "
chmod 644 "$tmp/core.key"
check 'a key file that all can read' status 77 "$D" -c "$tmp/core.conf"
chmod 600 "$tmp/core.key"

for n in core e1; do check "$n starts" start $n; done
check 'a second relay on the store is refused' status 69 "$D" \
    -c "$tmp/core.conf"
check 'and names the first' says "pid ${pid[core]}"
sed "s|\"$tmp/core\"|\"$tmp/e2\"|" "$tmp/core.conf" >"$tmp/taken.conf"
check 'an address in use' status 69 "$D" -c "$tmp/taken.conf"
set_key e1 b k v
check 'they sync' arrives core b k v

# ---- reload
echo 'nonsense' >>"$tmp/core.conf"
kill -HUP "${pid[core]}"
check 'a bad file is refused at HUP' logged core 'kept the old configuration'
set_key e1 b k v2
check 'and nothing changed' arrives core b k v2
sed -i '/nonsense/d; s/^role.*/role = "edge"/' "$tmp/core.conf"
kill -HUP "${pid[core]}"
check 'what needs a restart is named' logged core 'role cannot change'
configure core core "listen = {\"127.0.0.1:$port\", \"127.0.0.1:$port2\"}" \
    "$(accepts e2)"
kill -HUP "${pid[core]}"
check 'a good one is taken' logged core 'read the configuration'
check 'a removed peer is gone' peer_says e1 'name=core state=(refused|down)'
configure e2 edge "$(dials core "$port2")"
start e2
set_key core b k v3
check 'a new listener serves a peer' arrives e2 b k v3
configure core core "$(listens "$port")" "$(accepts e1)" "$(accepts e2)"
kill -HUP "${pid[core]}"
check 'an added peer comes back' arrives e1 b k v3 40000
configure e2 edge "$(dials core "$port")"
kill -HUP "${pid[e2]}"
set_key core b k v4
check 'a changed address is dialed' arrives e2 b k v4 40000
kill -USR1 "${pid[core]}"
check 'USR1 logs the state' logged core 'msg="peer state" peer="e1"'
check 'of every peer' logged core 'msg="peer state" peer="e2"'

# ---- sd_notify
cat >"$tmp/notify.py" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)
END
if command -v python3 >/dev/null; then
    python3 "$tmp/notify.py" "$tmp/notify.sock" >"$tmp/notified.log" &
    listener=$!
    for _ in $(seq 100); do [ -S "$tmp/notify.sock" ] && break; sleep 0.05; done
    stop e1
    NOTIFY_SOCKET=$tmp/notify.sock start e1
    kill -HUP "${pid[e1]}"
    check 'READY=1 comes' logged notified READY=1
    check 'RELOADING=1 comes' logged notified RELOADING=1
    check 'STATUS counts the peers' logged notified '1 of 1 peers in sync'
    stop e1
    check 'STOPPING=1 comes' logged notified STOPPING=1
    kill $listener
fi
kill -STOP "${pid[e2]}"
set_key core b k v5
kill -TERM "${pid[core]}"
logged core 'msg="draining"'
kill -TERM "${pid[core]}"
check 'a second TERM ends it at once' logged core 'reason="second signal"' 2
reap "${pid[core]}"
check 'in order' [ $? = 0 ]
unset 'pid[core]'
kill -CONT "${pid[e2]}"
stop e2
check 'who was away at the end is told' \
    logged e2 'reason="drained; 1 of 1 peers not connected"'
finish

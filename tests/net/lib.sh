#!/bin/bash
# lib.sh: what the network tests share: nodes with keys, stores and relays on
# loopback, and TAP lines. Sourced; BUILD names the build folder.
. "$(dirname "${BASH_SOURCE[0]}")/../tap.sh"
H=$BUILD/tests/net/net_helper
D=$BUILD/edgecrdtd
declare -A key pid conf
# Is the relay built with one of these sanitizers (a pattern)?
sanitized() { ldd "$D" | grep -qE "$1"; }
needs edgecrdtd edgecrdt tests/net/net_helper

clean_up() {
    local n
    for n in "${!pid[@]}"; do
        kill -CONT "${pid[$n]}" 2>/dev/null
        kill -KILL "${pid[$n]}" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$tmp"
}
trap clean_up EXIT

# check WHAT COMMAND...: one case, which may print comments; on failure the end
# of each log is shown.
check() {
    local what=$1 n
    shift
    cases=$((cases + 1))
    if "$@"; then
        echo "ok $cases - $what"
        return
    fi
    failed=$((failed + 1))
    echo "not ok $cases - $what"
    for n in "${!pid[@]}"; do
        tail -n 8 "$tmp/$n.log" 2>/dev/null | sed "s/^/# $n: /"
    done
}

free_port() {
    local p
    while :; do
        p=$((20000 + RANDOM % 12000))
        (: <"/dev/tcp/127.0.0.1/$p") 2>/dev/null || break
    done
    echo $p
}

# node NAME [LEVEL]: a key and an empty store.
node() {
    key[$1]=$("$H" keygen "$tmp/$1.key")
    "$H" init "$tmp/$1" "${2:-full}"
}

# configure NAME ROLE LINE...: writes its configuration.
configure() {
    local name=$1 role=$2
    shift 2
    conf[$name]=$tmp/$name.conf
    {
        printf 'store = "%s"\nkey_file = "%s"\n' "$tmp/$name" "$tmp/$name.key"
        printf 'name = "%s"\nrole = "%s"\ndrain_timeout = 3\n' "$name" "$role"
        printf '%s\n' "$@"
    } >"$tmp/$name.conf"
}

# dials NAME PORT, accepts NAME: a line of configuration.
dials() {
    printf 'peer "%s" { address = "127.0.0.1:%s" key = "%s" }\n' \
        "$1" "$2" "${key[$1]}"
}
accepts() {
    printf 'peer "%s" { key = "%s" }\n' "$1" "${key[$1]}"
}
listens() {
    printf 'listen = {"127.0.0.1:%s"}\n' "$1"
}

# start NAME: its relay, until it is ready.
start() {
    "$D" -c "$tmp/$1.conf" 2>>"$tmp/$1.log" &
    pid[$1]=$!
    for _ in $(seq 100); do
        grep -sq "msg=\"ready\"" "$tmp/$1.log" && return 0
        sleep 0.05
    done
    echo "# $1 did not start"
    return 1
}

# LeakSanitizer's tracer rarely hangs while the process it looks at ends (one
# exit in some hundred): such a process is done, and killed after 15 seconds.
# reap PID: its exit status.
reap() {
    local tracer
    for _ in $(seq 300); do
        grep -sq '^State:.[^Z]' "/proc/$1/status" || break
        sleep 0.05
    done
    tracer=$(sed -n 's/^TracerPid:.//p' "/proc/$1/status" 2>/dev/null)
    if [ "${tracer:-0}" != 0 ]; then
        echo "# LeakSanitizer hangs in $1"
        kill -KILL "$1"
        wait "$1"
        return 0
    fi
    wait "$1"
}

# stop NAME [SIGNAL]: and its exit status.
stop() {
    kill -"${2:-TERM}" "${pid[$1]}" || return
    kill -CONT "${pid[$1]}" 2>/dev/null
    reap "${pid[$1]}"
    local status=$?
    unset "pid[$1]"
    mv "$tmp/$1.log" "$tmp/$1.log.old"
    : >"$tmp/$1.log"
    return $status
}

# logged NAME TEXT [SECONDS]: until its log has that.
logged() {
    for _ in $(seq $((${3:-5} * 20))); do
        grep -sqF -- "$2" "$tmp/$1.log" "$tmp/$1.log.old" &&
            return 0
        sleep 0.05
    done
    echo "# $1 never logged: $2"
    return 1
}

# peer_says STORE_OF PATTERN [SECONDS]: until a record of its peers matches.
peer_says() {
    for _ in $(seq $((${3:-8} * 10))); do
        "$H" peers "$tmp/$1" 2>/dev/null | grep -qE -- "$2" && return 0
        sleep 0.1
    done
    "$H" peers "$tmp/$1" | sed 's/^/# /'
    return 1
}

set_key() { # NODE BUCKET KEY VALUE
    "$H" set "$tmp/$1" "$2" "$3" "$4"
}
arrives() { # NODE BUCKET KEY VALUE [MS]
    "$H" wait "$tmp/$1" "$2" "$3" "$4" "${5:-5000}"
}
fill() { # NODE BUCKET PREFIX N [BYTES]
    "$H" fill "$tmp/$1" "$2" "$3" "$4" "${5:-50}" 1000
}
agree() { # BUCKET MS NODE...
    local bucket=$1 ms=$2
    shift 2
    "$H" same "$bucket" "$ms" "${@/#/$tmp/}"
}

# A core that listens on $port, and edges e1 and e2 that dial it.
star() {
    port=$(free_port)
    node core
    node e1
    node e2
    configure core core "$(listens "$port")" "$(accepts e1)" "$(accepts e2)"
    configure e1 edge "$(dials core "$port")"
    configure e2 edge "$(dials core "$port")"
}

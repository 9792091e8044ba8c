#!/bin/bash
# history.sh: five nodes in a mesh, functions that write down what they do and
# see, and faults: partitions, killed and stopped relays and functions, clocks
# that jump, an edge restored from a backup. Then the histories are judged
# (docs/histories.md).
#   HISTORY_SECONDS=1    how long there are faults; each comes once at least
#   HISTORY_RATE=30      operations a second of each of the ten functions
#   HISTORY_KEEP=DIR     where the histories go; else only if a rule is broken
#   TEST_SEED=N          the faults and operations of an earlier run
. "$(dirname "$0")/lib.sh"
needs tests/history/client tests/history/links tests/history/judge
seconds=${HISTORY_SECONDS:-1}
[ "$seconds" -gt 20 ] && NAP=400 || NAP=200 # ms
rate=${HISTORY_RATE:-30}
seed=${TEST_SEED:-$((SRANDOM % 1000000))}
echo "# TEST_SEED=$seed"
RANDOM=$((seed % 32768))
E=$BUILD/edgecrdt
C=$BUILD/tests/history/client
nodes=(1 2 3 4 5)
slots=(0 1)
cores=(1 2 3)
log=$tmp/log
mkdir "$log"
declare -A life link_of
declare -a ends

# ---- clocks: a file for each node says by how much its processes are off
fake=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 2>/dev/null | head -n 1)
grep -qE '__[at]san_init' "$D" && fake= # it goes badly with a sanitizer
[ -n "$fake" ] || echo '# no clock is shifted: no libfaketime, or a sanitizer'
on_node() { # NODE COMMAND...: with the clock of the node; does not return
    local n=$1
    shift
    echo "$BASHPID" >>"$tmp/faked"
    [ -z "$fake" ] || export LD_PRELOAD=$fake NO_FAKE_STAT=1 \
        FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1 \
        FAKETIME_TIMESTAMP_FILE="$tmp/$n.clock"
    exec "$@"
}
# A process that is killed leaves what libfaketime keeps in shared memory.
clean_up_faked() {
    local all p
    mapfile -t all <"$tmp/faked"
    clean_up
    for p in "${all[@]}"; do
        [ -d "/proc/$p" ] ||
            rm -f "/dev/shm/faketime_shm_$p" "/dev/shm/sem.faketime_sem_$p"
    done
}
: >"$tmp/faked"
trap clean_up_faked EXIT
set_clock() { # NODE OFFSET
    echo "$2" >"$tmp/clock.new" && mv "$tmp/clock.new" "$tmp/$1.clock"
}
relay() { # -c CONFIGURATION: what lib.sh starts
    local n=${2##*/n}
    on_node "${n%.conf}" "$BUILD/edgecrdtd" "$@"
}
D=relay

# ---- the cluster: three cores in a mesh, two edges with two cores each
note() { # WHAT...: into the history of the faults
    echo "$("$C" now) nemesis info $*" >>"$log/nemesis.log"
}
declare -A lines
ports=()
link() { # FROM TO: FROM dials, through a line of links.c
    local p
    p=$(free_port)
    ports+=("$p:${listen[$2]}")
    ends+=("$1 $2")
    link_of["$1 $2"]=${#ports[@]}
    lines[$1]+="$(dials "n$2" "$p")"$'\n'
    lines[$2]+="$(accepts "n$1")"$'\n'
}
declare -a listen
for n in "${nodes[@]}"; do
    node "n$n" "$([ $((n % 2)) = 0 ] && echo relaxed || echo full)"
    listen[n]=$(free_port)
    set_clock "$n" +0
done
for pair in '2 1' '3 1' '3 2' '4 1' '4 2' '5 2' '5 3'; do
    # shellcheck disable=SC2086 # two words
    link $pair
done
for n in "${nodes[@]}"; do
    case " ${cores[*]} " in *" $n "*) role=core ;; *) role=edge ;; esac
    configure "n$n" $role "$(listens "${listen[n]}")" 'audit_interval = 2' \
        "${lines[$n]}"
done
mkfifo "$tmp/commands"
exec 9<>"$tmp/commands"
"$BUILD/tests/history/links" "${ports[@]}" <"$tmp/commands" 9>&- &
pid[links]=$!
say() { # NUMBER COMMAND: to one line
    echo "$*" >&9
}

# ---- relays and functions
crash() { # NODE: its relay; what it logged is kept
    stop "n$1" KILL 2>/dev/null
    cat "$tmp/n$1.log.old" >>"$tmp/relay$1.log"
}
launch() { # NODE SLOT: a function process, of the next life
    local f=$1.$2
    life[$f]=$((${life[$f]:-0} + 1))
    on_node "$1" "$C" "$tmp/n$1" "$f.${life[$f]}" "$log" \
        $((seed * 1000 + RANDOM)) "$rate" 2>>"$tmp/clients.log" 9>&- &
    pid[$f]=$!
}
end_function() { # NODE.SLOT SIGNAL
    kill -"$2" "${pid[$1]}" 2>/dev/null
    kill -CONT "${pid[$1]}" 2>/dev/null
    wait "${pid[$1]}" 2>/dev/null
    unset "pid[$1]"
}

# ---- faults; all chance is drawn in this very shell, which has the seed
pick() { # NAME WORD...: NAME becomes one of the words
    local -n _picked=$1
    shift $((1 + RANDOM % ($# - 1)))
    _picked=$1
}
nap() { # MS, half of it at least
    local s
    printf -v s '0.%03d' $(($1 / 2 + RANDOM % ($1 / 2)))
    sleep "$s"
}
heal() {
    local i
    for i in "${!ends[@]}"; do say $((i + 1)) open; done
}
# between NODE...: the numbers of the links from these to the others go to up
# if these dialed, else to down.
between() {
    local i a b
    up=() down=()
    for i in "${!ends[@]}"; do
        read -r a b <<<"${ends[i]}"
        case " $* " in
        *" $a "*" $b "* | *" $b "*" $a "*) ;;
        *" $a "*) up+=($((i + 1))) ;;
        *" $b "*) down+=($((i + 1))) ;;
        esac
    done
}
sever() { # VERB NODE...: the links between these and the others
    local verb=$1 up down i
    shift
    between "$@"
    for i in "${up[@]}" "${down[@]}"; do say "$i" "$verb" 3; done
}
halves() {
    local verb a b
    pick verb cut hold
    pick a "${nodes[@]}"
    b=$(((a + RANDOM % 4) % 5 + 1))
    note partition halves "$verb" "$a,$b"
    sever "$verb" "$a" "$b"
    nap $((NAP * 2))
}
isolated() {
    local verb n
    pick verb cut hold
    pick n "${nodes[@]}"
    note partition isolated "$verb" "$n"
    sever "$verb" "$n"
    nap $((NAP * 2))
}
ring() { # 1-4-2-5-3-1: only these
    local i
    note partition ring
    for i in "${link_of[2 1]}" "${link_of[3 2]}"; do say "$i" cut; done
    nap $((NAP * 2))
}
one_way() { # what the node sends does not arrive, or what it is sent
    local n which up down i
    pick n "${nodes[@]}"
    pick which 1 2
    note partition one-way "$which" "$n"
    between "$n"
    for i in "${up[@]}"; do say "$i" hold "$which"; done
    for i in "${down[@]}"; do say "$i" hold $((3 - which)); done
    nap $((NAP * 2))
}
slow() {
    local i
    note slow
    for i in "${!ends[@]}"; do say $((i + 1)) slow $((RANDOM % 60)); done
    nap $((NAP * 2))
}
kill_relay() {
    local n
    pick n "${nodes[@]}"
    note kill relay "n$n"
    crash "$n"
    nap "$NAP"
    start "n$n"
}
kill_functions() {
    local n s how
    for how in KILL USR1 USR1; do # USR1: inside a transaction
        pick n "${nodes[@]}"
        pick s "${slots[@]}"
        note kill function "$n.$s"
        end_function "$n.$s" $how
        launch "$n" "$s"
    done
    nap "$NAP"
}
pause() { # a relay or a function, whatever it holds
    local n p
    pick n "${nodes[@]}"
    pick p "n$n" "$n.0" "$n.1"
    note pause "$p"
    kill -STOP "${pid[$p]}"
    nap $((NAP * 2))
    kill -CONT "${pid[$p]}"
}
shift_clock() { # of one node, by hours or seconds; or it is right again
    local n to
    pick n "${nodes[@]}"
    pick to "+$((1 + RANDOM % 50))h" "-$((1 + RANDOM % 50))h" \
        "+$((RANDOM % 90))" "-$((RANDOM % 90))" +0
    note shift "$n" "$to"
    set_clock "$n" "$to"
    nap "$NAP"
}
restore() { # an edge, from a backup of a while ago; its functions begin anew
    local n s
    pick n 4 5
    note backup "$n"
    backup_us=$("$C" now)
    "$E" -s "$tmp/n$n" backup "$tmp/backup" >/dev/null
    nap $((NAP * 2))
    for s in "${slots[@]}"; do end_function "$n.$s" KILL; done
    crash "$n"
    rm -rf "${tmp:?}/n$n" "$log/$n".*.cookie
    "$E" -s "$tmp/n$n" restore "$tmp/backup" >/dev/null
    note restore "$n" "$backup_us"
    rm -rf "$tmp/backup"
    start "n$n"
    for s in "${slots[@]}"; do launch "$n" "$s"; done
}
faults=(halves isolated ring one_way slow kill_relay kill_functions pause
    restore)
[ -z "$fake" ] || faults+=(shift_clock shift_clock)

shuffle() {
    local i j f
    for ((i = ${#faults[@]} - 1; i > 0; i--)); do
        j=$((RANDOM % (i + 1))) f=${faults[i]}
        faults[i]=${faults[j]} faults[j]=$f
    done
}
progress() {
    echo "# $((SECONDS - began)) s of $seconds," \
        "$(grep -c . "$log/nemesis.log") faults," \
        "$(cat "$log"/[1-9]*.log | grep -c ' ok ') operations"
}
faults_told() { # how often each came
    cut -d ' ' -f 4,5 "$log/nemesis.log" | sed -E 's/^(partition|kill) /\1-/' |
        awk '{ n[$1]++ }
            END { for (w in n) printf "# fault %-22s%5d\n", w, n[w] }' | sort
}
torment() { # each fault once at least
    local f told
    began=$SECONDS told=$SECONDS
    while [ $((SECONDS - began)) -lt "$seconds" ]; do
        shuffle
        for f in "${faults[@]}"; do
            $f
            # A partition may stay while the next fault comes.
            [ $((RANDOM % 3)) = 0 ] || heal
            [ $((SECONDS - told)) -lt 15 ] || { progress; told=$SECONDS; }
        done
    done
}

# ---- what must hold
up() { for n in "${nodes[@]}"; do start "n$n" || return 1; done; }
all_stop() {
    local n s
    for n in "${nodes[@]}"; do
        for s in "${slots[@]}"; do kill -TERM "${pid[$n.$s]}"; done
    done
    for n in "${nodes[@]}"; do
        for s in "${slots[@]}"; do end_function "$n.$s" TERM; done
    done
}
digests() { # of each node: all buckets, a word
    local n
    for n in "${nodes[@]}"; do
        "$E" -s "$tmp/n$n" digest | md5sum | cut -c 1-32
    done
}
# As long as some digest still changes there is progress.
converge() {
    local now last= since=$SECONDS
    while [ $((SECONDS - since)) -lt 60 ]; do
        now=$(digests)
        [ "$(sort -u <<<"$now" | wc -l)" = 1 ] && return 0
        [ "$now" = "$last" ] || since=$SECONDS
        last=$now
        sleep 0.2
    done
    echo '# no digest has changed for 60 s'
    return 1
}
renew() { # each relay is killed and started
    local n
    for n in "${nodes[@]}"; do
        crash "$n"
        start "n$n" || return 1
    done
}
read_all() {
    local n
    for n in "${nodes[@]}"; do
        "$C" "$tmp/n$n" "$n.9.1" "$log" || return 1
    done
}

clock_is_off() { # by half an hour at least
    local now
    set_clock 5 +1h
    now=$(on_node 5 date +%s)
    set_clock 5 +0
    [ $((now - $(date +%s))) -gt 1800 ]
}

[ -z "$fake" ] || check 'clocks can be shifted' clock_is_off
check 'five relays start' up
for n in "${nodes[@]}"; do
    for s in "${slots[@]}"; do launch "$n" "$s"; done
done
torment
heal
all_stop
check 'all links stood' kill -0 "${pid[links]}"
check 'no function ended by an error' [ ! -s "$tmp/clients.log" ]
sed 's/^/# /' "$tmp/clients.log"
[ "$seconds" -gt 60 ] || check 'all relays are killed once more' renew
check 'all nodes come to the same content' converge
check 'each is read' read_all
for n in "${nodes[@]}"; do
    check "n$n stops" stop "n$n"
    cat "$tmp/n$n.log.old" >>"$tmp/relay$n.log"
    check "n$n is sound" [ "$("$E" -s "$tmp/n$n" verify)" = sound ]
done
no_errors() {
    ! grep -h 'level=error' "$tmp"/relay*.log | sed 's/^/# /' | grep .
}
check 'no relay logged an error' no_errors
"$BUILD/tests/history/judge" "$log"/*.log >"$tmp/verdict"
check 'the histories can be judged' [ $? -le 1 ]
grep '^#' "$tmp/verdict"
faults_told
while read -r _ rule checked broken what; do
    check "$what ($rule)" [ "$checked" -gt 0 -a "$broken" = 0 ]
done < <(grep '^rule ' "$tmp/verdict")
if [ $failed -gt 0 ] || [ -n "${HISTORY_KEEP:-}" ]; then
    keep=${HISTORY_KEEP:-$(mktemp -d /tmp/history.XXXXXX)}
    mkdir -p "$keep" && cp "$log"/*.log "$tmp"/relay*.log "$keep"
    echo "# the histories are in $keep; again: TEST_SEED=$seed"
fi
finish

#!/bin/bash
# sim.sh: some seeds of the simulator; the same seed, and its file, end in the
# same state; a rule that is removed is seen, and its run made short. SEEDS=A..B
# sets which seeds.
. "$(dirname "$0")/lib.sh"
export TEST_TMPDIR=$tmp

seeds() {
    "$SIM" run --seeds "${SEEDS:-1..60}" --replicas 4
}

state() { # seed or file: its final state
    "$SIM" replay "$1" | sed -n 's/^final state //p'
}

same_state() {
    "$SIM" replay 5 --write "$tmp/5.json" || return
    [ -n "$(state 5)" ] && [ "$(state 5)" = "$(state 5)" ] &&
        [ "$(state 5)" = "$(state "$tmp/5.json")" ] &&
        [ "$(state 5)" != "$(state 6)" ]
}

# refuses WORDS VERB...: 2, and these words.
refuses() {
    "$SIM" "${@:2}" >"$tmp/out" 2>&1
    [ $? -eq 2 ] && says "$1"
}

usage() {
    refuses "cannot read the plan $tmp/none.json: No such file or directory" \
        replay "$tmp/none.json" &&
        refuses "cannot read the plan $tmp: Is a directory" replay "$tmp" &&
        refuses 'cannot read the plan 1844' replay 18446744073709551616 &&
        refuses 'run: --seeds A..B' run --seeds 3..1 &&
        refuses 'run: --seeds A..B' run --seeds 18446744073709551616 &&
        refuses 'no profile "nonsense"' run --profile nonsense
}

# plan STEPS: three replicas that do them.
plan() {
    echo '{"replicas":[{},{"dials":[0]},{"dials":[0]}],"steps":['"$1"']}' \
        >"$tmp/plan.json"
}

# stray STEPS WORDS: a replica in it that is not there is refused in these.
stray() {
    plan "$1"
    refuses "$2" replay "$tmp/plan.json"
}

# A copy may be named behind the clone that makes it, a side at any time.
strays() {
    local clone='{"do":"clone","b":3}' none='no replica of that number'
    plan '{"do":"partition","a":9},'"$clone"',{"do":"txn","at":3,"ops":[]},
        {"do":"cut","a":3}'
    "$SIM" replay "$tmp/plan.json" || return
    stray '{"do":"wait"},{"do":"gc","at":3}' \
        "json: step number 1 (from 0), \"gc\", cannot have \"at\": 3: $none" &&
        stray '{"do":"gc","at":3},'"$clone" "0 (from 0), \"gc\"" &&
        stray '{"do":"wait","at":300}' '0 (from 0) cannot have "at": 300' &&
        stray '{"do":"export","a":4294967297}' '"a": 4294967297' &&
        stray '{"do":"peers","a":-1,"b":1}' 'cannot have "a": -1' &&
        stray '{"do":"cut","at":2,"a":2}' 'it is the replica itself' &&
        stray '{"do":"clone","b":2}' '"clone", cannot have "b": 2' &&
        stray '{"do":"clone","b":10}' '"clone", cannot have "b": 10' &&
        stray '{"do":"partition","a":9}' '"partition", cannot have "a": 9' &&
        plan '' && sed -i 's/\[0\]/[3]/' "$tmp/plan.json" &&
        refuses 'replica number 1 (from 0) is not one' replay "$tmp/plan.json"
}

# The simulator without one rule, as `make mutants-sim` builds it.
mutant() { # name, source
    local libs
    libs=$(pkg-config --libs lmdb libsodium libuv jansson cmocka
        pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack)
    # shellcheck disable=SC2046,SC2086 # a command with options
    $(cat "$BUILD/flags") -I. -Iinclude "-DMUTANT_$1=1" -c -o "$tmp/m.o" \
        "$2" && $(cat "$BUILD/flags") -pthread -o "$tmp/broken" "$tmp/m.o" \
        "$BUILD"/fuzz/sim/*.o "$BUILD/tests/support/support.o" \
        "$BUILD/libedgecrdt-sync.a" $libs -lm
}

# Within how many seeds it is seen, and as which.
found() {
    mutant onlylive crdt/chunk_apply.c || return
    "$tmp/broken" run --seeds 1..50 --jobs 1
    [ $? -eq 1 ]
}

short() {
    local seed
    seed=$("$tmp/broken" run --seeds 1..50 --jobs 1 |
        sed -nE 's/^seed ([0-9]+):.*/\1/p' | head -n 1)
    "$tmp/broken" min "$seed" -o "$tmp/min.json" || return
    "$tmp/broken" replay "$tmp/min.json"
    [ $? -eq 1 ] || return
    "$SIM" replay "$tmp/min.json" || return
    [ "$(grep -c '"do"' "$tmp/min.json")" -le 10 ]
}

check 'seeds hold all properties' seeds
check 'a seed, and its file, end in one state' same_state
check 'what cannot be run is refused' usage
check 'steps name replicas that are there' strays
check 'a rule that is removed is seen' found
check 'its run becomes ten steps at most, which pass with the rule' short
finish

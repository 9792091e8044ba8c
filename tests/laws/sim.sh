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

# 2 is a sentence on stderr and nothing else.
usage() {
    "$SIM" replay "$tmp/none.json"
    [ $? -eq 2 ] || return
    "$SIM" run --seeds 3..1
    [ $? -eq 2 ] || return
    "$SIM" run --profile nonsense
    [ $? -eq 2 ]
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
check 'a rule that is removed is seen' found
check 'its run becomes ten steps at most, which pass with the rule' short
finish

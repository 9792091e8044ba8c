#!/bin/bash
# sim_compilers_long.sh: a seed ends in the same state whichever compiler made
# the library and the simulator, and however it optimizes: gcc and clang, -O0
# and -O2. SEEDS=A..B (1..120); what they are built in stays for the next time.
# Skipped where there is no clang.
. "$(dirname "$0")/lib.sh"
SEEDS=${SEEDS:-1..120}

if ! command -v clang >"$tmp/out" && ! packaging/deps.sh fuzz >"$tmp/out"
then
    echo 'ok 1 - compilers agree # SKIP no clang here'
    echo 1..1
    exit
fi

# sim COMPILER LEVEL: builds it and runs the seeds; one line for each. make
# knows what depends on what by names as they are from here.
sim() {
    local build=${BUILD#"$PWD/"}-$1$2
    make -j2 --no-print-directory BUILD="$build" CC="$1" CFLAGS="$2" \
        "$build/edgecrdt-sim" >"$tmp/out" 2>&1 || return
    "$build/edgecrdt-sim" run --seeds "$SEEDS" --replicas 4 --go-on \
        --hashes "$tmp/lines" >"$tmp/out" 2>&1
    sort -n "$tmp/lines" >"$tmp/$1$2"
    [ -s "$tmp/$1$2" ] && ! grep -q 'by signal' "$tmp/$1$2"
}
same() { diff "$tmp/gcc-O2" "$tmp/$1" >"$tmp/out"; }

check 'gcc -O2 runs' sim gcc -O2
for compiler in gcc-O0 clang-O0 clang-O2; do
    check "$compiler runs" sim "${compiler%-*}" "-${compiler#*-}"
    check "$compiler ends as gcc-O2 does" same "$compiler"
done
finish

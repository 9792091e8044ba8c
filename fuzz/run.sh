#!/bin/bash
# run.sh: runs libFuzzer targets, some at a time, and prints a table of what
# each one covered.
#   BUILD=DIR fuzz/run.sh [-j JOBS] [-t SECONDS] NAME...
# Inputs that reached something new are kept in BUILD/corpus/NAME and used by
# the next run. A finding ends its target; the input is kept in BUILD/findings
# and the exit code is 1.
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-$PWD/build-fuzz}
seconds=60 jobs=2
while getopts j:t: option; do
    case $option in
    j) jobs=$OPTARG ;;
    t) seconds=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
export BUILD seconds
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
mkdir -p "$BUILD"/{log,findings,profile}

# Name of an LLVM tool, with or without a version.
tool() {
    command -v "$1" || compgen -c "$1-" | grep -E "^$1-[0-9]+$" | sort -V |
        tail -n 1
}

# The share of lines of the sources a target is after, from its profile.
lines() {
    local name=$1 profdata cov sources
    profdata=$(tool llvm-profdata) cov=$(tool llvm-cov)
    [ -n "$cov" ] && [ -s "$BUILD/profile/$name.raw" ] || { echo -; return; }
    mapfile -t sources < <(sed -n '/Covers:/,/\*\//p' "fuzz/fuzz_$name.c" |
        grep -oE '[a-z_]+/[a-z_/]+\.c')
    "$profdata" merge -o "$BUILD/profile/$name" "$BUILD/profile/$name.raw" &&
        "$cov" report "$BUILD/fuzz/fuzz_$name" \
            -instr-profile="$BUILD/profile/$name" "${sources[@]}" |
        awk '$1 == "TOTAL" { print $10 }'
}

# One target; its row of the table goes to BUILD/log/NAME.row.
run_one() {
    local name=$1 log=$BUILD/log/$1 rc=0 words=() corpus=$BUILD/corpus/$1
    mkdir -p "$corpus"
    [ ! -e "fuzz/$name.dict" ] || words=("-dict=fuzz/$name.dict")
    rm -f "$BUILD/profile/$name"*
    LLVM_PROFILE_FILE=$BUILD/profile/$name.raw "$BUILD/fuzz/fuzz_$name" \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=300 \
        -print_final_stats=1 -artifact_prefix="$BUILD/findings/$name-" \
        "${words[@]}" "$corpus" "fuzz/seeds/$name" >"$log" 2>&1 </dev/null ||
        rc=$?
    awk -v name="$name" -v rc=$rc -v lines="$(lines "$name")" '
        / cov: / { for (i = 1; i < NF; i++) {
            if ($i == "cov:") cov = $(i + 1)
            if ($i == "ft:") ft = $(i + 1)
            if ($i == "corp:") corp = $(i + 1)
        } sub(/\/.*/, "", corp) }
        /number_of_executed_units/ { runs = $2 }
        /average_exec_per_sec/ { speed = $2 }
        END { printf "%-12s %10d %8d %7d %8d %7d %8s  %s\n", name, runs,
            speed, cov, ft, corp, lines, rc ? "FINDING" : "ok" }' "$log" \
        >"$log.row"
    if [ $rc -eq 0 ]; then
        echo "ok      $name"
        return
    fi
    echo "FINDING $name, exit code $rc, log $log"
    grep -E 'ERROR|runtime error|does not hold|Test unit written' "$log" |
        sed 's/^/    /'
}
export -f run_one lines tool

rm -f "$BUILD"/log/*.row
printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" bash -c 'run_one "$1"' run
printf '\n%-12s %10s %8s %7s %8s %7s %8s  %s\n' target inputs 'per s' edges \
    features corpus lines "after $seconds s"
cat "$BUILD"/log/*.row
! grep -q FINDING "$BUILD"/log/*.row

#!/bin/bash
# afl.sh: runs targets that AFL++ has instrumented, one after the other, and
# prints a table of what each one covered.
#   BUILD=DIR fuzz/afl.sh [-t SECONDS] NAME...
# The queue in BUILD/out/NAME is used by the next run. Inputs of a finding are
# kept in BUILD/out/NAME/default/{crashes,hangs}, and the exit code is 1.
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-$PWD/build-afl}
seconds=60
while getopts t: option; do
    case $option in
    t) seconds=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
# Cores, governors and core dumps are the machine's matter here.
export AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 \
    AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_AUTORESUME=1
mkdir -p "$BUILD/out"
found=0

stat_of() { # FIELD
    sed -n "s/^$1 *: *//p" "$out/default/fuzzer_stats" 2>/dev/null
}

row='%-12s %10s %8s %8s %8s %9s\n'
printf "$row" target inputs 'per s' queue edges findings
for name; do
    out=$BUILD/out/$name words=()
    [ ! -e "fuzz/$name.dict" ] || words=(-x "fuzz/$name.dict")
    timeout -k 10 $((seconds + 120)) afl-fuzz -i "fuzz/seeds/$name" \
        -o "$out" -V "$seconds" -m none -t 30000 "${words[@]}" \
        -- "$BUILD/fuzz/fuzz_$name" >"$out.log" 2>&1 </dev/null
    crashes=$(stat_of saved_crashes) hangs=$(stat_of saved_hangs)
    if [ -z "$crashes" ]; then
        printf '%-12s afl-fuzz did not start: %s\n' "$name" "$out.log"
        found=1
        continue
    fi
    printf "$row" "$name" "$(stat_of execs_done)" "$(stat_of execs_per_sec)" \
        "$(stat_of corpus_count)" "$(stat_of edges_found)" $((crashes + hangs))
    [ $((crashes + hangs)) -eq 0 ] || found=1
done
exit $found

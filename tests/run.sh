#!/bin/bash
# run.sh: runs test programs and scripts that print TAP, several at a time,
# each under a time limit, and counts their cases.
#   BUILD=DIR tests/run.sh [-j JOBS] [-t SECONDS] PROGRAM...
# Output of each goes to BUILD/log/; what failed is shown. The last line is
# "N passed, N failed"; exit 1 if any failed.
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${BUILD:-$PWD/build}
export BUILD
. tests/scratch.sh

# Runs one program; its log ends with "#result NAME PASSED FAILED SKIPPED
# MILLISECONDS". What is not a clean end counts as one failure.
run_one() {
    local program=$1 name=${1#"${BUILD#"$PWD"/}"/} log begin rc end
    log=$BUILD/log/${name//\//-}.tap
    begin=${EPOCHREALTIME/./}
    in_scratch timeout -k 10 "$LIMIT" "$program" >"$log" 2>&1 </dev/null
    rc=$?
    end=${EPOCHREALTIME/./}
    awk -v rc="$rc" -v name="$name" -v ms=$(((end - begin) / 1000)) \
        -v limit="$LIMIT" '
        # cmocka says "not ok" of a test that was skipped.
        /^(not )?ok .*# *[Ss][Kk][Ii][Pp]/ { skipped++; next }
        /^ok [0-9]/ { passed++ }
        /^not ok [0-9]/ { failed++ }
        /^1\.\.[0-9]+/ { planned += substr($1, 4) }
        END {
            ran = passed + failed + skipped
            if (rc == 124 || rc == 137)
                why = "stopped after " limit " s"
            else if (rc != 0 && !failed)
                why = "ended with exit code " rc
            else if (!planned && !ran)
                why = "ran no test"
            else if (planned != ran)
                why = "announced " planned " tests, ran " ran + 0
            if (why != "") {
                print "not ok - " name ": " why
                failed++
            }
            print "#result", name, passed + 0, failed + 0, skipped + 0, ms
        }' "$log" >"$log.end"
    cat "$log.end" >>"$log"
    rm -f "$log.end"
    report "$log"
}

# One line of progress; the whole story of what failed.
report() {
    local log=$1 name passed failed ms
    read -r _ name passed failed _ ms < <(tail -n 1 "$log")
    if [ "$failed" = 0 ]; then
        printf 'ok      %-44s %4d tests %7d ms\n' "$name" "$passed" "$ms"
        return
    fi
    printf 'FAILED  %-44s %4d of %d, log %s\n%s\n' "$name" "$failed" \
        $((passed + failed)) "$log" \
        "$(grep -vE '^(ok |#result)' "$log" | tail -n 100 | sed 's/^/    /')"
}

jobs=2
LIMIT=300
while getopts j:t: option; do
    case $option in
    j) jobs=$OPTARG ;;
    t) LIMIT=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
export LIMIT CMOCKA_MESSAGE_OUTPUT=TAP
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export -f run_one report

rm -rf "$BUILD/log"
mkdir -p "$BUILD/log"
# shellcheck disable=SC2016 # expanded by the inner shell
[ $# -eq 0 ] ||
    printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" bash -c 'run_one "$1"' run

summary() {
    printf '\n%-44s %7s %7s %8s %9s\n' program passed failed skipped ms
    cat "$BUILD"/log/*.tap 2>/dev/null | grep '^#result' | sort | awk '
        { printf "%-44s %7d %7d %8d %9d\n", $2, $3, $4, $5, $6 }
        { p += $3; f += $4; s += $5 }
        END {
            if (s) print s " skipped"
            print p + 0 " passed, " f + 0 " failed"
        }'
}
summary | tee "$BUILD/summary"
tail -n 1 "$BUILD/summary" | grep -qE '^[1-9][0-9]* passed, 0 failed$'

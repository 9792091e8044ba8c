#!/bin/bash
# mutants.sh: removes one rule after the other and sees its test fail: for
# each line of mutants.txt the sources that mention MUTANT(name) are compiled
# with -DMUTANT_name=1 and the test program is linked anew with them. It must
# end by failed assertions; the same program passes with the rule in place.
# "+MACRO=VALUE" stands for a variant that changes no rule: what mentions the
# macro is compiled with it, and the test must pass.
#   BUILD=DIR COMPILE=... LINK=... LIBS=... tests/mutants.sh [-j JOBS] [NAME...]
# The last line is "N caught, N not"; exit 1 if any is not.
set -u
cd "$(dirname "$0")/.." || exit 2
. tests/scratch.sh
folders=(lib crdt replication cli)
jobs=2
while getopts j: option; do
    case $option in
    j) jobs=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
work=$BUILD/mutants
export work BUILD COMPILE LINK LIBS CMOCKA_MESSAGE_OUTPUT=TAP TEST_SEED=1
rm -rf "$work"
mkdir -p "$work"

# "name test" of each line; the rest of a line is for people.
sed 's/#.*//' tests/mutants.txt | awk 'NF { print $1, $2 }' >"$work/wanted"
grep -rhoE --include='*.c' '\bMUTANT\([A-Za-z0-9_]+\)' "${folders[@]}" |
    sed 's/MUTANT(\(.*\))/\1/' | sort -u >"$work/in_sources"
awk '!/^\+/ { print $1 }' "$work/wanted" | sort -u >"$work/in_list"

# Both ways: a rule that can be removed has a test, a test has its rule.
amiss=0
complain() { # what, names...
    local what=$1
    shift
    for name; do
        printf '%-14s %s\n' "$name" "$what"
        amiss=$((amiss + 1))
    done
}
mapfile -t names < <(comm -23 "$work/in_sources" "$work/in_list")
complain 'is in the sources, not in tests/mutants.txt' "${names[@]}"
mapfile -t names < <(comm -13 "$work/in_sources" "$work/in_list")
complain 'is in tests/mutants.txt, not in the sources' "${names[@]}"
mapfile -t names < <(grep -rlE --include='*.h' '\bMUTANT\([A-Za-z]' \
    "${folders[@]}" | grep -v '^lib/mutant\.h$')
complain 'a header: only sources are compiled anew' "${names[@]}"

# How a program ended: passed, failed (by an assertion), or what else.
ending() { # program, log
    in_scratch timeout -k 10 300 "$1" >"$2" 2>&1 </dev/null
    local rc=$?
    if [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
        echo hung
    elif [ $rc -gt 128 ] || grep -q 'failed with exception' "$2"; then
        echo crashed
    elif grep -qE '^not ok ' "$2" && [ $rc -ne 0 ]; then
        echo failed
    elif grep -qE '^ok ' "$2" && [ $rc -eq 0 ]; then
        echo passed
    else
        echo "ended with $rc"
    fi
}

# Compiles what mentions the mutant and links the test with it. The archives
# come last: of each object that is here already they give nothing.
build_mutant() { # name, test, folder
    local name=$1 test=$2 dir=$3 source objects=()
    local define=MUTANT_$name=1 mention="\bMUTANT\($name\)"
    [[ $name != *=* ]] || define=$name mention="\b${name%%=*}\b"
    while read -r source; do
        objects+=("$dir/${source//\//-}.o")
        # shellcheck disable=SC2086 # a command with options
        $COMPILE "-D$define" -c -o "${objects[-1]}" "$source" || return
    done < <(grep -rlE --include='*.c' "$mention" \
        lib crdt replication cli)
    # shellcheck disable=SC2086
    $LINK -o "$dir/test" "${objects[@]}" "$BUILD/$test.o" \
        "$BUILD"/tests/support/*.o "$BUILD/librelay.a" "$BUILD/libcli.a" \
        "$BUILD/libedgecrdt-sync.a" $LIBS
}

# One row: name, test, caught or why not, milliseconds.
run_one() { # name, test
    local name=${1#+} test=$2 begin=${EPOCHREALTIME/./} how row want=failed
    local dir=$work/$name-${test##*/}
    [ "$name" = "$1" ] || want=passed
    mkdir -p "$dir"
    if ! build_mutant "$name" "$test" "$dir" >"$dir/build.log" 2>&1; then
        how="no: it does not build, see $dir/build.log"
    else
        how=$(ending "$dir/test" "$dir/log")
        case $how in
        "$want") how=yes ;;
        passed) how='no: the test passes' ;;
        *) how="no: the test $how, see $dir/log" ;;
        esac
    fi
    row=$((${EPOCHREALTIME/./} - begin))
    printf '%-14s %-40s %7d  %s\n' "$1" "$test" $((row / 1000)) "$how" |
        tee "$dir/row"
}

# With every rule in place the tests pass.
run_normal() { # test
    local how
    how=$(ending "$BUILD/$1" "$work/${1//\//-}.log")
    [ "$how" = passed ] || printf '%-14s %-40s %s\n' 'no mutant' "$1" \
        "$how, see $work/${1//\//-}.log" | tee "$work/${1//\//-}.amiss"
}
export -f ending build_mutant run_one run_normal

if [ $# -gt 0 ]; then
    grep -wE "^\+?($(IFS='|' && echo "$*"))" "$work/wanted" >"$work/chosen"
    mv "$work/chosen" "$work/wanted"
fi
# shellcheck disable=SC2016 # expanded by the inner shell
awk '{ print $2 }' "$work/wanted" | sort -u |
    xargs -r -n 1 -P "$jobs" bash -c 'run_normal "$1"' run
printf '%-14s %-40s %7s  %s\n' name test ms caught
# shellcheck disable=SC2016
xargs -r -n 2 -P "$jobs" bash -c 'run_one "$1" "$2"' run <"$work/wanted"

amiss=$((amiss + $(find "$work" -name '*.amiss' | wc -l)))
caught=$(cat "$work"/*/row 2>/dev/null | grep -cE ' yes$')
missed=$(($(wc -l <"$work/wanted") - caught))
[ $amiss -eq 0 ] || echo "$amiss amiss, see above"
echo "$caught caught, $missed not"
[ "$caught" -gt 0 ] && [ $missed -eq 0 ] && [ $amiss -eq 0 ]

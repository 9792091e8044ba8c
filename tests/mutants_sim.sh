#!/bin/bash
# mutants_sim.sh: removes one rule after the other and counts the seeds until
# the simulator sees it: for each name in tests/mutants_sim.txt what mentions
# MUTANT(name) is compiled with -DMUTANT_name=1 and linked with the simulator.
#   BUILD=DIR COMPILE=... LINK=... LIBS=... tests/mutants_sim.sh [-j JOBS]
#       [-n SEEDS] [-w TABLE.md] [NAME...]
# Each must be found within SEEDS (1000) seeds, but those marked "kept": their
# scenario in tests/laws finds them, and 200 seeds are tried. A seed that breaks
# with all rules, too, is left out. The last line is "N found, N not".
set -u
cd "$(dirname "$0")/.." || exit 2
jobs=2 seeds=1000 table=
while getopts j:n:w: option; do
    case $option in
    j) jobs=$OPTARG ;;
    n) seeds=$OPTARG ;;
    w) table=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
work=$BUILD/mutants-sim
export work BUILD COMPILE LINK LIBS seeds
rm -rf "$work"
mkdir -p "$work"

build_mutant() { # name, folder
    local name=$1 dir=$2 source objects=()
    while read -r source; do
        objects+=("$dir/${source//\//-}.o")
        # shellcheck disable=SC2086 # a command with options
        $COMPILE "-DMUTANT_$name=1" -c -o "${objects[-1]}" "$source" || return
    done < <(grep -rlE --include='*.c' "\bMUTANT\($name\)" \
        lib crdt replication)
    [ ${#objects[@]} -gt 0 ] || return
    # shellcheck disable=SC2086
    $LINK -o "$dir/sim" "${objects[@]}" "$BUILD"/fuzz/sim/*.o \
        "$BUILD/tests/support/support.o" "$BUILD/libedgecrdt-sync.a" $LIBS
}

# The first seed up to the limit that breaks, and only without the rule: sets
# seed and what; what is empty if there is none.
first_seed() { # folder, profile
    local dir=$1 args=(--replicas 4 --jobs 1 --profile "$2") from=1
    seed=$seeds what=
    while [ "$from" -le "$seeds" ]; do
        "$dir/sim" run --seeds "$from..$seeds" "${args[@]}" >"$dir/log" 2>&1 \
            </dev/null && return
        seed=$(sed -nE 's/^seed ([0-9]+): .*/\1/p' "$dir/log" | head -1)
        what=$(sed -nE 's/^seed [0-9]+: //p' "$dir/log" | head -1)
        [ -n "$seed" ] || return
        "$BUILD/edgecrdt-sim" run --seeds "$seed" "${args[@]}" >/dev/null \
            2>&1 </dev/null && return
        from=$((seed + 1)) seed=$seeds what=
    done
}

# One row: name, profile, seeds until it was found, how.
run_one() { # name, profile, rule
    local name=$1 profile=$2 rule=$3 dir=$work/$1 seed how what
    [ "$rule" != kept ] || seeds=$((seeds < 200 ? seeds : 200))
    mkdir -p "$dir"
    if ! build_mutant "$name" "$dir" >"$dir/build.log" 2>&1; then
        how=no seed=0 what="it does not build, see $dir/build.log"
    else
        first_seed "$dir" "$profile"
        how=yes
        [ -n "$what" ] || how=no
    fi
    [ "$how$rule" = nokept ] && how='by its scenario'
    printf '%-12s %-8s %6s  %-16s %s\n' "$name" "$profile" "$seed" "$how" \
        "${what:0:100}" | tee "$dir/row"
    printf '| %s | %s | %s | %s | %s |\n' "$name" "$profile" "$seed" "$how" \
        "${what//|/ }" >"$dir/row.md"
}
export -f build_mutant first_seed run_one

sed 's/#.*//' tests/mutants_sim.txt | awk 'NF { print $1, $2, $3 }' \
    >"$work/wanted"
if [ $# -gt 0 ]; then
    grep -wE "^($(IFS='|' && echo "$*"))" "$work/wanted" >"$work/chosen"
    mv "$work/chosen" "$work/wanted"
fi
printf '%-12s %-8s %6s  %-16s %s\n' mutant profile seeds found what
# shellcheck disable=SC2016 # expanded by the inner shell
xargs -r -n 3 -P "$jobs" bash -c 'run_one "$1" "$2" "$3"' run <"$work/wanted"
if [ -n "$table" ]; then
    {
        echo '| mutant | profile | seeds | found | what was seen first |'
        echo '|---|---|---|---|---|'
        awk '{ print $1 }' "$work/wanted" | while read -r name; do
            cat "$work/$name/row.md"
        done
    } >"$table"
fi
missed=$(cat "$work"/*/row | awk '$4 == "no"' | wc -l)
echo "$(($(wc -l <"$work/wanted") - missed)) found, $missed not"
[ "$missed" -eq 0 ]

#!/bin/bash
# tidy.sh: the house rules that a machine can check. One TAP case for each
# rule, each finding as "file:line: what" above it, figures at the end.
set -u
cd "$(dirname "$0")/.." || exit 2
export LC_ALL=C.UTF-8

folders=()
for d in include lib crdt replication cli examples bench fuzz tests; do
    [ -d $d ] && folders+=("$d")
done
mapfile -t c_files < <(find "${folders[@]}" -name '*.[ch]' | sort)
mapfile -t headers < <(printf '%s\n' "${c_files[@]}" | grep '\.h$')
mapfile -t scripts < <(find .ci packaging "${folders[@]}" -type f \
    \( -name '*.sh' -o -path '.ci/run' \) | sort)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Rules print findings; none = the rule holds.

width() {
    grep -HnE '^.{81,}' "${c_files[@]}" "${scripts[@]}" Makefile |
        sed -E 's/^([^:]*:[0-9]+):.*/\1: over 80 columns/'
}

# A first comment that begins on line 1 and holds a whole sentence.
head_sentence() {
    awk 'FNR == 1 { done = 0; if ($0 !~ /^\/\* [[:alnum:]_]/) {
             print FILENAME ":1: does not open with a comment sentence"
             done = 1 } }
         done { nextfile }
         /\.( |$)/ { done = 1 }
         /\*\// && !done {
             print FILENAME ":1: the opening comment is no sentence"
             done = 1 }' "${c_files[@]}"
    awk 'FNR == 2 && !/^# [[:alnum:]_.\/-]+: / {
             print FILENAME ":2: does not open with \"# name: what for\"" }
         FNR == 2 { nextfile }' "${scripts[@]}"
}

# "file line end name" of every function.
ctags --languages=C --langmap=C:.c.h --kinds-C=f --fields=+ne -x \
    --_xformat='%F %n %{end} %N' "${c_files[@]}" >"$tmp/functions"
awk '$1 !~ /^tests\// { print $3 - $2 + 1 }' "$tmp/functions" |
    sort -n >"$tmp/lengths"
functions=$(wc -l <"$tmp/lengths")
quantile() { sed -n "$(((functions * $1 + 99) / 100))p" "$tmp/lengths"; }

long_functions() {
    awk '$3 - $2 + 1 > 70 { printf "%s:%d: %s() has %d lines, over 70\n",
        $1, $2, $4, $3 - $2 + 1 }' "$tmp/functions"
    [ "$(quantile 50)" -le 15 ] || echo "lib:1: median function over 15 lines"
    [ "$(quantile 90)" -le 45 ] || echo "lib:1: p90 of functions over 45 lines"
}

long_files() {
    wc -l "${c_files[@]}" "${scripts[@]}" Makefile |
        awk '$2 != "total" && $1 >= 600 {
            print $2 ":" $1 ": file reaches 600 lines; split it by verb" }'
}

# "file line target" of every quoted include.
grep -HnoE '^ *# *include +"[^"]+"' "${c_files[@]}" |
    sed -E 's/^([^:]*):([0-9]+):[^"]*"([^"]*)"/\1 \2 \3/' >"$tmp/includes"

# include <- lib <- crdt <- replication/link <- replication <- relay, cli
# <- examples, tests, fuzz, bench: no include points back or sideways.
layers() {
    awk 'function layer(f) {
             if (f ~ /^include\// || f ~ /^edgecrdt(_sync)?\.h$/) return 0
             if (f ~ /^lib\//) return 1
             if (f ~ /^crdt\//) return 2
             if (f ~ /^replication\/link\//) return 3
             if (f ~ /^replication\/relay\//) return 5
             if (f ~ /^replication\//) return 4
             if (f ~ /^cli\//) return 5
             if (f ~ /^(examples|tests|fuzz|bench)\//) return 6
             return -1
         }
         function top(f) { return substr(f, 1, index(f, "/") - 1) }
         {
             at = $1 ":" $2 ": "; from = layer($1); to = layer($3)
             if (to < 0)
                 print at "\"" $3 "\" is not named from the top of the tree"
             else if (top($1) == "examples" && to > 0 && to < 6)
                 print at "an example includes the inner " $3
             else if (to > from)
                 print at "points back up to " $3
             else if (to == from && to >= 5 && top($1) != top($3) &&
                      $3 !~ /^tests\/(support|laws)\//)
                 print at "points sideways to " $3
         }' "$tmp/includes"
}

# Third-party headers and the files of ours that include each.
walls() {
    local libs='lmdb|msgpack|sodium|uv|confuse|jansson'
    grep -HnE "^ *# *include +<($libs)(\.h|/)" "${c_files[@]}" | awk -F: '
        BEGIN {
            wall["lmdb"] = "lib/db.c lib/dbenv.c"
            wall["msgpack"] = "crdt/dump.c"
            wall["sodium"] = "lib/crypto.c"
            wall["uv"] = "replication/loop_uv.c"
            wall["confuse"] = "replication/relay/config.c"
            wall["jansson"] = "cli/cli.h fuzz/sim/plan_file.c"
            wall["jansson"] = wall["jansson"] " fuzz/sim/trace_history.h"
            wall["jansson"] = wall["jansson"] " fuzz/sim/report_read.h"
        }
        $1 ~ /^(tests|bench)\// { next }
        {
            lib = $3; sub(/.*</, "", lib); sub(/[.\/].*/, "", lib)
            if (!index(wall[lib] " ", $1 " "))
                print $1 ":" $2 ": <" lib ".h> belongs to " wall[lib] " alone"
        }'
}

circles() {
    awk '$1 ~ /\.h$/ { sub(/^include\//, "", $1); print $1, $3 }' \
        "$tmp/includes" | tsort 2>&1 >"$tmp/order" |
        awk '!/loop/ { print $2 ":1: part of a circle of includes" }'
}

# A prototype needs a comment above it in its group: the lines up to the last
# empty one.
documented() {
    awk 'FNR == 1 { comment = known = depth = 0; text = "" }
         /^[[:space:]]*$/ && !comment { known = 0; text = ""; next }
         {
             line = $0
             if (comment) { if (line !~ /\*\//) next
                            sub(/.*\*\//, "", line); comment = 0 }
             if (line ~ /^[[:space:]]*\/\*/ && !depth) known = 1
             gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", line)
             if (line ~ /\/\*/) { comment = 1; sub(/\/\*.*/, "", line) }
             if (line ~ /^#/ || macro) { macro = line ~ /\\$/; next }
             if (line ~ /extern "C"/ || line ~ /^[[:space:]]*$/) next
             opened = depth
             depth += gsub(/{/, "{", line) - gsub(/}/, "}", line)
             if (opened || depth) { text = ""; next }
             if (text == "") start = FNR
             text = text " " line
             if (line !~ /;[[:space:]]*$/) next
             if (text ~ /\) *(__attribute__.*)?;/ && text !~ /^ *typedef/ &&
                 text !~ /^ *_Static_assert/ && !known)
                 print FILENAME ":" start ": prototype without a comment"
             text = ""
         }' "$@"
}
undocumented() {
    mapfile -t ours < <(printf '%s\n' "${headers[@]}" | grep -v '^tests/')
    documented "${ours[@]}"
}

# Sources without a test of the same name, each with its reason.
unmirrored='
cli/main.c is the argument loop; tests/net drive it as a process
replication/relay/main.c is process set-up; tests/net drive it as a process
'
mirror() {
    local f test
    for f in $(find lib crdt replication cli -name '*.c' | sort); do
        test=tests/$(dirname "$f")/test_$(basename "$f")
        [ -e "$test" ] || grep -q "^$f " <<<"$unmirrored" ||
            echo "$f:1: has no $test"
    done
    # A large test may be split: test_x_reference.c still mirrors x.c.
    for test in $(find tests/lib tests/crdt tests/replication tests/cli \
        -name 'test_*.c' | sort); do
        f=${test#tests/}
        f=$(dirname "$f")/$(basename "${f/test_/}" .c)
        while ! [ -e "$f.c" ] && ! [ -e "$f.h" ]; do
            if [ "$f" = "${f%_*}" ]; then
                echo "$test:1: has no source of its name"
                break
            fi
            f=${f%_*}
        done
    done
}

words() {
    grep -HnwE 'TO''DO|FIX''ME|X''XX|HA''CK' "${c_files[@]}" "${scripts[@]}" \
        Makefile | sed -E 's/^([^:]*:[0-9]+):.*/\1: unfinished work/'
}

format() {
    printf '%s\0' "${c_files[@]}" |
        xargs -0 -n 8 -P 2 clang-format --dry-run -Werror 2>&1 |
        sed -nE 's/^([^:]*:[0-9]+):.*error:.*/\1: not as clang-format has it/p'
}

cases=0 failed=0
rule() { # function, what holds
    local found
    found=$("$1" | sort -V -u)
    cases=$((cases + 1))
    if [ -z "$found" ]; then
        echo "ok $cases - $2"
    else
        printf '%s\nnot ok %d - %s\n' "$found" $cases "$2"
        failed=$((failed + 1))
    fi
}

rule width 'no line is over 80 columns'
rule head_sentence 'each file opens with a sentence on what it is for'
rule long_functions 'functions are short'
rule long_files 'files are under 600 lines'
rule layers 'includes follow the order of the layers'
rule walls 'third-party headers stay behind their walls'
rule circles 'no circle of includes'
rule undocumented 'each prototype is documented'
rule mirror 'each source has its test'
rule words 'nothing is marked as unfinished'
rule format 'clang-format has nothing to change'
echo "1..$cases"

mapfile -t source < <(printf '%s\n' "${c_files[@]}" | grep -v '^tests/')
lines=$(cat "${source[@]}" | wc -l)
asserts=$(grep -hoE '\bINVARIANT\(' "${source[@]}" | wc -l)
echo "# functions outside tests: $functions, median $(quantile 50)," \
    "p90 $(quantile 90), longest $(quantile 100) lines"
echo "# largest file: $(wc -l "${c_files[@]}" | sort -n | tail -n 2 |
    awk 'NR == 1 { print $2 ", " $1 " lines" }')"
echo "# asserts: $asserts in $lines lines outside tests," \
    "one in $((lines / (asserts ? asserts : 1)))"
[ $failed -eq 0 ]

#!/bin/bash
# trace.sh: the kept histories through real stores; wrong expectations and
# malformed lines are found and told.
. "$(dirname "$0")/lib.sh"

# ends CODE FILE...: so ends a run of these files; its words are kept.
ends() {
    "$SIM" trace "${@:2}" >"$tmp/out" 2>&1
    [ $? = "$1" ]
}
says_not() { ! says "$1"; }

kept=(tests/traces/*.jsonl)
lines=$(cat "${kept[@]}" | wc -l)
check 'all kept histories end as they say' ends 0 "${kept[@]}"
check 'every line was run' says "$lines histories: $lines as expected"
check 'there are 50 at least' [ "$lines" -ge 50 ]
check 'deltas travelled' says_not ' 0 of deltas'
check 'complete chunks travelled' says_not ' 0 complete'
check 'examples of the page are valid' ends 0 - < <(
    sed -n '/^```json$/,/^```$/p' docs/traces.md | grep -v '^```' | tr -d '\n')

# ---- a wrong expectation is told ----

# wrong WHAT VIEWS MERGED WORDS: one history of a counter with these ends.
wrong() {
    printf '%s\n' '{"id":"w","type":"counter","replicas":["A","B"],"steps":[
        ["add","A",1],["add","B",2],["sync","A","B"]],
        "views":'"$2"',"merged":'"$3"'}' | tr -d '\n' >"$tmp/wrong"
    check "$1: exit code" ends 1 "$tmp/wrong"
    check "$1: words" says "$4"
}
wrong 'a wrong view' '{"A":1,"B":2}' 3 \
    'wrong:1: history "w", by deltas: after 3 steps, replica "B" shows 3; exp'
wrong 'a wrong end' '{"A":1,"B":3}' 4 \
    'after all synced with all twice, replica "A" shows 3; expected 4'

# Each kept history falls when its end is another one.
sed -E 's/"merged":\[[^]]*\]\}$/"merged":["other"]}/
        s/"merged":-?[0-9]+\}$/"merged":77}/
        s/"merged":("[^"]*"|null|true|false)\}$/"merged":"other"}/' \
    "${kept[@]}" >"$tmp/all"
check 'other ends of all kept histories' ends 1 "$tmp/all"
check 'all of them differ' says "0 as expected, $lines different"

check 'an add past int64 is refused, with its step' ends 1 - <<END
{"id":"r","type":"counter","replicas":["A"],"views":{"A":0},"merged":0,"steps":\
[["add","A",9223372036854775807],["add","A",1]]}
END
check 'the step is named' says 'step 2 (steps[1]) was refused'

# ---- malformed lines ----

# malformed WORDS LINE: refused with these words. All are lines of one file.
good='{"id":"g","type":"orset","replicas":["A"],"steps":[],"views":{"A":[]},'
good+='"merged":[]}'
words=()
malformed() {
    words+=("$1")
    printf '%s\n' "$2" >>"$tmp/bad"
}
# orset STEPS VIEWS MERGED, lww STEPS: lines with these parts.
orset() {
    local views=${2:-'{"A":[],"B":[]}'}
    echo '{"id":"x","type":"orset","replicas":["A","B"],"steps":['"$1"'],' \
        '"views":'"$views"',"merged":'"${3:-[]}"'}'
}
lww() {
    echo '{"id":"x","type":"lww","replicas":["A","B"],"steps":['"$1"'],' \
        '"views":{"A":null,"B":null},"merged":null}'
}
two='two different replicas, from and to: ["sync", "A", "B"]'
malformed 'not JSON (column' '{"id":'
malformed 'a line must be an object' '[1]'
malformed 'there is no field "step"' '{"id":"x","step":[]}'
malformed 'the field "views" is missing' \
    '{"id":"x","type":"orset","replicas":["A"],"steps":[],"merged":[]}'
malformed '"id" must be a string of 1 to 200 bytes' \
    "${good/\"id\":\"g\"/\"id\":\"\"}"
malformed '"type" must be "orset", "counter" or "lww"; this is "rga"' \
    "${good/orset/rga}"
malformed '"replicas" must be an array of 1 to 16 names' \
    "${good/\[\"A\"\]/[]}"
malformed 'replicas[1] is "A" as replicas[0] is' \
    "${good/\[\"A\"\]/[\"A\",\"A\"]}"
malformed '"note" must be a string' "${good/%\}/,\"note\":1\}}"
malformed 'steps[0] must begin with a verb of "orset" (add, rm, clear, sync)' \
    "$(orset '["set","A","x"]')"
malformed 'steps[1]: "rm" takes a replica and an element' \
    "$(orset '["add","A","x"],["rm","A"]')"
malformed "steps[0]: \"sync\" takes $two" "$(orset '["sync","A","A"]')"
malformed 'steps[0][2] is "C", which is not one of "replicas"' \
    "$(orset '["sync","A","C"]')"
malformed 'steps[1][1] is "C", which is not one of "replicas"' \
    "$(orset '["add","A","x"],["add","C","x"]')"
malformed 'steps[0]: "add" takes a replica and an element' \
    "$(orset '["add",1,"x"]')"
malformed 'steps[0][2] must be a string, an integer or a boolean; this is 1.5' \
    "$(orset '["add","A",1.5]')"
malformed 'steps[0][2] has 65540 bytes as JSON, 65536 are allowed' \
    "$(orset '["add","A","'"$(printf '%065538d' 0)"'"]')"
malformed 'views["A"] names the element "x" twice' \
    "$(orset '' '{"A":["x","x"],"B":[]}')"
malformed '"views" has no value for replica "B"' "$(orset '' '{"A":[]}')"
malformed '"views" has a value for "C", which is not one of' \
    "$(orset '' '{"A":[],"B":[],"C":[]}')"
malformed '"merged" must be an array of different elements: ["x", 2]' \
    "$(orset '' '' 5)"
malformed 'steps[0]: "clock" takes a replica and milliseconds from 0 to 2^46' \
    "$(lww '["clock","A",-1]')"
malformed 'steps[0]: "clock" takes' "$(lww '["clock","A",70368744177665]')"
malformed 'not JSON (column' "$(lww '["clock","A",99999999999999999999]')"

echo "$good" >>"$tmp/bad"
check 'malformed lines: exit code' ends 2 "$tmp/bad"
for i in "${!words[@]}"; do
    check "malformed: ${words[$i]}" says "bad:$((i + 1)): ${words[$i]}"
done
check 'a good line behind them is run' says '1 history: 1 as expected'
check 'all others are counted' says "; ${#words[@]} malformed lines"

{ echo "$good" && echo "$good"; } >"$tmp/twice"
check 'an id twice' ends 2 "$tmp/twice"
check 'it is told where it was before' \
    says 'twice:2: the id "g" is that of line 1'

check 'a file that is not there' ends 2 "$tmp/none"
check 'an empty file is no evidence' ends 3 /dev/null
check 'no file' ends 2
finish

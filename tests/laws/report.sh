#!/bin/bash
# report.sh: journals become one page that needs nothing else; what lies in
# them cannot break out of their place; malformed ones are refused.
. "$(dirname "$0")/lib.sh"

# reports CODE JOURNAL: so ends its report, $tmp/page.
reports() {
    "$SIM" report "$2" -o "$tmp/page" >"$tmp/out" 2>&1
    [ $? = "$1" ]
}
page_has() { grep -qF -- "$1" "$tmp/page"; }
page_has_not() { ! grep -qiE -- "$1" "$tmp/page"; }

# ---- a page ----

evil='</script><img src=x onerror=alert(1)>\u2028&amp; \" \\ \u0001'
zeros=00000000000000000000000000000000
sed ':a;/,$/{N;s/,\n */,/;ba}' >"$tmp/journal" <<END
{"k":"run","journal":1,"seed":17,"command":"edgecrdt-sim replay 17$evil",
    "replicas":3,"profile":"all$evil"}
{"k":"state","t":0,"r":0,"digest":"$zeros","missing":0,"events":0}
{"k":"step","t":0,"n":1,"r":0,"what":"txn","text":"set $evil"}
{"k":"state","t":1,"r":0,"digest":"${zeros/0/8}","missing":0,"events":1}
{"k":"msg","t":1,"id":1,"from":0,"to":1,"m":"CHUNK","bytes":412}
{"k":"msg","t":1,"id":2,"from":0,"to":2,"m":"$evil","bytes":9}
{"k":"weather","t":2,"sun":true}
{"k":"fault","t":2,"id":3,"what":"$evil","a":[0,2],"b":[1],"more":1}
{"k":"recv","t":9,"id":1}
{"k":"end","t":9,"id":3}
{"k":"verdict","t":9,"ok":false,"text":"R1 lacks $evil","hash":"9c1e"}
END
check 'a journal becomes a page' reports 0 "$tmp/journal"
check 'its title has verdict, seed and command' \
    page_has '<title>BROKEN: seed 17: edgecrdt-sim replay 17&#60;/script'
check 'each known line is a row' \
    [ "$(grep -cE '^("rows":\[)?\[[0-6],[0-9]+,' "$tmp/page")" = 9 ]
check 'a step has its numbers' page_has '[0,0,1,0,'
check 'so has a message, with its time' page_has '[1,0,1,0,1,'
check 'the sides of a condition are bits' \
    [ "$(grep -cE '^\[3,1,3,[0-9]+,5,2,0\]' "$tmp/page")" = 1 ]
check 'nothing breaks out of its place' page_has_not '<img'
check 'the only scripts are the data and the code' \
    [ "$(grep -ciE '<script' "$tmp/page")" = 2 ]
check 'and they end once each' [ "$(grep -oi '</script' "$tmp/page" |
    wc -l)" = 2 ]
# Apart from what came in, which is text there:
grep -vE '^(<title>|"command":|"profile":|"names":)' "$tmp/page" >"$tmp/own"
mv "$tmp/own" "$tmp/page"
check 'the page is ASCII' page_has_not '[^ -~]'
outside='(src|href) *= *["'\'']?[^"'\''d]|url\(|@import|https?:|fetch\('
check 'and needs nothing else' page_has_not "$outside"
check 'it forbids itself to load anything' page_has "default-src 'none'"

sed '$d' "$tmp/journal" >"$tmp/killed"
printf '{"k":"recv","t":' >>"$tmp/killed"
check 'what a killed run left behind' reports 0 "$tmp/killed"
check 'has no verdict' page_has '<title>no verdict: seed 17'
sed '$s/false/true/' "$tmp/journal" >"$tmp/passed"
check 'a run that passed' reports 0 "$tmp/passed"
check 'says so' page_has '<title>passed: seed 17'

# ---- a real run ----

real() {
    "$SIM" replay 3 --journal "$tmp/real" >"$tmp/out" && reports 0 "$tmp/real"
}
check 'a real run becomes a page' real
check 'that says how it went' page_has '<title>passed: seed 3: ed'
check 'each line of its journal is a row' [ "$(
    grep -cE '^("rows":\[)?\[[0-6],[0-9]+,' "$tmp/page")" = \
    $(($(wc -l <"$tmp/real") - 1)) ]
check 'a page is small' [ "$(wc -c <"$tmp/page")" -lt 300000 ]

# ---- malformed journals ----

# refused WORDS SED-SCRIPT: the journal changed so.
refused() {
    sed -E "$2" "$tmp/journal" >"$tmp/bad"
    check "refused: $1" reports 2 "$tmp/bad"
    check '  in these words' says "$1"
}
refused 'bad:1: the first line must be of kind run' 1d
refused 'bad:1: the first line must be of kind run' '1s/l":1/l":2/'
refused 'bad:1: the first line must have seed' '1s/"replicas":3/"replicas":33/'
refused 'bad:3: this is not JSON' '3s/$/}/'
check '  and told what makes a journal' says 'replay SEED --journal FILE'
refused 'bad:3: "t" must be' '3s/"t":0/"t":-1/'
refused 'bad:5: "t" must be a number from 0 to 2^53, and never goes back' \
    '5s/"t":1/"t":0/'
refused 'bad:2: "r" of a line of kind state must be a replica of the run' \
    '2s/"r":0/"r":3/'
refused 'bad:2: "digest" of a line of kind state must be' '2s/"0000/"zero/'
refused 'bad:5: "bytes" of a line of kind msg' '5s/412/"many"/'
refused 'bad:8: "a" of a line of kind fault must be an array of replicas' \
    '8s/\[0,2\]/[0,3]/'
refused 'bad:12: there is a line behind the verdict' '$p'
: >"$tmp/bad"
check 'an empty file is refused' reports 2 "$tmp/bad"
check 'a file that is not there' reports 2 "$tmp/none"
"$SIM" report "$tmp/journal" -o "$tmp/none/page" >"$tmp/out" 2>&1
check 'a page that cannot be written' [ $? = 3 ]

finish

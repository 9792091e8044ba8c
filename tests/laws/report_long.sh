#!/bin/bash
# report_long.sh: a browser draws the page of a real run in all its views
# without an error, and a hostile journal leaves no trace but text. Skipped
# where there is no chromium.
. "$(dirname "$0")/lib.sh"

if ! command -v chromium >"$tmp/out"; then
    echo 'ok 1 - a browser draws the page # SKIP no chromium here'
    echo 1..1
    exit
fi

# browse NAME: the page's document once it has drawn itself, and what it said.
browse() {
    timeout -k 5 240 chromium --headless --no-sandbox --disable-gpu \
        --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$tmp/user" \
        --window-size=1600,1000 --virtual-time-budget=3000 \
        --enable-logging=stderr --dump-dom "file://$tmp/$1" \
        >"$tmp/dom" 2>"$tmp/said"
    local rc=$?
    grep -E 'CONSOLE|Uncaught' "$tmp/said" >"$tmp/out" # what is shown
    return $rc
}
clean() { browse "$1" && [ ! -s "$tmp/out" ]; }
dom_has() { grep -qF -- "$1" "$tmp/dom"; }
dom_steps() { grep -oE 'class="step( [a-z]+)?"' "$tmp/dom" | wc -l; }

"$SIM" replay 3 --journal "$tmp/run.jsonl" >"$tmp/out"
page() { "$SIM" report "$1" -o "$2" >"$tmp/out"; }
check 'a page is made' page "$tmp/run.jsonl" "$tmp/run.html"
check 'it is drawn' clean run.html
check 'with its verdict' dom_has '>PASSED<'
check 'and its command' dom_has '>edgecrdt-sim replay 3'
check 'each step is listed' [ "$(dom_steps)" = \
    "$(grep -c '"k":"step"' "$tmp/run.jsonl")" ]
for view in dark light,true end 20-40; do
    check "it is drawn as #$view" clean "run.html#$view"
done

# A hand on the page: keys, buttons, the wheel, and the pointer everywhere.
cat "$tmp/run.html" - >"$tmp/hand.html" <<'END'
<script>
  const over = $("over"), tips = new Set();
  const at = (x, y) => ({clientX: x + over.getBoundingClientRect().x,
    clientY: y + over.getBoundingClientRect().y, bubbles: true,
    cancelable: true});
  const key = k => document.dispatchEvent(new KeyboardEvent("keydown",
    {key: k, bubbles: true}));
  for (const k of ["n", "n", "p", "e", "+", "-", "ArrowLeft", "0"]) {
    key(k);
    document.querySelectorAll("button").forEach(b => b.click());
    over.dispatchEvent(new WheelEvent("wheel", {deltaY: -300, ...at(500, 9)}));
    for (let y = 2; y < over.clientHeight; y += 7)
      for (let x = 2; x < over.clientWidth; x += 23) {
        over.dispatchEvent(new PointerEvent("pointermove", at(x, y)));
        if (!$("tip").hidden)
          tips.add($("tip").textContent.split(/[ :]/)[0]);
      }
  }
  document.querySelectorAll(".step").forEach(s => s.click());
  $("filter").value = "txn r1";
  $("filter").oninput();
  document.title = "tips " + [...tips].sort().join(" ") + ", shown " +
    [...document.querySelectorAll(".step")].filter(s => !s.hidden).length;
</script>
END
check 'a hand on the page does no harm' clean hand.html
grep -o '<title>tips.*' "$tmp/dom" >"$tmp/out"
for what in CHUNK CLOCK R1 step; do
    check "it finds: $what" grep -q "^<title>tips.* $what[ ,]" "$tmp/out"
done
check 'the filter shows what it names' dom_has ", shown $(
    grep -cE '"r":1,"what":"txn"' "$tmp/run.jsonl")</title>"

echo '<script>nosuch();</script>' | cat "$tmp/run.html" - >"$tmp/broken.html"
not_clean() { ! clean "$1"; }
check 'an error of the page would be seen' not_clean broken.html

evil='<img src=x onerror=alert(1)></script><b>'
sed "1s/all\"}/$(sed 's/[/&]/\\&/g' <<<"$evil")\"}/
    s/\"text\":\"/&$(sed 's/[/&]/\\&/g' <<<"$evil")/" \
    "$tmp/run.jsonl" >"$tmp/evil.jsonl"
check 'a hostile journal' page "$tmp/evil.jsonl" "$tmp/evil.html"
check 'is drawn' clean evil.html
check 'as text' dom_has '&lt;img src=x'
check 'and as nothing else' [ "$(grep -oE '<(img|b)[ >]' "$tmp/dom" |
    grep -cv '<b>')" = 0 ]

head -n 40 "$tmp/run.jsonl" >"$tmp/cut.jsonl"
check 'a journal that breaks off' page "$tmp/cut.jsonl" "$tmp/cut.html"
check 'is drawn' clean cut.html
check 'without a verdict' dom_has '>NO VERDICT<'
head -n 1 "$tmp/run.jsonl" >"$tmp/first.jsonl"
check 'a journal without events' page "$tmp/first.jsonl" "$tmp/first.html"
check 'is drawn as well' clean first.html
finish

/* report_view.js: the page around the chart: verdict, figures, chips, the
 * list of steps, pointer and keys. Texts of the journal go in as text only. */

const $ = id => document.getElementById(id);

function element(name, className, text) {
  const e = document.createElement(name);
  if (className)
    e.className = className;
  if (text !== undefined)
    e.textContent = text;
  return e;
}

/* ---- head ---- */

function showHead(run) {
  const v = run.verdict, box = $("verdict");
  const [word, look] = !v ? ["NO VERDICT", "warn"] :
    v.ok ? ["PASSED", "good"] : ["BROKEN", "bad"];
  box.textContent = word;
  box.className = look;
  document.body.classList.add(look + "-run");
  const h = document.querySelector("h1");
  h.textContent = "seed " + run.seed;
  h.append(" ", element("small", "", `profile ${run.profile}, ` +
    `${run.lanes.length} replicas, ${run.steps.length} steps`));
  $("reason").textContent = v ? v.text :
    "The journal breaks off: the run was killed, or it crashed.";
  $("command").textContent = run.command;
  $("copy").onclick = () => {
    const say = word => { $("copy").textContent = word; };
    getSelection().selectAllChildren($("command"));
    say("selected");
    if (navigator.clipboard)
      navigator.clipboard.writeText(run.command).then(() => say("copied"),
        () => {});
  };
}

function showFigures(run) {
  const of = what => run.steps.filter(s => s.what === what).length;
  const lost = run.msgs.filter(m => m.end < 0).length;
  const bytes = run.msgs.reduce((sum, m) => sum + m.bytes, 0);
  const rows = [
    ["virtual time", timeText(run.n ? run.time[run.end] : 0)],
    ["events", run.made], ["messages", run.msgs.length], ["lost", lost],
    ["bytes", bytesText(bytes)],
  ];
  for (const what of ["crash", "stop", "restore", "clone", "wipe", "gc",
    "partition", "skew", "full", "retire", "fold"])
    if (of(what))
      rows.push([what, of(what)]);
  if (run.verdict && /[^0]/.test(run.verdict.hash))
    rows.push(["final state", run.verdict.hash.slice(0, 12)]);
  for (const [name, value] of rows) {
    const d = element("div");
    d.append(element("dt", "", name),
      element("dd", "", value));
    $("figures").append(d);
  }
}

/* ---- chips: what is shown ---- */

function chip(chart, name, count, colour, box) {
  const b = element("button", "chip"), i = element("i", box ? "box" : "");
  b.type = "button";
  b.setAttribute("aria-pressed", "true");
  i.dataset.colour = colour;
  b.append(i, name + " ", element("b", "", count));
  b.onclick = () => {
    const on = chart.hidden.has(name);
    chart.hidden[on ? "delete" : "add"](name);
    b.setAttribute("aria-pressed", on);
    chart.draw();
  };
  return b;
}

function showChips(run, chart) {
  const kinds = new Map(), marks = new Map();
  run.msgs.forEach(m => kinds.set(m.m, (kinds.get(m.m) || 0) + 1));
  run.faults.forEach(f => marks.set(f.what, (marks.get(f.what) || 0) + 1));
  for (const kind of Object.keys(MESSAGES).reverse())
    if (kinds.has(kind))
      $("kinds").append(chip(chart, kind, kinds.get(kind), kind, false));
  const lost = run.msgs.filter(m => m.end < 0).length;
  if (lost)
    $("kinds").append(chip(chart, "lost", lost, "", false));
  for (const [what, n] of marks)
    $("marks").append(chip(chart, what, n, what === "partition" ? "sides" :
      (FAULTS[what] || ["soft"])[0], true));
}

function paintChips(chart) {
  const p = chart.palette;
  document.querySelectorAll(".chip i").forEach(i => {
    const colour = p.message[i.dataset.colour] || p[i.dataset.colour] || p.soft;
    i.style.background = i.dataset.colour === "sides" ?
      `linear-gradient(90deg, ${p["side-a"]} 50%, ${p["side-b"]} 50%)` :
      i.dataset.colour ? colour :
      `repeating-linear-gradient(90deg, ${p.soft} 0 4px, transparent 4px 6px)`;
  });
}

/* ---- the list of steps ---- */

function showList(run, chart) {
  const list = $("list"), rows = [];
  for (const s of run.steps) {
    const row = element("div", "step"), words = element("span");
    const look = BADGES[s.what] ? " " + BADGES[s.what][1] + "-word" : "";
    words.append(element("span", "what" + look, s.what), " ",
      element("span", "text", s.text));
    row.append(element("span", "number", s.n),
      element("span", "number", s.r < 0 ? "" : "R" + s.r), words);
    row.onclick = () => select(run, chart, rows.indexOf(row));
    row.dataset.words = `${s.n} r${s.r} ${s.what} ${s.text}`.toLowerCase();
    rows.push(row);
  }
  if (run.verdict && !run.verdict.ok && rows.length)
    rows[rows.length - 1].classList.add("last");
  list.append(...rows);
  $("filter").oninput = () => {
    const want = $("filter").value.toLowerCase().split(/\s+/);
    rows.forEach(row => {
      row.hidden = !want.every(w => row.dataset.words.includes(w));
      row.style.display = row.hidden ? "none" : "";
    });
  };
  chart.rows = rows;
  chart.chosen = -1;
  if (run.verdict && !run.verdict.ok)
    list.scrollTop = list.scrollHeight;
}

/* A step is chosen: it comes into view, in the list as in the chart. */
function select(run, chart, i) {
  if (i < 0 || i >= run.steps.length)
    return;
  const step = run.steps[i], at = chart.pos[step.at];
  const span = Math.min(chart.hi - chart.lo,
    Math.max((chart.most - chart.least) / 12, 24));
  if (at < chart.lo || at > chart.hi || span < chart.hi - chart.lo)
    chart.show(at - span / 2, at + span / 2);
  chart.hover = {kind: "step", step};
  if (chart.rows[chart.chosen])
    chart.rows[chart.chosen].classList.remove("here");
  chart.chosen = i;
  chart.rows[i].classList.add("here");
  chart.rows[i].scrollIntoView({block: "nearest"});
  chart.draw();
}

/* ---- the pointer ---- */

/* What a tip says: a bold line and soft ones. */
function wordsOf(run, f) {
  const t = row => timeText(run.time[row]);
  if (f.kind === "msg") {
    const m = f.msg;
    return [`${m.m} R${m.from} \u2192 R${m.to}, ${bytesText(m.bytes)}`,
      "sent at " + t(m.at), m.end < 0 ? "lost: it never arrived" :
        `arrived at ${t(m.end)}, ` +
        timeText(run.time[m.end] - run.time[m.at]) + " later"];
  }
  if (f.kind === "state") {
    const s = f.state;
    return [`R${s.r} at ${t(s.at)}`, s.missing ?
      `lacks ${s.missing} of ${s.events} events` :
      `has all ${s.events} events`, "digest " + s.digest];
  }
  if (f.kind === "step") {
    const s = f.step;
    return [`step ${s.n}: ${s.what}` + (s.r < 0 ? "" : ` at R${s.r}`), s.text,
      "at " + t(s.at)];
  }
  const x = f.fault;
  return [`R${f.r}: ${faultText(x, f.r)}`, "from " + t(x.at),
    x.lasts ? "to the end" : `to ${t(x.end)}, ` +
      timeText(run.time[x.end] - run.time[x.at])];
}

function showTip(run, chart, x, y) {
  const tip = $("tip"), f = chart.hover;
  tip.hidden = !f;
  if (!f)
    return;
  const [first, ...rest] = wordsOf(run, f);
  tip.replaceChildren(element("b", "", first),
    ...rest.filter(Boolean).map(s => element("span", "", s)));
  const w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.max(4, x + w + 20 > chart.w ? x - w - 12 : x + 14) +
    "px";
  tip.style.top = Math.max(4, y + h + 16 > chart.h ? y - h - 10 : y + 14) +
    "px";
}

function pointer(run, chart) {
  const over = $("over");
  let held = null;
  over.onwheel = e => {
    e.preventDefault();
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY))
      chart.move(e.deltaX || e.deltaY);
    else
      chart.zoom(e.offsetX, Math.exp(Math.min(Math.max(e.deltaY, -200), 200) *
        0.0022));
    chart.draw();
  };
  over.onpointerdown = e => {
    over.setPointerCapture(e.pointerId);
    held = {x: e.offsetX, below: e.offsetY >= chart.overTop - 4};
    over.classList.add("moving");
  };
  over.onpointerup = () => {
    held = null;
    over.classList.remove("moving");
  };
  over.onpointermove = e => {
    if (held && held.below) {
      const half = (chart.hi - chart.lo) / 2, at = chart.overUnit(e.offsetX);
      chart.show(at - half, at + half);
    } else if (held) {
      chart.move(held.x - e.offsetX);
      held.x = e.offsetX;
    } else {
      chart.hover = chart.find(e.offsetX, e.offsetY);
      chart.drawHover();
      showTip(run, chart, e.offsetX, e.offsetY);
      return;
    }
    chart.draw();
  };
  over.onpointerleave = () => {
    chart.hover = null;
    chart.drawHover();
    $("tip").hidden = true;
  };
  over.onclick = () => {
    if (chart.hover && chart.hover.kind === "step")
      select(run, chart, run.steps.indexOf(chart.hover.step));
  };
  over.ondblclick = () => keys(run, chart, "0");
}

/* ---- keys and buttons ---- */

function keys(run, chart, key) {
  const middle = GUTTER + chart.width / 2;
  const end = run.n ? chart.pos[run.end] : 1;
  const tail = run.n ? chart.pos[Math.max(run.end - 120, 0)] : 0;
  const actions = {
    "0": () => chart.all(), "e": () => chart.show(tail, end * 1.002 + 1),
    "+": () => chart.zoom(middle, 0.6), "=": () => chart.zoom(middle, 0.6),
    "-": () => chart.zoom(middle, 1.7),
    "ArrowLeft": () => chart.move(-chart.width / 5),
    "ArrowRight": () => chart.move(chart.width / 5),
    "n": () => select(run, chart, chart.chosen + 1),
    "p": () => select(run, chart, chart.chosen - 1),
  };
  if (!actions[key])
    return false;
  actions[key]();
  chart.draw();
  return true;
}

function buttons(run, chart) {
  $("to-end").onclick = () => keys(run, chart, "e");
  $("to-all").onclick = () => keys(run, chart, "0");
  $("squeeze").onclick = () => {
    const [from, to] = chart.range();
    chart.axis = chart.axis === "true" ? "squeezed" : "true";
    $("squeeze").setAttribute("aria-pressed", chart.axis === "squeezed");
    chart.all();
    chart.show(chart.pos[from], chart.pos[to]);
    chart.draw();
  };
  $("squeeze").setAttribute("aria-pressed", true);
  document.onkeydown = e => {
    if (e.target.tagName !== "INPUT" && !e.ctrlKey && !e.metaKey &&
        keys(run, chart, e.key))
      e.preventDefault();
  };
}

function theme(chart, name) {
  document.documentElement.dataset.theme = name;
  chart.palette = readPalette();
  paintChips(chart);
  chart.draw();
}

/* What the address says behind its #: dark, light, end, true, or FROM-TO, the
 * numbers of two steps. */
function fromAddress(run, chart) {
  const words = location.hash.slice(1).split(",");
  if (words.includes("true"))
    $("squeeze").onclick();
  if (words.includes("end"))
    keys(run, chart, "e");
  for (const word of words) {
    const span = /^(\d+)-(\d+)$/.exec(word);
    const at = n => chart.pos[(run.steps.find(s => s.n >= n) ||
      {at: run.end}).at];
    if (span && run.n)
      chart.show(at(+span[1]) - 1, at(+span[2]) + 1);
  }
  return words.includes("dark") || (!words.includes("light") &&
    matchMedia("(prefers-color-scheme: dark)").matches) ? "dark" : "light";
}

function start() {
  const run = readRun(JSON.parse($("data").textContent));
  showHead(run);
  showFigures(run);
  const chart = new Chart(run, $("base"), $("over"));
  showChips(run, chart);
  showList(run, chart);
  pointer(run, chart);
  buttons(run, chart);
  chart.resize();
  theme(chart, fromAddress(run, chart));
  $("theme").onclick = () => theme(chart,
    chart.palette.dark ? "light" : "dark");
  window.onresize = () => {
    chart.resize();
    chart.draw();
  };
}
start();

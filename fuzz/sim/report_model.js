"use strict";
/* report_model.js: the rows of a journal as steps, messages, conditions and
 * states, and where each row lies on the page's axis. */

const STEP = 0, MSG = 1, RECV = 2, FAULT = 3, END = 4, STATE = 5, VERDICT = 6;

/* Kinds of messages: colour on light, on dark; those drawn last are the ones
 * that carry data. */
const MESSAGES = {
  HANDSHAKE: ["#8b94a3", "#7d8696"], HELLO: ["#64748b", "#94a3b8"],
  BYE: ["#9a6b4f", "#c89a7c"], OTHER: ["#9ca3af", "#6b7280"],
  CLOCK: ["#3f83d9", "#5b9cf0"], FP: ["#9333ea", "#c084fc"],
  SAME: ["#db2777", "#f472b6"], EXPORT: ["#a16207", "#eab308"],
  CHUNK: ["#0d9488", "#2dd4bf"], COMPLETE: ["#ea580c", "#fb923c"],
};

/* Steps that stand on a lane as a badge: short form, colour. A txn is the
 * ordinary case and only a tick. */
const BADGES = {
  crash: ["CR", "bad"], stop: ["ST", "bad"], start: ["UP", "good"],
  save: ["SV", "soft"], restore: ["RE", "warn"], clone: ["CL", "warn"],
  wipe: ["WI", "bad"], full: ["FU", "warn"], forget: ["FG", "warn"],
  skew: ["SK", "warn"], gc: ["GC", "accent"], subscribe: ["SU", "accent"],
  peers: ["PE", "accent"], retire: ["RT", "accent"], fold: ["FO", "accent"],
  verify: ["VE", "soft"], export: ["EX", "soft"], import: ["IM", "soft"],
  cut: ["CT", "bad"], partition: ["PA", "bad"], stall: ["SL", "bad"],
  slow: ["SW", "warn"], heal: ["HE", "good"], settle: ["END", "good"],
};

/* Conditions: [colour, what it says]. */
const FAULTS = {
  down: ["hatch", "down"], partition: ["bad", "cut off from"],
  stall: ["bad", "nothing goes to"], slow: ["warn", "slow to"],
  skew: ["purple", "clock wrong by"], full: ["warn", "disk full"],
};

/* What the three numbers of a step mean; other texts are words already. */
const NUMBERS = {
  wait: a => timeText(a),
  export: (a, b, c) => `to R${a}` + (b ? ", by an old summary" : "") +
    (c ? `, ${bytesText(c)} at most` : ""),
  import: (a, b) => ["", "and it will come again", "twice"][b] || "",
  cut: a => `from R${a}`,
  partition: (a, b) => namesText(listOf(a)) + " on one side" +
    (b ? ", links break at once" : ""),
  stall: a => `nothing arrives at R${a}`,
  slow: (a, b, c) => `to R${a}: ${b} bytes a ms, up to ${timeText(c)} late`,
  heal: () => "",
  crash: a => a ? "of the machine, what was not flushed is lost" :
    "of the process",
  stop: () => "", start: () => "", wipe: () => "", verify: () => "",
  save: a => `as backup ${a}`,
  restore: (a, b) => `of backup ${a}` + (b ? ", unnoticed" : ""),
  clone: (a, b) => `to R${b}` + (a ? ", unnoticed" : ""),
  skew: a => (a < 0 ? "\u2212" : "+") + timeText(Math.abs(a)),
  gc: a => `of tombs older than ${timeText(a)}`,
  subscribe: (a, b) => (!a ? "everything" : a === 256 ? "nothing" :
    "prefixes " + listOf(a).map(i => "abhmnstw"[i]).join(" ")) +
    " of bucket " + "ab"[b & 1],
  forget: (a, b) => `prefix ${"abhmnstw"[a]} of bucket ${"ab"[b & 1]}`,
  peers: (a, b) => (b ? "knows" : "no longer knows") + ` R${a}`,
  retire: () => "",
  fold: a => a ? "entries of all others" : "entries of those that retired",
  full: a => a ? "no block is left" : "there is room again",
};

function stepText(what, text) {
  const n = /^(-?\d+) (-?\d+) (-?\d+)$/.exec(text);
  return n && NUMBERS[what] ? NUMBERS[what](+n[1], +n[2], +n[3]) : text;
}

function listOf(bits) {
  const out = [];
  for (let i = 0; i < 32; i++)
    if (bits >>> i & 1)
      out.push(i);
  return out;
}

/* One row into run; open: messages and conditions under way, by id. */
function readRow(run, row, at, names, open) {
  const f = row.slice(2);
  switch (row[0]) {
  case STEP:
    run.steps.push({at, n: f[0], r: f[1], what: names[f[2]],
      text: stepText(names[f[2]], names[f[3]])});
    break;
  case MSG:
    open.set(f[0], {at, end: -1, from: f[1], to: f[2], m: names[f[3]],
      bytes: f[4]});
    run.msgs.push(open.get(f[0]));
    break;
  case FAULT:
    open.set(f[0], {at, end: -1, what: names[f[1]], a: listOf(f[2]),
      b: listOf(f[3]), ms: f[4]});
    run.faults.push(open.get(f[0]));
    break;
  case RECV:
  case END:
    if (open.has(f[0]))
      open.get(f[0]).end = at;
    open.delete(f[0]);
    break;
  case STATE:
    run.states.push({at, r: f[0], digest: names[f[1]], missing: f[2],
      events: f[3]});
    break;
  case VERDICT:
    run.verdict = {at, ok: f[0] === 1, text: names[f[1]], hash: names[f[2]],
      where: f[0] ? null : /\bstore (\d+)\b/.exec(names[f[1]])};
    break;
  }
}

function readRun(data) {
  const run = {seed: data.seed, command: data.command, profile: data.profile,
    steps: [], msgs: [], faults: [], states: [], verdict: null,
    n: data.rows.length, time: new Float64Array(data.rows.length)};
  const open = new Map();
  let now = 0;
  data.rows.forEach((row, at) => {
    now += row[1];
    run.time[at] = now;
    readRow(run, row, at, data.names, open);
  });
  run.end = Math.max(run.n - 1, 0);
  /* What begins with the end is only the end. */
  run.faults = run.faults.filter(f => f.end >= 0 || !run.verdict ||
    run.time[f.at] < run.time[run.end] || run.n - f.at > 40);
  run.faults.forEach(f => { f.lasts = f.end < 0; });
  run.faults.forEach(f => { f.end = f.lasts ? run.end : f.end; });
  findLanes(run, data.replicas);
  followStates(run);
  run.axis = {true: trueAxis(run), squeezed: squeezedAxis(run, data.rows)};
  return run;
}

/* A lane for each replica that was ever up. */
function findLanes(run, replicas) {
  const seen = new Set();
  run.states.forEach(s => seen.add(s.r));
  run.msgs.forEach(m => seen.add(m.from).add(m.to));
  run.steps.forEach(s => { if (s.r >= 0) seen.add(s.r); });
  run.lanes = [];
  run.laneOf = new Array(replicas).fill(-1);
  for (let r = 0; r < replicas; r++)
    if (seen.has(r)) {
      run.laneOf[r] = run.lanes.length;
      run.lanes.push({r, states: [], steps: [], rail: []});
    }
  run.states.forEach(s => run.lanes[run.laneOf[s.r]].states.push(s));
  run.steps.forEach(s => {
    if (s.r >= 0)
      run.lanes[run.laneOf[s.r]].steps.push(s);
  });
  run.free = run.steps.filter(s => s.r < 0 && s.what !== "wait" &&
    s.what !== "import");
  run.faults.forEach(f => f.a.concat(f.b).forEach(r => {
    if (run.laneOf[r] >= 0)
      packRail(run.lanes[run.laneOf[r]], f);
  }));
}

/* Conditions of one lane lie in rows below it, so that none hides another. */
function packRail(lane, fault) {
  if (fault.what === "down")
    return;
  let y = 0;
  const meets = o => o.y === y && o.fault.at < fault.end &&
    fault.at < o.fault.end;
  while (lane.rail.some(meets))
    y++;
  lane.rail.push({fault, y});
}

/* Digests by their place in time; at each change how many different ones
 * there are among those that are up, and what all lack together. They have
 * converged if there is one digest and nothing is missing: what does not show,
 * like a delete of nothing, is in no digest. */
function followStates(run) {
  const now = new Map(), down = new Set(), events = [];
  run.states.forEach(s => events.push([s.at, s]));
  run.faults.filter(f => f.what === "down").forEach(f => {
    events.push([f.at, {down: f.a}]);
    if (!f.lasts)
      events.push([f.end, {up: f.a}]);
  });
  events.sort((x, y) => x[0] - y[0]);
  run.digests = new Map();
  run.agreement = [];
  run.total = [];
  let made = 0;
  for (const [at, e] of events) {
    (e.down || []).forEach(r => down.add(r));
    (e.up || []).forEach(r => down.delete(r));
    if (e.digest !== undefined) {
      now.set(e.r, e);
      made = Math.max(made, e.events);
      if (!run.digests.has(e.digest))
        run.digests.set(e.digest, run.digests.size);
    }
    const up = [...now.values()].filter(s => !down.has(s.r));
    const n = new Set(up.map(s => s.digest)).size;
    const missing = up.reduce((sum, s) => sum + s.missing, 0);
    run.agreement.push({at, n, of: up.length, up: up.map(s => s.r),
      whole: n === 1 && up.length > 1 && !missing});
    run.total.push({at, missing});
  }
  run.made = made;
}

/* ---- the axis: where each row lies ---- */

/* Rows of one millisecond share it. */
function trueAxis(run) {
  const pos = new Float64Array(run.n);
  for (let i = 0; i < run.n;) {
    let j = i;
    while (j < run.n && run.time[j] === run.time[i])
      j++;
    for (let k = i; k < j; k++)
      pos[k] = run.time[i] + (k - i) / (j - i);
    i = j;
  }
  return pos;
}

/* Each row has some room of its own, and time adds its logarithm. A stretch in
 * which nothing but messages comes and goes has little in all. */
function squeezedAxis(run, rows) {
  const pos = new Float64Array(run.n), enough = 40;
  const room = i => 0.2 + Math.log2(1 + run.time[i] - run.time[i - 1]);
  for (let i = 1; i < run.n;) {
    let j = i, sum = room(i);
    while (j + 1 < run.n && (rows[j][0] === MSG || rows[j][0] === RECV))
      sum += room(++j);
    const scale = sum <= enough ? 1 :
      (enough + 8 * Math.log2(sum / enough)) / sum;
    for (; i <= j; i++)
      pos[i] = pos[i - 1] + room(i) * scale;
  }
  return pos;
}

/* The first row at or behind a position. */
function rowAt(pos, x) {
  let lo = 0, hi = pos.length;
  while (lo < hi) {
    const mid = lo + hi >> 1;
    if (pos[mid] < x)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* ---- words ---- */

function timeText(ms) {
  if (ms < 1000)
    return ms + " ms";
  if (ms >= 86400000)
    return +(ms / 86400000).toFixed(2) + " days";
  const s = (ms % 60000) / 1000, m = Math.floor(ms / 60000);
  if (!m)
    return +s.toFixed(3) + " s";
  const [whole, part] = s.toFixed(3).split(".");
  return m + ":" + whole.padStart(2, "0") +
    (part === "000" ? "" : "." + part.replace(/0+$/, "")) + " min";
}

function bytesText(n) {
  if (n < 1024)
    return n + " B";
  return n < 1048576 ? (n / 1024).toFixed(1) + " KiB" :
    (n / 1048576).toFixed(1) + " MiB";
}

function namesText(list) {
  return list.map(r => "R" + r).join(" ");
}

function faultText(f, r) {
  const kind = FAULTS[f.what] || ["soft", f.what];
  if (f.what === "skew")
    return kind[1] + " " + (f.ms > 0 ? "+" : "\u2212") +
      timeText(Math.abs(f.ms));
  if (f.what === "stall" || f.what === "slow")
    return f.a.includes(r) ? kind[1] + " " + namesText(f.b) :
      (f.what === "slow" ? "slow from " : "nothing comes from ") +
      namesText(f.a);
  return f.b.length ?
    kind[1] + " " + namesText(f.a.includes(r) ? f.b : f.a) : kind[1];
}

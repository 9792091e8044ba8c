/* report_draw.js: the chart: lanes, messages, conditions, the curve of what
 * is missing, and the overview below it. */

const AXIS = 24, GUTTER = 70, RIGHT = 14, AGREE = 16, CURVE = 104,
  OVERVIEW = 34, GAP = 10, FREE = 22;
const FONT = "11px system-ui, 'Segoe UI', Arial, sans-serif";
const LANE_HUES = [212, 28, 280, 172, 340, 48, 250, 10, 190, 310];

/* Colours of the page's theme. */
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const get = name => style.getPropertyValue("--" + name).trim();
  const dark = document.documentElement.dataset.theme === "dark";
  const p = {dark, message: {}};
  for (const name of ["bg", "panel", "fg", "soft", "line", "band", "hatch",
    "accent", "good", "bad", "warn", "side-a", "side-b"])
    p[name] = get(name);
  p.purple = dark ? "#c084fc" : "#9333ea";
  for (const m in MESSAGES)
    p.message[m] = MESSAGES[m][dark ? 1 : 0];
  p.lane = i => `hsl(${LANE_HUES[i % LANE_HUES.length]} 60% ` +
    (dark ? "66%)" : "46%)");
  const sat = get("digest-sat"), light = get("digest-light");
  p.digest = (run, digest) => {
    if (/^0*$/.test(digest))
      return p.hatch;
    /* Golden angle, without green, which says agreement, and red. */
    const turn = run.digests.get(digest) * 148.3 % 240;
    return `hsl(${turn < 165 ? 175 + turn : turn - 145} ${sat} ${light})`;
  };
  return p;
}

class Chart {
  constructor(run, base, over) {
    this.run = run;
    this.base = base;
    this.over = over;
    this.hidden = new Set();
    this.axis = "squeezed";
    this.palette = readPalette();
    this.all();
    this.resize();
  }

  get pos() { return this.run.axis[this.axis]; }

  /* ---- what is in view ---- */

  all() {
    const last = this.run.n ? this.pos[this.run.end] : 1;
    this.lo = -last * 0.01 - 0.3;
    this.hi = last * 1.01 + 0.6;
    this.least = this.lo;
    this.most = this.hi;
  }

  show(lo, hi) {
    const span = Math.min(Math.max(hi - lo, 0.5), this.most - this.least);
    let from = (lo + hi - span) / 2;
    from = Math.min(Math.max(from, this.least), this.most - span);
    this.lo = from;
    this.hi = from + span;
  }

  zoom(x, factor) {
    const at = this.unit(x);
    this.show(at - (at - this.lo) * factor, at + (this.hi - at) * factor);
  }

  move(pixels) {
    const d = pixels * (this.hi - this.lo) / this.width;
    this.show(this.lo + d, this.hi + d);
  }

  unit(x) {
    return this.lo + (x - GUTTER) * (this.hi - this.lo) / this.width;
  }

  x(row) {
    return GUTTER + (this.pos[row] - this.lo) * this.width /
      (this.hi - this.lo);
  }

  /* Rows in view, and one on either side. */
  range() {
    return [Math.max(rowAt(this.pos, this.lo) - 1, 0),
      Math.min(rowAt(this.pos, this.hi), this.run.end)];
  }

  /* ---- where things are ---- */

  resize() {
    const box = this.base.parentNode.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    this.w = box.width;
    this.h = box.height;
    this.width = Math.max(this.w - GUTTER - RIGHT, 50);
    for (const c of [this.base, this.over]) {
      c.width = Math.round(this.w * scale);
      c.height = Math.round(this.h * scale);
      c.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    }
    this.overTop = this.h - OVERVIEW - 6;
    this.curveTop = this.overTop - GAP - CURVE;
    this.agreeTop = this.curveTop - GAP - AGREE;
    this.top = AXIS + (this.run.free.length ? FREE : 0);
    this.pitch = (this.agreeTop - 6 - this.top) /
      Math.max(this.run.lanes.length, 1);
  }

  laneTop(i) { return this.top + i * this.pitch; }
  laneY(i) { return this.top + (i + 0.5) * this.pitch; }
  laneOfRow(r) { return this.laneY(this.run.laneOf[r]); }

  /* ---- all of it ---- */

  draw() {
    const c = this.base.getContext("2d");
    this.c = c;
    c.clearRect(0, 0, this.w, this.h);
    c.font = FONT;
    c.textBaseline = "middle";
    this.drawBands();
    c.save();
    c.beginPath();
    c.rect(GUTTER, 0, this.w - GUTTER, this.agreeTop - 2);
    c.clip();
    this.drawSides();
    this.drawTicks();
    this.drawDown();
    this.drawMessages();
    this.run.lanes.forEach((lane, i) => {
      this.drawRail(lane, i);
      this.drawState(lane, i);
    });
    this.drawAgreed();
    this.dimDown();
    this.run.lanes.forEach((lane, i) =>
      this.drawSteps(lane.steps, this.laneY(i), i));
    if (this.run.free.length)
      this.drawSteps(this.run.free, AXIS + FREE - 4, -1);
    this.drawEnd();
    c.restore();
    this.drawAgreement();
    this.drawCurve();
    this.drawOverview();
    this.drawNames();
    this.drawHover();
  }

  drawBands() {
    const c = this.c, p = this.palette;
    this.run.lanes.forEach((lane, i) => {
      c.fillStyle = i % 2 ? p.panel : p.band;
      c.fillRect(0, this.laneTop(i), this.w, this.pitch);
    });
  }

  drawNames() {
    const c = this.c, p = this.palette;
    c.textAlign = "left";
    this.run.lanes.forEach((lane, i) => {
      c.fillStyle = i % 2 ? p.panel : p.band;
      c.fillRect(0, this.laneTop(i), GUTTER - 6, this.pitch);
      c.fillStyle = p.lane(i);
      c.fillRect(12, this.laneY(i) - 7, 4, 14);
      c.fillStyle = p.fg;
      c.font = "600 13px system-ui, 'Segoe UI', Arial, sans-serif";
      c.fillText("R" + lane.r, 22, this.laneY(i));
    });
    c.font = FONT;
    c.fillStyle = p.soft;
    for (const [text, y] of [["time", AXIS / 2],
      ["digests", this.agreeTop + AGREE / 2],
      ["missing", this.curveTop + 8], ["events", this.curveTop + 22],
      ["whole run", this.overTop + OVERVIEW / 2]])
      c.fillText(text, 6, y);
    if (this.run.free.length)
      c.fillText("network", 6, AXIS + FREE / 2);
  }

  /* A mark where a row is, with exactly its time. */
  drawTicks() {
    const c = this.c, p = this.palette;
    if (!this.run.n)
      return;
    c.textAlign = "left";
    let free = GUTTER - 20, last = "";
    for (let want = GUTTER + 4; want < this.w - 30; want += 24) {
      const row = Math.min(rowAt(this.pos, this.unit(want)), this.run.end);
      const x = this.x(row), text = timeText(this.run.time[row]);
      if (x < free || x > this.w - 8 || text === last)
        continue;
      last = text;
      c.fillStyle = p.line;
      c.fillRect(x, AXIS - 5, 1, this.agreeTop - AXIS);
      c.fillStyle = p.soft;
      c.fillText(text, x + 4, AXIS / 2);
      free = x + Math.max(c.measureText(text).width + 26, 96);
      want = Math.max(want, free - 24);
    }
  }

  /* ---- conditions ---- */

  spanOf(f) {
    return [Math.max(this.x(f.at), GUTTER),
      Math.min(this.x(f.end), this.w - RIGHT + 6)];
  }

  inView(f) {
    return this.pos[f.end] >= this.lo && this.pos[f.at] <= this.hi;
  }

  /* Both sides of a partition, tinted. */
  drawSides() {
    const c = this.c, p = this.palette;
    for (const f of this.run.faults) {
      if (f.what !== "partition" || this.hidden.has("partition") ||
          !this.inView(f))
        continue;
      const [x0, x1] = this.spanOf(f);
      c.globalAlpha = p.dark ? 0.16 : 0.13;
      for (const [side, colour] of [[f.a, "side-a"], [f.b, "side-b"]])
        for (const r of side)
          if (this.run.laneOf[r] >= 0) {
            c.fillStyle = p[colour];
            c.fillRect(x0, this.laneTop(this.run.laneOf[r]), x1 - x0,
              this.pitch);
          }
      c.globalAlpha = 1;
    }
  }

  /* Calls fn(from, to, lane) for each time a replica is down, in view. */
  eachDown(fn) {
    for (const f of this.run.faults) {
      if (f.what !== "down" || this.hidden.has("down") || !this.inView(f))
        continue;
      const [x0, x1] = this.spanOf(f);
      for (const r of f.a)
        if (this.run.laneOf[r] >= 0)
          fn(x0, x1, this.run.laneOf[r]);
    }
  }

  drawDown() {
    this.eachDown((x0, x1, i) => this.hatch(x0, this.laneTop(i), x1 - x0));
  }

  /* Nobody is at home on the lane meanwhile. */
  dimDown() {
    const c = this.c;
    c.fillStyle = this.palette.panel;
    c.globalAlpha = 0.72;
    this.eachDown((x0, x1, i) =>
      c.fillRect(x0 + 6, this.laneY(i) - 6, Math.max(x1 - x0 - 6, 0), 12));
    c.globalAlpha = 1;
  }

  hatch(x, y, w) {
    const c = this.c, p = this.palette;
    c.save();
    c.beginPath();
    c.rect(x, y, Math.max(w, 1), this.pitch);
    c.clip();
    c.globalAlpha = p.dark ? 0.5 : 0.62;
    c.fillStyle = p.panel;
    c.fillRect(x, y, w, this.pitch);
    c.globalAlpha = 0.5;
    c.strokeStyle = p.hatch;
    c.lineWidth = 1;
    c.beginPath();
    const first = Math.floor((x - this.pitch) / 8) * 8;
    for (let at = first; at < x + w; at += 8) {
      c.moveTo(at, y + this.pitch);
      c.lineTo(at + this.pitch, y);
    }
    c.stroke();
    c.restore();
    if (w > 44) {
      c.textAlign = "left";
      c.fillStyle = p.soft;
      c.fillText("down", x + 5, y + this.pitch - 9);
    }
  }

  railY(lane, i, y) {
    const rows = lane.rail.reduce((n, o) => Math.max(n, o.y + 1), 1);
    const step = Math.min(12, (this.pitch / 2 - 12) / rows);
    return [this.laneY(i) + 11 + y * step, Math.max(step - 2, 1.5)];
  }

  drawRail(lane, i) {
    const c = this.c, p = this.palette;
    for (const {fault: f, y} of lane.rail) {
      if (this.hidden.has(f.what) || !this.inView(f))
        continue;
      const [x0, x1] = this.spanOf(f), [top, h] = this.railY(lane, i, y);
      c.fillStyle = f.what === "partition" ?
        p[f.a.includes(lane.r) ? "side-a" : "side-b"] :
        p[(FAULTS[f.what] || ["soft"])[0]];
      c.globalAlpha = 0.32;
      c.fillRect(x0, top, Math.max(x1 - x0, 2), h);
      c.globalAlpha = 1;
      c.fillRect(x0, top, 2, h);
      const text = faultText(f, lane.r);
      c.fillStyle = p.fg;
      if (h >= 9 && x1 - x0 > c.measureText(text).width + 12) {
        c.textAlign = "left";
        c.font = "10px system-ui, 'Segoe UI', Arial, sans-serif";
        c.fillText(text, x0 + 6, top + h / 2 + 0.5);
        c.font = FONT;
      }
    }
  }

  /* ---- messages ---- */

  /* From where to where a message goes on the page. */
  lineOf(m) {
    const x0 = this.x(m.at), y0 = this.laneOfRow(m.from),
      y1 = this.laneOfRow(m.to);
    if (m.end >= 0)
      return [x0, y0, this.x(m.end), y1];
    return [x0, y0, x0 + 9, y0 + (y1 - y0) * 0.3]; /* lost on its way */
  }

  messagesInView() {
    const [from, to] = this.range();
    return this.run.msgs.filter(m => m.at <= to &&
      (m.end < 0 ? m.at : m.end) >= from && !this.hidden.has(m.m) &&
      !(m.end < 0 && this.hidden.has("lost")));
  }

  drawMessages() {
    const c = this.c, p = this.palette, seen = this.messagesInView();
    const room = this.width / Math.max(seen.length, 1);
    c.lineWidth = room > 4 ? 1.5 : 1;
    const alpha = Math.min(0.09 + room * 0.3, 0.95);
    this.labels = [];
    for (const kind in MESSAGES) {
      const mine = seen.filter(m => (m.m in MESSAGES ? m.m : "OTHER") === kind);
      const heavy = /CHUNK|COMPLETE|EXPORT|SAME|FP/.test(kind);
      c.strokeStyle = c.fillStyle = p.message[kind];
      c.globalAlpha = heavy ? Math.min(alpha * 1.5, 1) : alpha;
      for (const lost of [false, true]) {
        c.setLineDash(lost ? [3, 2] : []);
        this.strokeMessages(mine.filter(m => (m.end < 0) === lost));
      }
      c.setLineDash([]);
      if (room > 1.6)
        mine.forEach(m => this.drawHead(m, c));
    }
    c.globalAlpha = 1;
    if (room > 9)
      seen.forEach(m => this.drawMessageText(m));
  }

  /* One line for those that cannot be told apart, or they would add up. */
  strokeMessages(messages) {
    const c = this.c, drawn = new Set();
    c.beginPath();
    for (const m of messages) {
      const [x0, y0, x1, y1] = this.lineOf(m);
      const key = `${x0 | 0} ${y0 | 0} ${x1 | 0} ${y1 | 0}`;
      if (drawn.has(key))
        continue;
      drawn.add(key);
      c.moveTo(x0, y0);
      c.lineTo(x1, y1);
    }
    c.stroke();
  }

  /* The tip of an arrow, or a cross where it was lost. */
  drawHead(m, c) {
    const [x0, y0, x1, y1] = this.lineOf(m);
    c.beginPath();
    if (m.end < 0) {
      c.moveTo(x1 - 3, y1 - 3);
      c.lineTo(x1 + 3, y1 + 3);
      c.moveTo(x1 + 3, y1 - 3);
      c.lineTo(x1 - 3, y1 + 3);
      c.stroke();
      return;
    }
    const len = Math.hypot(x1 - x0, y1 - y0) || 1;
    const ux = (x1 - x0) / len, uy = (y1 - y0) / len;
    const tx = x1 - ux * 5, ty = y1 - uy * 5;
    c.moveTo(tx, ty);
    c.lineTo(tx - ux * 7 - uy * 3, ty - uy * 7 + ux * 3);
    c.lineTo(tx - ux * 7 + uy * 3, ty - uy * 7 - ux * 3);
    c.fill();
  }

  /* Text with a halo, readable over lines. */
  haloText(text, x, y, colour) {
    const c = this.c;
    c.strokeStyle = this.palette.panel;
    c.lineWidth = 3;
    c.lineJoin = "round";
    c.strokeText(text, x, y);
    c.fillStyle = colour;
    c.fillText(text, x, y);
  }

  /* Is there room for a text around this place? Takes it if so. */
  takeRoom(x, y, dx, dy) {
    const spots = [-0.4, -0.2, 0, 0.2, 0.4].map(k => [x + dx * k, y + dy * k]);
    for (const [ax, ay] of spots)
      for (const [bx, by] of this.labels)
        if (Math.abs(ax - bx) < 14 && Math.abs(ay - by) < 14)
          return false;
    this.labels.push(...spots);
    return true;
  }

  drawMessageText(m) {
    const c = this.c, [x0, y0, x1, y1] = this.lineOf(m);
    const colour = this.palette.message[m.m] || this.palette.message.OTHER;
    if (m.end < 0) {
      c.textAlign = "left";
      if (this.takeRoom(x1 + 25, y1, 50, 0))
        this.haloText(m.m + " lost", x1 + 8, y1, colour);
      return;
    }
    const text = m.m + " " + bytesText(m.bytes);
    const width = c.measureText(text).width, len = Math.hypot(x1 - x0, y1 - y0);
    if (len < width + 40)
      return;
    const ux = (x1 - x0) / len, uy = (y1 - y0) / len;
    const place = [0.5, 0.36, 0.64].find(k => this.takeRoom(
      x0 + (x1 - x0) * k, y0 + (y1 - y0) * k, ux * width, uy * width));
    if (!place)
      return;
    c.save();
    c.translate(x0 + (x1 - x0) * place, y0 + (y1 - y0) * place);
    c.rotate(Math.atan2(uy, ux));
    c.textAlign = "center";
    this.haloText(text, 0, -7, colour);
    c.restore();
  }

  /* ---- what a replica holds ---- */

  /* The lane itself has the colour of its digest; a dot where it changed, if
   * the dots of the lane do not run together. */
  drawState(lane, i) {
    const c = this.c, p = this.palette, y = this.laneY(i);
    const seen = lane.states.filter(s => this.inView({at: s.at, end: s.at}));
    const dense = this.width / Math.max(seen.length, 1) < 9;
    c.fillStyle = p.line;
    c.fillRect(GUTTER, y - 1, this.w, 2);
    lane.states.forEach((s, k) => {
      const next = lane.states[k + 1];
      const x0 = this.x(s.at), x1 = next ? this.x(next.at) : this.w + 9;
      if (x1 < GUTTER || x0 > this.w)
        return;
      const from = Math.max(x0, GUTTER), h = dense ? 8 : 4;
      c.fillStyle = p.digest(this.run, s.digest);
      c.fillRect(from, y - h / 2, x1 - from, h);
      if (!dense && (k === 0 || lane.states[k - 1].digest !== s.digest))
        this.dot(x0, y);
    });
  }

  dot(x, y) {
    const c = this.c;
    c.beginPath();
    c.arc(x, y, 5, 0, 7);
    c.fill();
    c.strokeStyle = this.palette.panel;
    c.lineWidth = 1.2;
    c.stroke();
  }

  /* Where all that are up have converged, they are green. */
  drawAgreed() {
    const c = this.c, p = this.palette;
    this.run.agreement.forEach((a, k) => {
      const next = this.run.agreement[k + 1];
      const x0 = this.x(a.at), x1 = next ? this.x(next.at) : this.w + 9;
      if (!a.whole || x1 < GUTTER || x0 > this.w)
        return;
      const before = this.run.agreement[k - 1];
      const begins = !before || !before.whole;
      c.fillStyle = p.good;
      this.run.lanes.forEach((lane, i) => {
        if (!a.up.includes(lane.r))
          return;
        const from = Math.max(x0, GUTTER);
        c.fillRect(from, this.laneY(i) - 4, x1 - from, 8);
        if (begins && x1 - x0 > 8)
          this.dot(x0, this.laneY(i));
      });
    });
  }

  /* ---- steps ---- */

  drawSteps(steps, y, lane) {
    const p = this.palette;
    const dense = this.width / Math.max(steps.length, 1) < 6 &&
      this.hi - this.lo > (this.most - this.least) / 2;
    let free = -99;
    steps.forEach((s, k) => {
      const x = this.x(s.at);
      if (x < GUTTER - 200 || x > this.w + 20)
        return;
      const next = k + 1 < steps.length ? this.x(steps[k + 1].at) : this.w;
      const badge = BADGES[s.what];
      const colour = badge ? p[badge[1]] : p.fg;
      const tick = lane < 0 ? 4 : 9;
      this.c.fillStyle = colour;
      this.c.globalAlpha = dense && !badge ? 0.4 : 1;
      this.c.fillRect(x - 0.75, y - tick, 1.5, lane < 0 ? 8 : tick);
      this.c.globalAlpha = 1;
      const room = Math.min(next - x, this.w - x) - 6;
      free = this.drawStepText(s, badge, x, y, room, free);
    });
  }

  /* As many words as there is room for; gives back where they end. */
  drawStepText(s, badge, x, y, room, free) {
    const c = this.c, p = this.palette, top = y - 17;
    const words = badge ? [s.text && s.text !== s.what ?
      s.what + " " + s.text : s.what, s.what, badge[0]] :
      [s.text || s.what];
    const fit = words.find(w => c.measureText(w).width + 8 < room) ||
      (badge ? badge[0] : "");
    const width = c.measureText(fit).width + 8;
    if (!fit || x < free + 2)
      return free;
    c.textAlign = "left";
    if (badge) {
      c.fillStyle = p[badge[1]];
      c.beginPath();
      c.roundRect(x - 1, top - 7, width, 14, 3);
      c.fill();
      c.fillStyle = p.panel;
      c.fillText(fit, x + 3, top + 0.5);
    } else {
      this.haloText(fit, x + 3, top + 0.5, p.fg);
    }
    return x + width;
  }

  /* Where the verdict was given, or where the journal breaks off. */
  drawEnd() {
    const v = this.run.verdict;
    if (v && v.ok)
      return;
    const c = this.c, p = this.palette, x = this.x(v ? v.at : this.run.end);
    c.fillStyle = v ? p.bad : p.warn;
    c.fillRect(x - 1, AXIS - 4, 2.5, this.agreeTop - AXIS);
    c.textAlign = "right";
    const text = v ? "broken here" : "breaks off here";
    const width = c.measureText(text).width + 12;
    c.beginPath();
    c.roundRect(x - width, AXIS - 6, width, 16, 3);
    c.fill();
    c.fillStyle = p.panel;
    c.fillText(text, x - 6, AXIS + 2);
    const lane = v && v.where ? this.run.laneOf[+v.where[1]] : undefined;
    if (lane >= 0) {
      c.strokeStyle = p.bad;
      c.lineWidth = 3;
      c.beginPath();
      c.arc(x, this.laneY(lane), 12, 0, 7);
      c.stroke();
    }
  }
}

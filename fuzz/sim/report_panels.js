/* report_panels.js: the chart's lower panels, what the pointer is on, and the
 * mark around it. */

Object.assign(Chart.prototype, {
  /* One strip: green where all that are up have converged. */
  drawAgreement() {
    const c = this.c, p = this.palette, y = this.agreeTop;
    c.save();
    c.beginPath();
    c.rect(GUTTER, y, this.width + RIGHT - 6, AGREE);
    c.clip();
    c.fillStyle = p.band;
    c.fillRect(GUTTER, y, this.w, AGREE);
    c.textAlign = "left";
    this.run.agreement.forEach((a, k) => {
      const next = this.run.agreement[k + 1];
      const x0 = this.x(a.at), x1 = next ? this.x(next.at) : this.w + 9;
      if (x1 < GUTTER || x0 > this.w)
        return;
      const share = a.of > 1 ? (a.n - 1) / (a.of - 1) : 0;
      c.fillStyle = a.n <= 1 ? p.good : p.bad;
      c.globalAlpha = a.whole ? 0.9 : a.n <= 1 ? 0.25 : 0.25 + share * 0.5;
      c.fillRect(x0, y, x1 - x0, AGREE);
      c.globalAlpha = 1;
      const text = a.n > 1 ? a.n + " different digests" :
        a.whole ? a.of + " converged" : "equal, events missing";
      const shown = x1 - Math.max(x0, GUTTER);
      if (shown > c.measureText(text).width + 12 && a.of > 1) {
        c.fillStyle = a.whole ? p.panel : p.fg;
        c.fillText(text, Math.max(x0, GUTTER) + 6, y + AGREE / 2 + 0.5);
      }
    });
    c.restore();
  },

  /* Steps of a curve in view, as points of [x, value], and the one before. */
  pointsOf(series, value) {
    const out = [];
    let before = null;
    for (const s of series) {
      const x = this.x(s.at);
      if (x < GUTTER)
        before = [GUTTER, value(s)];
      else {
        if (before)
          out.push(before);
        before = null;
        if (x > this.w - RIGHT) {
          if (out.length)
            out.push([this.w - RIGHT, out[out.length - 1][1]]);
          return out;
        }
        out.push([x, value(s)]);
      }
    }
    if (before)
      out.push(before);
    if (out.length)
      out.push([this.w - RIGHT, out[out.length - 1][1]]);
    return out;
  },

  drawCurve() {
    const c = this.c, p = this.palette, top = this.curveTop;
    const total = this.pointsOf(this.run.total, s => s.missing);
    const most = Math.max(1, ...total.map(q => q[1]));
    const y = v => top + CURVE - 4 - v / most * (CURVE - 14);
    c.fillStyle = p.band;
    c.fillRect(GUTTER, top, this.width + RIGHT - 6, CURVE);
    const trace = points => {
      points.forEach(([x, v], i) => {
        if (i)
          c.lineTo(x, y(points[i - 1][1]));
        c.lineTo(x, y(v));
      });
    };
    c.save();
    c.beginPath();
    c.rect(GUTTER, top, this.width + RIGHT - 6, CURVE);
    c.clip();
    if (total.length) {
      c.beginPath();
      c.moveTo(total[0][0], y(0));
      trace(total);
      c.lineTo(total[total.length - 1][0], y(0));
      c.fillStyle = p.soft;
      c.globalAlpha = 0.22;
      c.fill();
      c.globalAlpha = 1;
    }
    this.run.lanes.forEach((lane, i) => {
      c.beginPath();
      trace(this.pointsOf(lane.states, s => s.missing));
      c.strokeStyle = p.lane(i);
      c.lineWidth = 1.4;
      c.stroke();
    });
    c.restore();
    c.textAlign = "right";
    c.fillStyle = p.soft;
    c.fillText(most, GUTTER - 6, top + 40);
    c.fillText("0", GUTTER - 6, y(0) - 2);
    c.fillStyle = p.line;
    c.fillRect(GUTTER, y(most), this.width + RIGHT - 6, 1);
  },

  /* ---- the whole run ---- */

  overX(row) {
    return GUTTER + (this.pos[row] - this.least) * this.width /
      (this.most - this.least);
  },

  /* Messages for each pixel of the overview, once for each axis and width. */
  density() {
    const key = this.axis + this.w;
    if (this.dense && this.dense.key === key)
      return this.dense;
    const bins = new Float64Array(Math.ceil(this.width) + 1);
    this.run.msgs.forEach(m => {
      bins[Math.min(Math.max(this.overX(m.at) - GUTTER, 0), bins.length - 1) |
        0]++;
    });
    this.dense = {key, bins, most: Math.max(1, ...bins)};
    return this.dense;
  },

  drawOverview() {
    const c = this.c, p = this.palette, top = this.overTop;
    const {bins, most} = this.density();
    c.fillStyle = p.band;
    c.fillRect(GUTTER, top, this.width + RIGHT - 6, OVERVIEW);
    for (const f of this.run.faults) {
      const x0 = this.overX(f.at), x1 = this.overX(f.end);
      c.fillStyle = p[(FAULTS[f.what] || ["soft"])[0]];
      c.globalAlpha = 0.1;
      c.fillRect(x0, top, Math.max(x1 - x0, 1), OVERVIEW);
    }
    c.globalAlpha = 0.8;
    c.fillStyle = p.accent;
    bins.forEach((n, i) => {
      const h = n ? 2 + Math.sqrt(n / most) * (OVERVIEW - 6) : 0;
      c.fillRect(GUTTER + i, top + OVERVIEW - h, 1, h);
    });
    c.globalAlpha = 1;
    const scale = this.width / (this.most - this.least);
    const x0 = GUTTER + (this.lo - this.least) * scale;
    const x1 = GUTTER + (this.hi - this.least) * scale;
    c.strokeStyle = p.fg;
    c.lineWidth = 1.5;
    c.strokeRect(x0, top + 0.5, Math.max(x1 - x0, 3), OVERVIEW - 1);
  },

  overUnit(x) {
    return this.least + (x - GUTTER) * (this.most - this.least) / this.width;
  },

  /* ---- what the pointer is on ---- */

  /* The nearest thing within some pixels: {kind, thing, lane, d}. */
  find(x, y) {
    if (y > this.agreeTop || x < GUTTER)
      return null;
    const best = {d: 9, found: null};
    const offer = (d, found) => {
      if (d < best.d) {
        best.d = d;
        best.found = found;
      }
    };
    this.run.lanes.forEach((lane, i) => this.findOnLane(lane, i, x, y, offer));
    this.run.free.forEach(step => offer(
      Math.hypot(this.x(step.at) - x, (AXIS + FREE / 2 - y) / 2),
      {kind: "step", step}));
    if (best.d > 5)
      this.messagesInView().forEach(m => offer(
        segmentDistance(x, y, this.lineOf(m)) + 2, {kind: "msg", msg: m}));
    return best.found || this.findDown(x, y);
  },

  findOnLane(lane, i, x, y, offer) {
    const laneY = this.laneY(i);
    if (Math.abs(y - laneY) > this.pitch / 2)
      return;
    for (const step of lane.steps) {
      const dx = x - this.x(step.at);
      offer(Math.hypot(dx > 0 && dx < 14 ? dx / 4 : dx,
        Math.max(laneY - 24 - y, 0, y - laneY + 7)), {kind: "step", step});
    }
    for (const s of lane.states)
      offer(Math.hypot(x - this.x(s.at), y - laneY), {kind: "state", state: s});
    for (const {fault, y: row} of lane.rail) {
      const [top, h] = this.railY(lane, i, row);
      if (this.x(fault.at) <= x && x <= this.x(fault.end) && y >= top &&
          y <= top + h)
        offer(1, {kind: "fault", fault, r: lane.r});
    }
  },

  findDown(x, y) {
    for (const fault of this.run.faults)
      for (const r of fault.what === "down" ? fault.a : []) {
        const i = this.run.laneOf[r];
        if (i >= 0 && y >= this.laneTop(i) && y < this.laneTop(i) +
            this.pitch && this.x(fault.at) <= x && x <= this.x(fault.end))
          return {kind: "fault", fault, r};
      }
    return null;
  },

  drawHover() {
    const c = this.over.getContext("2d"), p = this.palette, f = this.hover;
    c.clearRect(0, 0, this.w, this.h);
    if (!f)
      return;
    c.strokeStyle = c.fillStyle = p.fg;
    c.lineWidth = 2.5;
    c.beginPath();
    if (f.kind === "msg") {
      const [x0, y0, x1, y1] = this.lineOf(f.msg);
      c.strokeStyle = p.message[f.msg.m] || p.message.OTHER;
      c.moveTo(x0, y0);
      c.lineTo(x1, y1);
      c.stroke();
      c.fillStyle = c.strokeStyle;
      c.lineWidth = 1.5;
      this.drawHead(f.msg, c);
    } else if (f.kind === "state") {
      c.arc(this.x(f.state.at), this.laneOfRow(f.state.r), 8, 0, 7);
      c.stroke();
    } else if (f.kind === "step") {
      const x = this.x(f.step.at);
      const y = f.step.r < 0 ? AXIS + FREE - 4 : this.laneOfRow(f.step.r);
      c.moveTo(x, y - 26);
      c.lineTo(x, y + 8);
      c.stroke();
    } else {
      const [x0, x1] = this.spanOf(f.fault), i = this.run.laneOf[f.r];
      c.lineWidth = 1.5;
      c.strokeRect(x0, this.laneTop(i) + 1, x1 - x0, this.pitch - 2);
    }
  },
});

function segmentDistance(px, py, [x0, y0, x1, y1]) {
  const dx = x1 - x0, dy = y1 - y0, len = dx * dx + dy * dy || 1;
  const t = Math.min(Math.max(((px - x0) * dx + (py - y0) * dy) / len, 0), 1);
  return Math.hypot(px - x0 - t * dx, py - y0 - t * dy);
}

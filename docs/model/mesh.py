#!/usr/bin/env python3
"""Model of the links of a mesh (PROTOCOL 9; docs/decisions/012).

  mesh.py random  [-n SCHEDULES] [-j JOBS] [--seed N] [--mutant NAME]
  mesh.py steady  [-n SCHEDULES] [-j JOBS] [--mutant NAME]   no faults: what comes twice
  mesh.py mutants [-n SCHEDULES] [--mutant NAME]

Names are those of replication/mirror.c, gossip.c, session_push.c and apply.c.
A node is its clock (one bucket, one range) and the set of events that it has;
what a merge does to items is model.py's business.  A link is two ordered
streams; each end has a session with a mirror: what it said, what it heard, and
the peer's clock raised by the chunks in flight.  Time is virtual, in ms.

What happens: writes, messages late but in order, links cut at any moment with
all that is on them, restores (links cut too), forgetting and narrowing while
links are up, mirrors that go wrong by themselves, random holds, small windows.

What is checked
  each step   a mirror claims no more than the peer has or has on this very link,
              unless word of it is on its way: an ack, a changed clock, a RESET
              a node has exactly the events that its clock covers
              nothing is sent that the mirror covers
  at the end  (no writes, no cuts) all that hold the bucket and are linked have
              the same clock: no event is missing while a path exists; each mirror
              is exact; after that no chunk is sent any more
  steady      of a full mesh under load, what comes twice is bounded, at its end
              next to nothing
"""
import argparse, collections, multiprocessing, random, sys, time

HOLD, TELL, TELL_LAZY, PUSH, SUM = 10, 10, 50, 8, 60000      # MIRROR_*_MS
BACKOFF, BACKOFF_MAX, GRAFT, KEEP, WINDOW = 100, 30000, 500, 1500, 3
RESET, LAZY, AGAIN = 1, 2, 4

MUTANTS = {
 'echo':     'what came from a peer, or what its mirror covers, is sent to it',
 'noprune':  'no link is pruned',
 'oneway':   'a link is pruned one way only',
 'nograft':  'a pruned link is never grafted',
 'norepair': 'sums are not compared',
 'nolower':  'a mirror that the peer tells to be too high is only raised',
 'noreset':  'a refused chunk is acked without a RESET',
 'nobase':   'base <= V is not checked',
 'early':    'the mirror is raised when a chunk is due, before it is sent',
 'nocut':    'a mirror outlives its link',
 'nostale':  'what the peer holds changed, and it gets a push before its clock comes',
 'nopause':  'a chunk that changed nothing is sent again at once',
}
class Violation(Exception): pass

def le(a, b): return all(s <= b.get(o, 0) for o, s in a.items())
def join(a, b):
    c = dict(a)
    for o, s in b.items(): c[o] = max(c.get(o, 0), s)
    return c

class Side:
    """one end of a link: session and mirror"""
    def __init__(self, n, link, rng):
        self.n, self.link, self.rng = n, link, rng
        self.q = collections.deque(); self.inbox = collections.deque()      # on the way to us; here, not applied
        self.live = self.told_all = False
        self.said = None; self.heard = {}; self.peer = {}; self.in_flight = 0; self.mark = None
        self.told = -1; self.told_ms = self.summed_ms = 0; self.judged = -1; self.due = 0; self.keep_until = 0
        self.pushed_ms = -PUSH; self.seen = -1; self.not_before = 0; self.fruitless = 0
        self.look = True; self.stale = self.ack_due = self.reset_due = self.lazy = self.turned = False
        self.again = self.known = self.pruned = False; self.told_flags = 0; self.acks = 0; self.told_hold = True
        self.theirs = True                                # does the peer hold the bucket?
    def flags(self): return (RESET if self.reset_due else 0) | (LAZY if self.pruned else 0) | (AGAIN if self.again else 0)
    def ready(self): return not self.lazy and not self.stale and self.theirs and (self.look or self.seen != self.n.ver)
    def tell_due(self): return self.ack_due or self.flags() != self.told_flags or self.told != self.n.ver
    def tell_at(self):
        if self.flags() != self.told_flags: return 0
        if not self.tell_due(): return self.summed_ms + SUM
        return self.told_ms + (TELL_LAZY if self.pruned else TELL)

class Node:
    def __init__(self, i):
        self.i = i; self.org = i; self.seq = 0; self.V = {}; self.has = set(); self.ver = 0; self.sides = []
        self.hold = True; self.full = False; self.graft_at = 0; self.grafted_ms = -1; self.backup = ({}, set()); self.turn = 0
    def changed(self): self.ver += 1

class Mesh:
    def __init__(self, rng, m, n, links):
        self.rng, self.m, self.now = rng, m, 0; self.N = [Node(i) for i in range(n)]; self.norg = n
        self.links = {}; self.stat = collections.Counter(); self.quiet = False; self.last_chunk = 0
        for a, b in links: self.up(a, b)
    # ---- links
    def up(self, a, b):
        old = getattr(self, 'old', {})
        x, y = Side(self.N[a], (a, b), self.rng), Side(self.N[b], (a, b), self.rng)
        if self.m == 'nocut':
            for s in (x, y):
                was = old.get((s.n.i, (a, b)))
                if was: s.peer, s.in_flight = was.peer, was.in_flight
        x.other, y.other = y, x; self.links[a, b] = (x, y)
        self.N[a].sides.append(x); self.N[b].sides.append(y); x.opened = y.opened = self.now
    def cut(self, l):
        for s in self.links.pop(l):
            s.n.sides.remove(s)
            self.__dict__.setdefault('old', {})[s.n.i, l] = s
        self.stat['cut'] += 1
    # ---- store
    def write(self, n):
        n.seq += 1; n.V = dict(n.V); n.V[n.org] = n.seq; n.has = n.has | {(n.org, n.seq)}; n.changed(); self.stat['write'] += 1
    def renew(self, n): n.org = self.norg; self.norg += 1; n.seq = 0
    def restore(self, n):
        for l in [s.link for s in n.sides]: self.cut(l)
        n.V, n.has = dict(n.backup[0]), set(n.backup[1]); self.renew(n); n.changed(); self.stat['restore'] += 1
    def forget(self, n): n.V, n.has = {}, set(); self.renew(n); n.changed(); self.stat['forget'] += 1
    def holds(self, n, hold):
        n.hold = hold; n.changed(); self.stat['hold' if hold else 'leave'] += 1
    # ---- words
    def word(self, s):
        """mirror_told(): the diff of what was said; the peer decodes it exactly, for the stream is ordered"""
        flags = s.flags(); whole = s.said is None; sum_due = self.now >= s.summed_ms + SUM
        if whole or sum_due: s.summed_ms = self.now
        w = ('word', s.acks, flags, dict(s.n.V), None if whole else s.said, sum_due)
        s.said = dict(s.n.V); s.told = s.n.ver; s.told_ms = self.now
        s.ack_due = s.reset_due = s.again = False; s.told_flags = s.flags(); self.stat['word'] += 1
        return w
    def hear(self, s, w):
        _, acks, flags, clk, was, summed = w
        n = min(acks - getattr(s, 'acked', 0), s.in_flight); s.acked = acks; s.in_flight -= n
        if was is None: now = dict(clk)
        else:                                             # message_diff_end(): what changed is put into heard
            now = dict(s.heard)
            for o in set(was) | set(clk):
                if was.get(o) != clk.get(o):
                    if o in clk: now[o] = clk[o]
                    else: now.pop(o, None)
        differs = summed and now != clk
        reset = flags & RESET or not s.in_flight
        if n and reset:
            if s.heard == now and not le(s.peer, now):
                if self.now >= s.not_before and self.m != 'nopause':
                    pause = min(BACKOFF << s.fruitless, BACKOFF_MAX); s.fruitless += pause < BACKOFF_MAX; s.not_before = self.now + pause
            else: s.fruitless = 0
        if s.lazy != bool(flags & LAZY): s.turned = True
        s.lazy = bool(flags & LAZY)
        if self.m == 'nolower': s.peer = join(s.peer, now)
        else: s.peer = dict(now) if reset else join(s.peer, now)
        s.look = True; s.stale = False; s.judged = -1; s.known = True
        if differs and self.m != 'norepair': s.again = True
        if differs: self.stat['sum_differs'] += 1
        if flags & AGAIN: s.said = None; s.ack_due = True
        s.heard = now; s.exact = dict(clk)
    # ---- a message comes
    def deliver(self, s):
        w = s.q.popleft(); t = w[0]
        if t == 'word': self.hear(s, w)
        elif t == 'done': s.live = True
        elif t == 'holds': s.theirs = w[1]; s.look = True; s.judged = -1; s.stale = s.known and self.m != 'nostale'
        else:
            if w[1]: self.hear(s, w[1])
            s.inbox.append((w[2], dict(s.exact), w[3]))   # decoded against what the link said
    def apply(self, s):
        n = s.n; base, clk, events = s.inbox.popleft(); s.acks += 1; s.ack_due = True
        if not n.hold or n.full: return
        fits = le(base, n.V) or self.m == 'nobase'
        again = [e for e in events if not fits or e[1] <= n.V.get(e[0], 0)]
        self.stat['needed'] += len(events) - len(again); self.stat['twice'] += len(again)
        if not fits:
            s.reset_due = self.m != 'noreset'; self.stat['refused'] += 1
        elif not le(clk, n.V):
            n.has = n.has | {e for e in events}; n.V = join(n.V, clk); n.changed()
        if again and self.now >= s.keep_until and self.m != 'noprune' and self.can_prune(s): s.pruned = True; self.stat['prune'] += 1
    def can_prune(self, s): return any(x is not s and x.live and not x.pruned for x in s.n.sides)
    # ---- gossip_run()
    def run(self, n):
        for s in n.sides:
            while s.inbox: self.apply(s)
        for s in n.sides:
            if not s.turned: continue
            if self.m != 'oneway': s.pruned = s.lazy and self.can_prune(s)
            if not s.lazy: s.keep_until = self.now + KEEP
            s.turned = False
        if self.now >= n.graft_at:
            n.graft_at = self.now + GRAFT; n.turn += 1
            for i in range(len(n.sides)): self.graft(n.sides[(n.turn + i) % len(n.sides)])
        for s in n.sides: self.push(s)
    def graft(self, s):
        if not s.pruned or not s.live: return
        late = s.mark is not None and not le(s.mark, s.n.V) and s.n.hold; s.mark = dict(s.heard)
        if not late or self.m == 'nograft' or s.n.grafted_ms == self.now: return
        s.n.grafted_ms = self.now; s.pruned = False; s.keep_until = self.now + KEEP; self.stat['graft'] += 1
    def judge(self, s):
        n = s.n; s.judged = n.ver
        if le(n.V, s.peer) and self.m != 'echo': s.look = False; s.seen = n.ver; s.due = 0
        elif n.V.get(n.org, 0) > s.peer.get(n.org, 0): s.due = max(self.now, s.pushed_ms + PUSH)
        elif not s.due: s.due = self.now + self.rng.randrange(HOLD+1)
    def push_at(self, s):
        if not s.live or s.in_flight >= WINDOW or not s.ready(): return None
        return 0 if s.judged != s.n.ver else max(s.due, s.not_before)
    def send(self, s, m): s.other.q.append(m)
    def push(self, s):
        n = s.n
        if s.told_hold != n.hold:                          # tell_holds(): the clock follows, and resets
            s.told_hold = n.hold; self.send(s, ('holds', n.hold)); s.ack_due = s.reset_due = s.told_all
        if not s.told_all: self.send(s, self.word(s)); self.send(s, ('done',)); s.told_all = True; return
        if s.live and s.ready() and s.judged != n.ver: self.judge(s)
        at = self.push_at(s)
        if at is not None and at <= self.now: self.build(s)
        if s.tell_at() <= self.now: self.send(s, self.word(s))
    def build(self, s):
        n = s.n; base = {o: min(q, n.V.get(o, 0)) for o, q in s.peer.items() if n.V.get(o)}
        events = [e for e in n.has if e[1] > base.get(e[0], 0) or self.m == 'echo']
        wrote = not le(n.V, s.peer) or self.m == 'echo' and bool(events)
        s.look = False; s.seen = n.ver; s.judged = -1; s.due = 0
        if self.m == 'early': s.peer = join(s.peer, n.V)
        if not wrote: return
        if self.m == 'early' and self.rng.random() < .2: return      # ... and then it did not leave
        if le(n.V, s.peer) and self.m != 'early': raise Violation('sent what the mirror covers')
        if s.said is None: self.send(s, self.word(s))
        w = self.word(s) if s.tell_due() else None
        self.send(s, ('chunk', w, base, events)); s.peer = join(s.peer, n.V); s.in_flight += 1; s.pushed_ms = self.now
        self.stat['chunk'] += 1; self.stat['sent'] += len(events); self.last_chunk = self.now
    # ---- checks
    def check(self):
        for n in self.N:
            if {(o, q) for o, s in n.V.items() for q in range(1, s+1)} != n.has: raise Violation('node %d has not what its clock covers' % n.i)
        for l in self.links.values():
            for s in l:
                r = s.other; have = dict(r.n.V)
                for m in r.q:
                    if m[0] == 'chunk': have = join(have, m[1][3] if m[1] else {})
                    if m[0] == 'word' : have = join(have, m[3])
                for base, clk, ev in r.inbox: have = join(have, clk)
                if s.in_flight: have = join(have, s.said or {})
                coming = s.in_flight or s.stale or r.tell_due() or any(m[0] == 'word' or m[0] == 'chunk' and m[1] for m in s.q) or not s.live
                if not le(s.peer, have) and not coming and not getattr(s, 'flipped', False): raise Violation('the mirror of %d at %d claims too much, and no word of it comes' % (r.n.i, s.n.i))
    # ---- time
    def step(self, until):
        """on to the next moment at which something is due"""
        at = [s.tell_at() for n in self.N for s in n.sides] + [self.push_at(s) for n in self.N for s in n.sides if self.push_at(s) is not None]
        at += [max(n.graft_at, self.now) for n in self.N if any(s.pruned for s in n.sides)]
        if any(s.q for n in self.N for s in n.sides): at.append(self.now + 2)
        self.now = min(max(self.now + 1, min(at, default=until)), until)
        for n in self.N:
            for s in list(n.sides):
                while s.q: self.deliver(s)
        for n in self.N: self.run(n)
    def settle(self):
        start = self.now; chunks = self.stat['chunk']
        while self.now < start + 200000: self.step(start + 200000); self.check()
        group = {n.i: n.i for n in self.N}
        def find(i):
            while group[i] != i: i = group[i]
            return i
        for a, b in self.links:                           # a path leads over nodes that hold the bucket
            if self.N[a].hold and self.N[b].hold: group[find(a)] = find(b)
        for n in self.N:
            z = self.N[find(n.i)]
            if n.hold and n.V != z.V: raise Violation('%d and %d do not agree in the end: %s %s' % (n.i, z.i, n.V, z.V))
            for s in n.sides:
                if s.heard != s.other.n.V or s.peer != s.heard: raise Violation('the mirror of %d at %d is not exact in the end' % (s.other.n.i, n.i))
        if self.last_chunk > start + 130000: raise Violation('chunks without end: %d since the last change' % (self.stat['chunk'] - chunks))

def shape(rng, n):
    full = [(a, b) for a in range(n) for b in range(a)]; kind = rng.randrange(3)
    if kind == 0: return full
    if kind == 1: return [(i, (i+1) % n) if i < (i+1) % n else ((i+1) % n, i) for i in range(n if n > 2 else 1)]
    tree = [(i, rng.randrange(i)) for i in range(1, n)]
    return tree + [l for l in full if l not in tree and rng.random() < .4]
def random_run(seed, m=None):
    rng = random.Random(seed); n = rng.choice((2, 3, 4, 5)); links = shape(rng, n); w = Mesh(rng, m, n, links)
    faults = rng.random() < .7; holds = rng.random() < .3; flips = rng.random() < .3
    for _ in range(rng.randrange(40, 250)):
        a = rng.random(); r = rng.choice(w.N); sides = [s for x in w.N for s in x.sides]; s = rng.choice(sides) if sides else None
        if a < .16: w.write(r)
        elif a < .55:
            q = [s for s in sides if s.q]
            if q: w.deliver(rng.choice(q))
        elif a < .88: w.now += rng.choice((0, 1, 2, 5, 20, 20, 600)); w.run(r)
        elif a < .90: r.backup = dict(r.V), set(r.has)
        elif a < .93: [w.step(w.now + 30) for _ in range(3)]
        elif faults and a < .95: w.links and w.cut(rng.choice(list(w.links)))
        elif a < .97:
            l = [l for l in links if l not in w.links]
            if l: w.up(*rng.choice(l))
        elif faults and a < .977: w.restore(r)
        elif faults and a < .984: w.forget(r)
        elif holds and a < .993:
            if r.hold: w.holds(r, False); rng.random() < .5 and w.forget(r)
            else: w.holds(r, True)
        elif flips and s and s.live and not s.q:          # the mirror goes wrong by itself
            o = rng.randrange(w.norg); s.heard = dict(s.heard); s.heard[o] = s.heard.get(o, 0) + rng.choice((1, 1, -1))
            if s.heard[o] < 1: del s.heard[o]
            s.peer = dict(s.heard); s.flipped = True; w.stat['flip'] += 1
        w.check()
    for l in links:
        if l not in w.links and rng.random() < .8: w.up(*l)
    w.settle(); return w.stat
def steady_run(seed, m=None):
    """a full mesh of 4, a write somewhere every 3 ms or so: what comes twice, and at the end"""
    rng = random.Random(seed); w = Mesh(rng, m, 4, [(a, b) for a in range(4) for b in range(a)]); late = collections.Counter()
    for i in range(900):
        w.write(rng.choice(w.N)); end = w.now + rng.randrange(1, 6)
        if i == 600: late = w.stat.copy()
        while w.now < end: w.step(end)
    w.settle(); st = w.stat
    st['late_needed'] = st['needed'] - late['needed']; st['late_twice'] = st['twice'] - late['twice']
    if st['twice'] > .40*st['needed']: raise Violation('%d events came twice, %d were needed' % (st['twice'], st['needed']))
    if st['late_twice'] > .05*st['late_needed']: raise Violation('in the end %d events came twice, %d were needed' % (st['late_twice'], st['late_needed']))
    return st

# ---- known traps, on one link from node 0 to node 1 ------------------------------
def pair(m):
    w = Mesh(random.Random(3), m, 2, [(1, 0)]); w.write(w.N[0])
    while w.N[1].V != w.N[0].V: w.step(w.now + 1000)
    w.step(w.now + 30); return w, w.N[0].sides[0], w.N[1].sides[0]
def trap_flight(m):
    """chunks are always in flight: without a RESET the mirror would stay too high"""
    w, s, r = pair(m); w.write(w.N[0]); w.now += PUSH; w.run(s.n); w.forget(r.n)
    for i in range(60):
        w.write(s.n); w.now += PUSH + TELL; w.run(s.n)
        if s.in_flight > 1 or i > 5: w.deliver(r); w.run(r.n)
        while s.q: w.deliver(s)
        if not s.in_flight: return
    if len(w.N[1].has) < 40: raise Violation('%d of 60 events arrived' % len(w.N[1].has))
def trap_full(m):
    """a peer that cannot take a part consumes it: it is not sent in a loop"""
    w, s, r = pair(m); r.n.full = True; w.write(s.n); n = w.stat['chunk']
    while w.now < 60000: w.step(60000)
    if w.stat['chunk'] - n > 20: raise Violation('%d chunks in a minute' % (w.stat['chunk'] - n))
    r.n.full = False; w.settle()
def trap_holds(m):
    """the peer let go of the bucket and takes it again: no push by what it had"""
    w, s, r = pair(m); w.holds(r.n, False); w.step(w.now + 20); w.step(w.now + 20); w.forget(r.n); w.holds(r.n, True)
    w.write(s.n); w.run(r.n); w.now += 60
    while s.q:
        w.deliver(s); w.run(s.n)
        if s.in_flight and len([x for x in r.q if x[0] == 'chunk'][0][3]) < 2: raise Violation('pushed by what the peer no longer has')
    w.settle()
TRAPS = {'flight': trap_flight, 'full': trap_full, 'holds': trap_holds}
def run_traps(m=None):
    for name, f in TRAPS.items():
        try: f(m)
        except Violation as v: return 'trap %s: %s' % (name, v)

def batch(a):
    lo, hi, m, fn = a; tot = collections.Counter()
    for s in range(lo, hi):
        try: tot.update(fn(s, m)); tot['schedules'] += 1
        except Violation as v: return tot, (s, str(v))
    return tot, None
def run(fn, n, jobs, seed, m=None, step=50):
    tot = collections.Counter()
    with multiprocessing.Pool(jobs) as p:
        for st, bad in p.imap(batch, [(seed+i, seed+min(i+step, n), m, fn) for i in range(0, n, step)]):
            tot.update(st)
            if bad: p.terminate(); return tot, bad
    return tot, None

def main():
    ap = argparse.ArgumentParser(); ap.add_argument('what', choices=('random', 'steady', 'mutants'))
    ap.add_argument('-n', type=int, default=2000); ap.add_argument('-j', type=int, default=2)
    ap.add_argument('--seed', type=int, default=1); ap.add_argument('--mutant')
    A = ap.parse_args(); t0 = time.time(); ok = True
    if A.what != 'mutants':
        if not A.mutant and run_traps(): print('VIOLATION', run_traps()); sys.exit(1)
        st, bad = run(random_run if A.what == 'random' else steady_run, A.n, A.j, A.seed, A.mutant, 50 if A.what == 'random' else 2)
        print(dict(st)); print('%d schedules, %.0f s' % (st['schedules'], time.time()-t0))
        if st['needed']: print('twice: %.1f %% of what was needed' % (100*st['twice']/st['needed']))
        if bad: print('VIOLATION seed %d: %s' % bad); sys.exit(1)
        print('no violation'); return
    for m, txt in MUTANTS.items():
        if A.mutant and m != A.mutant: continue
        how = 'trap'; sc = run_traps(m); st, bad = {}, sc and (A.seed, sc)
        if not bad: st, bad = run(steady_run, 2, 1, A.seed, m, 2); how = 'steady'
        if not bad: st, bad = run(random_run, A.n, A.j, A.seed, m); how = 'random'
        print('%-9s %s  (%s)' % (m, 'caught after %d %s schedules: %s' % (bad[0]-A.seed+1, how, bad[1]) if bad else 'NOT CAUGHT', txt), flush=True); ok &= bool(bad)
    sys.exit(not ok)
if __name__ == '__main__': main()

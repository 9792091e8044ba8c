#!/usr/bin/env python3
"""Model of forks as the C decides them (PROTOCOL 7, D5 and D6; docs/decisions/009).

  forks.py random  [-n SCHEDULES] [-j JOBS] [--seed N] [--mutant NAME] [--mix]
  forks.py exhaust [-d DEPTH] [--max STATES] [--mutant NAME]
  forks.py mutants [-n SCHEDULES] [--mutant NAME]

class Twins of model.py compares whole chains.  Here a node keeps *pairs*
(seq, h), linked from each to the one before, thinned as in crdt/chain.c but
with small numbers: the newest KEEP and the first of each MARK numbers.  The
functions carry the names of crdt/chain.c, crdt/fork.c, crdt/vv.c and
crdt/chunk_build.c and do the same, line by line; an event's number stands for
its e16, a commit's number for its h.

What runs beside each other: several clones in one schedule (of a stopped store
or of a running one), deaths, deltas and complete parts, linked and whole,
stale and optimistic bases, parts of some keys, lost, late and repeated chunks,
fingerprints that raise clocks, GC and floors, counters, cores
that merge many siblings, forgetting; with --mix also narrowing, by cores too.

What is checked after each step
  equal clocks of a key, heads included => equal live siblings and counts
  no merge of D6 and no new incarnation without a real fork (the model knows all chains)
  the cut of a merge is not beyond what both branches have in common
  the payload of each event whose e16 has to be made is at hand
and at the end, after fair sync of all that live
  all equal; every real fork that was met within the kept window is merged; what
  a living node wrote is there or was superseded; a counter has lost no more
  than the smaller branch
"""
import argparse, collections, multiprocessing, pickle, random, sys, time

MARK = 4                           # CHAIN_MARK
NARROW, WIDE = (4, 12, 3), (99, 99, 99)    # CHAIN_KEEP, FORK_PUSH_PAIRS, FORK_BULK_PAIRS
ALL = 99                           # CHUNK_MAX_PAIRS / 16
MAX_HEADS = 16                     # VV_MAX_HEADS
NK, CK = 4, 3                      # keys; the last one is a counter with an entry for each origin
MANY = 2                           # MERGE_SIBLINGS
ON, AHEAD, OFF, UNKNOWN = range(4) # enum chain_place

MUTANTS = {
 'nochain':   'numbers alone tell whether one head lies on another',
 'absent':    'what is missing from a list that is not complete there is taken for a proof',
 'nogap':     'thinning leaves no gap behind: what was dropped is taken for absent',
 'nomark':    'thinning drops the first pair of each mark too',
 'onepair':   'a commit puts the head before it, not the one before that',
 'nocut':     'a fork is merged with the clocks as they are',
 'highcut':   'the branches are cut at the least of both heads, not at their last common pair',
 'keepown':   'the new event leaves an own older sibling beside itself',
 'nodot':     'no new event over siblings beyond the cut',
 'dotdigest': 'one dot is one event: e16 is not compared',
 'sametwin':  'who sees its own other branch keeps its incarnation',
 'deltafork': 'a delta is sent across a fork',
 'halfwhole': 'a part across a fork is whole only for the origins of which the fork is seen',
 'onehead':   'the clock keeps the greater head of a fork, not both',
 'anchorany': 'the pair below a list is taken for its anchor though the list begins above it',
 'floorfork': 'who has one of two branches up to the floor gets a delta, though the tomb may be of the other',
 'blindfork': 'a range that is held no more is pushed as a delta though its origins may have branches there',
 'narrowfork': 'a range is forgotten though the keeper is shown to have another branch',
 'narrowask': 'a range is forgotten though the keeper was not asked whether our heads lie on its chains',
 'otherbranch': 'beside a head that both share, one below it that is not told counts as lag',
 'nodoubt':   'who sees that it has a twin does not narrow again where it wrote outside of what it holds',
 'copydoubt': 'a copy of a running store that its guard tells does not narrow again where it wrote outside of what it holds',
 'closed':    'who takes a new incarnation to forget or to narrow does not narrow again what it wrote outside under the one before',
 'tellonce':  'what came with another key is neither told again nor looked up',
 'headnum':   'of two sets of heads that their numbers cannot compare, the own one stays',
 'fpfork':    'fingerprints raise a clock by its numbers, whatever branch its heads lie on',
 'fpchain':   'fingerprints raise a clock without the chain between',
 'tombdot':   'who dropped nothing keeps a tomb of one branch beside the heads of both, where its dot may be taken for the other one\'s event',
 'within':    'a linked base is lowered to our clock before forks are looked for',
}

class Violation(Exception): pass
class Silent(Exception): pass      # past the window: what no list can show

# ---- crdt/vv.c -----------------------------------------------------------------
# a clock: origin -> heads (seq, h), the greatest seq first
def order(hs): return tuple(sorted(set(hs), key=lambda x: (-x[0], x[1])))
def seq(v, o): return v[o][0][0] if v.get(o) else 0
def heads_le(a, b, m=()):
    if len(a) > len(b): return False
    j = 0
    for x in a:
        if x in b: continue
        while j < len(b) and b[j] in a: j += 1
        if j == len(b) or b[j][0] < x[0] or b[j][0] == x[0] and 'nochain' not in m: return False
        j += 1
    return True
def vv_le(a, b, m=()): return all(heads_le(a[o], b.get(o, ()), m) for o in a)
def floor_le(F, v, clk=None):
    """has v all that the floor F of a store at clk lets it drop?  F has numbers alone: the tomb may be of any branch"""
    return all(s <= seq(v, o) and (not clk or len(clk.get(o, ())) < 2 or heads_le(clk[o], v.get(o, ()))) for o, s in F.items())
def heads_less(a, b): return a[0][0] < b[0][0] if a[0][0] != b[0][0] else heads_le(a, b) and not heads_le(b, a)
def heads_first(a, b): return (len(a), a) < (len(b), b)
def vv_join(a, b):
    out = dict(a)
    for o, hs in b.items():
        if not a.get(o) or heads_less(a[o], hs): out[o] = hs
    return out

class Ev:
    __slots__ = ('o', 's', 'item', 'kind', 'val', 'tie', 'by', 'mark', 'at')
class Node:
    __slots__ = ('i', 'org', 'seq', 'h', 'prev', 'count', 'shown', 'V', 'items', 'F', 'pairs', 'alive', 'core', 'gen',
                 'mir', 'held', 'ver', 'view', 'heard', 'act', 'placed', 'doubt', 'e16s')

class World:
    def __init__(self, rng, m=None, n=3, window=NARROW):
        self.KEEP, self.PUSH, self.BULK = window
        self.rng, self.m = rng, frozenset((m or '').split('+'))
        self.ev = []; self.up = [(0, 0)]                  # of each commit: (the one before, seq)
        self.norg = 0; self.stat = collections.Counter()
        self.sup = set(); self.gone = set(); self.again = set(); self.vids = {}; self.pay = {}
        self.deep = set(); self.running = set(); self.kept = set(); self.incs = collections.Counter()
        self.N = [self.node(i) for i in range(n)]
    def node(self, i):
        n = Node(); n.i = i; n.org = self.norg; self.norg += 1; n.seq = n.h = 0; n.prev = (0, 0); n.count = n.shown = 0
        n.V = [{} for _ in range(NK)]; n.items = {}; n.F = {}; n.pairs = {}; n.alive = True; n.core = False; n.gen = 0
        n.mir = {}; n.held = frozenset(range(NK)); n.ver = 0; n.view = {}; n.heard = {}; n.act = None; n.placed = {}; n.doubt = frozenset(); n.e16s = 0
        return n

    def past(self, o):
        """what no list can show counts as lag, and excuses what comes of it"""
        if not self.strict: self.deep.add(o)

    # ---- what the model knows: the true chains
    def on(self, x, y):
        """does head x lie on the chain of y?"""
        h = y[1]
        while h and self.up[h][1] > x[0]: h = self.up[h][0]
        return h == x[1]
    def all_on(self, xs, ys): return all(any(self.on(x, y) for y in ys) for x in xs)
    def common_truth(self, x, y):
        a, b = x[1], y[1]
        while a != b:
            if self.up[a][1] >= self.up[b][1]: a = self.up[a][0]
            else: b = self.up[b][0]
        return self.up[a][1]

    # ---- crdt/chain.c
    def get_link(self, n, o, x): return n.pairs.get((o, x[0]), {}).get(x[1])
    def own_below(self, n, s):
        best = max((q for o, q in n.pairs if o == n.org and q < s), default=0)
        return (best, next(iter(n.pairs[n.org, best]))) if best else (0, 0)
    def link(self, n, o, x):
        """(the pair before x, gap) or None"""
        mine = o == n.org and x[0]
        if mine and x == (n.seq, n.h): return n.prev, False
        l = self.get_link(n, o, x)
        if l or not mine or x != n.prev: return l
        return self.own_below(n, x[0]), False
    def put_link(self, n, o, x, prev, gap):
        r = n.pairs.setdefault((o, x[0]), {})
        if x[1] in r or len(r) < MAX_HEADS: r[x[1]] = (prev, gap)
    def keep(self, n, o, x, prev, gap):
        had = self.get_link(n, o, x)
        if had and (not had[1] or gap): return
        self.put_link(n, o, x, prev, gap)
        if x[1] % 2 == 0: self.thin(n, o, x, prev, gap)
    def keep_own(self, n, x):
        if x[0]: self.keep(n, n.org, x, self.own_below(n, x[0]), False)
    def thin(self, n, o, x, prev, gap):
        for i in range(2*self.KEEP):
            l = self.get_link(n, o, prev)
            if not l or l[1]: break
            mark = l[0][0] and (prev[0]//MARK == l[0][0]//MARK or 'nomark' in self.m)
            if i < self.KEEP or not mark: x, prev, gap = prev, l[0], l[1]; continue
            del n.pairs[o, prev[0]]
            prev = l[0]; gap = 'nogap' not in self.m; self.put_link(n, o, x, prev, gap); self.stat['thinned'] += 1
    def find(self, n, o, heads, x, decides=True):
        if not heads or heads[0][0] < x[0]: return AHEAD
        if x in heads or 'nochain' in self.m: return ON
        place = OFF
        for y in heads:
            if y[0] <= x[0]: continue
            while True:
                l = self.link(n, o, y)
                if not l: got = UNKNOWN; break
                (y, gap) = l
                if y[0] == x[0]: got = ON if y == x else OFF; break
                if y[0] < x[0]: got = UNKNOWN if gap and 'absent' not in self.m else OFF; break
            if got == ON: return ON
            if got == UNKNOWN: place = UNKNOWN
        if place == UNKNOWN and decides:
            self.stat['unknown'] += 1
            if not any(self.on(x, y) for y in heads): self.past(o); self.stat['deep'] += 1
        return place
    def cloned(self, n, v):
        if 'sametwin' in self.m: return False
        for x in v.get(n.org, ()):
            if self.link(n, n.org, x): continue
            if self.find(n, n.org, ((n.seq, n.h),) if n.seq else (), x) in (AHEAD, OFF):
                if n.seq and n.org not in self.running and self.on(x, (n.seq, n.h)): raise Violation('a new incarnation without a clone')
                return True
        return False
    def walk(self, n, o, top, floor, most, every):
        since, pairs, whole, x = top[0], [], True, top
        while True:
            l = self.link(n, o, x)
            if not l or len(pairs) == most: break
            prev, gap = l; whole = whole and not gap
            if whole: since = max(prev[0], floor)
            if prev[0] <= floor or not whole and not every: break
            pairs.append(prev); x = prev
        return since, tuple(reversed(pairs))

    # ---- commits, incarnations
    def event(self, n, item, kind, val, tie, mark=False):
        """an event of the running transaction"""
        n.seq += 1; n.e16s += 1
        e = Ev(); e.o, e.s, e.item, e.kind, e.val, e.tie, e.by, e.mark = n.org, n.seq, item, kind, val, tie, n.i, mark; e.at = len(self.up)
        self.ev.append(e); return len(self.ev)-1
    def commit(self, n, seen=None):
        """extend_chain(): seen is the count of exposures that the writer read"""
        if not n.e16s: return
        before = n.seq - n.e16s; seen = n.count if seen is None else seen
        if seen != n.shown:
            if 'onepair' not in self.m: self.keep_own(n, n.prev)
            self.keep_own(n, (before, n.h))
        n.shown = seen; n.prev = (before, n.h)
        self.up.append((n.h, n.seq)); n.h = len(self.up)-1; n.e16s = 0
        for v in n.V: v[n.org] = ((n.seq, n.h),)
    def renew(self, n):
        self.commit(n); self.keep_own(n, n.prev); self.keep_own(n, (n.seq, n.h))
        n.org = self.norg; self.norg += 1; n.seq = n.h = 0; n.prev = (0, 0); n.gen += 1; n.act = None; self.stat['renew'] += 1
    def part(self, n, rule='nodoubt'):
        """a twin is shown: what it wrote outside of what it holds may look covered, and is narrowed again"""
        self.renew(n); n.doubt |= frozenset(range(NK)) - n.held if rule not in self.m else frozenset()
    def clone(self, n, stopped, seen=False):
        t = self.node(len(self.N)); self.norg -= 1
        t.org, t.seq, t.h, t.prev, t.F, t.core, t.gen, t.held, t.ver = n.org, n.seq, n.h, n.prev, dict(n.F), n.core, n.gen, n.held, n.ver
        t.V = [dict(v) for v in n.V]; t.items = dict(n.items); t.pairs = {k: dict(v) for k, v in n.pairs.items()}
        t.count, t.shown = n.count, n.shown
        if not stopped: self.running.add(n.org)          # its last head may never have left: no pair of it is kept
        if stopped: n.count += 1; t.count += 2           # a count begins anew at random when a store is opened
        t.heard = dict(n.heard); self.N.append(t); self.stat['clone'] += 1
        if seen: self.part(t, 'copydoubt'); self.stat['guarded'] += 1      # its guard tells it
        return t

    # ---- operations
    def live(self, s): return {e for e in s if self.ev[e].kind != 'tomb'}
    def vid(self, s): return {self.ev[e].val for e in self.live(s) if self.ev[e].kind == 'put'}
    def entry(self, s): return max((self.ev[e].val for e in s if self.ev[e].kind == 'cnt'), default=0)
    def op(self, n, seen=None, k=None, put=None, tie=None):
        k = self.rng.randrange(NK) if k is None else k; put = self.rng.random() < .7 if put is None else put
        if k == CK:
            it = (k, n.org); v = self.entry(n.items.get(it, ()))+1; self.incs[n.org] += 1
            e = self.event(n, it, 'cnt', v, 0); n.items[it] = frozenset([e]); self.pay[n.i, n.org] = v
        else:
            it = (k, 0); old = n.items.get(it, frozenset()); self.sup |= self.vid(old)
            if put:
                v = len(self.vids); self.vids[v] = n.i, n.org
                e = self.event(n, it, 'put', v, self.rng.randrange(5) if tie is None else tie)
            elif self.live(old): self.gone |= {(x, n.i) for x in self.vid(old)}; e = self.event(n, it, 'tomb', None, 0)
            else: return
            n.items[it] = frozenset([e])
        self.commit(n, seen)
    def gc(self, n, pick=None):
        ts = [e for s in n.items.values() for e in s if self.ev[e].kind == 'tomb']
        if not ts: return
        e = self.ev[(pick or self.rng.choice)(ts)]; n.F[e.o] = max(n.F.get(e.o, 0), e.s); self.stat['gc'] += 1
        for it, s in list(n.items.items()): self.put(n, it, {x for x in s if not self.dropped(x, n.F)})
    def dropped(self, x, F): e = self.ev[x]; return e.kind == 'tomb' and e.s <= F.get(e.o, 0)
    def put(self, n, it, s):
        if s: n.items[it] = frozenset(s)
        else: n.items.pop(it, None)
    def forget(self, n, k, renew=True):
        if renew: self.part(n, 'closed')
        for it in [it for it in n.items if it[0] == k]: del n.items[it]
        n.V[k] = {n.org: ((n.seq, n.h),)} if n.seq else {}
        for q in self.N: q.placed.pop((n.i, k), None)     # who falls behind tells it, and is asked anew
        n.gen += 1; self.stat['forget'] += 1

    # ---- the sender: crdt/chunk_build.c, crdt/fork.c
    def place_of(self, n, o, clk, xs):
        worst, on = ON, 0
        for x in xs:
            p = self.find(n, o, clk.get(o, ()), x)
            if p == ON and len(clk.get(o, ())) == 1: on = max(on, x[0])
            if p == UNKNOWN and x[0] <= on and 'otherbranch' not in self.m: p = OFF
            if p == UNKNOWN: self.stat['lag'] += 1
            if p == OFF: return OFF
            if p == AHEAD or p == UNKNOWN and worst == ON and 'lagwhole' in self.m: worst = p
        return worst
    quiet = strict = False
    def fork_base(self, n, clk, peer, blind):
        """(the base, is it cut)"""
        base = dict(peer); whole = set()
        for o, xs in peer.items():
            y = clk.get(o, ())
            if not y or y == xs: continue
            p = AHEAD if heads_le(y, xs, self.m) else self.place_of(n, o, clk, xs)
            if p == AHEAD and blind and any(len(v.get(o, ())) > 1 for v in n.V) and 'blindfork' not in self.m:
                whole.add(o)                              # nothing of the range comes here that could tell
            elif not heads_le(y, xs, self.m):
                if p == OFF: whole.add(o)
                if p == UNKNOWN and 'lagwhole' in self.m: whole.add(o)
        if whole and 'halfwhole' not in self.m:
            whole |= {o for o, xs in peer.items() if clk.get(o) and clk[o] != xs and self.place_of(n, o, clk, xs) != ON}
        for o in whole: del base[o]
        return base, bool(whole)
    def vv_within(self, base, clk, F):
        out = {}
        for o, xs in base.items():
            s = seq(clk, o)
            if xs[0][0] > s and len(xs) == 1 and F.get(o, 0) <= s:
                if s: out[o] = clk[o][:1]
            else: out[o] = xs
        return out
    def build(self, n, peer, keys, linked=False, complete=False, heard=None):
        """a chunk for a peer at clocks peer; the branches of which it may have others"""
        parts, forked = [], set()
        for k in keys:
            clk, was = dict(n.V[k]), peer[k]
            if vv_le(clk, was, self.m) and not complete: continue
            if linked and 'within' in self.m: was = self.vv_within(was, clk, n.F)
            base, whole = self.fork_base(n, clk, was, k not in n.held)
            if 'deltafork' in self.m: base, whole = dict(was), False
            forked |= {o for o in was if o not in base}
            if linked and 'within' not in self.m: base = self.vv_within(base, clk, n.F)
            full = whole or complete or not floor_le(n.F, was, None if 'floorfork' in self.m else clk)
            items = {}
            for it, s in n.items.items():
                if it[0] == k and (full or any(self.ev[e].s > seq(base, self.ev[e].o) for e in s)):
                    items[it] = {e: self.ev[e].s > seq(base, self.ev[e].o) for e in s}    # with its payload?
            parts.append((k, base, clk, full, items)); self.stat['full' if full else 'delta'] += 1
        lists, told = self.lists(n, parts, forked, len(parts) < NK, heard) if parts else ({}, True)
        return parts, dict(n.F), lists, told, forked
    def told_before(self, n, o, clk, heard, y):
        """the greatest head on y's chain of those that the peer said it has somewhere: what lies below came with it"""
        best = max((v[o][0] for v in heard if len(v.get(o, ())) == 1 and v[o][0][0] <= y[0]), default=None)
        return best[0] if best and self.find(n, o, clk[o], best) == ON else 0
    def lists(self, n, parts, forked, bulk, heard):
        news = sum(y not in base.get(o, ()) for _, base, clk, _, _ in parts for o in clk for y in clk[o])
        most = self.BULK if bulk else self.PUSH; told = news <= most; out = {}
        for _, base, clk, _, _ in parts:
            for o, ys in clk.items():
                for y in ys:
                    f = o in forked or len(base.get(o, ())) > 1 or len(ys) > 1
                    if not f and not told or y in base.get(o, ()) or (o, y) in out: continue
                    floor = min((base2[o][-1][0] if base2.get(o) else 0 for _, base2, c2, _, _ in parts if seq(c2, o)))
                    if f: floor = 0
                    known = self.told_before(n, o, clk, heard, y) if bulk and heard and not f and not floor else 0
                    self.stat['left_out'] += known > 0
                    since, pairs = self.walk(n, o, y, known-1 if known else floor, ALL if f else most//max(news, 1), f)
                    since = max(since, known)
                    if pairs or f or not floor or since > floor: out[o, y] = since, pairs
        return out, told
    def advance(self, peer, chunk):
        parts, F, lists, told, forked = chunk
        for k, base, clk, full, items in parts:
            was = peer[k]; v = vv_join(was, clk)
            for o in forked: v[o] = order(v.get(o, ()) + clk.get(o, ()) + was.get(o, ()))
            peer[k] = {o: h for o, h in v.items() if h}

    # ---- the receiver
    def shown(self, chunk, base, o, y, only, x):
        return x == y or x in chunk[2].get((o, y), (0, ()))[1] or only and x[0] <= y[0] and x in base.get(o, ())
    def place_before(self, n, o, l, y, x):
        """where x lies by what was told before of the pair with which the list begins"""
        first = l[1][0] if l[1] else y
        return self.find(n, o, (first,), x, False) if first[0] > x[0] and 'tellonce' not in self.m else UNKNOWN
    def theirs(self, n, chunk, base, o, ys, xs, x):
        _, _, lists, told, _ = chunk
        if 'nochain' in self.m or x[0] <= ys[0][0] and x in base.get(o, ()): return True
        for y in ys:
            if self.shown(chunk, base, o, y, False, x): return True
        for y in ys:
            l = lists.get((o, y)); full = x[0] >= l[0] if l else told
            place = self.place_before(n, o, l, y, x) if l and x[0] < y[0] and not full else UNKNOWN
            if place == ON: return True
            if place == OFF: continue
            # heads of one origin lie on different branches: beside one that is shown to lie there, those below it do not
            beside = 'otherbranch' not in self.m and any(z != x and z[0] >= x[0] and self.shown(chunk, base, o, y, len(ys) == 1, z) for z in xs)
            if x[0] < y[0] and not full and not beside and 'absent' not in self.m:
                beside = any(z != x and z[0] >= x[0] and self.shown(chunk, base, o, y, len(ys) == 1, z) for z in xs)
                if not any(self.on(x, z) for z in ys) and not beside: self.past(o); self.stat['deep'] += 1
                return True
        return False
    def all_ours(self, n, o, here, ys):
        return not any(self.find(n, o, here.get(o, ()), y) in (AHEAD, OFF) for y in ys)
    def common(self, n, chunk, o, x, y):
        """the greatest pair that is seen on both chains"""
        l = chunk[2].get((o, y)); left = list(l[1]) if l else []; theirs, ours = y, x
        while ours[0]:
            if ours == theirs: return ours[0]
            if theirs[0] >= ours[0]:
                if left: theirs = left.pop(); continue
                l = self.link(n, o, theirs)               # below the list by what was told before
                if not l: return 0
                theirs = l[0]
                if not theirs[0]: return 0
                continue
            l = self.link(n, o, ours)
            if not l: return 0
            ours = l[0]
        return 0
    def judge(self, n, chunk, base, clk, full, here):
        """None: it does not fit; else the forks and where they are cut"""
        forks = {}
        for o, ys in clk.items():
            xs = here.get(o, ())
            if not xs or xs == ys: continue
            if all(self.theirs(n, chunk, base, o, ys, xs, x) for x in xs) or self.all_ours(n, o, here, ys): continue
            if 'deltafork' not in self.m and (not full or base.get(o)): self.stat['refused'] += 1; return None
            forks[o] = max(self.common(n, chunk, o, x, y) for x in xs for y in ys)
            if o not in self.running and (self.all_on(xs, ys) or self.all_on(ys, xs)): raise Violation('a merge without a fork')
            if 'highcut' in self.m: forks[o] = min(xs[0][0], ys[0][0])
            elif forks[o] > max(self.common_truth(x, y) for x in xs for y in ys): raise Violation('cut beyond what is common')
            if forks[o] < max(self.common_truth(x, y) for x in xs for y in ys): self.stat['cut_low'] += 1
        return forks
    def cut(self, v, forks):
        if 'nocut' in self.m: return v
        return {o: (((forks[o], 0),) if forks[o] else ()) if o in forks else h for o, h in v.items()}
    def apply(self, n, chunk):
        parts, F, lists, told, _ = chunk
        if any(self.cloned(n, clk) for _, _, clk, _, _ in parts): self.part(n); return
        changed = False
        for k, base, clk, full, items in parts:
            if k not in n.held: continue
            here = n.V[k]
            if not vv_le(base, here, self.m): self.stat['ahead'] += 1; continue
            news = not vv_le(clk, here, self.m)
            if not news and not full: continue
            forks = self.judge(n, chunk, base, clk, full, here)
            if forks is None: continue
            self.join(n, k, items, full, F, self.cut(clk, forks), self.cut(here, forks), forks)
            if full:
                for o, s in F.items(): n.F[o] = max(n.F.get(o, 0), s)
            if news or forks:
                self.keep_lists(n, chunk, base, clk, here); self.raise_clock(n, k, chunk, base, clk, forks); changed = True
            self.stat['applied'] += 1; self.stat['forkmerge'] += bool(forks)
        if changed: n.gen += 1
        self.commit(n)
    def join(self, n, k, items, full, F, clk, here, forks):
        for it in set(items) | ({it for it in n.items if it[0] == k} if full else set()):
            theirs = items.get(it, {}); dots = {(self.ev[e].o, self.ev[e].s) for e in theirs}; mine = n.items.get(it, frozenset())
            after = {e for e in mine if (self.ev[e].o, self.ev[e].s) in dots or self.ev[e].s > seq(clk, self.ev[e].o) or self.dropped(e, F)}
            for e in after & {e for e in mine if (self.ev[e].o, self.ev[e].s) not in dots and self.ev[e].s <= seq(clk, self.ev[e].o) and len(clk[self.ev[e].o]) > 1} if 'tombdot' not in self.m else ():
                x = self.ev[e]; after.remove(e); n.F[x.o] = max(n.F.get(x.o, 0), x.s)   # of merged branches: a dot names no one event, it goes as by gc
            for e, payload in theirs.items():
                x = self.ev[e]
                if x.s <= seq(here, x.o): continue
                if not payload: raise Violation('e16 of an event whose payload did not come')
                if x.o in forks and x.s > forks[x.o]:
                    if e in after or 'dotdigest' in self.m and any((self.ev[y].o, self.ev[y].s) == (x.o, x.s) for y in after): continue
                after.add(e)
            if forks: after = self.restate(n, it, after, forks)
            after = {e for e in after if not any(self.ev[y].o == self.ev[e].o and self.ev[y].s > self.ev[e].s for y in after)}
            if after != mine: self.put(n, it, after); self.merge_many(n, it)
    def winner(self, s): return max(s, key=lambda e: (self.ev[e].kind != 'tomb', self.ev[e].tie, self.ev[e].o, self.ev[e].s, e))
    def restate(self, n, it, after, forks):
        out = {e for e in after if self.ev[e].o in forks and self.ev[e].s > forks[self.ev[e].o]}
        if not out or 'nodot' in self.m: return after
        if 'keepown' not in self.m: out |= {e for e in after if self.ev[e].o == n.org}
        return (after - out) | {self.over(n, it, out)}
    def over(self, n, it, out, mark=False):
        """an event of n's own over siblings: the winner's value, of a counter the maximum"""
        w = self.ev[self.winner(out)]; val = self.entry(out) if w.kind == 'cnt' else w.val
        self.again |= self.vid(out); self.sup |= self.vid(out) - {w.val}; self.stat['many' if mark else 'restated'] += 1
        return self.event(n, it, w.kind, val, w.tie, mark)
    def merge_many(self, n, it):
        s = n.items.get(it, frozenset())
        if not n.core or len(self.live(s)) <= MANY or any(self.ev[e].mark and self.ev[e].o < n.org for e in s): return
        n.items[it] = frozenset([self.over(n, it, s, True)])
    def keep_lists(self, n, chunk, base, clk, here):
        _, _, lists, told, _ = chunk
        for o, ys in clk.items():
            if o == n.org: continue
            for y in ys:
                if y in here.get(o, ()): continue
                l = lists.get((o, y)); b = base.get(o, ())
                below = len(b) == 1 and b[0][0] < y[0] and len(ys) == 1 and (l[0] <= b[0][0] if l else told)
                if 'anchorany' in self.m: below = len(b) == 1 and b[0][0] < y[0]
                prev, gap = (b[0], False) if below else ((0, 0), not l or l[0] > 0)
                for x in l[1] if l else ():
                    if x[0] <= prev[0]: continue
                    self.keep(n, o, x, prev, gap); prev, gap = x, x[0] < l[0]
                self.keep(n, o, y, prev, gap)
    def raise_clock(self, n, k, chunk, base, clk, forks):
        here = n.V[k]; out = {}
        for o in forks:
            xs, ys = here[o], clk[o]
            hs = [x for x in xs if not self.theirs(n, chunk, base, o, ys, xs, x)]
            hs += [y for y in ys if y in xs or self.find(n, o, xs, y) != ON]
            out[o] = order(hs)[:MAX_HEADS]
            if 'onehead' in self.m: out[o] = out[o][:1]
        v = vv_join({o: h for o, h in here.items() if o not in forks}, {o: h for o, h in clk.items() if o not in forks})
        v.update(out)
        for o, ys in clk.items():                         # numbers cannot tell which of two sets of heads is further
            xs = here.get(o, ())
            if xs and o not in forks and not heads_le(xs, ys) and not heads_le(ys, xs) and max(len(xs), len(ys)) > 1 and 'headnum' not in self.m:
                if not all(self.theirs(n, chunk, base, o, ys, xs, x) for x in xs): continue
                if not self.all_ours(n, o, here, ys) or heads_first(ys, xs): v[o] = ys; self.stat['taken'] += 1
        n.V[k] = v

    # ---- fingerprints: crdt/reconcile.c
    def summed(self, n, k, f): return frozenset((it, frozenset(e for e in s if not self.dropped(e, f))) for it, s in n.items.items()
                                                if it[0] == k and any(not self.dropped(e, f) for e in s))
    def vouch(self, n, clk, peer):
        """the chains of clk down to the peer's heads, which stand in them; None if some are shown to lie elsewhere"""
        lists = {}; most = self.BULK // max(1, sum(y not in peer.get(o, ()) for o, ys in clk.items() for y in ys))
        for o, ys in clk.items():
            xs = peer.get(o, ())
            if ys == xs: continue
            p = self.place_of(n, o, clk, xs)
            if p == OFF: return None
            for y in (y for y in ys if p == ON and y not in xs):
                since, pairs = self.walk(n, o, y, min(xs[-1][0] if xs else 1, y[0])-1, most, False)
                lists[o, y] = since, tuple(sorted(set(pairs) | {x for x in xs if x[0] < y[0] and self.find(n, o, (y,), x, False) != OFF}))
        return lists
    def may_raise(self, n, o, here, clk, lists):
        """do their heads of o take the place of ours?  None: neither is known to lie on the other"""
        xs, ys = here.get(o, ()), clk[o]
        if xs == ys: return False
        theirs = all(x in ys or any(x in lists.get((o, y), (0, ()))[1] for y in ys) or self.find(n, o, ys, x, False) == ON for x in xs)
        if theirs and len(xs) < 2 and len(ys) < 2: return True
        ours = self.all_ours(n, o, here, ys)
        return None if not theirs and not ours else theirs and (not ours or heads_first(ys, xs))
    def raise_by(self, n, k, clk, lists, f):
        if seq(clk, n.org) > n.seq: return
        here = n.V[k]
        if 'fpfork' in self.m: take = {o: heads_less(here[o], clk[o]) if here.get(o) else True for o in clk}
        else: take = {o: self.may_raise(n, o, here, clk, lists) for o in clk}
        if None in take.values(): self.stat['fp_doubt'] += 1; return
        for o in (o for o in clk if take[o]):
            for y in clk[o]:
                since, pairs = lists.get((o, y), (y[0], ())) if 'fpchain' not in self.m else (y[0], ()); prev, gap = (0, 0), since > 0
                for x in pairs + (y,): self.keep(n, o, x, prev, gap); prev, gap = x, x[0] < since
        n.V[k] = {**here, **{o: clk[o] for o in clk if take[o]}}
        for o, s in f.items(): n.F[o] = max(n.F.get(o, 0), s)
    def fp(self, a, b, k):
        """b answers a's fingerprint; the SAME comes back at once or after something else"""
        f = {o: max(a.F.get(o, 0), b.F.get(o, 0)) for o in set(a.F) | set(b.F)}
        if k not in a.held or k not in b.held or self.summed(a, k, f) != self.summed(b, k, f): return
        was = a.mir[b.i][k] if b.i in a.mir else b.V[k]       # what a knows of b may be old, or beyond
        lists = self.vouch(a, a.V[k], was) if 'fpfork' not in self.m else {}
        if lists is None: self.stat['fp_fork'] += 1; return
        a.count += 1; b.count += 1; at, clk = a.gen, dict(a.V[k])
        if self.cloned(b, clk): self.part(b); return
        back_lists = self.vouch(b, b.V[k], clk) if 'fpfork' not in self.m else {}     # what the FP says of a is true
        if back_lists is None: self.stat['fp_fork'] += 1; return
        back = dict(b.V[k]); self.raise_by(b, k, clk, lists, f); self.stat['fp_equal'] += 1
        if self.rng.random() < .3: self.op(self.rng.choice([n for n in self.N if n.alive]))
        if self.cloned(a, back): self.part(a); return
        if a.gen == at: self.raise_by(a, k, back, back_lists, f)

    # ---- sessions
    def send(self, s, r, keys, linked, peer=None):
        """s pushes to r by what it knows of r's clock; None: nothing to send, or s is a clone"""
        peer = peer or [dict(v) for v in r.V]
        if any(self.cloned(s, v) for v in peer): self.part(s); return None
        n0 = s.count; s.count += 1
        heard = [dict(v) for v in r.V] if linked else None
        chunk = self.build(s, peer, [k for k in keys if k in r.held], linked, heard=heard)
        if not self.quiet and self.rng.random() < .15: self.op(s, n0)        # a commit that read the count before the snapshot was counted
        r.count += 1                                      # r's clock left it
        return chunk if chunk[0] else None
    def tell(self, a, b):
        """a's CLOCK, what it holds, and what it heard of b's"""
        a.count += 1; b.view[a.i] = a.held, [dict(v) for v in a.V], a.heard.get(b.i, 0); b.heard[a.i] = a.ver
        if any(self.cloned(b, v) for v in a.V): self.part(b)
    def narrow(self, n, k):
        """two steps: not held, then forgotten when a core that keeps the range has shown that it covers it"""
        if k in n.held: n.held -= {k}; n.ver += 1; self.stat['leave'] += 1; return
        others = {o: h for o, h in n.V[k].items() if o != n.org}
        if not others and not any(it[0] == k for it in n.items): return
        for q in self.N:
            if not q.core or q is n or q.i not in n.view: continue
            held, V, heard = n.view[q.i]
            if k not in held or heard != n.ver: continue
            away = self.unplaced(n, k, q, V[k], others)
            if away and 'narrowfork' not in self.m:
                self.stat['asked'] += 1
                if self.rng.random() < .8: self.show(n, k, q, away)
                continue
            if not vv_le(others, V[k]): continue
            own = any(it[0] == k and any(self.ev[e].o == n.org for e in s) for it, s in n.items.items())
            if n.act != k or own or n.F.get(n.org): self.part(n, 'closed'); n.act = k; return
            if not all(self.all_on(hs, q.V[k].get(o, ())) for o, hs in others.items()): self.fail('key %d: forgotten, and the keeper has another branch' % k)
            self.forget(n, k, False); self.stat['narrowed'] += 1; return
    def unplaced(self, n, k, q, clk, others):
        """heads of ours that are not known to lie on the chains of the keeper's clock, and that it has not said to"""
        told = n.placed.get((q.i, k), ())
        places = [(o, x, self.find(n, o, clk.get(o, ()), x, False)) for o, hs in others.items() for x in hs if x not in clk.get(o, ()) and (o, x) not in told]
        return [(o, x) for o, x, p in places if p == OFF or p == UNKNOWN and 'narrowask' not in self.m]
    def show(self, n, k, q, away):
        """the keeper says which of these heads lie on its chains; if not all, it gets the range whole"""
        n.count += 1; q.count += 1
        on = {(o, x) for o, x in away if self.find(q, o, q.V[k].get(o, ()), x) in (ON, UNKNOWN)}
        n.placed[q.i, k] = n.placed.get((q.i, k), frozenset()) | on
        if len(on) == len(away): return
        self.stat['shown'] += 1; peer = [dict(v) for v in q.V]; peer[k] = {}
        chunk = self.build(n, peer, [k], complete=True)
        if chunk[0] and k in q.held: self.apply(q, chunk); self.check(q)

    # ---- checks
    def value(self, n, k):
        return {it: (self.entry(s) if k == CK else frozenset(self.live(s))) for it, s in n.items.items() if it[0] == k and self.live(s)}
    def fail(self, why): raise Silent(why) if self.deep else Violation(why)
    def check(self, n):
        for it, s in n.items.items():
            if len({self.ev[e].o for e in s}) != len(s): raise Violation('two siblings of one origin')
        for q in self.N:
            if q is n or not q.alive: continue
            for k in n.held & q.held:
                if q.V[k] == n.V[k] and self.value(q, k) != self.value(n, k): self.fail('key %d: equal clocks, different values at %d and %d' % (k, n.i, q.i))
    def met(self):
        for n in self.N:
            if n.alive:
                for k in n.held:
                    for o, hs in n.V[k].items(): self.kept |= {(k, o, h) for h in hs}
    def settle(self):
        live = [n for n in self.N if n.alive]; self.met(); self.quiet = True; mode = self.rng.random() < .6
        for _ in range(2): self.doubts(live); self.exchange(live, mode)
        self.met(); self.settled(live)
    def doubts(self, live):
        for n in live:
            for k in n.doubt - n.held:
                for q in (q for q in live if q is not n and q.core and k in q.held):
                    for _ in range(9): self.tell(q, n); self.tell(n, q); self.tell(q, n); self.narrow(n, k)
    def exchange(self, live, mode):
        for rnd in range(60):
            before = [[dict(v) for v in n.V] for n in live]; sent = 0
            for r in live:
                for s in live:
                    if r is s: continue
                    c = self.send(s, r, range(NK), mode)
                    if c: self.apply(r, c); self.check(r); sent += 1
            if not sent and before == [n.V for n in live]: break
        else: self.fail('no end of repairs')
    def settled(self, live):
        z = {k: [n for n in live if k in n.held] for k in range(NK)}
        for k, ns in z.items():
            for n in ns:
                if n.V[k] != ns[0].V[k]:
                    if any(seq(n.V[k], o) != seq(ns[0].V[k], o) for o in set(n.V[k]) | set(ns[0].V[k])): raise Violation('clocks do not converge')
                    self.stat['heads_differ'] += 1
                if self.value(n, k) != self.value(ns[0], k): self.fail('key %d: different values in the end' % k)
        for k, o, h in self.kept:
            if z[k] and not any(self.on(h, y) for y in z[k][0].V[k].get(o, ())):
                if o not in self.deep: raise Violation('a fork within the window was not merged: key %d origin %d %s' % (k, o, h))
                self.stat['swallowed'] += 1
        have = {}
        for k in range(CK):
            for n in z[k]: have.update({v: k for v in self.vid(n.items.get((k, 0), ()))})
        carried = collections.defaultdict(set)            # a merge's own event carries the value on
        for e in self.ev: carried[e.val].add(e.o)
        for v, (a, o) in self.vids.items():
            if v in have or v in self.sup: continue
            if self.N[a].alive:
                if not carried[v] & self.deep: raise Violation('a write of a living node is lost')
                self.stat['lost_window'] += 1
            else: self.stat['lost_dead'] += 1
        for v, a in self.gone:
            if v in have:
                if v in self.again: self.stat['back_again'] += 1
                elif self.N[a].alive and not self.deep: raise Violation('a deleted value came back')
                else: self.stat['back_dead'] += 1
        for (a, o), v in self.pay.items():
            if z[CK] and self.N[a].alive and o not in self.deep and self.entry(z[CK][0].items.get((CK, o), ())) < v: raise Violation('a counter lost more than the smaller branch')
        for it, s in (z[CK][0].items.items() if z[CK] else ()):
            if it[0] == CK and self.entry(s) > self.incs[it[1]]: raise Violation('a counter counts too much')

def random_run(seed, m=None, mix=False):
    rng = random.Random(seed); w = World(rng, m, rng.choice((3, 3, 4)), NARROW if rng.random() < .5 else WIDE); net = []
    dead = not mix and rng.random() < .4; gcs = rng.random() < .5; fps = rng.random() < .4
    clones = rng.choice((1, 1, 2, 3)); t0 = rng.randrange(3, 20)
    for n in w.N: n.core = rng.random() < .4 or mix and n.i < 2
    try:
        for t in range(rng.randrange(20, 90)):
            live = [n for n in w.N if n.alive]; r, s = rng.sample(live, 2); a = rng.random()
            lo = rng.randrange(NK); keys = range(NK) if rng.random() < .5 else range(lo, rng.randrange(lo, NK)+1)
            linked = rng.random() < .5
            if t >= t0 and clones and rng.random() < .3: w.clone(r, rng.random() < .7, rng.random() < .2); clones -= 1
            elif a < .33:
                for _ in range(rng.choice((1, 1, 1, 6))):
                    w.op(r)
                    if rng.random() < .5: r.count += 1
            elif a < .70:
                c = w.send(s, r, keys, linked)
                if c: w.apply(r, c)
            elif a < .80:
                mir = s.mir.get(r.i) if rng.random() < .4 else None
                c = w.send(s, r, keys, linked, mir and [dict(v) for v in mir])
                if c: net.append((r, c)); s.mir[r.i] = mir or [dict(v) for v in r.V]; w.advance(s.mir[r.i], c)
            elif a < .90 and net:
                x, c = net.pop(rng.randrange(len(net))) if rng.random() < .8 else rng.choice(net)
                if x.alive: w.apply(x, c); w.check(x)
            elif a < .93: gcs and w.gc(r)
            elif a < .955: fps and [w.fp(r, s, k) for k in range(NK)]; w.check(s)
            elif a < .965:
                k = rng.randrange(NK)                     # a repair: what was acknowledged is elsewhere
                if not mix and not dead and all(w.all_on(hs, s.V[k].get(o, ())) for o, hs in r.V[k].items()): w.forget(r, k)
            elif a < .98 and dead and len(live) > 3: r.alive = False; w.stat['dead'] += 1
            elif mix:
                b = rng.random(); k = rng.randrange(NK)
                out = [k for k in range(NK) if k not in r.held]
                if b < .2 and out: r.held |= {rng.choice(out)}; r.ver += 1; r.act = None; w.stat['widen'] += 1
                else:
                    if out and rng.random() < .8: k = rng.choice(out)
                    elif rng.random() < .5: continue
                    if k in r.held and not any(k in q.held for q in live if q is not r and q.core): continue
                    w.narrow(r, k)
                    for q in live:
                        if q is not r and rng.random() < .7:
                            c = w.send(r, q, range(NK), linked)
                            if c: w.apply(q, c)
                            w.tell(r, q); w.tell(q, r); w.check(q)
                    if k not in r.held: w.narrow(r, k)
            w.check(r); w.check(s)
        if mix and rng.random() < .5:
            for n in w.N: n.held = frozenset(range(NK))
        w.settle()
    except Violation as v: v.trace = t; raise
    except Silent: w.stat['silent'] += 1
    w.stat['wide' if w.KEEP == 99 else 'narrow'] += 1
    return w.stat

# ---- known traps, step by step ------------------------------------------------
def pull(w, r, s, linked=False):
    c = w.send(w.N[s], w.N[r], range(NK), linked)
    if c: w.apply(w.N[r], c)
    w.check(w.N[r]); w.check(w.N[s])
def writes(w, n, many, to=None, k=1):
    for _ in range(many):
        w.op(w.N[n], None, k, True, 0)
        if to is not None: pull(w, to, n)
def trap_marks(w):
    """the branches part far behind the window: the cut is the last mark before, not 0"""
    writes(w, 0, 1, 1, 0); pull(w, 2, 0); writes(w, 0, 9, 1); pull(w, 2, 0); w.clone(w.N[0], True)
    w.op(w.N[1], None, 0, False); gone = set(w.gone)      # the first value is deleted beside one branch alone
    for _ in range(4): writes(w, 0, 3, 1); writes(w, 3, 3, 2)
    pull(w, 1, 2); pull(w, 2, 1)
    if any(v in w.vid(n.items.get((0, 0), ())) for v, _ in gone for n in w.N[1:3]): raise Violation('what was deleted before the branches parted came back')
def trap_floor(w):
    """a tomb of one branch is dropped; who has the other one as far lacks it"""
    w.N.append(w.node(3)); writes(w, 0, 1, 1, 0); pull(w, 2, 0); pull(w, 3, 0); w.clone(w.N[0], True)
    w.op(w.N[0], None, 0, False); pull(w, 1, 0); writes(w, 4, 2, 2); pull(w, 3, 4); w.gc(w.N[1], lambda ts: ts[0])
    pull(w, 1, 2); pull(w, 3, 1); pull(w, 1, 3); pull(w, 3, 1)
def trap_dot(w):
    """a tomb of one branch, dropped where both were merged and kept elsewhere, is listed to one that has the other branch's event of that number"""
    w.N.append(w.node(3)); writes(w, 0, 1, 1); pull(w, 2, 0); pull(w, 3, 0); t = w.clone(w.N[0], True)
    w.op(w.N[0], None, 1, False); pull(w, 1, 0); pull(w, 2, 0); w.gc(w.N[1], lambda ts: ts[0])
    w.op(t, None, 1, True, 0); pull(w, 3, t.i); pull(w, 1, 3); pull(w, 2, 1); pull(w, 3, 2)
    if w.N[2].V == w.N[3].V and w.live(w.N[2].items[1, 0]) != w.live(w.N[3].items[1, 0]): raise Violation('equal clocks, other siblings')
def trap_two(w):
    """over a link: of two forked origins each side has the longer branch of one"""
    w.N.append(w.node(3)); writes(w, 0, 1, k=0); writes(w, 1, 1); a, b = w.clone(w.N[0], True), w.clone(w.N[1], True)
    writes(w, 0, 1); writes(w, 5, 1); writes(w, 1, 3, k=2); writes(w, 4, 3, k=0)
    pull(w, 2, 0); pull(w, 2, 1); pull(w, 3, 4); pull(w, 3, 5)
    for _ in range(3): pull(w, 2, 3, True); pull(w, 3, 2, True)
    if w.N[2].V != w.N[3].V: raise Violation('two forks over a link: neither side takes the other part')
def trap_keeper(w, told=True):
    """a keeper on another branch has greater numbers, not the events"""
    writes(w, 0, 1, 2, 0); pull(w, 1, 0); w.clone(w.N[0], True); w.N[1].core = True
    w.op(w.N[0], None, 1, True, 0); v = len(w.vids)-1; pull(w, 2, 0); writes(w, 3, 2, 1, 1); w.N[0].alive = w.N[3].alive = False
    w.narrow(w.N[2], 1)
    if told: pull(w, 2, 1)
    for _ in range(6): w.tell(w.N[2], w.N[1]); w.tell(w.N[1], w.N[2]); w.narrow(w.N[2], 1)
    if not w.m & {'narrowfork', 'narrowask'} and not w.stat['narrowed']: raise Violation('a narrowing beside twins never ends')
    if v not in w.sup and not any(v in w.vid(n.items.get((1, 0), ())) for n in w.N[1:3]): raise Violation('what a keeper on another branch lacks was forgotten')
def trap_ask(w):
    """the same, and no chain that came with something else shows it"""
    trap_keeper(w, False)
def trap_blind(w):
    """a twin's write outside of what it holds looks covered by the numbers of the other"""
    writes(w, 0, 1, k=0); w.N[0].held -= {1}; w.N[1].core = True; pull(w, 1, 0); w.clone(w.N[0], True)
    w.op(w.N[0], None, 1, True, 0); writes(w, 3, 2, 1); w.N[2].alive = w.N[3].alive = False
    for _ in range(2): w.tell(w.N[1], w.N[0]); w.tell(w.N[0], w.N[1]); pull(w, 1, 0); pull(w, 0, 1)
def trap_closed(w):
    """a twin takes a new incarnation before it meets the other: it will not see it, nor that what it wrote outside is of a branch"""
    writes(w, 0, 1, k=0); w.N[0].held -= {1}; w.N[1].core = True; pull(w, 1, 0); w.clone(w.N[0], True)
    w.op(w.N[0], None, 1, True, 0); writes(w, 3, 2, 1); w.forget(w.N[0], 2); w.N[2].alive = w.N[3].alive = False
    for _ in range(2): w.tell(w.N[1], w.N[0]); w.tell(w.N[0], w.N[1]); pull(w, 1, 0); pull(w, 0, 1)
def trap_copy(w):
    """a copy of a running store, seen by its guard, writes where it is blind behind a head that nobody was told"""
    w.N[0].held = frozenset(); w.N[1].core = True; writes(w, 0, 1, 1, 0)
    w.op(w.N[0], None, 1, True, 0); t = w.clone(w.N[0], False, True)
    w.op(w.N[0], None, 1, True, 0); w.op(w.N[0], None, 2, True, 0); pull(w, 1, 0); w.N[0].alive = w.N[2].alive = False
    w.op(t, None, 1, True, 0)
    for _ in range(2): w.tell(w.N[1], t); w.tell(t, w.N[1]); pull(w, 1, t.i); pull(w, t.i, 1)
def twins_talk(w):
    """one branch is further at 1, the other is known at 2; key 1 is equal; nothing is past the window"""
    w.KEEP, w.PUSH, w.BULK = WIDE; w.strict = True
    writes(w, 0, 1, 1, 0); writes(w, 0, 1, 1, 1); pull(w, 2, 0); w.N.append(w.node(3)); pull(w, 3, 0); t = w.clone(w.N[0], True).i
    writes(w, 0, 3, 1, 0); writes(w, t, 1, 2, 0); return t
def trap_raised(w):
    """a clock raised by fingerprints on equal items must not take a head of another branch for lag"""
    t = twins_talk(w)
    for a, b in ((1, 2), (2, 1)): w.fp(w.N[a], w.N[b], 1)
    v = len(w.vids); writes(w, t, 1, 2, 1); pull(w, t, 2)
    if v not in w.vid(w.N[2].items.get((1, 0), ())): raise Violation('what a branch wrote after a raise looks covered')
def trap_between(w):
    """who lagged and was raised by fingerprints has to know the chain between, to see another branch there"""
    t = twins_talk(w); w.fp(w.N[1], w.N[3], 1); writes(w, t, 1, 2, 1)
    for _ in range(3): pull(w, 2, 3); pull(w, 3, 2)
    if w.value(w.N[2], 1) != w.value(w.N[3], 1): raise Violation('what lies between was not told, and a branch there is taken for lag')
def trap_middle(w):
    """in the middle of a bulk the receiver gets another branch of the next key: what was told with the first shows it"""
    w.KEEP, w.PUSH, w.BULK = WIDE; w.strict = True; w.N.append(w.node(3)); writes(w, 0, 3, 1, 0); t = w.clone(w.N[0], True)
    w.op(t, None, 2, True, 0); v = len(w.vids)-1; pull(w, 3, t.i); writes(w, 0, 3, 1, 1); n = w.N[2]
    for s, keys in ((0, [0]), (3, [2]), (0, [1, 2])):
        if s == 3: was = [dict(v) for v in n.V]           # all that the sender of the bulk has heard
        c = w.send(w.N[s], n, keys, s == 0, was if 1 in keys else None)
        if c: w.apply(n, c)
    if v not in w.vid(n.items.get((2, 0), ())): raise Violation('a branch is covered, which what was told before shows')
def trap_numbers(w):
    """heads 6, 3 and 2 here, 6 and 4 there, where 3 and 2 lie below 4: no number says who is further"""
    w.KEEP, w.PUSH, w.BULK = WIDE; writes(w, 0, 1, 1); pull(w, 2, 0); t = w.clone(w.N[0], True).i
    writes(w, 0, 3, 1); a = w.N[1].V[1][0][0]; below = [x for x in ((a[0]-1, a[1]-1), (a[0]-2, a[1]-2))]
    writes(w, t, 5, 2); pull(w, 1, 2); pull(w, 2, 1); n = w.N[2]
    n.V[1][0] = order([x for x in n.V[1][0] if x != a] + below)     # as after merges that did not know 3 and 2 to be one chain
    for _ in range(8): pull(w, 1, 2); pull(w, 2, 1)
    if w.N[1].V[1][0] != w.N[2].V[1][0]: raise Violation('no end of repairs between heads that numbers cannot compare')
TRAPS = {'numbers': trap_numbers, 'raised': trap_raised, 'between': trap_between, 'marks': trap_marks, 'floor': trap_floor, 'dot': trap_dot, 'two': trap_two, 'keeper': trap_keeper, 'ask': trap_ask, 'blind': trap_blind, 'closed': trap_closed, 'copy': trap_copy, 'middle': trap_middle}
def run_traps(m=None):
    bad = None
    for name, f in TRAPS.items():
        w = World(random.Random(7), m, 3, NARROW); w.quiet = True
        try: f(w); w.settle()
        except Violation as v: bad = bad or 'trap %s: %s' % (name, v)
        except Silent: pass
    return bad

# ---- exhaustive: one clone, one key and a counter-free bucket, every order of steps -------
def moves(w, ops):
    N = w.N
    for n in N:
        if ops < 4:
            yield ('put', n.i), 1
            if w.live(n.items.get((0, 0), ())): yield ('del', n.i), 1
        for s in N:
            if s is not n: yield ('pull', n.i, s.i), 0
        if any(w.ev[e].kind == 'tomb' for s in n.items.values() for e in s): yield ('gc', n.i), 0
    if len(N) == 3: yield ('clone', 0), 0
def move(w, a):
    n = w.N[a[1]]
    if a[0] in ('put', 'del'): w.op(n, None, 0, a[0] == 'put', 0)
    elif a[0] == 'pull': pull(w, a[1], a[2])
    elif a[0] == 'gc': w.gc(n, lambda ts: ts[0])
    else: w.clone(n, True)
    w.check(n)
def canon(w, ops):
    """the state with commits and events named by what they are, not by when they were made"""
    up = w.up; names = {0: 0}
    def ev(e): x = w.ev[e]; return (x.o, x.s, x.item, x.kind, x.by)
    made = collections.defaultdict(list)
    for e, x in enumerate(w.ev): made[x.at].append(ev(e))
    for h in range(1, len(up)): names[h] = hash((names[up[h][0]], tuple(made[h])))
    def hd(x): return x[0], names[x[1]]
    def vv(v): return tuple(sorted((o, tuple(sorted(hd(x) for x in hs))) for o, hs in v.items()))
    out = []
    for n in w.N:
        ps = tuple(sorted((o, s, names[h], hd(l[0]), l[1]) for (o, s), r in n.pairs.items() for h, l in r.items()))
        its = tuple(sorted((it, tuple(sorted((ev(e), names[w.ev[e].at]) for e in s))) for it, s in n.items.items()))
        out.append((n.org, n.seq, names[n.h], hd(n.prev), n.count == n.shown, vv(n.V[0]), its, tuple(sorted(n.F.items())), ps))
    return hash((tuple(out), ops))
def exhaust(depth, most, m=None):
    w = World(random.Random(1), m, 3, NARROW); w.quiet = True; seen = {canon(w, 0)}; front = [(pickle.dumps(w), 0, ())]; trans = 0
    for d in range(depth):
        nxt = []
        for b, ops, path in front:
            for a, cost in list(moves(pickle.loads(b), ops)):
                x = pickle.loads(b); trans += 1
                try:
                    move(x, a); h = canon(x, ops+cost)
                    if h in seen: continue
                    seen.add(h); b2 = pickle.dumps(x); x.settle()
                except Silent: x.stat['silent'] += 1; continue
                except Violation as v: return len(seen), trans, d+1, (str(v), path + (a,))
                nxt.append((b2, ops+cost, path + (a,)))
                if len(seen) >= most: return len(seen), trans, d, None
        front = nxt; print('  depth %d: %d states, %d transitions' % (d+1, len(seen), trans), flush=True)
    return len(seen), trans, depth, None

def batch(a):
    lo, hi, m, mix = a; tot = collections.Counter()
    for s in range(lo, hi):
        try: tot.update(random_run(s, m, mix if mix is not None else s % 3 == 0)); tot['schedules'] += 1
        except Violation as v: return tot, (s, str(v))
    return tot, None
def run_random(n, jobs, seed, m=None, mix=None):
    tot = collections.Counter()
    with multiprocessing.Pool(jobs) as p:
        for st, bad in p.imap(batch, [(seed+i, seed+min(i+100, n), m, mix) for i in range(0, n, 100)]):
            tot.update(st)
            if bad: p.terminate(); return tot, bad
    return tot, None

def main():
    ap = argparse.ArgumentParser(); ap.add_argument('what', choices=('random', 'exhaust', 'mutants'))
    ap.add_argument('-n', type=int, default=5000); ap.add_argument('-j', type=int, default=2)
    ap.add_argument('--seed', type=int, default=1); ap.add_argument('--mutant'); ap.add_argument('--mix', action='store_true', default=None)
    ap.add_argument('-d', type=int, default=6); ap.add_argument('--max', type=int, default=200000)
    A = ap.parse_args(); t0 = time.time()
    if A.what == 'exhaust':
        n, t, d, bad = exhaust(A.d, A.max, A.mutant)
        print('%d states, %d transitions, depth %d%s' % (n, t, d, ' VIOLATION %s\n   %s' % bad if bad else '')); sys.exit(bool(bad))
    if A.what == 'random':
        if not A.mutant and run_traps(): print('VIOLATION', run_traps()); sys.exit(1)
        st, bad = run_random(A.n, A.j, A.seed, A.mutant, A.mix)
        print(dict(st)); print('%d schedules, %.0f s' % (st['schedules'], time.time()-t0))
        if bad: print('VIOLATION seed %d: %s' % bad); sys.exit(1)
        print('no violation')
    else:
        ok = True
        for m, txt in MUTANTS.items():
            if A.mutant and m != A.mutant: continue
            sc = run_traps(m); st, bad = run_random(A.n, A.j, A.seed, m)
            if sc: txt += '; also ' + sc; bad = bad or (A.seed-1, sc)
            print('%-10s %s  (%s)' % (m, 'caught after %d schedules: %s' % (bad[0]-A.seed+1, bad[1]) if bad else 'NOT CAUGHT', txt), flush=True); ok &= bool(bad)
        sys.exit(not ok)
if __name__ == '__main__': main()

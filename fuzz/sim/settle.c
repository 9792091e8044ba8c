/* settle.c: the end of a run: everything is healed, time passes, and then all
 * must be equal, whole and small. */
#include "crdt/narrow.h"
#include "fuzz/sim/cluster.h"

enum {
    SETTLE_MS = 400000, /* of virtual time: by then all are equal */
    SETTLE_LOOK_MS = 40,
    SETTLE_SLOW_MS = 1000
};

/* Its machine is in order, and it knows whom the plan says it knows. */
static void heal_one(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    const struct plan *p = c->plan;
    journal_end(&c->journal, me->full_fault);
    journal_end(&c->journal, me->skew_fault);
    me->full_fault = me->skew_fault = 0;
    me->full = senses.file[r].full = senses.file[r].keep = false;
    for (unsigned o = 0; o < NET_NODES; o++) {
        bool planned = o < p->replicas && r < p->replicas;
        bool dials = planned ? p->at[r].dials >> o & 1 : o == 0 && r != 0;
        bool dialed = planned ? p->at[o].dials >> r & 1 : r == 0 && o != 0;
        if (!c->r[o].used || (!dials && !dialed))
            continue;
        me->knows |= 1u << o;
        me->dials |= (uint32_t)dials << o;
    }
}

static void heal_all(struct cluster *c) {
    cluster_heal(c);
    for (unsigned r = 0; r < NET_NODES; r++)
        if (c->r[r].used)
            heal_one(c, r);
    for (unsigned r = 0; r < NET_NODES; r++) {
        struct plan_step start = {
            .n = (uint32_t)c->plan->n_steps, .what = DO_start, .r = (uint8_t)r};
        if (c->r[r].used && !c->r[r].s && !step_do(c, &start))
            broken(c, "store %u does not start", r);
        cluster_enter(c, r);
        replica_peers(c, r);
    }
    c->doing = "settle";
}

/* Events that r holds the item of, and has not. */
static int lacks(const struct cluster *c, unsigned r) {
    for (uint32_t u = 0; u < c->o.n_ev; u++) {
        const struct oracle_event *e = &c->o.ev[u];
        const struct oracle_item *it = &c->o.items[e->item];
        if (!e->gone && !bits_has(&c->r[r].have, u) &&
            spans_have(&c->r[r].held[it->bucket], item_id_slice(&it->id)))
            return (int)u;
    }
    return -1;
}

/* An event of others that r does not hold, -1: none. Who wrote outside of what
 * it holds again and again may keep some. */
static int outside(const struct cluster *c, unsigned r) {
    const struct replica *me = &c->r[r];
    unsigned own = 0;
    for (uint32_t u = 0; u < c->o.n_ev && me->outside >= 0; u++) {
        const struct oracle_item *it = &c->o.items[c->o.ev[u].item];
        own += c->o.ev[u].by == r &&
               !spans_have(&me->held[it->bucket], item_id_slice(&it->id));
    }
    return own < NARROW_RENEWALS ? me->outside : -1;
}

static bool same_values(struct cluster *c, unsigned r) {
    uint8_t a[16], b[16];
    for (unsigned k = 0; k < PLAN_BUCKETS; k++) {
        if (c->r[r].held[k].some)
            continue;
        MUST(c, ecrdt_digest(c->r[0].s, cluster_buckets[k], a));
        MUST(c, ecrdt_digest(c->r[r].s, cluster_buckets[k], b));
        if (memcmp(a, b, 16) != 0)
            return false;
    }
    return true;
}

static bool at_rest(struct cluster *c) {
    for (unsigned r = 0; r < NET_NODES; r++) {
        const struct replica *me = &c->r[r];
        if (!me->used)
            continue;
        if (!node_in_sync(me->node) || lacks(c, r) >= 0 || !same_values(c, r) ||
            outside(c, r) >= 0)
            return false;
    }
    return true;
}

/* Names a link that is not in sync. */
static _Noreturn void who_waits(struct cluster *c) {
    for (unsigned r = 0; r < NET_NODES; r++) {
        const struct node *n = c->r[r].node;
        if (!n || node_in_sync(n))
            continue;
        for (size_t i = 0; i < n->peers.n; i++) {
            const struct peer *p = n->peers.p[i];
            const struct link *l = p->link;
            if (p->gone || (l && session_in_sync(l->s, n->gossip.push.n)))
                continue;
            broken(c,
                   "all values are equal, but %u and its peer %s are not in "
                   "sync after %d s without faults: %s, lacking %llu here and "
                   "%llu there",
                   r, p->r.name, SETTLE_MS / 1000, peer_state_name(p->r.state),
                   (unsigned long long)p->r.missing_here,
                   (unsigned long long)p->r.missing_there);
        }
    }
    broken(c, "a node does not see the newest commit after %d s",
           SETTLE_MS / 1000);
}

static void wait_for_rest(struct cluster *c) {
    uint64_t begun = c->net.now_ms, took = 0;
    while (!at_rest(c)) {
        took = c->net.now_ms - begun;
        cluster_run(c, took < 2000 ? SETTLE_LOOK_MS : SETTLE_SLOW_MS);
        if (took < SETTLE_MS)
            continue;
        for (unsigned r = 0; r < NET_NODES; r++) {
            int u = c->r[r].used ? lacks(c, r) : -1;
            HOLDS(c, u < 0,
                  "store %u has not got event %d (made by %u, seq %llu) after "
                  "%d s without faults",
                  r, u, c->o.ev[u].by, (unsigned long long)c->o.ev[u].seq,
                  SETTLE_MS / 1000);
            HOLDS(c, !c->r[r].used || same_values(c, r),
                  "store %u has other values than store 0 after %d s without "
                  "faults",
                  r, SETTLE_MS / 1000);
            u = c->r[r].used ? outside(c, r) : -1;
            HOLDS(c, u < 0,
                  "store %u keeps event %d (made by %u), of an item that it "
                  "does not hold, after %d s without faults",
                  r, u, c->o.ev[u].by, SETTLE_MS / 1000);
        }
        who_waits(c);
    }
    if (took > c->fig.settle_ms_most)
        c->fig.settle_ms_most = took;
}

/* ---- the end of twins ------------------------------------------------------
 * Where two stores wrote as one origin the oracle does not know what a merge
 * of the branches brings back. But where somebody wrote a value that no other
 * user had seen, there must be one, and in a register none that is older. */

static bool superseded(const struct cluster *c, const struct oracle_item *it,
                       uint32_t u) {
    for (uint32_t i = 0; i < it->n; i++) {
        const struct oracle_event *e = &c->o.ev[it->events[i]];
        if (e->ours && bits_has(&e->ctx, u))
            return true;
    }
    return false;
}

/* When the value was written that a register reads as; not known: now. */
static uint64_t time_of(const struct cluster *c, const struct oracle_item *it,
                        slice value) {
    for (uint32_t i = 0; i < it->n && value.len >= 8; i++) {
        const struct oracle_event *e = &c->o.ev[it->events[i]];
        if (e->ours && e->live && e->value == load64(value.data))
            return e->hlc;
    }
    return UINT64_MAX;
}

/* Is there what was written at that time, or later? */
static bool readable(struct cluster *c, const struct oracle_item *it,
                     uint64_t hlc) {
    const struct plan_name *k = &c->plan->names[it->key];
    const char *bucket = cluster_buckets[it->bucket];
    slice value;
    ecrdt_txn *t = ecrdt_read(c->r[0].s);
    int rc =
        it->tag == TAG_REGISTER
            ? ecrdt_reg_get(t, bucket, slice_of(k->b, k->len), &value, NULL)
            : ecrdt_set_has(t, bucket, slice_of(k->b, k->len),
                            slice_of(c->plan->names[it->elem].b,
                                     c->plan->names[it->elem].len));
    if (rc == 1 && it->tag == TAG_REGISTER && time_of(c, it, value) < hlc)
        rc = 0;
    ecrdt_abort(t);
    return rc == 1;
}

static void check_untouched(struct cluster *c, uint32_t item) {
    const struct oracle_item *it = &c->o.items[item];
    if (it->tag == TAG_ENTRY || it->key < 0)
        return;
    for (uint32_t i = 0; i < it->n; i++) {
        uint32_t u = it->events[i];
        const struct oracle_event *e = &c->o.ev[u];
        HOLDS(c,
              !e->ours || !e->live || e->gone || superseded(c, it, u) ||
                  readable(c, it, e->hlc),
              "item %u is not there, or is older than its event %u, which "
              "nobody removed",
              item, u);
    }
}

/* ---- small ----------------------------------------------------------------
 */

static int finding(void *ctx, const void *line, size_t n) {
    broken(ctx, "verify: %.*s", (int)n, (const char *)line);
}

/* With all tombs dropped what is left is what is there. */
static void check_small(struct cluster *c, unsigned r) {
    ecrdt_gc_report rep;
    ecrdt_stats st = {.size = sizeof st};
    struct replica *me = &c->r[r];
    cluster_enter(c, r);
    senses.skew_ms += INT64_C(4000000000);
    MUST(c, ecrdt_gc(me->s, 0, 0, &rep));
    MUST(c, ecrdt_stat_read(me->s, &st));
    HOLDS(c, st.tombstones == 0, "store %u keeps %llu tombs", r,
          (unsigned long long)st.tombstones);
    HOLDS(c, st.log_bytes <= (5u << 20), "store %u: %llu bytes of log", r,
          (unsigned long long)st.log_bytes);
    look(c, r);
    MUST(c, ecrdt_verify(me->s, finding, c));
}

static void hash_state(struct cluster *c, uint8_t hash[16]) {
    struct buf b = {0};
    for (unsigned r = 0; r < NET_NODES; r++) {
        if (!c->r[r].used)
            continue;
        for (unsigned k = 0; k < PLAN_BUCKETS; k++) {
            struct ranges rs = {0};
            struct vv floor = {0};
            uint8_t digest[16];
            ecrdt_txn *t;
            MUST(c, replica_begin(c->r[r].s, false, 0, &t));
            MUST(c, replica_clock(t, cluster_buckets[k], &rs, &floor));
            MUST(c, replica_digest(t, cluster_buckets[k], digest));
            ecrdt_abort(t);
            clock_encode(&b, ecrdt_str(cluster_buckets[k]), &rs, &floor);
            buf_put(&b, digest, sizeof digest);
            ranges_free(&rs);
            vv_free(&floor);
        }
    }
    uint8_t tail[16];
    store64(tail, c->net.now_ms);
    store64(tail + 8, c->net.n_events);
    buf_put(&b, tail, sizeof tail);
    crypto_blake2b(hash, 16, buf_slice(&b));
    buf_free(&b);
}

void settle(struct cluster *c, uint8_t hash[16]) {
    c->doing = "settle";
    c->at = (int)c->plan->n_steps;
    journal_step(&c->journal, (unsigned)c->plan->n_steps, -1, "settle", "");
    heal_all(c);
    wait_for_rest(c);
    for (uint32_t i = 0; c->o.twins && i < c->o.n_items; i++)
        check_untouched(c, i);
    for (unsigned r = 0; r < NET_NODES; r++)
        if (c->r[r].used)
            check_small(c, r);
    wait_for_rest(c);
    hash_state(c, hash);
    for (unsigned r = 0; r < NET_NODES; r++)
        if (c->r[r].used)
            replica_stop(c, r, false);
}

/* look.c: what a store holds, record by record, against what the oracle says
 * of its clock. */
#include "fuzz/sim/cluster.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/held.h"
#include "crdt/items.h"
#include "crdt/store.h"
#include <stdlib.h>

/* One bucket of one store, at one moment. */
struct sight {
    struct cluster *c;
    struct replica *me;
    unsigned r, b;
    ecrdt_txn *t;
    struct bucket *bk; /* NULL: it is not there yet */
    struct ranges rs;
    struct vv floor;
    const uint8_t *next;  /* the incarnation that follows; its events later */
    struct bits *covered; /* of each range */
    struct bits stored;   /* events that are siblings there */
    uint8_t digest[16];
    uint64_t live, tombs;
};

static const char *event_text(const struct oracle *o, size_t u) {
    static char text[160];
    const struct oracle_event *e = &o->ev[u];
    const struct oracle_item *it = &o->items[e->item];
    snprintf(text, sizeof text, "%s %08x:%llu of item %u (bucket %s, tag %02x)",
             e->live ? "value" : "tomb", load32(e->origin),
             (unsigned long long)e->seq, e->item, cluster_buckets[it->bucket],
             it->tag);
    return text;
}

/* ---- reading --------------------------------------------------------------
 */

static bool sight_open(struct sight *s) {
    MUST(s->c, replica_begin(s->me->s, false, 0, &s->t));
    int rc = txn_bucket(s->t, cluster_buckets[s->b], false, &s->bk);
    HOLDS(s->c, rc >= 0, "no bucket: %s", ecrdt_errmsg());
    if (rc == 1)
        MUST(s->c, txn_head(s->t, s->bk));
    MUST(s->c, replica_clock(s->t, cluster_buckets[s->b], &s->rs, &s->floor));
    s->covered = calloc(s->rs.n, sizeof *s->covered);
    HOLDS(s->c, s->covered, "no memory");
    return rc == 1;
}

static void sight_close(struct sight *s) {
    ecrdt_abort(s->t);
    free(s->covered);
    ranges_free(&s->rs);
    vv_free(&s->floor);
}

/* Calls fn with each sibling of each item of the bucket. */
static void each_sibling(struct sight *s, void (*fn)(struct sight *s, slice id,
                                                     const struct event *e)) {
    struct items cur;
    uint8_t prefix[BUCKET_PREFIX];
    slice key, rec;
    int rc;
    if (!s->bk)
        return;
    key = item_key_prefix(prefix, s->bk->id);
    MUST(s->c, items_open(&cur, s->t));
    for (rc = items_seek(&cur, &key, &rec);
         rc == 1 && item_key_bucket(key) == s->bk->id;
         rc = items_next(&cur, &key, &rec)) {
        struct event e = {.origin = UINT32_MAX};
        uint8_t e16[CRYPTO_E16];
        uint32_t before = e.origin;
        size_t at = 0;
        int more;
        while ((more = item_walk(rec, &at, &e)) == 1) {
            slice id = item_key_id_of(key);
            HOLDS(s->c, e.origin != before,
                  "store %u: an item has two siblings of one origin", s->r);
            before = e.origin;
            MUST(s->c, door_name(s->t, s->bk, id, &e, e16));
            e.e16 = e16;
            fn(s, id, &e);
        }
        HOLDS(s->c, more == 0, "an item's record is damaged");
    }
    HOLDS(s->c, rc >= 0, "items cannot be read: %s", ecrdt_errmsg());
    items_close(&cur);
}

/* ---- learning: events that the library made by itself ----------------------
 * Folds, goodbyes, merges of branches and of many siblings come from no step.
 * What such an event superseded is what its store has seen and holds no more
 * beside it. */

/* The key of an item that another item of the same key has. */
static int key_of(const struct oracle *o, unsigned b, slice id) {
    struct item_parts p;
    if (!item_id_parse(id, &p))
        return -1;
    for (uint32_t i = 0; i < o->n_items; i++) {
        const struct oracle_item *it = &o->items[i];
        if (it->bucket == b && it->k_len == p.k_len &&
            !memcmp(it->id.b, id.data, p.k_len) && it->key >= 0)
            return it->key;
    }
    return -1;
}

static void read_payload(struct sight *s, struct oracle_event *n, slice id,
                         const struct event *e) {
    struct item_parts p;
    struct payload pay;
    if (n->live && item_id_parse(id, &p) &&
        payload_split(p.shape, slice_of(e->payload, e->len), &pay)) {
        if (p.tag == TAG_ENTRY)
            HOLDS(s->c, count_decode(pay.value, &n->pay), "a bad count");
        if (p.tag == TAG_REGISTER && pay.value.len >= 8)
            n->value = load64(pay.value.data);
    }
}

/* What the step under way was to make of an item; NULL: nothing. */
static struct oracle_event *planned(struct cluster *c, uint32_t item) {
    for (size_t i = 0; i < c->n_planned; i++)
        if (c->planned[i].item == item)
            return &c->planned[i];
    return NULL;
}

/* Twins that delete one item at one time make one event: it supersedes what
 * either had. */
static void learn_again(struct sight *s, struct oracle_event *e) {
    struct oracle_event *plan = planned(s->c, e->item);
    if (!plan || plan->ours || plan->live != e->live || e->by == s->r)
        return;
    plan->ours = true;
    bits_join(&e->ctx, &plan->ctx);
}

/* A new event of this store: as planned, or as it reads. */
static void learn_one(struct sight *s, slice id, const struct event *e) {
    struct oracle *o = &s->c->o;
    const uint8_t *origin = origin_id(s->t, e->origin);
    HOLDS(s->c, origin, "a sibling of no origin");
    if (memcmp(origin, s->me->me, ORIGIN_SIZE) != 0)
        return;
    int known = oracle_event(o, e->e16);
    if (known >= 0) {
        learn_again(s, &o->ev[known]);
        return;
    }
    int item = oracle_item(o, s->b, id, key_of(o, s->b, id), -1);
    struct oracle_event *n =
        item < 0 ? NULL : oracle_add(o, (uint32_t)item, e->e16);
    if (!n)
        longjmp(s->c->over, 2);
    struct oracle_event *plan = planned(s->c, (uint32_t)item);
    HOLDS(s->c, !s->c->planning || plan,
          "store %u made an event on item %d, which the transaction did not "
          "change",
          s->r, item);
    if (plan) {
        HOLDS(s->c, plan->live == event_live(e) && !plan->ours,
              "store %u: the event of item %d is not as planned", s->r, item);
        plan->ours = true;
        memcpy(plan->e16, e->e16, 16);
        *n = *plan;
    }
    memcpy(n->origin, origin, ORIGIN_SIZE);
    n->by = s->r;
    n->seq = e->seq;
    n->hlc = e->hlc;
    n->live = event_live(e);
    n->bye = (e->kind & KIND_BYE) != 0;
    n->commit = UINT32_MAX;
    if (!plan)
        read_payload(s, n, id, e);
}

static void note_stored(struct sight *s, slice id, const struct event *e) {
    int u = oracle_event(&s->c->o, e->e16);
    const uint8_t *origin = origin_id(s->t, e->origin);
    HOLDS(s->c, u >= 0 && origin,
          "store %u holds an event that nobody made (seq %llu)", s->r,
          (unsigned long long)e->seq);
    const struct oracle_event *n = &s->c->o.ev[u];
    HOLDS(s->c,
          slice_eq(id, item_id_slice(&s->c->o.items[n->item].id)) &&
              n->hlc == e->hlc && n->live == event_live(e) &&
              n->seq == e->seq && !memcmp(origin, n->origin, ORIGIN_SIZE),
          "store %u: %s is not as it was made", s->r,
          event_text(&s->c->o, (size_t)u));
    HOLDS(s->c, !bits_has(&s->stored, (size_t)u), "an event twice in an item");
    bits_set(&s->stored, (size_t)u);
    if (!spans_have(&s->me->held[s->b], id) &&
        !((s->me->was | 1u << s->r) >> n->by & 1))
        s->me->outside = u;
    if (event_live(e))
        digest_add(s->digest, e->e16);
    s->tombs += !event_live(e);
}

/* What a new counter event means for the log of adds. */
static void as_add(struct oracle *o, struct oracle_event *e) {
    struct count was = oracle_count_now(o, e->item, &e->ctx);
    e->reset = !e->live || e->pay.finc > was.finc || e->pay.fdec > was.fdec;
    if (e->reset)
        e->obs = e->ctx;
    if (e->live && e->pay.inc >= was.inc && e->pay.dec >= was.dec)
        e->delta =
            (int64_t)(e->pay.inc - was.inc) - (int64_t)(e->pay.dec - was.dec);
}

/* ---- the clock ------------------------------------------------------------
 */

/* What the clock of each range covers. */
static void read_clock(struct sight *s) {
    const struct oracle *o = &s->c->o;
    memset(s->covered, 0, s->rs.n * sizeof *s->covered);
    for (size_t i = 0; i < s->rs.n; i++)
        for (size_t k = 0; k < s->rs.r[i].clk.n; k++) {
            const struct head *h = &s->rs.r[i].clk.e[k];
            int commit = oracle_head(o, s->b, h);
            if (commit < 0 && s->next &&
                !memcmp(h->origin, s->next, ORIGIN_SIZE))
                continue;
            HOLDS(s->c, commit >= 0,
                  "store %u: a clock stands where no commit ended (%08x:%llu)",
                  s->r, load32(h->origin), (unsigned long long)h->seq);
            bits_join(&s->covered[i], &o->commits[commit].covers);
        }
}

/* Of what the store has seen of the item: what it does not hold any more. */
static void find_context(struct sight *s, uint32_t u) {
    struct oracle *o = &s->c->o;
    struct oracle_event *e = &o->ev[u];
    slice id = item_id_slice(&o->items[e->item].id);
    oracle_seen(o, e->item, &s->covered[ranges_find(&s->rs, id)], &e->ctx);
    for (size_t i = 0; i < ORACLE_WORDS; i++)
        e->ctx.w[i] &= ~s->stored.w[i];
    e->ctx.w[u / 64] &= ~(UINT64_C(1) << (u % 64));
    if (o->items[e->item].tag == TAG_ENTRY)
        as_add(o, e);
}

/* A commit of this store that the oracle has not seen yet. */
static void learn_commit(struct sight *s, const struct head *h) {
    struct oracle *o = &s->c->o;
    uint32_t first = o->n_ev;
    int parent = s->me->own[s->b];
    uint64_t before = parent < 0 ? 0 : o->commits[parent].seq;
    each_sibling(s, learn_one);
    HOLDS(s->c, !s->c->planning || h->seq == before + o->n_ev - first,
          "store %u: a transaction of %u events took the numbers %llu to %llu",
          s->r, o->n_ev - first, (unsigned long long)before + 1,
          (unsigned long long)h->seq);
    int commit = oracle_commit(o, s->b, h, parent);
    if (commit < 0)
        longjmp(s->c->over, 2);
    for (uint32_t u = first; u < o->n_ev; u++) {
        o->ev[u].commit = (uint32_t)commit;
        bits_set(&o->commits[commit].covers, u);
    }
    s->me->own[s->b] = commit;
    s->c->fig.feature[F_commits]++;
}

static void find_contexts(struct sight *s, uint32_t first) {
    struct oracle *o = &s->c->o;
    if (first == o->n_ev)
        return;
    each_sibling(s, note_stored);
    for (uint32_t u = first; u < o->n_ev; u++)
        if (!o->ev[u].ours)
            find_context(s, u);
    s->stored = (struct bits){0};
    memset(s->digest, 0, sizeof s->digest);
    s->tombs = 0;
}

/* Finds, and learns if need be, the head of this store's incarnation. */
static void find_own(struct sight *s) {
    uint32_t first = s->c->o.n_ev;
    size_t n, found = 0;
    for (size_t i = 0; i < s->rs.n; i++) {
        const struct head *h = vv_heads(&s->rs.r[i].clk, s->me->me, &n);
        found += n;
        for (size_t k = 0; k < n; k++) {
            int commit = oracle_head(&s->c->o, s->b, &h[k]);
            if (commit < 0)
                learn_commit(s, &h[k]);
            else if (n == 1)
                s->me->own[s->b] = commit;
        }
    }
    if (!found)
        s->me->own[s->b] = -1; /* a crash took all that it had made */
    read_clock(s);
    find_contexts(s, first);
}

/* A settled bucket's digest is a function of its clock. */
static void remember_clock(struct sight *s) {
    const struct vv *v = &s->rs.r[0].clk;
    uint64_t key = 14695981039346656037u + s->b;
    for (size_t i = 0; i < v->n; i++) {
        key = (key ^ load64(v->e[i].origin)) * UINT64_C(0x100000001b3);
        key = (key ^ v->e[i].seq ^ (v->e[i].h << 7)) *
              UINT64_C(0x9e3779b97f4a7c15);
        key ^= key >> 31;
    }
    key |= 1;
    for (size_t i = key % CLUSTER_CLOCKS, n = 0; n < 64;
         i = (i + 1) % CLUSTER_CLOCKS, n++) {
        struct known_clock *k = &s->c->clocks[i];
        if (k->key && k->key != key)
            continue;
        HOLDS(s->c, !k->key || !memcmp(k->digest, s->digest, 16),
              "store %u, bucket %s: another store had this clock and other "
              "values",
              s->r, cluster_buckets[s->b]);
        k->key = key;
        memcpy(k->digest, s->digest, 16);
        return;
    }
}

/* ---- section 0's (I) ------------------------------------------------------
 */

static void check_event(struct sight *s, size_t u, bool want) {
    const struct oracle_event *e = &s->c->o.ev[u];
    bool have = bits_has(&s->stored, u);
    HOLDS(s->c, !have || want || !e->live, "store %u: %s is back", s->r,
          event_text(&s->c->o, u));
    HOLDS(s->c,
          have || !want ||
              (!e->live && vv_covers(&s->floor, e->origin, e->seq)),
          "store %u: %s is lost", s->r, event_text(&s->c->o, u));
}

static void check_item(struct sight *s, uint32_t item, struct bits *seen) {
    struct oracle *o = &s->c->o;
    struct oracle_item *it = &o->items[item];
    size_t range = ranges_find(&s->rs, item_id_slice(&it->id));
    struct bits mine, sib;
    bool live = false;
    oracle_seen(o, item, &s->covered[range], &mine);
    bits_join(seen, &mine);
    oracle_siblings(o, item, &mine, &sib);
    for (uint32_t i = 0; i < it->n; i++) {
        if (!o->twins)
            check_event(s, it->events[i], bits_has(&sib, it->events[i]));
        live = live || (bits_has(&s->stored, it->events[i]) &&
                        o->ev[it->events[i]].live);
    }
    s->live += live;
}

static void check_bucket(struct sight *s, struct bits *seen) {
    struct oracle *o = &s->c->o;
    spans_free(&s->me->held[s->b]);
    MUST(s->c, held_spans_of(s->t, cluster_buckets[s->b], &s->me->held[s->b]));
    find_own(s);
    s->me->outside = s->b ? s->me->outside : -1;
    each_sibling(s, note_stored);
    for (uint32_t i = 0; i < o->n_items; i++)
        if (o->items[i].bucket == s->b)
            check_item(s, i, seen);
    HOLDS(s->c,
          !s->bk ||
              (!memcmp(s->digest, s->bk->head.digest, 16) &&
               s->live == s->bk->head.live && s->tombs == s->bk->head.tombs),
          "store %u, bucket %s: its digest or its counts are wrong", s->r,
          cluster_buckets[s->b]);
    for (size_t i = 1; i < s->rs.n; i++)
        HOLDS(s->c, !vv_eq(&s->rs.r[i].clk, &s->rs.r[i - 1].clk),
              "a cut between equal clocks");
    if (s->rs.n == 1)
        remember_clock(s);
    s->c->fig.feature[F_cuts_seen] += s->rs.n > 1 && !s->me->held[s->b].some;
}

/* ---- clocks that fall -----------------------------------------------------
 */

static bool holds(const struct cluster *c, unsigned r, size_t u) {
    const struct oracle_item *it = &c->o.items[c->o.ev[u].item];
    return spans_have(&c->r[r].held[it->bucket], item_id_slice(&it->id));
}

/* Has a store other than that one event u? keeps: and holds its place. */
static bool someone_has(const struct cluster *c, unsigned but, size_t u,
                        bool keeps) {
    for (unsigned r = 0; r < NET_NODES; r++)
        if (r != but && c->r[r].used && bits_has(&c->r[r].have, u) &&
            (!keeps || holds(c, r, u)))
            return true;
    return false;
}

/* What r no longer has: by a fault, or by narrowing, or it must not be. */
static void check_fall(struct cluster *c, unsigned r, const struct bits *now) {
    struct replica *me = &c->r[r];
    bool fell = false;
    for (size_t u = 0; u < c->o.n_ev; u++) {
        struct oracle_event *e = &c->o.ev[u];
        if (bits_has(now, u))
            e->orphan = e->orphan && !holds(c, r, u);
        if (!bits_has(&me->have, u) || bits_has(now, u))
            continue;
        bool kept = someone_has(c, r, u, false);
        if (me->may_fall) {
            e->gone = e->gone || !kept;
            e->orphan = e->orphan || !someone_has(c, r, u, true);
            continue;
        }
        fell = true;
        HOLDS(c, !holds(c, r, u), "store %u: its clock went back over %s", r,
              event_text(&c->o, u));
        HOLDS(c, kept || e->gone || e->orphan,
              "store %u let go of %s, which nobody keeps", r,
              event_text(&c->o, u));
        e->gone = e->gone || !kept;
    }
    c->fig.feature[F_narrowings] += fell;
    me->may_fall = false;
    me->have = *now;
}

static void tell_state(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    uint8_t sum[16] = {0}, one[16];
    unsigned missing = 0;
    if (!c->journal.f)
        return;
    for (unsigned b = 0; b < PLAN_BUCKETS; b++) {
        MUST(c, ecrdt_digest(me->s, cluster_buckets[b], one));
        digest_add(sum, one);
    }
    for (size_t u = 0; u < c->o.n_ev; u++)
        missing += !bits_has(&me->have, u) && !c->o.ev[u].gone;
    if (missing == me->told_missing && !memcmp(sum, me->told_digest, 16))
        return;
    me->told_missing = missing;
    memcpy(me->told_digest, sum, 16);
    journal_state(&c->journal, r, sum, missing, c->o.n_ev);
}

/* What a store did before it took its present incarnation. */
static void look_back(struct cluster *c, unsigned r, const uint8_t *next) {
    struct replica *me = &c->r[r];
    for (unsigned b = 0; b < PLAN_BUCKETS; b++) {
        struct sight s = {.c = c, .me = me, .r = r, .b = b, .next = next};
        sight_open(&s);
        find_own(&s);
        sight_close(&s);
        me->own[b] = -1;
    }
    memcpy(me->me, next, sizeof me->me);
    c->fig.feature[F_renewed]++;
}

void look(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    struct bits seen = {0};
    ecrdt_node id;
    me->seen_txn = replica_txn_id(me->s);
    MUST(c, ecrdt_node_id(me->s, &id));
    if (memcmp(id.b, me->me, sizeof id.b) != 0)
        look_back(c, r, id.b);
    for (unsigned b = 0; b < PLAN_BUCKETS; b++) {
        struct sight s = {.c = c, .me = me, .r = r, .b = b};
        sight_open(&s);
        check_bucket(&s, &seen);
        sight_close(&s);
    }
    check_fall(c, r, &seen);
    look_values(c, r, &seen);
    tell_state(c, r);
}

void look_if_new(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    if (replica_txn_id(me->s) == me->seen_txn)
        return;
    net_wake(&c->net, r);
    look(c, r);
}

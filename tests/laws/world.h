/* world.h: real stores beside the oracle of reference.h: local transactions
 * on both, and the comparison of one with the other. */
#ifndef TESTS_LAWS_WORLD_H
#define TESTS_LAWS_WORLD_H
#include "crdt/chunk.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/dotlog.h"
#include "crdt/items.h"
#include "crdt/keyhead.h"
#include "crdt/spans.h"
#include "tests/laws/reference.h"

enum { WORLD_NODES = 5 };
static const char world_bucket[] = "b";

struct node {
    ecrdt_store *s;
    uint32_t org;
    uint64_t seq;
    struct spans held; /* what it subscribes to */
    struct ref ref[REF_ITEMS];
};

struct world {
    struct universe u;
    char *dir;
    struct node node[WORLD_NODES];
    size_t n;
    struct rng rng;
    uint64_t next_value;
    uint32_t focus; /* 0, or the one key that transactions are on */
    /* figures: parts (delta, complete), cut chunks, parts refused, items */
    uint64_t n_parts[2], n_cuts, n_ahead, n_applied;
    const char *what; /* the step under way, for messages */
    unsigned step;
};

/* Milliseconds that os_wall_ms() tells; the program that includes this sets
 * them through its own clock_gettime() if it wants to. */

#define WORLD_CHECK(w, cond, ...)                                              \
    do {                                                                       \
        if (!(cond)) {                                                         \
            print_error("step %u (%s): ", (w)->step, (w)->what);               \
            print_error(__VA_ARGS__);                                          \
            print_error("\n");                                                 \
            assert_true(cond);                                                 \
        }                                                                      \
    } while (0)

static inline ecrdt_txn *world_begin(struct node *nd, bool write) {
    ecrdt_txn *t;
    assert_ok(write ? replica_begin(nd->s, write, 5000, &t)
                    : replica_expose(nd->s, &t));
    return t;
}

/* The bucket of t; NULL if it does not exist yet. */
static inline struct bucket *world_bk(ecrdt_txn *t, bool create) {
    struct bucket *bk = NULL;
    int rc = txn_bucket(t, world_bucket, create, &bk);
    assert_true(rc >= 0);
    if (rc == 1)
        assert_ok(txn_head(t, bk));
    return bk;
}

static inline void world_me(struct world *w, struct node *nd) {
    ecrdt_node me;
    assert_ok(ecrdt_node_id(nd->s, &me));
    nd->org = ref_add_org(&w->u, me.b);
    nd->seq = 0;
}

static inline void world_open(struct world *w, size_t n) {
    universe_init(&w->u);
    memset(w->node, 0, sizeof w->node);
    w->n = n;
    w->dir = tmpdir_make();
    w->next_value = 1;
    w->focus = 0;
    w->what = "open";
    w->step = 0;
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = ECRDT_EPHEMERAL;
    o.max_readers = 16;
    o.max_bytes = 1 << 28;
    for (size_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%zu", i);
        w->node[i].s = assert_handle(ecrdt_open(path_join(w->dir, name), &o));
        world_me(w, &w->node[i]);
    }
}

static inline void world_close(struct world *w) {
    for (size_t i = 0; i < w->n; i++) {
        assert_ok(ecrdt_close(w->node[i].s));
        spans_free(&w->node[i].held);
    }
    tmpdir_remove(w->dir);
}

/* ---- what a store holds, compared with what it should -------------------- */

/* A store's raw state: siblings by item, and the sums over them. */
struct seen {
    struct bits sib[REF_ITEMS];
    uint8_t digest[16];
    uint64_t live, tombs;
};

/* The event of a stored sibling, which must be as its author made it. */
static inline size_t seen_event(struct world *w, ecrdt_txn *t, uint32_t item,
                                const struct event *e) {
    const uint8_t *id = origin_id(t, e->origin);
    assert_non_null(id);
    int org = ref_find_org(&w->u, id);
    WORLD_CHECK(w, org >= 0, "sibling of an unknown origin");
    int u = ref_find_event(&w->u, (uint32_t)org, e->seq);
    WORLD_CHECK(w, u >= 0, "sibling %d:%llu was never made", org,
                (unsigned long long)e->seq);
    const struct ref_event *re = &w->u.ev[u];
    WORLD_CHECK(w,
                re->item == item && re->hlc == e->hlc &&
                    re->live == event_live(e) && !memcmp(re->e16, e->e16, 16),
                "sibling %d:%llu of item %u is not as it was made", org,
                (unsigned long long)e->seq, item);
    return (size_t)u;
}

static inline void seen_item(struct world *w, ecrdt_txn *t, uint32_t item,
                             slice rec, struct seen *out) {
    struct event e;
    int rc;
    int64_t last = -1;
    bool live = false;
    uint8_t e16[16];
    slice id = item_id_slice(&w->u.items[item].id);
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1; last = e.origin) {
        WORLD_CHECK(w, e.origin > last, "siblings of one origin, or unsorted");
        assert_ok(door_name(t, world_bk(t, false), id, &e, e16));
        e.e16 = e16;
        bits_add(&out->sib[item], seen_event(w, t, item, &e));
        if (event_live(&e))
            digest_add(out->digest, e.e16);
        live = live || event_live(&e);
        out->tombs += !event_live(&e);
    }
    assert_ok(rc);
    out->live += live;
}

/* Reads every record of the bucket. */
static inline void seen_read(struct world *w, ecrdt_txn *t, struct seen *out) {
    memset(out, 0, sizeof *out);
    struct bucket *bk = world_bk(t, false);
    if (!bk)
        return;
    struct items c;
    assert_ok(items_open(&c, t));
    uint8_t b[BUCKET_PREFIX];
    slice key = item_key_prefix(b, bk->id), rec;
    int rc;
    for (rc = items_seek(&c, &key, &rec);
         rc == 1 && item_key_bucket(key) == bk->id;
         rc = items_next(&c, &key, &rec)) {
        slice id = item_key_id_of(key);
        int item = ref_find_item(&w->u, id);
        WORLD_CHECK(w, item >= 0, "an item that nobody wrote");
        seen_item(w, t, (uint32_t)item, rec, out);
    }
    assert_true(rc >= 0);
    items_close(&c);
    WORLD_CHECK(w,
                !memcmp(bk->head.digest, out->digest, 16) &&
                    bk->head.live == out->live && bk->head.tombs == out->tombs,
                "the head's digest or counts are wrong");
}

static inline bool world_covers(const struct world *w, const struct ranges *rs,
                                size_t u) {
    const struct ref_event *e = &w->u.ev[u];
    const struct ref_item *it = &w->u.items[e->item];
    size_t i = ranges_find(rs, item_id_slice(&it->id));
    return vv_covers(&rs->r[i].clk, w->u.orgs[e->org], e->seq);
}

/* Section 0's (I): live siblings are the oracle's, what the clock covers is
 * the context, tombs that are missing lie below the floor. */
static inline void check_items(struct world *w, struct node *nd,
                               const struct seen *s, const struct ranges *rs,
                               const struct vv *floor) {
    for (size_t u = 0; u < w->u.n_ev; u++) {
        const struct ref_event *e = &w->u.ev[u];
        const struct ref *r = &nd->ref[e->item];
        bool have = bits_has(&s->sib[e->item], u), want = bits_has(&r->sib, u);
        const char *name = e->live ? "value" : "tomb";
        WORLD_CHECK(w, world_covers(w, rs, u) == bits_has(&r->ctx, u),
                    "store %zu: the clock is wrong about %u:%llu of item %u",
                    (size_t)(nd - w->node), e->org, (unsigned long long)e->seq,
                    e->item);
        WORLD_CHECK(w, !have || want || !e->live, "%s %u:%llu is back", name,
                    e->org, (unsigned long long)e->seq);
        WORLD_CHECK(
            w,
            have || !want ||
                (!e->live && vv_covers(floor, w->u.orgs[e->org], e->seq)),
            "store %zu: %s %u:%llu of item %u is lost", (size_t)(nd - w->node),
            name, e->org, (unsigned long long)e->seq, e->item);
    }
}

/* Clocks stand only at the ends of commits, and neighbours differ. */
static inline void check_clocks(struct world *w, const struct ranges *rs) {
    for (size_t i = 0; i < rs->n; i++) {
        const struct vv *v = &rs->r[i].clk;
        for (size_t k = 0; k < v->n; k++) {
            int org = ref_find_org(&w->u, v->e[k].origin);
            WORLD_CHECK(w,
                        org >= 0 && v->e[k].seq < REF_EVENTS &&
                            w->u.bound[org][v->e[k].seq] &&
                            w->u.h[org][v->e[k].seq] == v->e[k].h,
                        "a clock stands inside a commit, or its hash is "
                        "wrong (%d:%llu)",
                        org, (unsigned long long)v->e[k].seq);
        }
        WORLD_CHECK(w, !i || !vv_eq(v, &rs->r[i - 1].clk),
                    "a cut between equal clocks");
    }
}

static inline slice value_slice(const struct rng *seed, uint64_t value,
                                uint8_t buf[8192]) {
    (void)seed;
    size_t len = value % 13 == 0 ? 5000 : 8 + value % 50;
    memset(buf, (int)(value & 0xff), len);
    store64(buf, value);
    return slice_of(buf, len);
}

static inline void check_register(struct world *w, struct node *nd,
                                  ecrdt_txn *t, uint32_t item) {
    size_t order[REF_ORIGINS];
    size_t n = ref_order(&w->u, &nd->ref[item], order);
    slice key = ref_key_slice(&w->u.keys[w->u.items[item].key]), got;
    uint8_t buf[8192];
    ecrdt_stamp who;
    assert_code(n > 0, ecrdt_reg_get(t, world_bucket, key, &got, &who));
    ecrdt_iter *it = assert_handle(ecrdt_reg_siblings(t, world_bucket, key));
    ecrdt_entry row;
    for (size_t i = 0; i < n; i++) {
        const struct ref_event *e = &w->u.ev[order[i]];
        assert_code(1, ecrdt_next(it, &row));
        slice want = value_slice(NULL, e->value, buf);
        WORLD_CHECK(w, slice_eq(row.val, want), "sibling %zu is wrong", i);
        WORLD_CHECK(w, i || slice_eq(got, want), "the wrong value is read");
        WORLD_CHECK(w,
                    !memcmp(row.who.by.b, w->u.orgs[e->org], 16) &&
                        row.who.wall_ms == e->hlc >> 16,
                    "stamp %zu is wrong", i);
    }
    assert_code(0, ecrdt_next(it, &row));
    ecrdt_iter_close(it);
}

/* Everything a user can read of one key. */
static inline void check_key_values(struct world *w, struct node *nd,
                                    ecrdt_txn *t, uint32_t key) {
    const struct ref_key *rk = &w->u.keys[key];
    slice k = ref_key_slice(rk);
    uint64_t elems = 0, size;
    int64_t total = 0, now;
    bool any = false;
    for (uint32_t i = 0; i < w->u.n_items; i++) {
        const struct ref_item *it = &w->u.items[i];
        if (it->key != key)
            continue;
        bool live = ref_live(&w->u, &nd->ref[i]);
        if (rk->tag == TAG_REGISTER)
            check_register(w, nd, t, i);
        if (rk->tag == TAG_ELEMENT)
            assert_code(live, ecrdt_set_has(t, world_bucket, k,
                                            ref_elem(&w->u, it->elem)));
        elems += live;
        any = any || live;
        total += ref_truth(&w->u, &nd->ref[i]);
    }
    if (rk->tag == TAG_ELEMENT) {
        assert_ok(ecrdt_set_size(t, world_bucket, k, &size));
        WORLD_CHECK(w, size == elems, "set size %llu, should be %llu",
                    (unsigned long long)size, (unsigned long long)elems);
    }
    if (rk->tag == TAG_ENTRY) {
        assert_code(any, ecrdt_counter_get(t, world_bucket, k, &now));
        WORLD_CHECK(w, now == total, "counter %lld, should be %lld",
                    (long long)now, (long long)total);
    }
}

/* Both registers of the pair are always written together: in a settled
 * bucket they agree. */
static inline void check_pair(struct world *w, ecrdt_txn *t) {
    slice a = {0}, b = {0};
    int x =
        ecrdt_reg_get(t, world_bucket, ref_key_slice(&w->u.keys[0]), &a, NULL);
    int y =
        ecrdt_reg_get(t, world_bucket, ref_key_slice(&w->u.keys[1]), &b, NULL);
    WORLD_CHECK(w, x == y && slice_eq(a, b), "half a transaction is visible");
}

/* The whole comparison of one store with the oracle. */
static inline void world_check(struct world *w, struct node *nd) {
    static struct seen seen;
    struct ranges rs = {0};
    struct vv floor = {0};
    ecrdt_txn *t = world_begin(nd, false);
    seen_read(w, t, &seen);
    assert_ok(replica_clock(t, world_bucket, &rs, &floor));
    check_clocks(w, &rs);
    check_items(w, nd, &seen, &rs, &floor);
    for (uint32_t k = 0; k < w->u.n_keys; k++)
        check_key_values(w, nd, t, k);
    if (rs.n == 1)
        check_pair(w, t);
    ecrdt_abort(t);
    assert_code(ranges_settled(&rs, &nd->held),
                ecrdt_settled(nd->s, world_bucket));
    ranges_free(&rs);
    vv_free(&floor);
}

static inline int world_finding(void *ctx, const void *line, size_t len) {
    struct world *w = ctx;
    print_error("step %u (%s): verify: %.*s\n", w->step, w->what, (int)len,
                (const char *)line);
    return 0;
}

/* What is derived must be what the records give. */
static inline void world_verify(struct world *w, struct node *nd) {
    assert_ok(ecrdt_verify(nd->s, world_finding, w));
}

/* ---- local transactions ---------------------------------------------------
 */

/* What a transaction will have made of each item when it commits. */
struct plan {
    bool touched[REF_ITEMS];
    struct ref_event ev[REF_ITEMS];
};

static inline bool plan_live(struct world *w, struct node *nd,
                             const struct plan *p, uint32_t item) {
    return p->touched[item] ? p->ev[item].live
                            : ref_live(&w->u, &nd->ref[item]);
}

static inline struct ref_event *plan_touch(struct world *w, struct node *nd,
                                           struct plan *p, uint32_t item,
                                           bool live) {
    struct ref_event *e = &p->ev[item];
    if (!p->touched[item]) {
        memset(e, 0, sizeof *e);
        e->pay = ref_count(&w->u, &nd->ref[item]);
    }
    p->touched[item] = true;
    e->item = item;
    e->live = live;
    return e;
}

static inline uint32_t item_of(const struct world *w, uint32_t key,
                               uint32_t elem, uint32_t org) {
    for (uint32_t i = 0; i < w->u.n_items; i++) {
        const struct ref_item *it = &w->u.items[i];
        if (it->key == key && it->elem == elem && it->org == org)
            return i;
    }
    fail_msg("no such item");
    return 0;
}

static inline int plan_register(struct world *w, struct node *nd,
                                struct plan *p, uint32_t key, bool set,
                                uint64_t value) {
    uint32_t item = item_of(w, key, 0, 0);
    if (!set && !plan_live(w, nd, p, item))
        return 0;
    plan_touch(w, nd, p, item, set)->value = value;
    return set ? 0 : 1;
}

static inline int plan_element(struct world *w, struct node *nd, struct plan *p,
                               uint32_t key, uint32_t elem, bool add) {
    uint32_t item = item_of(w, key, elem, 0);
    bool was = plan_live(w, nd, p, item);
    if (add || was)
        plan_touch(w, nd, p, item, add);
    return add ? !was : was;
}

static inline void plan_add(struct world *w, struct node *nd, struct plan *p,
                            uint32_t key, int64_t by) {
    uint32_t item = item_of(w, key, 0, nd->org);
    struct ref_event *e = plan_touch(w, nd, p, item, true);
    *(by < 0 ? &e->pay.dec : &e->pay.inc) += (uint64_t)(by < 0 ? -by : by);
    e->delta += by;
}

static inline void plan_reset(struct world *w, struct node *nd, struct plan *p,
                              uint32_t key) {
    for (uint32_t i = 0; i < w->u.n_items; i++) {
        if (w->u.items[i].key != key)
            continue;
        struct count c =
            p->touched[i] ? p->ev[i].pay : ref_count(&w->u, &nd->ref[i]);
        if (c.inc == c.finc && c.dec == c.fdec)
            continue;
        struct ref_event *e = plan_touch(w, nd, p, i, true);
        e->pay.finc = e->pay.inc;
        e->pay.fdec = e->pay.dec;
        e->bye = ref_bye(&w->u, &nd->ref[i]);
        e->obs = nd->ref[i].ctx;
        e->reset = true;
        e->delta = 0;
    }
}

/* One random operation on plan and store. op may be NULL; else it is filled
 * in instead of run, for a batch. want is the result it must have. */
static inline int plan_one(struct world *w, struct node *nd, struct plan *p,
                           ecrdt_op *op, uint8_t value[8192]) {
    uint32_t key = 2 + (uint32_t)rng_below(&w->rng, w->u.n_keys - 2);
    if (w->focus && rng_below(&w->rng, 8))
        key = w->focus;
    const struct ref_key *rk = &w->u.keys[key];
    uint64_t dice = rng_below(&w->rng, 100);
    uint32_t elem = (uint32_t)rng_below(&w->rng, REF_ELEMS);
    int64_t by = (int64_t)rng_below(&w->rng, 8) - 3;
    *op = (ecrdt_op){.bucket = world_bucket, .key = ref_key_slice(rk)};
    if (rk->tag == TAG_REGISTER) {
        uint64_t number = w->next_value++;
        op->op = dice < 60 ? ECRDT_OP_REG_SET : ECRDT_OP_REG_DEL;
        op->val = value_slice(NULL, number, value);
        return plan_register(w, nd, p, key, dice < 60, number);
    }
    if (rk->tag == TAG_ELEMENT && dice < 8) {
        op->op = ECRDT_OP_SET_CLEAR;
        for (uint32_t e = 0; e < REF_ELEMS; e++)
            plan_element(w, nd, p, key, e, false);
        return 0;
    }
    if (rk->tag == TAG_ELEMENT) {
        op->op = dice < 60 ? ECRDT_OP_SET_ADD : ECRDT_OP_SET_REMOVE;
        op->val = ref_elem(&w->u, elem);
        return plan_element(w, nd, p, key, elem, dice < 60);
    }
    op->op = dice < 85 ? ECRDT_OP_COUNTER_ADD : ECRDT_OP_COUNTER_RESET;
    op->num = by;
    if (dice < 85)
        plan_add(w, nd, p, key, by);
    else
        plan_reset(w, nd, p, key);
    return 0;
}

static inline int run_one(ecrdt_txn *t, const ecrdt_op *op) {
    switch (op->op) {
    case ECRDT_OP_REG_SET:
        return ecrdt_reg_set(t, op->bucket, op->key, op->val);
    case ECRDT_OP_REG_DEL:
        return ecrdt_reg_del(t, op->bucket, op->key);
    case ECRDT_OP_SET_ADD:
        return ecrdt_set_add(t, op->bucket, op->key, op->val);
    case ECRDT_OP_SET_REMOVE:
        return ecrdt_set_remove(t, op->bucket, op->key, op->val);
    case ECRDT_OP_SET_CLEAR:
        return ecrdt_set_clear(t, op->bucket, op->key);
    case ECRDT_OP_COUNTER_ADD:
        return ecrdt_counter_add(t, op->bucket, op->key, op->num, NULL);
    default:
        return ecrdt_counter_reset(t, op->bucket, op->key);
    }
}

/* The new event of item, found in the store: learns its dot, time and name.
 * me and last: the origin's number and newest event. */
static inline void learn(struct world *w, struct node *nd, ecrdt_txn *t,
                         uint32_t item, const struct ref_event *plan,
                         uint32_t me, uint64_t last) {
    struct bucket *bk = world_bk(t, false);
    struct item_key k;
    struct item it = {0};
    slice rec;
    slice id = item_id_slice(&w->u.items[item].id);
    item_key_set(&k, bk->id, id, (uint16_t)item_id_k_len(id));
    struct items at;
    assert_ok(items_open(&at, t));
    assert_code(1, items_find(t, at.c, &k, &rec));
    items_close(&at);
    assert_ok(item_decode(&it, rec));
    WORLD_CHECK(w, it.n == 1, "a local event left %zu siblings", it.n);
    const struct event *e = &it.ev[0];
    WORLD_CHECK(w,
                e->origin == me && e->seq > nd->seq && e->seq <= last &&
                    event_live(e) == plan->live &&
                    plan->bye == !!(e->kind & KIND_BYE),
                "the event of item %u is not as planned", item);
    assert_true(w->u.n_ev < REF_EVENTS && e->seq < REF_EVENTS);
    WORLD_CHECK(w, !w->u.by_dot[nd->org][e->seq], "one dot on two items");
    size_t u = w->u.n_ev++;
    struct ref_event *re = &w->u.ev[u];
    *re = *plan;
    re->org = nd->org;
    re->seq = e->seq;
    re->hlc = e->hlc;
    assert_ok(door_name(t, bk, id, e, re->e16));
    w->u.by_dot[nd->org][e->seq] = (uint16_t)(u + 1);
    struct ref *r = &nd->ref[item];
    memset(&r->sib, 0, sizeof r->sib);
    bits_add(&r->sib, u);
    bits_add(&r->ctx, u);
    item_free(&it);
}

/* After a commit: the store must have made exactly the planned events. */
static inline void plan_done(struct world *w, struct node *nd,
                             const struct plan *p) {
    uint64_t n = 0;
    ecrdt_txn *t = world_begin(nd, false);
    struct bucket *bk = world_bk(t, false);
    uint64_t seq = bk ? bk->head.seq : 0;
    for (uint32_t i = 0; i < w->u.n_items; i++)
        if (p->touched[i]) {
            learn(w, nd, t, i, &p->ev[i], bk->head.me, seq);
            n++;
        }
    WORLD_CHECK(w, seq == nd->seq + n, "%llu events, should be %llu",
                (unsigned long long)(seq - nd->seq), (unsigned long long)n);
    nd->seq = seq;
    if (n) {
        w->u.bound[nd->org][seq] = true;
        w->u.h[nd->org][seq] = bk->head.h;
    }
    ecrdt_abort(t);
}

/* Writes the pair, if the bucket is held and settled. */
static inline void world_pair(struct world *w, struct node *nd) {
    static struct plan p;
    uint8_t value[8192];
    if (nd->held.some || ecrdt_settled(nd->s, world_bucket) != 1)
        return;
    memset(&p, 0, sizeof p);
    uint64_t number = w->next_value++;
    slice v = value_slice(NULL, number, value);
    ecrdt_txn *t = assert_handle(ecrdt_write(nd->s));
    for (uint32_t k = 0; k < 2; k++) {
        assert_ok(
            ecrdt_reg_set(t, world_bucket, ref_key_slice(&w->u.keys[k]), v));
        plan_register(w, nd, &p, k, true, number);
    }
    assert_ok(ecrdt_commit(t));
    plan_done(w, nd, &p);
}

/* A random transaction of one or some operations: one by one, as a batch,
 * or aborted. */
static inline void world_commit(struct world *w, struct node *nd) {
    static struct plan p;
    static uint8_t value[8][8192];
    ecrdt_op ops[8];
    int want[8];
    memset(&p, 0, sizeof p);
    size_t n = rng_below(&w->rng, 3) ? 1 : 1 + rng_below(&w->rng, 8);
    for (size_t i = 0; i < n; i++)
        want[i] = plan_one(w, nd, &p, &ops[i], value[i]);
    ecrdt_txn *t = assert_handle(ecrdt_write(nd->s));
    if (rng_below(&w->rng, 3) == 0)
        assert_ok(ecrdt_apply(t, ops, n));
    else
        for (size_t i = 0; i < n; i++)
            assert_code(want[i], run_one(t, &ops[i]));
    if (rng_below(&w->rng, 16) == 0) {
        ecrdt_abort(t);
        return;
    }
    assert_ok(ecrdt_commit(t));
    plan_done(w, nd, &p);
}
#endif

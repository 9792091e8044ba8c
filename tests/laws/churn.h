/* churn.h: origins that go: a goodbye and a fold on real stores beside the
 * oracle. */
#ifndef TESTS_LAWS_CHURN_H
#define TESTS_LAWS_CHURN_H
#include "crdt/fold.h"
#include "tests/laws/world.h"

/* Makes a store the heir, as long as it keeps its incarnation. */
static inline void world_heir(struct node *nd) {
    ecrdt_txn *t = world_begin(nd, true);
    assert_ok(fold_claim(t));
    assert_ok(ecrdt_commit(t));
}

/* Says goodbye: the old origin's entries once more, then a new one. */
static inline void world_retire(struct world *w, struct node *nd) {
    static struct plan p;
    struct ranges rs = {0};
    struct vv floor = {0};
    uint64_t n = 0, seq = 0;
    uint32_t me;
    memset(&p, 0, sizeof p);
    for (uint32_t i = 0; i < w->u.n_items; i++) {
        const struct ref_item *it = &w->u.items[i];
        if (it->tag == TAG_ENTRY && it->org == nd->org &&
            ref_live(&w->u, &nd->ref[i])) {
            plan_touch(w, nd, &p, i, true)->bye = true;
            n++;
        }
    }
    assert_ok(ecrdt_retire(nd->s));
    ecrdt_txn *t = world_begin(nd, false);
    assert_code(1, origin_no(t, w->u.orgs[nd->org], false, &me));
    assert_ok(replica_clock(t, world_bucket, &rs, &floor));
    for (size_t k = 0; rs.n && k < rs.r[0].clk.n; k++)
        if (!memcmp(rs.r[0].clk.e[k].origin, w->u.orgs[nd->org], 16)) {
            seq = rs.r[0].clk.e[k].seq;
            w->u.bound[nd->org][seq] = true;
            w->u.h[nd->org][seq] = rs.r[0].clk.e[k].h;
        }
    for (uint32_t i = 0; i < w->u.n_items; i++)
        if (p.touched[i])
            learn(w, nd, t, i, &p.ev[i], me, seq);
    WORLD_CHECK(w, seq == nd->seq + n, "not the events of a goodbye");
    ecrdt_abort(t);
    ranges_free(&rs);
    vv_free(&floor);
    world_me(w, nd);
}

/* What a fold makes of entry x of another origin: true if anything. */
static inline bool plan_fold(struct world *w, struct node *nd, struct plan *p,
                             uint32_t x, bool all) {
    const struct ref *r = &nd->ref[x];
    const struct ref_item *it = &w->u.items[x];
    struct count c = ref_count(&w->u, r);
    bool counts = c.inc != c.finc || c.dec != c.fdec;
    bool bye = ref_bye(&w->u, r);
    if (it->tag != TAG_ENTRY || it->org == nd->org || !ref_live(&w->u, r) ||
        !(bye || (all && counts)))
        return false;
    if (counts) {
        struct ref_event *own =
            plan_touch(w, nd, p, item_of(w, it->key, 0, nd->org), true);
        own->pay.inc += c.inc - c.finc;
        own->pay.dec += c.dec - c.fdec;
        own->delta += (int64_t)(c.inc - c.finc) - (int64_t)(c.dec - c.fdec);
    }
    struct ref_event *e = plan_touch(w, nd, p, x, !bye);
    e->pay =
        bye ? (struct count){0} : (struct count){c.inc, c.dec, c.inc, c.dec};
    e->obs = r->ctx;
    e->reset = true;
    return true;
}

/* The heir folds what it sees, in one transaction; nobody else may. */
static inline bool world_fold(struct world *w, struct node *nd) {
    static struct plan p;
    bool all = rng_below(&w->rng, 2), any = false;
    const struct fold_policy policy = {.all = all};
    memset(&p, 0, sizeof p);
    ecrdt_txn *t = world_begin(nd, true);
    struct bucket *bk = world_bk(t, true);
    int rc = fold_right(t);
    assert_true(rc >= 0);
    for (uint32_t i = 0; rc == 1 && i < w->u.n_items; i++) {
        struct item_parts parts;
        struct item_key k;
        slice id = item_id_slice(&w->u.items[i].id);
        assert_true(item_id_parse(id, &parts));
        item_key_set(&k, bk->id, id, parts.k_len);
        if (parts.tag != TAG_ENTRY || w->u.items[i].org == nd->org)
            continue;
        bool want = plan_fold(w, nd, &p, i, all);
        assert_code(want, fold_entry(t, bk, &k, &policy));
        any = any || want;
    }
    assert_ok(ecrdt_commit(t));
    if (rc == 1)
        plan_done(w, nd, &p);
    return any;
}
#endif

/* partial.h: nodes that hold a part: what they subscribe to changes at random,
 * and what they let go of must be kept by node 0, which holds everything. */
#ifndef TESTS_LAWS_PARTIAL_H
#define TESTS_LAWS_PARTIAL_H
#include "crdt/narrow.h"
#include "tests/laws/chunks.h"

/* A store's clock of now. */
static inline void partial_clock(struct node *nd, struct ranges *out) {
    struct vv floor = {0};
    ecrdt_txn *t = world_begin(nd, false);
    ranges_free(out);
    assert_ok(replica_clock(t, world_bucket, out, &floor));
    ecrdt_abort(t);
    vv_free(&floor);
}

/* Some of the universe's keys, all of them, or nothing. */
static inline void partial_subscribe(struct world *w, struct node *nd,
                                     bool all) {
    static const char *const starts[] = {"A", "a", "c",  "mm",
                                         "n", "s", "t~", "z"};
    slice list[8];
    size_t n = 0;
    for (size_t i = 0; i < 8 && !all; i++)
        if (rng_below(&w->rng, 2))
            list[n++] = slice_str(starts[i]);
    bool none = !all && !n;
    int rc = none ? ecrdt_unsubscribe(nd->s, world_bucket)
                  : ecrdt_subscribe(nd->s, world_bucket, list, n);
    assert_true(rc == 0 || rc == 1);
    ecrdt_txn *t = world_begin(nd, false);
    spans_free(&nd->held);
    assert_ok(held_spans_of(t, world_bucket, &nd->held));
    ecrdt_abort(t);
}

/* The oracle's narrowing: where the clock fell nothing is known any more, all
 * that was known there is known to node 0, and it lies outside of what is
 * held. Returns how many items were let go of. */
static inline uint64_t partial_forgot(struct world *w, struct node *nd,
                                      const struct ranges *was,
                                      const struct ranges *is) {
    uint64_t n = 0;
    for (uint32_t k = 0; k < w->u.n_items; k++) {
        slice id = item_id_slice(&w->u.items[k].id);
        const struct vv *before = &was->r[ranges_find(was, id)].clk;
        if (vv_le(before, &is->r[ranges_find(is, id)].clk))
            continue;
        WORLD_CHECK(w, !spans_have(&nd->held, id), "item %u is held", k);
        for (size_t u = 0; u < w->u.n_ev; u++)
            WORLD_CHECK(w,
                        !bits_has(&nd->ref[k].ctx, u) ||
                            bits_has(&w->node[0].ref[k].ctx, u),
                        "event %zu of item %u is let go of, and nobody "
                        "keeps it",
                        u, k);
        n += bits_any(&nd->ref[k].ctx);
        memset(&nd->ref[k], 0, sizeof nd->ref[k]);
    }
    return n;
}

/* Node 0 says that the heads in question lie on its chains: without twins they
 * always do. */
static inline void partial_answer(struct world *w, struct narrowed *done,
                                  struct said *said) {
    struct fp m = {0};
    ecrdt_txn *t = world_begin(&w->node[0], false);
    assert_ok(place_ask(&done->ask, world_bucket, &m));
    assert_ok(place_answer(t, &m));
    ecrdt_abort(t);
    WORLD_CHECK(w, m.n == 0, "node 0 is said to have another branch");
    assert_ok(said_add(said, &done->ask));
    fp_free(&m);
}

/* One step with a clock of node 0, perhaps an old one: its result. */
static inline int partial_narrow(struct world *w, struct node *nd,
                                 const struct ranges *clock,
                                 struct narrowed *done, uint64_t *n) {
    struct ranges was = {0}, is = {0};
    struct vv floor = {0};
    struct said said = {0};
    struct keeper keeper = {"0", clock, NULL, &said};
    ecrdt_txn *t = world_begin(nd, true);
    assert_ok(replica_clock(t, world_bucket, &was, &floor));
    vv_free(&floor);
    int rc = narrow_step(t, world_bucket, &keeper, 1, done);
    while (!rc && done->asks) {
        partial_answer(w, done, &said);
        rc = narrow_step(t, world_bucket, &keeper, 1, done);
    }
    said_free(&said);
    placed_free(&done->ask);
    assert_true(rc == 0 || rc == 1);
    assert_ok(ecrdt_commit(t));
    ecrdt_node me;
    assert_ok(ecrdt_node_id(nd->s, &me));
    if (memcmp(me.b, w->u.orgs[nd->org], sizeof me.b) != 0)
        world_me(w, nd);
    t = world_begin(nd, false);
    assert_ok(replica_clock(t, world_bucket, &is, &floor));
    ecrdt_abort(t);
    *n += partial_forgot(w, nd, &was, &is);
    ranges_free(&was);
    ranges_free(&is);
    vv_free(&floor);
    return rc;
}

/* One step with node 0's clock, NULL: of now. Did it wait? */
static inline bool partial_try(struct world *w, struct node *nd,
                               const struct ranges *clock, uint64_t *n) {
    struct ranges now = {0};
    struct narrowed done;
    partial_clock(&w->node[0], &now);
    partial_narrow(w, nd, clock ? clock : &now, &done, n);
    ranges_free(&now);
    return done.waits;
}

/* With node 0's clock of all there is nothing keeps the others from letting
 * go of the rest. */
static inline void partial_narrow_all(struct world *w,
                                      const struct ranges *clock, uint64_t *n) {
    struct narrowed done;
    for (size_t i = 1; i < w->n && w->u.n_orgs < REF_ORIGINS; i++) {
        while (w->u.n_orgs < REF_ORIGINS &&
               partial_narrow(w, &w->node[i], clock, &done, n) == 1)
            continue;
        WORLD_CHECK(w, !done.waits || w->u.n_orgs == REF_ORIGINS,
                    "node 0 has all, and the narrowing waits");
        world_check(w, &w->node[i]);
    }
}
#endif

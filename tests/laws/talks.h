/* talks.h: talks about fingerprints between stores of the world: FP, SAME and
 * WANT on their way beside chunks, and what they mean to the oracle. */
#ifndef TESTS_LAWS_TALKS_H
#define TESTS_LAWS_TALKS_H
#include "crdt/reconcile.h"
#include "tests/laws/chunks.h"

enum talk_type { TALK_CHUNK, TALK_FP, TALK_SAME, TALK_WANT };

/* What a message can be of besides a chunk. */
struct talk_msg {
    struct msg m;
    enum talk_type type;
};

/* How large what is split is: small, so that few items make many levels. */
struct talk_shape {
    size_t fan;
    uint64_t leaf;
};

static const uint8_t talk_key[RECONCILE_KEY] = "a link's nonce";

struct talk_figures {
    uint64_t equal, splits, leaves, raised, stale, sames;
};
static struct talk_figures talk_figures;

static inline struct talk_msg *
talk_new(size_t from, size_t to, enum talk_type type, const struct ref *ref) {
    struct talk_msg *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->m.from = from;
    t->m.to = to;
    t->type = type;
    memcpy(t->m.ref, ref, sizeof t->m.ref);
    return t;
}

static inline void talk_free(struct talk_msg *t) {
    if (t)
        buf_free(&t->m.bytes);
    free(t);
}

static inline struct talk_msg *talk_say(size_t from, size_t to,
                                        enum talk_type type, const struct fp *m,
                                        const struct ref *ref) {
    struct talk_msg *t = talk_new(from, to, type, ref);
    fp_encode(&t->m.bytes, m, type == TALK_FP);
    assert_ok(t->m.bytes.err);
    return t;
}

/* The clock of store i; f is its floor then. */
static inline void talk_clock(struct world *w, size_t i, struct ranges *rs,
                              struct vv *f) {
    ecrdt_txn *t = world_begin(&w->node[i], false);
    assert_ok(replica_clock(t, world_bucket, rs, f));
    ecrdt_abort(t);
}

/* The first FP of store from over [lo, hi) (NULL: the end), a part for each
 * clock that store to has there. f is raised to also. NULL if the bucket is
 * not there. */
static inline struct talk_msg *talk_ask(struct world *w, size_t from, size_t to,
                                        const struct item_id *lo,
                                        const struct item_id *hi,
                                        const struct vv *also) {
    struct node *nd = &w->node[from];
    struct fp ask = {.bucket = ecrdt_str(world_bucket)};
    struct reconcile r = {0};
    struct ranges rs = {0}, peer = {0};
    struct vv f_peer = {0};
    struct talk_msg *msg = NULL;
    talk_clock(w, to, &peer, &f_peer);
    assert_ok(ranges_init(&peer));
    ecrdt_txn *t = world_begin(nd, false);
    assert_ok(replica_clock(t, world_bucket, &rs, &ask.f));
    if (also)
        assert_ok(vv_join(&ask.f, also));
    struct ranges_walk walk =
        ranges_pieces(&peer, lo ? item_id_slice(lo) : slice_of(NULL, 0),
                      hi ? item_id_slice(hi) : slice_of(NULL, 0));
    while (ranges_piece(&walk)) {
        uint32_t no;
        struct item_id from_id, to_id;
        item_id_set(&from_id, walk.lo);
        item_id_set(&to_id, walk.hi);
        assert_ok(fp_add_clock(&ask, &peer.r[walk.i].clk, &no));
        assert_non_null(
            fp_add(&ask, &from_id, to_id.len ? &to_id : NULL, no, false));
    }
    assert_ok(reconcile_sum(&r, t, &ask, 1, talk_key));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    if (r.split.n)
        msg = talk_say(from, to, TALK_FP, &r.split, nd->ref);
    ecrdt_abort(t);
    reconcile_free(&r);
    ranges_free(&rs);
    ranges_free(&peer);
    vv_free(&f_peer);
    return msg;
}

static inline bool talk_part_has(const struct world *w, const struct fp_part *p,
                                 uint32_t item) {
    slice id = item_id_slice(&w->u.items[item].id);
    return !chunk_below(id, &p->lo) && (!p->bounded || chunk_below(id, &p->hi));
}

/* Raises what m says is equal, in store i; the oracle is handed ref for each
 * item there that rose. */
static inline void talk_raise(struct world *w, size_t i, const struct fp *m,
                              const struct ref *ref) {
    struct raise_report rep;
    struct node *nd = &w->node[i];
    struct ranges rs = {0};
    struct vv floor = {0};
    ecrdt_txn *t = world_begin(nd, true);
    assert_ok(reconcile_raise(t, m, &rep));
    assert_ok(ecrdt_commit(t));
    WORLD_CHECK(w, rep.refused == 0, "a part was refused");
    talk_figures.stale += rep.stale + rep.doubtful;
    talk_figures.raised += !rep.stale && m->n;
    talk_clock(w, i, &rs, &floor);
    assert_ok(ranges_init(&rs));
    for (size_t p = 0; p < m->n && !rep.stale; p++)
        for (uint32_t k = 0; k < w->u.n_items; k++) {
            slice id = item_id_slice(&w->u.items[k].id);
            if (talk_part_has(w, &m->parts[p], k) &&
                vv_le(&m->clks[m->parts[p].clk],
                      &rs.r[ranges_find(&rs, id)].clk))
                ref_join(&nd->ref[k], &ref[k]);
        }
    ranges_free(&rs);
    vv_free(&floor);
}

/* The items of m's parts as chunks, appended to out. */
static inline size_t talk_items(struct world *w, ecrdt_txn *t, struct fp *m,
                                size_t from, size_t to, const struct ref *ref,
                                struct talk_msg **out, size_t max) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES,
                                  1 + (uint32_t)rng_below(&w->rng, 4)};
    size_t n = 0;
    while (m->n && n < max) {
        static struct seen seen;
        struct chunk c = {0};
        struct chunk_built built;
        struct talk_msg *msg = talk_new(from, to, TALK_CHUNK, ref);
        if (reconcile_chunk(t, m, &budget, &msg->m.bytes, &built) != 1) {
            talk_free(msg);
            break;
        }
        assert_ok(chunk_decode(buf_slice(&msg->m.bytes), &c));
        seen_read(w, t, &seen);
        for (size_t i = 0; i < c.n_parts; i++) {
            assert_true(c.parts[i].complete);
            check_part(w, &c, &c.parts[i], &seen);
        }
        chunk_free(&c);
        out[n++] = msg;
    }
    return n;
}

enum { TALK_ANSWERS = 24 };

/* Store to compares an FP in slices of one snapshot, between which meanwhile
 * is called; then it raises its clock, and answers. */
static inline size_t talk_compare(struct world *w, const struct talk_msg *fp,
                                  const struct talk_shape *shape,
                                  void (*meanwhile)(size_t node),
                                  struct talk_msg *out[TALK_ANSWERS]) {
    static struct ref ref[REF_ITEMS];
    size_t me = fp->m.to, n = 0;
    struct reconcile r = {0};
    int rc;
    memcpy(ref, w->node[me].ref, sizeof ref);
    ecrdt_txn *t = world_begin(&w->node[me], false);
    assert_ok(reconcile_compare(&r, t, buf_slice(&fp->m.bytes), talk_key));
    r.fan = shape->fan;
    r.leaf = shape->leaf;
    while ((rc = reconcile_step(&r, 2)) == 0)
        if (meanwhile)
            meanwhile(me);
    assert_code(1, rc);
    talk_figures.equal += r.compared - r.differing;
    talk_figures.splits += r.split.n > 0;
    talk_figures.leaves += r.leaf_parts.n > 0;
    if (r.same.n)
        out[n++] = talk_say(me, fp->m.from, TALK_SAME, &r.same, ref);
    n += talk_items(w, t, &r.leaf_parts, me, fp->m.from, ref, out + n, 8);
    if (r.want.n)
        out[n++] = talk_say(me, fp->m.from, TALK_WANT, &r.want, ref);
    if (r.split.n)
        out[n++] = talk_say(me, fp->m.from, TALK_FP, &r.split, ref);
    ecrdt_abort(t);
    if (meanwhile)
        meanwhile(me);
    talk_raise(w, me, &r.raise, fp->m.ref);
    reconcile_free(&r);
    return n;
}

/* What store to makes of any message but a chunk. */
static inline size_t talk_deliver(struct world *w, const struct talk_msg *msg,
                                  const struct talk_shape *shape,
                                  void (*meanwhile)(size_t node),
                                  struct talk_msg *out[TALK_ANSWERS]) {
    size_t me = msg->m.to, n = 0;
    struct fp m = {0};
    if (msg->type == TALK_FP)
        return talk_compare(w, msg, shape, meanwhile, out);
    assert_ok(fp_decode(buf_slice(&msg->m.bytes), false, &m));
    if (msg->type == TALK_SAME) {
        talk_raise(w, me, &m, msg->m.ref);
        talk_figures.sames++;
    } else {
        ecrdt_txn *t = world_begin(&w->node[me], false);
        n = talk_items(w, t, &m, me, msg->m.from, w->node[me].ref, out, 8);
        ecrdt_abort(t);
    }
    fp_free(&m);
    return n;
}
#endif

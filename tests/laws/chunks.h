/* chunks.h: what a built chunk must hold, judged by the sender's records, its
 * clock and what it believed of the receiver. */
#ifndef TESTS_LAWS_CHUNKS_H
#define TESTS_LAWS_CHUNKS_H
#include "crdt/chunk_codec.h"
#include "tests/laws/world.h"

static inline struct chunk_budget chunk_budget_random(struct rng *rng) {
    static const uint32_t items[] = {1, 1, 2, 3, 5, 2000};
    uint32_t n = items[rng_below(rng, 6)];
    bool small = rng_below(rng, 8) == 0;
    return (struct chunk_budget){small ? 300 : CHUNK_PUSH_BYTES, n};
}

static inline bool chunk_below(slice a, const struct item_id *b) {
    return slice_cmp(a, item_id_slice(b)) < 0;
}

static inline bool chunk_has(const struct world *w, const struct chunk_part *p,
                             uint32_t item) {
    slice id = item_id_slice(&w->u.items[item].id);
    return !chunk_below(id, &p->lo) && (!p->bounded || chunk_below(id, &p->hi));
}

static inline const struct chunk_item *chunk_lists(const struct world *w,
                                                   const struct chunk *c,
                                                   const struct chunk_part *p,
                                                   uint32_t item) {
    for (uint32_t i = p->first; i < p->first + p->count; i++)
        if (slice_eq(c->items[i].id, item_id_slice(&w->u.items[item].id)))
            return &c->items[i];
    return NULL;
}

static inline bool chunk_covers(const struct world *w, const struct vv *v,
                                size_t u) {
    return vv_covers(v, w->u.orgs[w->u.ev[u].org], w->u.ev[u].seq);
}

/* All siblings of the item, payloads of those outside of base. */
static inline void check_listed(struct world *w, const struct chunk *c,
                                const struct chunk_part *p,
                                const struct chunk_item *it,
                                const struct bits *sib) {
    struct bits got = {0};
    for (uint32_t i = it->first; i < it->first + it->count; i++) {
        const struct event *e = &c->events[i];
        int org = ref_find_org(&w->u, c->origins[e->origin]);
        assert_true(org >= 0);
        int u = ref_find_event(&w->u, (uint32_t)org, e->seq);
        assert_true(u >= 0);
        WORLD_CHECK(w, !e->payload == chunk_covers(w, &p->base, (size_t)u),
                    "payload sent in vain, or left out");
        bits_add(&got, (size_t)u);
    }
    WORLD_CHECK(w, !memcmp(&got, sib, sizeof got),
                "an item is listed without all its siblings");
}

/* A delta lists exactly what a scan finds outside of base (whatever the log
 * said), a complete part everything. */
static inline void check_part(struct world *w, const struct chunk *c,
                              const struct chunk_part *p,
                              const struct seen *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->u.n_items; i++) {
        if (!chunk_has(w, p, i))
            continue;
        bool want = p->complete && bits_any(&s->sib[i]);
        for (size_t u = 0; u < w->u.n_ev; u++)
            want = want ||
                   (bits_has(&s->sib[i], u) && !chunk_covers(w, &p->base, u));
        const struct chunk_item *it = chunk_lists(w, c, p, i);
        WORLD_CHECK(w, want == (it != NULL), "item %u is %s", i,
                    want ? "not listed" : "listed in vain");
        if (it)
            check_listed(w, c, p, it, &s->sib[i]);
        n += it != NULL;
    }
    WORLD_CHECK(w, n == p->count, "items outside of the part");
    w->n_parts[p->complete]++;
}

static inline bool chunk_fits(const struct ranges *rs,
                              const struct chunk_part *p,
                              const struct vv *clk) {
    size_t i = ranges_find(rs, item_id_slice(&p->lo));
    const struct item_id *end = ranges_hi(rs, i);
    return vv_eq(&rs->r[i].clk, clk) &&
           (!end || (p->bounded && slice_cmp(item_id_slice(&p->hi),
                                             item_id_slice(end)) <= 0));
}

/* Is at a bound of rs? */
static inline bool chunk_bound(const struct ranges *rs, slice at) {
    return rs->n && slice_eq(item_id_slice(&rs->r[ranges_find(rs, at)].lo), at);
}

/* A new cut falls between keys, unless one key alone exceeds the chunk. */
static inline void check_cut(struct world *w, const struct chunk *c,
                             const struct ranges *mine,
                             const struct ranges *was) {
    const struct chunk_part *last = &c->parts[c->n_parts - 1];
    slice hi = item_id_slice(&last->hi);
    struct item_parts p;
    if (!last->bounded || chunk_bound(mine, hi) || chunk_bound(was, hi) ||
        !item_id_parse(hi, &p))
        return;
    bool others = false;
    for (size_t i = 0; i < c->n_items; i++)
        others =
            others || !slice_starts(c->items[i].id, slice_of(hi.data, p.k_len));
    WORLD_CHECK(w, !others, "a cut inside of a key");
}

static inline void check_chunk(struct world *w, ecrdt_txn *t, slice bytes,
                               const struct ranges *was,
                               const struct ranges *becomes,
                               const struct chunk_budget *budget,
                               const struct spans *within,
                               const struct chunk_built *built) {
    static struct seen s;
    struct chunk c = {0};
    struct ranges mine = {0}, none = {0};
    struct vv floor = {0};
    assert_ok(chunk_decode(bytes, &c));
    seen_read(w, t, &s);
    assert_ok(replica_clock(t, world_bucket, &mine, &floor));
    assert_ok(ranges_init(&none));
    for (size_t i = 0; i < c.n_parts; i++) {
        const struct chunk_part *p = &c.parts[i];
        check_part(w, &c, p, &s);
        slice hi = slice_of(p->hi.b, p->bounded ? p->hi.len : 0);
        WORLD_CHECK(w, spans_cover(within, item_id_slice(&p->lo), hi),
                    "a part of what the peer does not hold");
        WORLD_CHECK(w, chunk_fits(&mine, p, &p->clk), "not the sender's clock");
        WORLD_CHECK(w, chunk_fits(was->n ? was : &none, p, &p->base),
                    "base is not what the receiver was believed to have");
        WORLD_CHECK(w, p->complete == !vv_le(&floor, &p->base),
                    "delta below the floor, or complete above it");
    }
    WORLD_CHECK(w, built->items == c.n_items, "built.items is wrong");
    /* Past the cap on cuts, which may be 3, the budget is soft. */
    WORLD_CHECK(w, was->n + mine.n > 3 || c.n_items <= budget->max_items,
                "over the budget");
    WORLD_CHECK(w, ranges_le(was->n ? was : &none, becomes), "mirror fell");
    WORLD_CHECK(w, built->cut || ranges_le_in(&mine, becomes, within),
                "something was left out of an uncut chunk");
    WORLD_CHECK(w, !ranges_eq(was, becomes), "no progress");
    check_cut(w, &c, &mine, was);
    w->n_cuts += built->cut;
    chunk_free(&c);
    ranges_free(&mine);
    ranges_free(&none);
    vv_free(&floor);
}

/* ---- chunks on their way ---- */

struct msg {
    size_t from, to;
    struct buf bytes;
    struct ref ref[REF_ITEMS]; /* the sender's, as of its snapshot */
};

static inline void free_msg(struct msg *m) {
    if (m)
        buf_free(&m->bytes);
    free(m);
}

static inline bool base_le(const struct vv *a, const struct vv *b) {
    for (size_t i = 0; i < a->n; i++)
        if (a->e[i].seq > vv_seq(b, a->e[i].origin))
            return false;
    return true;
}

/* The oracle's receipt: the textbook join for each item that the protocol
 * hands over, which is where base <= the receiver's clock. */
static inline void hand_over(struct world *w, const struct msg *m,
                             const struct chunk *c, const struct ranges *rs,
                             struct ref *ref) {
    const struct spans *held = &w->node[m->to].held;
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct chunk_part *p = &c->parts[i];
        for (uint32_t k = 0; k < w->u.n_items; k++) {
            if (!chunk_has(w, p, k) ||
                !spans_have(held, item_id_slice(&w->u.items[k].id)))
                continue;
            size_t at = ranges_find(rs, item_id_slice(&w->u.items[k].id));
            if (base_le(&p->base, &rs->r[at].clk) &&
                (p->complete || chunk_lists(w, c, p, k)))
                ref_join(&ref[k], &m->ref[k]);
        }
    }
}

/* How many pieces of parts the receiver must turn away. */
static inline uint32_t must_refuse(const struct chunk *c, struct ranges *rs,
                                   const struct spans *held) {
    uint32_t n = 0;
    assert_ok(ranges_cut_at(rs, held));
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct chunk_part *p = &c->parts[i];
        size_t from = ranges_find(rs, item_id_slice(&p->lo));
        for (size_t k = from; k < rs->n; k++) {
            if (k > from && p->bounded &&
                slice_cmp(item_id_slice(&p->hi), item_id_slice(&rs->r[k].lo)) <=
                    0)
                break;
            n += spans_have(held, item_id_slice(&rs->r[k].lo)) &&
                 !base_le(&p->base, &rs->r[k].clk);
        }
    }
    return n;
}

static inline void apply_in(struct world *w, ecrdt_txn *t, struct msg *m,
                            struct ref *ref) {
    struct chunk c = {0};
    struct chunk_report rep = {0};
    struct ranges rs = {0};
    struct vv floor = {0};
    assert_ok(chunk_decode(buf_slice(&m->bytes), &c));
    assert_ok(replica_clock(t, world_bucket, &rs, &floor));
    hand_over(w, m, &c, &rs, ref);
    uint32_t ahead = must_refuse(&c, &rs, &w->node[m->to].held);
    assert_ok(chunk_apply(t, buf_slice(&m->bytes), &rep));
    WORLD_CHECK(w, rep.ahead == ahead && rep.refused == 0,
                "%u parts were ahead, should be %u; refused %u", rep.ahead,
                ahead, rep.refused);
    assert_string_equal(rep.bucket, world_bucket);
    w->n_ahead += rep.ahead;
    w->n_applied += rep.applied;
    chunk_free(&c);
    ranges_free(&rs);
    vv_free(&floor);
}
#endif

/* place.c: the question, what is kept of the answers, and the answer itself. */
#include "crdt/place.h"
#include "crdt/chain.h"
#include "crdt/clocks.h"
#include "lib/alloc.h"

void placed_free(struct placed *p) {
    vv_free(&p->heads);
    *p = (struct placed){0};
}

void said_free(struct said *s) {
    for (size_t i = 0; i < s->n; i++)
        placed_free(&s->p[i]);
    alloc_free(s->p);
    *s = (struct said){0};
}

/* Is lo to hi part of p's stretch? */
static bool within(const struct placed *p, slice lo, slice hi) {
    slice end = item_id_slice(&p->hi);
    return slice_cmp(item_id_slice(&p->lo), lo) <= 0 &&
           (!end.len || (hi.len && slice_cmp(hi, end) <= 0));
}

bool said_of(const struct said *s, slice lo, slice hi, const struct head *x) {
    for (size_t i = 0, n; i < s->n; i++) {
        const struct head *h = vv_heads(&s->p[i].heads, x->origin, &n);
        if (vv_heads_have(h, n, x) && within(&s->p[i], lo, hi))
            return true;
    }
    return false;
}

/* The place of an answer about that stretch: its own, a new one, or the
 * oldest's. NULL without memory. */
static struct placed *place_of(struct said *s, const struct placed *answer) {
    for (size_t i = 0; i < s->n; i++)
        if (slice_eq(item_id_slice(&s->p[i].lo), item_id_slice(&answer->lo)) &&
            slice_eq(item_id_slice(&s->p[i].hi), item_id_slice(&answer->hi)))
            return &s->p[i];
    if (s->n == PLACE_STRETCHES) {
        struct placed *p = &s->p[s->oldest];
        s->oldest = (s->oldest + 1) % PLACE_STRETCHES;
        placed_free(p);
        return p;
    }
    if (alloc_grow(&s->p, &s->cap, s->n + 1, sizeof *s->p) < 0)
        return NULL;
    s->p[s->n] = (struct placed){0};
    return &s->p[s->n++];
}

int said_add(struct said *s, struct placed *answer) {
    struct placed *p = place_of(s, answer);
    int rc = p ? ECRDT_OK : ECRDT_ENOMEM;
    for (size_t i = 0, n; p && i < p->heads.n && rc == ECRDT_OK; i += n) {
        n = vv_group(&p->heads, i);
        const struct head *h = &p->heads.e[i];
        rc = vv_unite(&answer->heads, h->origin, h, n);
    }
    if (rc < 0)
        return rc;
    placed_free(p);
    *p = *answer;
    *answer = (struct placed){0};
    return ECRDT_OK;
}

int place_ask(const struct placed *p, const char *bucket, struct fp *m) {
    uint32_t clk;
    m->bucket = ecrdt_str(bucket);
    int rc = fp_add_clock(m, &p->heads, &clk);
    if (rc == ECRDT_OK &&
        !fp_add(m, &p->lo, p->hi.len ? &p->hi : NULL, clk, false))
        rc = ECRDT_ENOMEM;
    return rc;
}

/* Are some heads of one origin shown not to lie on here's? 1, 0, < 0. */
static int group_off(ecrdt_txn *t, struct bucket *bk, const struct vv *here,
                     const struct head *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int place = chain_find(t, bk, here, &x[i]);
        if (place == CHAIN_OFF || place == CHAIN_AHEAD || place < 0)
            return place < 0 ? place : 1;
    }
    return 0;
}

/* The same of all heads; before: the clock of the range before, on which all
 * of them lie, or NULL. */
static int any_off(ecrdt_txn *t, struct bucket *bk, const struct vv *before,
                   const struct vv *here, const struct vv *heads) {
    int rc = 0;
    for (size_t i = 0, n, nh, nb = 0; i < heads->n && rc == 0; i += n) {
        const struct head *x = &heads->e[i], *b = NULL;
        const struct head *h = vv_heads(here, x->origin, &nh);
        n = vv_group(heads, i);
        if (before)
            b = vv_heads(before, x->origin, &nb);
        if (!b || !vv_heads_same(b, nb, h, nh))
            rc = group_off(t, bk, here, x, n);
    }
    return rc;
}

/* One part of a question: what lies off is added to the answer. */
static int answer_part(ecrdt_txn *t, struct bucket *bk, const struct fp *m,
                       const struct fp_part *p, struct fp *off) {
    static const struct vv none;
    const struct vv *heads = &m->clks[p->clk], *before = NULL;
    slice end = p->bounded ? item_id_slice(&p->hi) : slice_of(NULL, 0);
    struct ranges_walk w = ranges_pieces(&bk->rs, item_id_slice(&p->lo), end);
    while (ranges_piece(&w)) {
        const struct vv *here = &bk->rs.r[w.i].clk;
        struct item_id lo, hi;
        uint32_t clk;
        int rc = any_off(t, bk, before, here, heads);
        before = rc ? NULL : here;
        item_id_set(&lo, w.lo);
        item_id_set(&hi, w.hi);
        if (rc == 1)
            rc = fp_add_clock(off, &none, &clk);
        else if (!rc)
            continue;
        if (rc == ECRDT_OK &&
            !fp_add(off, &lo, w.hi.len ? &hi : NULL, clk, true))
            rc = ECRDT_ENOMEM;
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

int place_answer(ecrdt_txn *t, struct fp *m) {
    char name[ECRDT_MAX_BUCKET_NAME + 1] = {0};
    struct bucket *bk;
    struct fp off = {.bucket = m->bucket, .gen = m->gen};
    memcpy(name, m->bucket.data, m->bucket.len);
    int rc = txn_bucket(t, name, false, &bk);
    for (size_t i = 0; i < m->n_clks && rc == 0; i++)
        vv_free(&m->clks[i]); /* without the bucket nothing of m lies here */
    if (rc <= 0)
        return rc;
    rc = clocks_load(t, bk);
    for (size_t i = 0; i < m->n && rc == ECRDT_OK; i++)
        rc = answer_part(t, bk, m, &m->parts[i], &off);
    fp_free(m);
    *m = off;
    return rc < 0 ? rc : ECRDT_OK;
}

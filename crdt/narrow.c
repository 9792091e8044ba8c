/* narrow.c: forgets what lies outside of the subscription, piece by piece,
 * each checked against what another node is known to keep. */
#include "crdt/narrow.h"
#include "crdt/chain.h"
#include "crdt/clocks.h"
#include "crdt/forget.h"
#include "lib/log.h"
#include "lib/mutant.h"

/* One stretch outside of the subscription on which our clock is one. */
struct stretch {
    slice lo, hi;
    const struct vv *clk; /* of the others: our own entry left out */
};

struct narrow {
    ecrdt_txn *t;
    struct bucket *bk;
    struct held h;
    struct ranges others;
    const uint8_t *me;
    const struct keeper *keepers;
    size_t n;
    struct narrowed *out;
    uint64_t floor; /* of this incarnation's events */
    bool look;      /* change nothing */
    bool stays;     /* something written outside, again and again */
};

/* The ranges of a bucket without this store's own entry. */
static int load_others(ecrdt_txn *t, struct bucket *bk, struct ranges *others) {
    int rc = clocks_load(t, bk);
    const uint8_t *me = rc < 0 ? NULL : origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    rc = ranges_copy(others, &bk->rs);
    for (size_t i = 0; i < others->n && rc == ECRDT_OK; i++)
        rc = vv_set_heads(&others->r[i].clk, me, NULL, 0);
    return rc;
}

/* Calls fn for each stretch outside of h that has items or a clock of others;
 * fn: 0 = go on, else it is the result. */
static int each_stretch(ecrdt_txn *t, struct bucket *bk, const struct held *h,
                        const struct ranges *others,
                        int (*fn)(void *ctx, const struct stretch *s),
                        void *ctx) {
    struct spans in = {0}, rest = {0};
    int rc = held_spans(h, &in);
    if (rc == ECRDT_OK)
        rc = spans_rest(&rest, &in);
    for (size_t i = 0; i < rest.n && !rc; i++) {
        slice lo, hi;
        spans_at(&rest, i, &lo, &hi);
        struct ranges_walk w = ranges_pieces(others, lo, hi);
        while (!rc && ranges_piece(&w)) {
            struct stretch s = {w.lo, w.hi, &others->r[w.i].clk};
            int any = s.clk->n ? 1 : forget_any(t, bk, s.lo, s.hi);
            rc = any == 1 ? fn(ctx, &s) : any;
        }
    }
    spans_free(&in);
    spans_free(&rest);
    return rc;
}

static int found_one(void *ctx, const struct stretch *s) {
    (void)ctx, (void)s;
    return 1;
}

int narrow_outside(ecrdt_txn *t, const struct held *h) {
    struct bucket *bk;
    struct ranges others = {0};
    int rc = txn_bucket(t, h->bucket, false, &bk);
    if (rc <= 0)
        return rc;
    rc = load_others(t, bk, &others);
    if (rc == ECRDT_OK)
        rc = each_stretch(t, bk, h, &others, found_one, NULL);
    ranges_free(&others);
    return rc;
}

/* ---- who keeps a stretch --------------------------------------------------
 */

/* Adds to ask the heads of one origin that the numbers of the keeper's clock at
 * cover, and that are not known to lie on its chains: 0 or < 0. */
static int ask_group(const struct narrow *w, const struct keeper *k,
                     const struct stretch *s, const struct vv *at,
                     const struct head *x, size_t n, struct vv *ask) {
    for (size_t i = 0, nk; i < n; i++) {
        const struct head *h = vv_heads(at, x->origin, &nk);
        if (vv_heads_have(h, nk, &x[i]) || !nk || h->seq < x[i].seq ||
            (k->said && said_of(k->said, s->lo, s->hi, &x[i])))
            continue;
        int place = chain_find(w->t, w->bk, at, &x[i]);
        if (place == CHAIN_ON || (place == CHAIN_UNKNOWN && MUTANT(narrowask)))
            continue;
        int rc = place < 0 ? place : vv_unite(ask, x->origin, &x[i], 1);
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

/* The heads of the stretch about which the keeper is to be asked: a number of
 * its clock may be that of an event on another branch. */
static int ask_about(const struct narrow *w, const struct keeper *k,
                     const struct stretch *s, struct vv *ask) {
    struct ranges_walk r = ranges_pieces(k->clock, s->lo, s->hi);
    while (ranges_piece(&r))
        for (size_t i = 0, n; i < s->clk->n && ask->n < PLACE_HEADS; i += n) {
            n = vv_group(s->clk, i);
            const struct vv *at = &k->clock->r[r.i].clk;
            int rc = ask_group(w, k, s, at, &s->clk->e[i], n, ask);
            if (rc < 0)
                return rc;
        }
    return ECRDT_OK;
}

/* Events on the stretch that the keeper lacks; of our own those of former
 * incarnations, for the present one keeps its entry. */
static int missing_there(const struct narrow *w, const struct keeper *k,
                         const struct stretch *s, uint64_t *missing) {
    struct spans within = {0};
    int rc = spans_add(&within, s->lo, s->hi);
    if (rc == ECRDT_OK)
        *missing = ranges_missing_in(&w->others, k->clock, &within);
    spans_free(&within);
    if (MUTANT(narrowown))
        *missing = ranges_least(k->clock, w->me) < w->bk->head.seq;
    return rc;
}

/* The keeper that has the most of the stretch, NULL if none holds it, and the
 * events that it lacks. 0 or < 0. */
static int best_keeper(const struct narrow *w, const struct stretch *s,
                       const struct keeper **best, uint64_t *fewest) {
    *best = NULL;
    for (size_t i = 0; i < w->n; i++) {
        uint64_t missing = 0;
        if (!spans_cover(w->keepers[i].holds, s->lo, s->hi))
            continue;
        int rc = missing_there(w, &w->keepers[i], s, &missing);
        if (rc < 0)
            return rc;
        if (*best && missing >= *fewest)
            continue;
        *fewest = missing;
        *best = &w->keepers[i];
    }
    return ECRDT_OK;
}

/* Does a keeper cover our whole clock of the stretch? 1, or 0 and whom it
 * waits for; < 0. */
static int find_keeper(struct narrow *w, const struct stretch *s) {
    const struct keeper *best;
    struct narrowed *out = w->out;
    uint64_t fewest = 0;
    struct placed ask = {0};
    int rc = best_keeper(w, s, &best, &fewest);
    if (rc == ECRDT_OK && best && best->clock->n && !MUTANT(narrowfork))
        rc = ask_about(w, best, s, &ask.heads);
    if (rc == ECRDT_OK && best &&
        ((!fewest && !ask.heads.n) || MUTANT(narrowearly)))
        rc = 1;
    if (rc == ECRDT_OK)
        out->waits = true;
    if (rc == ECRDT_OK && !out->ask.heads.n) {
        item_id_set(&ask.lo, s->lo);
        item_id_set(&ask.hi, s->hi);
        out->keeper = best;
        out->missing = fewest;
        out->ask = ask;
        out->asks = ask.heads.n > 0;
        return 0;
    }
    placed_free(&ask);
    return rc;
}

/* ---- one piece ------------------------------------------------------------
 */

struct piece {
    const struct narrow *w;
    uint64_t items;
    bool own;             /* it ends before an event of this incarnation */
    struct item_id until; /* where it ends; empty = the stretch's end */
};

/* Looks at one item: 0 = part of the piece, 1 = the piece ends before it. */
static int look(void *ctx, const struct item_key *k, const struct item *it) {
    struct piece *p = ctx;
    p->own = item_of_origin(it, p->w->bk->head.me) && !MUTANT(narrow);
    if (p->items == NARROW_ITEMS || p->own) {
        item_id_set(&p->until, item_key_id(k));
        return 1;
    }
    p->items++;
    return 0;
}

/* Our entry stands in every clock: it would claim events that are no longer
 * here. A new incarnation closes it; from then on it is an entry like any
 * other, which a keeper can cover however much is written here meanwhile. */
static int begin_act(struct narrow *w) {
    struct bucket_head *h = &w->bk->head;
    int rc = ECRDT_OK;
    if (h->seq && !MUTANT(narrow)) {
        w->h.renewals++;
        rc = twin_renew(w->t);
    }
    w->h.since = h->me + 1;
    if (rc == ECRDT_OK)
        rc = held_save(w->t, &w->h);
    return rc < 0 ? rc : 1;
}

static int forget_piece(struct narrow *w, const struct stretch *s,
                        const struct piece *p) {
    struct forgotten done;
    slice hi = p->until.len ? item_id_slice(&p->until) : s->hi;
    int rc = forget_items(w->t, w->bk, s->lo, hi, UINT64_MAX, &done);
    w->out->items += done.items;
    return rc < 0 ? rc : 1;
}

/* 1 = something of it was done, 0 = it waits, or stays: what is written
 * outside without end is not waited for. */
static int leave(void *ctx, const struct stretch *s) {
    struct narrow *w = ctx;
    struct piece p = {.w = w};
    bool begun = w->h.since == w->bk->head.me + 1;
    int rc = ECRDT_OK;
    p.own = w->floor; /* an own tomb that is gone may have been here */
    if (begun && !p.own && !w->look)
        rc = forget_look(w->t, w->bk, s->lo, s->hi, look, &p);
    bool piece = !p.own || p.items;
    if (rc < 0)
        return rc;
    if (begun && !piece && w->h.renewals >= NARROW_RENEWALS) {
        w->stays = true;
        return 0;
    }
    rc = find_keeper(w, s);
    if (rc != 1 || w->look)
        return rc;
    return begun && piece ? forget_piece(w, s, &p) : begin_act(w);
}

static int finished(struct narrow *w) {
    if (w->look)
        return 1;
    w->h.narrowing = false;
    w->h.since = 0;
    w->h.renewals = 0;
    log_line(ECRDT_LOG_INFO,
             "msg=\"%s outside of the subscription\" store=\"%s\" "
             "bucket=\"%s\"",
             w->stays ? "what is written all the time stays"
                      : "nothing is left",
             log_text(w->t->s->path).s, log_text(w->h.bucket).s);
    return held_save(w->t, &w->h);
}

static int narrow(struct narrow *w) {
    struct vv floor = {0};
    int rc = load_others(w->t, w->bk, &w->others);
    w->me = rc < 0 ? NULL : origin_id(w->t, w->bk->head.me);
    if (!w->me)
        return rc < 0 ? rc : db_err(w->t->db);
    rc = clocks_vector(w->t, w->bk, CLOCK_FLOOR, &floor);
    w->floor = vv_seq(&floor, w->me);
    vv_free(&floor);
    return rc < 0 ? rc : each_stretch(w->t, w->bk, &w->h, &w->others, leave, w);
}

static int step(ecrdt_txn *t, const char *bucket, bool look_only,
                const struct keeper *keepers, size_t n, struct narrowed *out) {
    struct narrow w = {
        .t = t, .keepers = keepers, .n = n, .out = out, .look = look_only};
    *out = (struct narrowed){0};
    int rc = held_load(t, bucket, &w.h);
    if (rc < 0 || !w.h.narrowing) {
        held_free(&w.h);
        return rc < 0 ? rc : 0;
    }
    rc = txn_bucket(t, bucket, false, &w.bk);
    if (rc == 1)
        rc = narrow(&w);
    if (!rc && !out->waits)
        rc = finished(&w);
    held_free(&w.h);
    ranges_free(&w.others);
    return rc < 0 ? db_stick(t->db, rc) : rc;
}

int narrow_look(ecrdt_txn *t, const char *bucket, const struct keeper *keepers,
                size_t n, struct narrowed *out) {
    return step(t, bucket, true, keepers, n, out);
}

int narrow_step(ecrdt_txn *t, const char *bucket, const struct keeper *keepers,
                size_t n, struct narrowed *out) {
    return step(t, bucket, false, keepers, n, out);
}

/* fork.c: the receiver's side of forks: compares the heads of both, finds where
 * branches part, and raises the clock by what it found. */
#include "crdt/fork.h"
#include "crdt/chain.h"
#include "crdt/door.h"
#include "crdt/event.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/mutant.h"

void forks_free(struct forks *fs) {
    alloc_free(fs->f);
    *fs = (struct forks){0};
}

struct fork *forks_add(struct forks *fs, const uint8_t *origin) {
    if (alloc_grow(&fs->f, &fs->cap, fs->n + 1, sizeof *fs->f) < 0)
        return NULL;
    struct fork *f = &fs->f[fs->n++];
    *f = (struct fork){0};
    memcpy(f->origin, origin, ORIGIN_SIZE);
    return f;
}

const struct fork *forks_of(const struct forks *fs, const uint8_t *origin) {
    for (size_t i = 0; i < fs->n; i++)
        if (!memcmp(fs->f[i].origin, origin, ORIGIN_SIZE))
            return &fs->f[i];
    return NULL;
}

bool forks_beyond(const struct forks *fs, uint32_t no, uint64_t seq) {
    for (size_t i = 0; i < fs->n; i++)
        if (fs->f[i].no == no)
            return seq > fs->f[i].cut;
    return false;
}

bool fork_branched(const struct chunk_part *p, const uint8_t *origin) {
    size_t nb, nc;
    vv_heads(&p->base, origin, &nb);
    vv_heads(&p->clk, origin, &nc);
    return nb > 1 || nc > 1;
}

/* The heads of one origin: x ours, y theirs, those of part p of chunk c. */
struct both {
    ecrdt_txn *t;
    struct bucket *bk;
    const struct chunk *c;
    const struct chunk_part *p;
    const struct head *x, *y;
    size_t nx, ny;
};

/* Did they build on our head x? */
static bool built_on(const struct both *b, const struct head *x) {
    size_t n;
    const struct head *base = vv_heads(&b->p->base, x->origin, &n);
    return vv_heads_have(base, n, x);
}

/* Is our head x shown to lie on the chain of their head y? What they built on
 * they have looked up themselves, if it is not beyond what they have; on which
 * of several chains it lies it does not tell. */
static bool shown_on(const struct both *b, const struct head *y, bool only,
                     const struct head *x) {
    return vv_heads_have(y, 1, x) ||
           chain_lists_have(&b->c->chains, chain_lists_of(&b->c->chains, y),
                            x) ||
           (only && x->seq <= y->seq && built_on(b, x));
}

/* Is a head x of ours that list l does not reach known to lie on the chain, or
 * off it? By what was told before of the pair with which the list begins. */
static int place_before(const struct both *b, const struct chain_list *l,
                        const struct head *x) {
    struct head first = l->top;
    if (l->n) {
        const struct chain_pair *p = chain_lists_pairs(&b->c->chains, l);
        first.seq = p->seq;
        first.h = p->h;
    }
    return MUTANT(tellonce) ? CHAIN_UNKNOWN
                            : chain_find_below(b->t, b->bk, &first, x);
}

/* Where our head x lies by what they tell of the chain of their head y. What
 * cannot be shown counts as lag, so as CHAIN_ON, but not beside a head of ours
 * that is shown to lie there and is not below it: ours lie on different
 * branches. */
static int place_theirs(const struct both *b, const struct head *y,
                        const struct head *x) {
    const struct chain_list *l = chain_lists_of(&b->c->chains, y);
    bool told = l ? x->seq >= l->since : b->c->told;
    if (shown_on(b, y, false, x))
        return CHAIN_ON;
    if (x->seq >= y->seq || told)
        return CHAIN_OFF;
    int place = l ? place_before(b, l, x) : CHAIN_UNKNOWN;
    if (place != CHAIN_UNKNOWN)
        return place;
    for (size_t i = 0; i < b->nx && !MUTANT(otherbranch); i++)
        if (&b->x[i] != x && b->x[i].seq >= x->seq &&
            shown_on(b, y, b->ny == 1, &b->x[i]))
            return CHAIN_OFF;
    return CHAIN_ON;
}

/* Does our head x lie on the chain of one of theirs? 1, 0, < 0. */
static int is_theirs(const struct both *b, const struct head *x) {
    if ((x->seq <= b->y->seq && built_on(b, x)) || MUTANT(nochain) ||
        MUTANT(dotreuse))
        return 1;
    for (size_t i = 0; i < b->ny; i++) {
        int place = place_theirs(b, &b->y[i], x);
        if (place < 0 || place == CHAIN_ON)
            return place < 0 ? place : 1;
    }
    return 0;
}

/* Do all of ours? 1, 0, < 0. */
static int all_theirs(const struct both *b) {
    int rc = 1;
    for (size_t i = 0; i < b->nx && rc == 1; i++)
        rc = is_theirs(b, &b->x[i]);
    return rc;
}

int fork_all_ours(ecrdt_txn *t, struct bucket *bk, const struct vv *here,
                  const struct head *y, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int place = chain_find(t, bk, here, &y[i]);
        if (place == CHAIN_UNKNOWN)
            atomic_fetch_add(&t->s->fork_unknown, 1);
        if (place == CHAIN_AHEAD || place == CHAIN_OFF || place < 0)
            return place < 0 ? place : 0;
    }
    return 1;
}

/* Steps to the pair before *at of our or their chain: 1, 0 if it is not known,
 * < 0. */
static int step_down(ecrdt_txn *t, struct bucket *bk, uint32_t no,
                     struct chain_pair *at) {
    struct chain_link l;
    int rc = chain_link(t, bk, no, at->seq, at->h, &l);
    *at = (struct chain_pair){rc == 1 ? l.prev_seq : 0, rc == 1 ? l.prev_h : 0};
    return rc < 0 ? rc : at->seq > 0;
}

/* The greatest pair that lies on the chains of our x and of their top: below
 * their list by what was told before. */
static int common(const struct both *b, uint32_t no, const struct head *x,
                  const struct head *top, uint64_t *most) {
    const struct chain_lists *told = &b->c->chains;
    const struct chain_list *l = chain_lists_of(told, top);
    const struct chain_pair *p = l && l->n ? chain_lists_pairs(told, l) : NULL;
    size_t left = p ? l->n : 0;
    struct chain_pair theirs = {top->seq, top->h}, ours = {x->seq, x->h};
    int rc = 1;
    while (rc == 1 && ours.seq > *most) {
        if (ours.seq == theirs.seq && ours.h == theirs.h)
            *most = ours.seq;
        else if (theirs.seq < ours.seq)
            rc = step_down(b->t, b->bk, no, &ours);
        else if (left)
            theirs = p[--left];
        else
            rc = step_down(b->t, b->bk, no, &theirs);
    }
    return rc < 0 ? rc : ECRDT_OK;
}

static int add_fork(const struct both *b, struct forks *fs) {
    struct fork *f = forks_add(fs, b->y->origin);
    int rc = f ? origin_no(b->t, b->y->origin, true, &f->no) : ECRDT_ENOMEM;
    for (size_t i = 0; i < b->nx; i++)
        for (size_t k = 0; k < b->ny && rc >= 0; k++)
            rc = common(b, f->no, &b->x[i], &b->y[k], &f->cut);
    return rc < 0 ? rc : ECRDT_OK;
}

int fork_judge(ecrdt_txn *t, struct bucket *bk, const struct chunk *c,
               const struct chunk_part *p, const struct vv *here,
               struct forks *fs) {
    struct both b = {.t = t, .bk = bk, .c = c, .p = p};
    for (size_t i = 0, nb; i < p->clk.n; i += b.ny) {
        b.y = &p->clk.e[i];
        b.ny = vv_group(&p->clk, i);
        b.x = vv_heads(here, b.y->origin, &b.nx);
        if (!b.nx || vv_heads_same(b.x, b.nx, b.y, b.ny))
            continue;
        int rc = all_theirs(&b);
        if (rc == 0)
            rc = fork_all_ours(t, bk, here, b.y, b.ny);
        if (rc < 0)
            return rc;
        if (rc == 1)
            continue;
        vv_heads(&p->base, b.y->origin, &nb);
        if (!p->complete || nb)
            return 1; /* they have to see it and send all */
        rc = add_fork(&b, fs);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int fork_cut(const struct vv *v, const struct forks *fs, struct vv *out) {
    int rc = vv_copy(out, v);
    for (size_t i = 0; i < fs->n && rc == ECRDT_OK && !MUTANT(nocut); i++) {
        struct head e = {.seq = fs->f[i].cut};
        memcpy(e.origin, fs->f[i].origin, ORIGIN_SIZE);
        rc = vv_set_heads(out, e.origin, &e, e.seq > 0);
    }
    return rc;
}

/* ---- what is kept ---- */

/* The pair that top, or the first pair of its list, stands on: the one head
 * that they knew of ours, or nothing, or something behind a gap. */
static void anchor(const struct chunk *c, const struct chunk_part *p,
                   const struct chain_list *l, const struct head *top,
                   struct chain_link *out) {
    size_t n;
    const struct head *b = vv_heads(&p->base, top->origin, &n);
    bool below = n == 1 && b->seq < top->seq &&
                 !fork_branched(p, top->origin) &&
                 (l ? l->since <= b->seq : c->told);
    *out = (struct chain_link){.gap = !below && (!l || l->since > 0)};
    out->prev_seq = below ? b->seq : 0;
    out->prev_h = below ? b->h : 0;
}

static int keep_lists(ecrdt_txn *t, struct bucket *bk, const struct chunk *c,
                      const struct chunk_part *p, const struct vv *here) {
    const uint8_t *me = origin_id(t, bk->head.me);
    for (size_t i = 0; i < p->clk.n && me; i++) {
        const struct head *y = &p->clk.e[i];
        size_t n;
        const struct head *x = vv_heads(here, y->origin, &n);
        if (vv_heads_have(x, n, y) || !memcmp(y->origin, me, ORIGIN_SIZE))
            continue;
        const struct chain_list *l = chain_lists_of(&c->chains, y);
        struct chain_link below;
        anchor(c, p, l, y, &below);
        int rc = chain_keep_list(t, bk, &c->chains, l, y, &below);
        if (rc < 0)
            return rc;
    }
    return me ? ECRDT_OK : db_err(t->db);
}

/* Of the heads of both branches those that lie on no other one. */
static int raise_fork(const struct both *b, struct vv *here) {
    struct head keep[2 * VV_MAX_HEADS];
    uint8_t origin[ORIGIN_SIZE];
    size_t n = 0;
    for (size_t i = 0; i < b->nx; i++) {
        int theirs = is_theirs(b, &b->x[i]);
        if (theirs < 0)
            return theirs;
        if (!theirs)
            keep[n++] = b->x[i];
    }
    for (size_t i = 0; i < b->ny; i++) {
        int place = chain_find(b->t, b->bk, here, &b->y[i]);
        if (place < 0)
            return place;
        if (place != CHAIN_ON || vv_heads_have(b->x, b->nx, &b->y[i]))
            keep[n++] = b->y[i]; /* the same head on both sides: once */
    }
    memcpy(origin, b->y->origin, ORIGIN_SIZE);
    int rc = vv_set_heads(here, origin, NULL, 0); /* x is gone */
    return rc < 0 ? rc : vv_unite(here, origin, keep, n);
}

bool fork_comes_first(const struct head *a, size_t na, const struct head *b,
                      size_t nb) {
    for (size_t i = 0; na == nb && i < na; i++)
        if (vv_head_order(&a[i], &b[i]) != 0)
            return vv_head_order(&a[i], &b[i]) < 0;
    return na < nb;
}

/* Are their heads further than ours, though numbers cannot tell? So it is where
 * a head that was kept beside others turns out to lie on one of theirs. 1, 0,
 * < 0. */
static int is_further(const struct both *b, const struct vv *here) {
    if (!b->nx || (b->nx == 1 && b->ny == 1) ||
        vv_heads_le(b->x, b->nx, b->y, b->ny) ||
        vv_heads_le(b->y, b->ny, b->x, b->nx) || MUTANT(headnum))
        return 0;
    int rc = all_theirs(b);
    if (rc != 1)
        return rc;
    rc = fork_all_ours(b->t, b->bk, here, b->y, b->ny);
    return rc < 0 ? rc : !rc || fork_comes_first(b->y, b->ny, b->x, b->nx);
}

int fork_raise(ecrdt_txn *t, struct bucket *bk, const struct chunk *c,
               const struct chunk_part *p, struct vv *here,
               const struct forks *fs) {
    struct both b = {.t = t, .bk = bk, .c = c, .p = p};
    struct vv rest = {0}; /* what numbers can tell */
    int rc = keep_lists(t, bk, c, p, here);
    if (rc == ECRDT_OK)
        rc = vv_copy(&rest, &p->clk);
    for (size_t i = 0; i < p->clk.n && rc == ECRDT_OK; i += b.ny) {
        b.y = &p->clk.e[i];
        b.ny = vv_group(&p->clk, i);
        b.x = vv_heads(here, b.y->origin, &b.nx);
        if (forks_of(fs, b.y->origin)) {
            rc = raise_fork(&b, here);
            if (rc == ECRDT_OK)
                rc = vv_set_heads(&rest, b.y->origin, NULL, 0);
        } else if ((rc = is_further(&b, here)) == 1) {
            rc = vv_set_heads(here, b.y->origin, b.y, b.ny);
        }
    }
    if (rc == ECRDT_OK)
        rc = vv_join(here, &rest);
    vv_free(&rest);
    return rc;
}

/* ---- items ----------------------------------------------------------------
 */

int fork_place(struct item *after, const struct event *e) {
    for (size_t i = 0; i < after->n; i++) {
        const struct event *x = &after->ev[i];
        if (event_same(x, e) ||
            (MUTANT(dotdigest) && x->origin == e->origin && x->seq == e->seq))
            return ECRDT_OK;
    }
    return item_append(after, e);
}

/* Is a to be kept rather than b? Of two events with one dot the bytes say. */
static int wins(ecrdt_txn *t, const struct event *a, const struct event *b) {
    int err = 0;
    if (event_live(a) != event_live(b))
        return event_live(a);
    int c = event_compare(t, a, b, &err);
    if (err < 0)
        return err;
    return c ? c > 0
             : slice_cmp(slice_of(a->payload, a->len),
                         slice_of(b->payload, b->len)) > 0;
}

/* Moves what is superseded from after to out, and points to the winner. */
static int take_branches(ecrdt_txn *t, struct bucket *bk,
                         const struct forks *fs, struct item *after,
                         struct item *out, size_t *winner) {
    size_t kept = 0;
    bool any = false;
    for (size_t i = 0; i < after->n; i++)
        any = any || forks_beyond(fs, after->ev[i].origin, after->ev[i].seq);
    for (size_t i = 0; i < after->n && any; i++) {
        struct event e = after->ev[i];
        bool own = e.origin == bk->head.me && !MUTANT(keepown);
        if (!own && !forks_beyond(fs, e.origin, e.seq)) {
            after->ev[kept++] = e;
            continue;
        }
        struct event *slot = item_add(out);
        if (!slot)
            return ECRDT_ENOMEM;
        *slot = e;
        int rc = out->n > 1 ? wins(t, slot, &out->ev[*winner]) : 1;
        if (rc < 0)
            return rc;
        if (rc)
            *winner = out->n - 1;
    }
    after->n = any ? kept : after->n;
    return ECRDT_OK;
}

/* A counter's entry counts what either branch counted, as far as the larger
 * of them goes. */
static void restate_count(ecrdt_txn *t, const struct item_key *k,
                          const struct item *branches, struct event *w) {
    struct item_shape shape = item_key_shape(k);
    struct payload parts = {0};
    struct count c;
    uint8_t value[4 * VARINT_MAX];
    count_of(shape, branches, &c);
    payload_split(shape, slice_of(w->payload, w->len), &parts);
    payload_make(&t->payload, shape, parts.key, parts.elem,
                 slice_of(value, count_encode(value, &c)));
    w->payload = t->payload.data;
    w->len = (uint32_t)t->payload.len;
}

int fork_restate(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                 struct forks *fs, struct item *after) {
    struct item branches = {0};
    size_t winner = 0;
    int rc = MUTANT(nodot)
                 ? ECRDT_OK
                 : take_branches(t, bk, fs, after, &branches, &winner);
    if (rc == ECRDT_OK && branches.n) {
        struct event e = branches.ev[winner];
        if (event_base(&e) == KIND_COUNT)
            restate_count(t, k, &branches, &e);
        rc =
            t->payload.err ? t->payload.err : door_restate(t, bk, k, after, &e);
        fs->restated++;
        fs->losers += branches.n - 1;
    }
    item_free(&branches);
    return rc;
}

void replica_fork_counts(ecrdt_store *s, uint64_t *merges, uint64_t *unknown) {
    *merges = atomic_load(&s->fork_merges);
    *unknown = atomic_load(&s->fork_unknown);
}

void fork_log(ecrdt_txn *t, struct bucket *bk, const struct forks *fs) {
    atomic_fetch_add(&t->s->fork_merges, 1);
    for (size_t i = 0; i < fs->n; i++) {
        const uint8_t *id = fs->f[i].origin;
        log_line(
            ECRDT_LOG_WARN,
            "msg=\"two stores wrote with one identity (a copy of a store "
            "was in use); merged their branches\" store=\"%s\" "
            "bucket=\"%s\" origin=%016llx%016llx apart_since=%llu items=%llu "
            "values_overwritten=%llu",
            log_text(t->s->path).s, log_text(bk->name).s,
            (unsigned long long)load64(id), (unsigned long long)load64(id + 8),
            (unsigned long long)fs->f[i].cut, (unsigned long long)fs->restated,
            (unsigned long long)fs->losers);
    }
}

/* chunk_apply.c: joins a received chunk with what is here (PROTOCOL 4). */
#include "crdt/chunk_codec.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/fork.h"
#include "crdt/held.h"
#include "crdt/hlc.h"
#include "crdt/merge.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/mutant.h"
#include <stdlib.h>

/* An origin gets a number when its first event is placed, or its head is taken
 * into a clock, for the pairs of its chain. What is not applied leaves nothing
 * behind: a fork, too, is of an origin that our clock has. */
static const uint32_t no_number = UINT32_MAX;

/* An origin of the chunk, and its event on the item at hand. */
struct known_origin {
    uint32_t no, event; /* event: index + 1, 0 = none */
};

struct apply {
    ecrdt_txn *t;
    struct bucket *bk;
    struct chunk *c;
    struct chunk_report *r;
    /* by origin index of the chunk: our number, if it has one by now, and
     * the seq of the range's clock */
    uint32_t *no;
    uint64_t *here;
    struct known_origin *index; /* those that had a number when it came */
    size_t n_index;
    uint64_t now_ms;
    struct spans held;    /* of the bucket, by this store */
    const struct vv *clk; /* the part's, cut where branches part */
    struct forks forks;   /* of this part and range */
    bool changed;         /* something is other than before */
    bool placed;          /* some part was joined */
};

/* ---- one item -------------------------------------------------------------
 * keep = mine   where the dot is in theirs, or not <= clk, or a tomb <= F_S
 * new  = theirs where the dot is not <= V here
 * The third case of keep: the sender may have dropped that tomb itself, so
 * its absence says nothing. But where the part's clock has heads on several
 * branches of an origin, a dot of it names no one event any more, and nothing
 * that one branch made may stay beside them: such a tomb goes, as by gc. */

static int by_no(const void *a, const void *b) {
    const struct known_origin *x = a, *y = b;
    return (x->no > y->no) - (x->no < y->no);
}

static struct known_origin *find_known(const struct apply *a, uint32_t no) {
    struct known_origin key = {.no = no};
    return bsearch(&key, a->index, a->n_index, sizeof key, by_no);
}

/* Notes their events on an item by our number of the origin; forgets them. Of
 * an origin that had none, no event of ours can be. */
static void note_theirs(struct apply *a, const struct chunk_item *theirs,
                        bool on) {
    for (uint32_t i = 0; theirs && i < theirs->count; i++) {
        uint32_t at = theirs->first + i;
        struct known_origin *o = find_known(a, a->no[a->c->events[at].origin]);
        if (o)
            o->event = on ? at + 1 : 0;
    }
}

static bool in_theirs(const struct apply *a, const struct event *e) {
    const struct known_origin *o = find_known(a, e->origin);
    return o && o->event && a->c->events[o->event - 1].seq == e->seq;
}

/* May the sender itself have dropped this tomb, which it has not? 1, 0, < 0;
 * a dot of several branches comes under our floor. */
static int keeps_tomb(struct apply *a, const struct event *e,
                      const uint8_t *id) {
    size_t heads;
    if (event_live(e) || !vv_covers(&a->c->floor, id, e->seq) ||
        MUTANT(tombabs))
        return 0;
    vv_heads(a->clk, id, &heads);
    if (heads < 2 || MUTANT(tombdot))
        return 1;
    int rc = clocks_raise(a->t, a->bk, CLOCK_FLOOR, id, e->seq);
    return rc < 0 ? rc : 0;
}

static int keep_mine(struct apply *a, const struct chunk_item *theirs,
                     struct item *after) {
    for (size_t i = 0; i < a->t->before.n; i++) {
        const struct event *e = &a->t->before.ev[i];
        const uint8_t *id = origin_id(a->t, e->origin);
        if (!id)
            return db_err(a->t->db);
        int keep = in_theirs(a, e) || !vv_covers(a->clk, id, e->seq)
                       ? 1
                       : keeps_tomb(a, e, id);
        if (MUTANT(onlylive) && !event_live(e) && theirs)
            keep = 0;
        if (MUTANT(blindremove) && theirs &&
            !event_live(&a->c->events[theirs->first]))
            keep = 0;
        struct event *slot = keep == 1 ? item_add(after) : NULL;
        if (keep < 0 || (keep && !slot))
            return keep < 0 ? keep : ECRDT_ENOMEM;
        if (keep)
            *slot = *e;
    }
    return ECRDT_OK;
}

/* Our number of an origin of the chunk, whose event is placed now. */
static int number_of(struct apply *a, uint32_t origin, uint32_t *no) {
    int rc = ECRDT_OK;
    if (a->no[origin] == no_number)
        rc = origin_no(a->t, a->c->origins[origin], true, &a->no[origin]);
    *no = a->no[origin];
    return rc < 0 ? rc : ECRDT_OK;
}

static int add_new(struct apply *a, const struct chunk_item *theirs,
                   struct item *after) {
    for (uint32_t i = 0; i < theirs->count; i++) {
        struct event e = a->c->events[theirs->first + i];
        if (e.seq <= a->here[e.origin] ||
            (MUTANT(payload) && event_live(&e) && !e.payload))
            continue;
        int rc = number_of(a, e.origin, &e.origin);
        if (rc < 0)
            return rc;
        e.fresh = !a->c->bulk; /* what came in bulk is not logged */
        rc = forks_beyond(&a->forks, e.origin, e.seq) ? fork_place(after, &e)
                                                      : item_append(after, &e);
        if (rc < 0)
            return rc;
        a->bk->head.hlc = hlc_merge(a->bk->head.hlc, e.hlc, a->now_ms);
        a->r->events++;
    }
    return ECRDT_OK;
}

/* A second merge of branches in one transaction makes an event of it anew, with
 * the dot that it had: dots alone do not tell. */
static bool same_item(const struct item *a, const struct item *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!item_has(b, &a->ev[i]))
            return false;
    return true;
}

/* theirs NULL: a complete part does not list this item of ours. */
static int join_item(struct apply *a, struct item_key *k,
                     const struct chunk_item *theirs) {
    ecrdt_txn *t = a->t;
    int found = door_find(t, k);
    if (found < 0)
        return found;
    struct item *after = &t->after;
    after->n = 0;
    note_theirs(a, theirs, true);
    int rc = keep_mine(a, theirs, after);
    note_theirs(a, theirs, false);
    if (rc == ECRDT_OK && theirs)
        rc = add_new(a, theirs, after);
    if (rc == ECRDT_OK && a->forks.n)
        rc = fork_restate(t, a->bk, k, &a->forks, after);
    item_sort(after);
    if (rc < 0)
        return db_stick(t->db, rc);
    if (same_item(&t->before, after)) {
        a->r->known += theirs != NULL;
        return ECRDT_OK;
    }
    a->r->applied++;
    a->changed = true;
    rc = door_put(t, a->bk, k, found, after, true);
    return rc < 0 ? rc : merge_if_many(t, a->bk, k);
}

/* ---- one part on one of our ranges ----------------------------------------
 */

struct span {
    slice lo, hi;
    bool bounded;
};

static bool inside(const struct span *s, slice id) {
    return slice_cmp(s->lo, id) <= 0 &&
           (!s->bounded || slice_cmp(id, s->hi) < 0);
}

/* Our items in the span that a complete part does not list. */
static int join_unlisted(struct apply *a, const struct chunk_part *p,
                         const struct span *s) {
    struct item_key k;
    struct item_id at;
    uint32_t next = p->first, end = p->first + p->count;
    slice hi = s->bounded ? s->hi : slice_of(NULL, 0);
    int rc;
    item_id_set(&at, s->lo);
    while ((rc = door_next(a->t, a->bk, item_id_slice(&at), hi, &k)) == 1) {
        slice id = item_key_id(&k);
        item_id_set(&at, id);
        at.b[at.len++] = 0; /* the next one is the least id behind it */
        while (next < end && slice_cmp(a->c->items[next].id, id) < 0)
            next++;
        bool listed = next < end && slice_eq(a->c->items[next].id, id);
        if (listed || !type_of_tag(item_key_tag(&k)))
            continue;
        rc = join_item(a, &k, NULL);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int join_listed(struct apply *a, const struct chunk_part *p,
                       const struct span *s) {
    for (uint32_t i = p->first; i < p->first + p->count; i++) {
        const struct chunk_item *it = &a->c->items[i];
        if (!inside(s, it->id))
            continue;
        struct item_key k;
        item_key_set(&k, a->bk->id, it->id, it->k_len);
        int rc = join_item(a, &k, it);
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

static void count_known(struct apply *a, const struct chunk_part *p,
                        const struct span *s) {
    for (uint32_t i = p->first; i < p->first + p->count; i++)
        a->r->known += inside(s, a->c->items[i].id);
}

/* Payload that the clock here covers, or that is dropped and comes again,
 * was sent in vain. */
static void count_payload(struct apply *a, const struct chunk_part *p,
                          const struct span *s, bool dropped) {
    for (uint32_t i = p->first; i < p->first + p->count; i++) {
        const struct chunk_item *it = &a->c->items[i];
        for (uint32_t k = 0; inside(s, it->id) && k < it->count; k++) {
            const struct event *e = &a->c->events[it->first + k];
            bool here = dropped || e->seq <= a->here[e->origin];
            a->r->payload += e->payload ? e->len : 0;
            a->r->repeated += e->payload && here ? e->len : 0;
        }
    }
}

/* Joins the items of a part with ours in the span, whose clock is here. */
static int join_range(struct apply *a, const struct chunk_part *p,
                      const struct span *s, const struct vv *here) {
    struct vv clk = {0}, was = {0};
    a->placed = true;
    int rc = fork_cut(&p->clk, &a->forks, &clk);
    if (rc == ECRDT_OK)
        rc = fork_cut(MUTANT(stalectx) ? &p->base : here, &a->forks, &was);
    for (size_t i = 0; i < a->c->n_origins && rc == ECRDT_OK; i++)
        a->here[i] = vv_seq(&was, a->c->origins[i]);
    a->clk = &clk;
    if (rc == ECRDT_OK)
        rc = join_listed(a, p, s);
    if (rc == ECRDT_OK && p->complete)
        rc = join_unlisted(a, p, s);
    if (rc == ECRDT_OK && p->complete && !MUTANT(noinherit))
        rc = clocks_raise_all(a->t, a->bk, CLOCK_FLOOR, &a->c->floor);
    if (rc == ECRDT_OK && a->c->bulk && !MUTANT(bulkL)) /* L says so */
        rc = clocks_raise_all(a->t, a->bk, CLOCK_LOG, &p->clk);
    vv_free(&clk);
    vv_free(&was);
    return rc;
}

static int apply_to_range(struct apply *a, const struct chunk_part *p,
                          size_t at) {
    struct ranges *rs = &a->bk->rs;
    const struct item_id *end = ranges_hi(rs, at);
    struct span s = {item_id_slice(&rs->r[at].lo),
                     end ? item_id_slice(end) : slice_of(NULL, 0), end};
    struct vv *here = &rs->r[at].clk;
    bool fits = vv_le(&p->base, here) || MUTANT(nobase) || MUTANT(payload);
    for (size_t i = 0; i < a->c->n_origins; i++)
        a->here[i] =
            vv_seq(MUTANT(stalectx) ? &p->base : here, a->c->origins[i]);
    count_payload(a, p, &s, !fits);
    if (!fits) {
        a->r->ahead++;
        return ECRDT_OK;
    }
    bool news = !vv_le(&p->clk, here);
    if (!news && !p->complete) {
        count_known(a, p, &s);
        return ECRDT_OK;
    }
    int rc = fork_judge(a->t, a->bk, a->c, p, here, &a->forks);
    if (rc == 1)
        a->r->ahead++;
    a->r->complete += rc == 0 && p->complete && here->n && !a->forks.n;
    if (rc == 0)
        rc = join_range(a, p, &s, here);
    if (rc == ECRDT_OK && (news || a->forks.n)) {
        rc = fork_raise(a->t, a->bk, a->c, p, here, &a->forks);
        a->changed = a->bk->ranges_dirty = true;
        if (rc == ECRDT_OK && a->forks.n)
            fork_log(a->t, a->bk, &a->forks);
    }
    forks_free(&a->forks);
    return rc < 0 ? rc : ECRDT_OK;
}

/* Bounds memory against a peer that cuts without end; our own senders stay
 * far below (CHUNK_MAX_CUTS). */
static int too_many_cuts(struct apply *a) {
    a->r->refused++;
    err_set(ECRDT_EPEER,
            "refused a part for bucket '%s': it would make more "
            "than %d cuts",
            a->bk->name, RANGES_MAX);
    return ECRDT_OK;
}

/* Cuts that a part from lo to hi needs and that are not there yet. */
static size_t new_cuts(const struct ranges *rs, slice lo, slice hi) {
    size_t n = !slice_eq(item_id_slice(&rs->r[ranges_find(rs, lo)].lo), lo);
    if (hi.len)
        n += !slice_eq(item_id_slice(&rs->r[ranges_find(rs, hi)].lo), hi);
    return n;
}

static int apply_between(struct apply *a, const struct chunk_part *p, slice lo,
                         slice hi) {
    struct ranges *rs = &a->bk->rs;
    size_t from, to;
    if (rs->n + new_cuts(rs, lo, hi) > RANGES_MAX)
        return too_many_cuts(a);
    int rc = clocks_cut(a->bk, lo, &from);
    to = rs->n;
    if (rc == ECRDT_OK && hi.len)
        rc = clocks_cut(a->bk, hi, &to);
    for (; rc == ECRDT_OK && from < to; from++)
        rc = apply_to_range(a, p, from);
    return rc;
}

/* What lies outside of what is held here is ignored: nothing of it is
 * claimed, so nothing of it is owed. */
static int apply_part(struct apply *a, const struct chunk_part *p) {
    slice lo = item_id_slice(&p->lo), hi = item_id_slice(&p->hi), from, to;
    if (!p->bounded)
        hi = slice_of(NULL, 0);
    int rc = ECRDT_OK;
    a->r->foreign += !spans_cover(&a->held, lo, hi);
    for (size_t i = 0; i < spans_count(&a->held) && rc == ECRDT_OK; i++) {
        spans_at(&a->held, i, &from, &to);
        if (slice_cmp(from, lo) < 0)
            from = lo;
        if (!to.len || (hi.len && slice_cmp(hi, to) < 0))
            to = hi;
        if (!to.len || slice_cmp(from, to) < 0)
            rc = apply_between(a, p, from, to);
    }
    return rc;
}

/* ---- the chunk ------------------------------------------------------------
 */

/* Before anything else: was this store copied or rolled back (PROTOCOL D5)?
 * Then all is fetched again. 1 = it was. */
static int check_own(struct apply *a) {
    int rc = 0;
    for (size_t i = 0; i < a->c->n_parts && rc == 0; i++)
        rc = twin_check(a->t, a->bk, &a->c->parts[i].clk);
    a->r->ahead += rc == 1;
    return rc;
}

static int find_origins(struct apply *a) {
    size_t n = a->c->n_origins + 1;
    a->no = alloc_zeroed(n, sizeof *a->no);
    a->here = alloc_zeroed(n, sizeof *a->here);
    a->index = alloc_zeroed(n, sizeof *a->index);
    if (!a->no || !a->here || !a->index)
        return ECRDT_ENOMEM;
    for (size_t i = 0; i < a->c->n_origins; i++) {
        a->no[i] = no_number;
        int rc = origin_no(a->t, a->c->origins[i], false, &a->no[i]);
        if (rc < 0)
            return rc;
        if (rc == 1)
            a->index[a->n_index++].no = a->no[i];
    }
    qsort(a->index, a->n_index, sizeof *a->index, by_no);
    return ECRDT_OK;
}

static int apply_parts(struct apply *a) {
    int rc = clocks_load(a->t, a->bk);
    if (rc == ECRDT_OK)
        rc = check_own(a);
    if (rc != 0)
        return rc < 0 ? rc : ECRDT_OK;
    rc = find_origins(a);
    for (size_t i = 0; i < a->c->n_parts && rc == ECRDT_OK; i++)
        rc = apply_part(a, &a->c->parts[i]);
    ranges_join_equal(&a->bk->rs);
    if (a->changed) {
        a->bk->head.gen++;
        a->bk->head_dirty = true;
    }
    return rc;
}

/* A bucket that this chunk makes stays if it got something. */
static int apply_to_bucket(struct apply *a) {
    ecrdt_txn *t = a->t;
    size_t had = t->n_buckets;
    int rc = txn_bucket(t, a->r->bucket, true, &a->bk);
    if (rc < 0)
        return rc;
    bool made = a->bk->made && t->n_buckets > had;
    rc = apply_parts(a);
    if (rc == ECRDT_OK && made && !a->placed)
        rc = txn_unmake_bucket(t, a->bk);
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}

/* Applies the decoded c, and frees it. */
static int apply_chunk(ecrdt_txn *t, struct chunk *c, struct chunk_report *r) {
    memcpy(r->bucket, c->bucket.data, c->bucket.len);
    r->bucket[c->bucket.len] = 0;
    struct apply a = {.t = t, .c = c, .r = r, .now_ms = os_wall_ms()};
    int rc = MUTANT(foreign) ? 0 : held_spans_of(t, r->bucket, &a.held);
    if (rc == ECRDT_OK && !spans_count(&a.held))
        r->foreign += (uint32_t)c->n_parts;
    else if (rc == ECRDT_OK)
        rc = apply_to_bucket(&a);
    if (rc == ECRDT_ETOOBIG && !a.bk) { /* one bucket too many */
        r->refused += (uint32_t)c->n_parts;
        rc = ECRDT_OK;
    }
    spans_free(&a.held);
    alloc_free(a.no);
    alloc_free(a.here);
    alloc_free(a.index);
    chunk_free(c);
    return rc;
}

int chunk_apply(ecrdt_txn *t, slice bytes, struct chunk_report *r) {
    struct chunk c = {0};
    int rc = chunk_decode(bytes, &c);
    if (rc == ECRDT_OK)
        return apply_chunk(t, &c, r);
    chunk_free(&c);
    return rc;
}

int chunk_apply_linked(ecrdt_txn *t, slice bytes, const char *bucket,
                       const struct clock_state *said, struct chunk_report *r) {
    if (!chunk_is_linked(bytes))
        return chunk_apply(t, bytes, r);
    struct chunk c = {0};
    int rc = chunk_decode_linked(bytes, bucket, said, &c);
    if (rc == ECRDT_OK)
        return apply_chunk(t, &c, r);
    chunk_free(&c);
    return rc;
}

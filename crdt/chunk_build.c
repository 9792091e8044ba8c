/* chunk_build.c: lists what a peer lacks, by the dots log or by a scan, and
 * makes the next chunk of it from one snapshot (PROTOCOL 4 and 5). */
#include "crdt/chunk_codec.h"
#include "crdt/clocks.h"
#include "crdt/dotlog.h"
#include "crdt/fork.h"
#include "crdt/held.h"
#include "crdt/least.h"
#include "crdt/reconcile.h"
#include "crdt/spans.h"
#include "crdt/items.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/mutant.h"
#include <stdlib.h>

enum { EVENT_ROOM = 24, ITEM_ROOM = 8 }; /* encoded, beyond id and payload */

struct build {
    ecrdt_txn *t;
    struct bucket *bk;
    const struct chunk_budget *budget;
    const struct spans *within; /* what the peer holds */
    struct spans held;          /* what this store holds */
    const struct chunk_tail *tail;
    struct chunk c;
    struct vv log_bound;
    struct forks forks; /* origins of which the peer has another branch */
    struct items items;
    /* by origin number: seq of the part's base, and index in c.origins + 1 */
    uint64_t *base;
    uint32_t *index;
    uint32_t n_origins;
    size_t bytes;
    size_t entries; /* of the bases */
    bool may_cut;   /* the receiver may get one more cut */
    bool complete;  /* all parts, whatever the floor */
    bool cut;
    struct item_id cut_at;
    struct item it; /* scratch */
};

/* The part being filled, and its bounds. */
struct stretch {
    const struct item_id *lo, *hi; /* hi NULL = no bound */
    const struct vv *base, *clk;
};

void chunk_tail_free(struct chunk_tail *t) {
    ranges_free(&t->pushed);
    t->arrival = 0;
}

static int build_init(struct build *b) {
    int rc = meta_get_u32(b->t, "m.origins", &b->n_origins);
    if (rc < 0)
        return rc;
    b->base = alloc_zeroed(b->n_origins + 1, sizeof *b->base);
    b->index = alloc_zeroed(b->n_origins + 1, sizeof *b->index);
    if (!b->base || !b->index)
        return ECRDT_ENOMEM;
    rc = clocks_vector(b->t, b->bk, CLOCK_LOG, &b->log_bound);
    if (rc == ECRDT_OK)
        rc = clocks_vector(b->t, b->bk, CLOCK_FLOOR, &b->c.floor);
    if (rc == ECRDT_OK)
        rc = items_open(&b->items, b->t);
    if (rc == ECRDT_OK)
        rc = held_spans_of(b->t, b->bk->name, &b->held);
    b->c.bucket = ecrdt_str(b->bk->name);
    b->c.linked = b->tail && b->tail->linked;
    b->c.first = &b->bk->rs.r[0].clk;
    return rc;
}

static void build_free(struct build *b) {
    items_close(&b->items);
    chunk_free(&b->c);
    vv_free(&b->log_bound);
    forks_free(&b->forks);
    spans_free(&b->held);
    item_free(&b->it);
    alloc_free(b->base);
    alloc_free(b->index);
}

static int set_base(struct build *b, const struct vv *base) {
    memset(b->base, 0, b->n_origins * sizeof *b->base);
    for (size_t i = 0; i < base->n; i++) {
        uint32_t no;
        int rc = origin_no(b->t, base->e[i].origin, false, &no);
        if (rc < 0)
            return rc;
        if (rc == 1 && no < b->n_origins && b->base[no] < base->e[i].seq)
            b->base[no] = base->e[i].seq;
    }
    return ECRDT_OK;
}

static bool known(const struct build *b, const struct event *e) {
    return e->origin < b->n_origins && e->seq <= b->base[e->origin];
}

/* Index of an origin in the chunk's own table. */
static int chunk_origin(struct build *b, uint32_t no, uint32_t *out) {
    if (no >= b->n_origins)
        return txn_corrupt(b->t, "an item");
    if (!b->index[no]) {
        struct chunk *c = &b->c;
        const uint8_t *id = origin_id(b->t, no);
        if (!id)
            return db_err(b->t->db);
        int rc = alloc_grow(&c->origins, &c->cap_origins, c->n_origins + 1,
                            ORIGIN_SIZE);
        if (rc < 0)
            return rc;
        memcpy(c->origins[c->n_origins++], id, ORIGIN_SIZE);
        b->index[no] = (uint32_t)c->n_origins;
    }
    *out = b->index[no] - 1;
    return ECRDT_OK;
}

static int by_origin(const void *a, const void *b) {
    const struct event *x = a, *y = b;
    return (x->origin > y->origin) - (x->origin < y->origin);
}

/* All siblings of b->it, in the order of their origin's index; payloads only
 * of what the peer does not know. */
static int add_events(struct build *b, struct chunk_item *item) {
    struct chunk *c = &b->c;
    int rc = alloc_grow(&c->events, &c->cap_events, c->n_events + b->it.n,
                        sizeof *c->events);
    item->first = (uint32_t)c->n_events;
    item->count = (uint32_t)b->it.n;
    for (size_t i = 0; i < b->it.n && rc == ECRDT_OK; i++) {
        struct event e = b->it.ev[i];
        bool knows = known(b, &e);
        rc = chunk_origin(b, e.origin, &e.origin);
        if (knows)
            e.payload = NULL;
        c->events[c->n_events++] = e;
    }
    if (item->count > 1)
        qsort(c->events + item->first, c->n_events - item->first,
              sizeof *c->events, by_origin);
    return rc;
}

/* Would b->it, of so many bytes, be too much for any receiver? Half of the
 * bytes is left for clocks and chains; what no store merges fits the other
 * half. */
static bool over_limits(const struct build *b, size_t size) {
    const struct chunk *c = &b->c;
    return c->n_items >= CHUNK_MAX_ITEMS ||
           c->n_events + b->it.n > CHUNK_MAX_EVENTS ||
           c->n_origins + b->it.n > CHUNK_MAX_ORIGINS ||
           b->bytes + size > CHUNK_MAX_BYTES / 2;
}

/* Past the cap on cuts a chunk runs on to the end of its stretch: the budget
 * is soft there (PROTOCOL 5). */
static bool over_budget(const struct build *b, size_t size) {
    size_t n = b->c.n_items;
    if (n && over_limits(b, size))
        return true;
    return n && b->may_cut &&
           (n >= b->budget->max_items ||
            b->bytes + size > b->budget->max_bytes);
}

/* Ends the chunk before id, and before all items of id's key, so that a key
 * arrives whole; unless the chunk holds nothing but that key. */
static void cut_before(struct build *b, struct chunk_part *part, slice id) {
    struct chunk *c = &b->c;
    struct item_parts p;
    size_t n = c->n_items;
    b->cut = true;
    item_id_set(&b->cut_at, id);
    if (!item_id_parse(id, &p))
        return;
    slice k = slice_of(id.data, p.k_len);
    while (n > part->first && slice_starts(c->items[n - 1].id, k))
        n--;
    bool begun = slice_cmp(k, item_id_slice(&part->lo)) <= 0;
    if ((n == 0 && c->n_items) || (begun && c->n_parts == 1))
        return;
    if (n < c->n_items) {
        part->count = (uint32_t)(n - part->first);
        c->n_events = c->items[n].first;
        c->n_items = n;
    }
    item_id_set(&b->cut_at, begun ? item_id_slice(&part->lo) : k);
}

/* Adds the item b->it if the budget allows: 1 added, 0 the budget is used up
 * (and the chunk ends here). The chunk's first item always fits. */
static int add_item(struct build *b, struct chunk_part *part, slice id) {
    struct chunk *c = &b->c;
    size_t size = ITEM_ROOM + id.len;
    for (size_t i = 0; i < b->it.n; i++)
        size += EVENT_ROOM + (known(b, &b->it.ev[i]) ? 0 : b->it.ev[i].len);
    if (over_budget(b, size)) {
        cut_before(b, part, id);
        return 0;
    }
    int rc =
        alloc_grow(&c->items, &c->cap_items, c->n_items + 1, sizeof *c->items);
    if (rc < 0)
        return rc;
    struct chunk_item *item = &c->items[c->n_items];
    *item = (struct chunk_item){.id = id};
    rc = add_events(b, item);
    if (rc < 0)
        return rc;
    c->n_items++;
    part->count++;
    b->bytes += size;
    return 1;
}

static int decode_item(struct build *b, slice rec) {
    int rc = item_decode(&b->it, rec);
    return rc == ECRDT_ECORRUPT ? txn_corrupt(b->t, "an item") : rc;
}

/* ---- by a scan of the items ---- */

static int any_unknown(struct build *b, slice rec) {
    struct event e;
    int rc;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;)
        if (!known(b, &e))
            return 1;
    return rc < 0 ? txn_corrupt(b->t, "an item") : 0;
}

static bool before_end(const struct stretch *s, slice id) {
    return !s->hi || slice_cmp(id, item_id_slice(s->hi)) < 0;
}

static int fill_by_scan(struct build *b, struct chunk_part *part,
                        const struct stretch *s) {
    struct item_key from;
    item_key_set(&from, b->bk->id, item_id_slice(s->lo), 0);
    slice key = item_key_db(&from), rec;
    int rc;
    for (rc = items_seek(&b->items, &key, &rec);
         rc == 1 && item_key_in(key, b->bk->id) &&
         before_end(s, item_key_id_of(key));
         rc = items_next(&b->items, &key, &rec)) {
        int want = part->complete ? 1 : any_unknown(b, rec);
        if (want < 0)
            return want;
        if (!want)
            continue;
        slice id = items_keep(&b->items, item_key_id_of(key));
        rc = id.data ? decode_item(b, rec) : ECRDT_ENOMEM;
        if (rc == ECRDT_OK)
            rc = add_item(b, part, id);
        if (rc <= 0)
            return rc;
    }
    return rc < 0 ? rc : ECRDT_OK;
}

/* ---- by the dots log ----
 * One id more than the budget can take is listed, so that the place of the
 * cut is known too. */

struct listing {
    const struct build *b;
    const struct stretch *s;
    struct least ids;
};

static int list_entry(void *ctx, const struct dotlog_entry *e) {
    struct listing *l = ctx;
    if (e->origin < l->b->n_origins && e->seq > l->b->base[e->origin] &&
        slice_cmp(e->id, item_id_slice(l->s->lo)) >= 0 &&
        before_end(l->s, e->id))
        least_add(&l->ids, e->id);
    return 0;
}

/* Where the walk may begin: behind this link's last push, if what was known
 * then of all of the stretch is known to the peer now. */
static uint64_t walk_from(const struct build *b, const struct stretch *s) {
    const struct chunk_tail *tail = b->tail;
    if (!tail || !tail->pushed.n)
        return 0;
    size_t i = ranges_find(&tail->pushed, item_id_slice(s->lo));
    const struct item_id *end = ranges_hi(&tail->pushed, i);
    bool whole = !end || (s->hi && slice_cmp(item_id_slice(s->hi),
                                             item_id_slice(end)) <= 0);
    bool arrived = vv_le(&tail->pushed.r[i].clk, s->base) || MUTANT(tail);
    return whole && arrived ? tail->arrival : 0;
}

static int add_listed(struct build *b, struct chunk_part *part,
                      const struct least *l) {
    bool full = l->n == l->max; /* the last one then tells where to cut */
    for (size_t i = 0; i < l->n - full; i++) {
        struct item_key k;
        slice rec;
        size_t k_len = item_id_k_len(l->ids[i]);
        if (!k_len || k_len == l->ids[i].len)
            return txn_corrupt(b->t, "the dots log");
        item_key_set(&k, b->bk->id, l->ids[i], (uint16_t)k_len);
        int rc = items_find(b->t, b->items.c, &k, &rec);
        if (rc == 1)
            rc = any_unknown(b, rec);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue; /* superseded by something the peer knows */
        rc = decode_item(b, rec);
        if (rc == ECRDT_OK)
            rc = add_item(b, part, l->ids[i]);
        if (rc <= 0)
            return rc;
    }
    if (full)
        cut_before(b, part, l->ids[l->n - 1]);
    return ECRDT_OK;
}

static int fill_by_log(struct build *b, struct chunk_part *part,
                       const struct stretch *s) {
    struct listing l = {.b = b, .s = s};
    int rc = least_init(&l.ids, b->budget->max_items + 1u);
    if (rc == ECRDT_OK)
        rc = dotlog_each(b->t, b->bk, walk_from(b, s), list_entry, &l);
    if (rc == ECRDT_OK) {
        least_end(&l.ids);
        rc = add_listed(b, part, &l.ids);
    }
    least_free(&l.ids);
    return rc;
}

/* ---- parts ---- */

static int fill_part(struct build *b, const struct stretch *s) {
    struct chunk_part *part = chunk_add_part(&b->c);
    if (!part)
        return ECRDT_ENOMEM;
    part->lo = *s->lo;
    part->bounded = s->hi != NULL;
    if (s->hi)
        part->hi = *s->hi;
    part->first = (uint32_t)b->c.n_items;
    struct vv base = {0}; /* lowered to clk it would hide a fork */
    bool blind = !spans_have(&b->held, item_id_slice(s->lo));
    int rc = fork_base(b->t, b->bk, s->clk, s->base, blind, &base, &b->forks);
    bool forked = base.n < s->base->n;
    if (rc == ECRDT_OK)
        rc = b->c.linked && !blind
                 ? vv_within(&part->base, &base, s->clk, &b->c.floor)
                 : vv_copy(&part->base, &base);
    vv_free(&base);
    b->entries += part->base.n;
    if (rc == ECRDT_OK)
        rc = vv_copy(&part->clk, s->clk);
    if (rc == ECRDT_OK)
        rc = set_base(b, &part->base);
    if (rc < 0)
        return rc;
    part->complete =
        forked || b->complete ||
        (!vv_floor_le(&b->c.floor, s->base, s->clk) && !MUTANT(nofloor));
    bool by_log =
        b->may_cut && !part->complete && vv_le(&b->log_bound, s->base);
    rc = by_log ? fill_by_log(b, part, s) : fill_by_scan(b, part, s);
    if (rc == ECRDT_OK && b->cut && !MUTANT(fullclock)) {
        part->bounded = true;
        part->hi = b->cut_at;
        if (slice_eq(item_id_slice(&part->hi), item_id_slice(&part->lo))) {
            INVARIANT(part->count == 0);
            vv_free(&part->base); /* nothing of this stretch fitted */
            vv_free(&part->clk);
            b->c.n_parts--;
        }
    }
    return rc;
}

/* Gives peer the cuts of mine and those of what it holds, so that each of its
 * ranges has one clock on both sides and is held or not. */
static int align(struct ranges *peer, const struct ranges *mine,
                 const struct spans *within) {
    int rc = ranges_cut_at(peer, within);
    for (size_t i = 1; i < mine->n && rc == ECRDT_OK; i++) {
        size_t at;
        rc = ranges_cut(peer, item_id_slice(&mine->r[i].lo), 0, &at);
    }
    return rc;
}

static bool spent(const struct build *b) {
    return b->c.n_items >= b->budget->max_items ||
           b->bytes >= b->budget->max_bytes;
}

/* Must the chunk end with this stretch? Past the cap on cuts the budget
 * counts between stretches. */
static bool is_full(const struct build *b) {
    return b->c.n_parts == CHUNK_MAX_PARTS ||
           b->entries >= CHUNK_MAX_ENTRIES / 2 || (!b->may_cut && spent(b));
}

static int fill(struct build *b, struct ranges *peer) {
    const struct ranges *mine = &b->bk->rs;
    int rc = align(peer, mine, b->within);
    b->may_cut = peer->n <= CHUNK_MAX_CUTS + 2 * spans_count(b->within);
    for (size_t i = 0; i < peer->n && rc == ECRDT_OK && !b->cut; i++) {
        struct range *p = &peer->r[i];
        const struct vv *clk =
            &mine->r[ranges_find(mine, item_id_slice(&p->lo))].clk;
        if (vv_le(clk, &p->clk) ||
            !spans_have(b->within, item_id_slice(&p->lo)))
            continue;
        struct stretch s = {&p->lo, ranges_hi(peer, i), &p->clk, clk};
        rc = fill_part(b, &s);
        if (i + 1 < peer->n && is_full(b))
            b->cut = true;
    }
    return rc;
}

/* What the peer will have of one range, but for its own heads that lie below
 * ours: its next CLOCK tells. */
static int advance_clock(struct vv *clk, const struct chunk_part *p,
                         const struct forks *fs) {
    struct vv was = {0};
    int rc = fs->n ? vv_copy(&was, clk) : ECRDT_OK;
    if (rc == ECRDT_OK)
        rc = vv_join(clk, &p->clk);
    for (size_t i = 0, n; i < fs->n && rc == ECRDT_OK; i++) {
        const uint8_t *origin = fs->f[i].origin;
        const struct head *h = vv_heads(&p->clk, origin, &n);
        rc = vv_unite(clk, origin, h, n);
        h = vv_heads(&was, origin, &n);
        if (rc == ECRDT_OK)
            rc = vv_unite(clk, origin, h, n);
    }
    vv_free(&was);
    return rc;
}

/* What the peer will have when it has applied the chunk. */
static int advance(struct ranges *peer, const struct chunk *c,
                   const struct forks *fs) {
    int rc = ECRDT_OK;
    for (size_t i = 0; i < c->n_parts && rc == ECRDT_OK; i++) {
        const struct chunk_part *p = &c->parts[i];
        size_t from, to = peer->n;
        rc = ranges_cut(peer, item_id_slice(&p->lo), 0, &from);
        to = peer->n;
        if (rc == ECRDT_OK && p->bounded)
            rc = ranges_cut(peer, item_id_slice(&p->hi), 0, &to);
        for (; from < to && rc == ECRDT_OK; from++)
            rc = advance_clock(&peer->r[from].clk, p, fs);
    }
    ranges_join_equal(peer);
    return rc;
}

/* The clock is that of the snapshot that the items are read from. */
static int load_clock(ecrdt_txn *t, struct bucket *bk) {
    ecrdt_txn *at = t;
    int rc = MUTANT(lateclk) ? replica_begin(t->s, false, 0, &at) : ECRDT_OK;
    if (rc == ECRDT_OK)
        rc = clocks_load(at, bk);
    if (at != t)
        ecrdt_abort(at);
    return rc;
}

int chunk_build(ecrdt_txn *t, const char *bucket, struct ranges *peer,
                const struct chunk_budget *budget, struct chunk_tail *tail,
                struct buf *out, struct chunk_built *built) {
    return chunk_build_within(t, bucket, NULL, peer, budget, tail, out, built);
}

int chunk_build_within(ecrdt_txn *t, const char *bucket,
                       const struct spans *within, struct ranges *peer,
                       const struct chunk_budget *budget,
                       struct chunk_tail *tail, struct buf *out,
                       struct chunk_built *built) {
    struct bucket *bk;
    *built = (struct chunk_built){0};
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc;
    rc = load_clock(t, bk);
    if (rc < 0)
        return rc;
    if (peer->n && ranges_le_in(&bk->rs, peer, within))
        return 0;
    struct build b = {
        .t = t, .bk = bk, .budget = budget, .within = within, .tail = tail};
    rc = build_init(&b);
    if (rc >= 0)
        rc = fill(&b, peer);
    if (rc == ECRDT_OK && b.c.n_parts) {
        b.c.bulk = b.cut;
        rc = fork_lists(t, bk, &b.c, tail ? tail->heard : NULL, &b.forks);
    }
    if (rc >= 0 && b.c.n_parts) {
        *built = (struct chunk_built){(uint32_t)b.c.n_items, b.cut, rc == 1};
        chunk_encode(out, &b.c);
        rc = out->err ? out->err : advance(peer, &b.c, &b.forks);
    }
    bool any = b.c.n_parts > 0;
    if (rc == ECRDT_OK && tail) {
        tail->arrival = bk->head.log_next;
        rc = ranges_copy(&tail->pushed, &bk->rs);
    }
    build_free(&b);
    return rc < 0 ? rc : any;
}

/* ---- parts that fingerprints found ---- */

/* One part of m, in as many parts of the chunk as we have clocks there. */
static int fill_asked(struct build *b, const struct fp *m,
                      const struct fp_part *p) {
    static const struct vv none;
    slice end = p->bounded ? item_id_slice(&p->hi) : slice_of(NULL, 0);
    struct ranges_walk w =
        ranges_pieces(&b->bk->rs, item_id_slice(&p->lo), end);
    int rc = ECRDT_OK;
    while (rc == ECRDT_OK && !b->cut && ranges_piece(&w)) {
        struct item_id lo, hi;
        item_id_set(&lo, w.lo);
        item_id_set(&hi, w.hi);
        if (b->c.n_parts == CHUNK_MAX_PARTS) {
            b->cut = true;
            b->cut_at = lo;
            break;
        }
        struct stretch s = {&lo, w.hi.len ? &hi : NULL,
                            m->flags & FP_AUDIT ? &none : &m->clks[p->clk],
                            &w.rs->r[w.i].clk};
        rc = fill_part(b, &s);
    }
    return rc;
}

static bool enough(const struct build *b) {
    return b->c.n_parts == CHUNK_MAX_PARTS || spent(b);
}

int reconcile_chunk(ecrdt_txn *t, struct fp *m,
                    const struct chunk_budget *budget, struct buf *out,
                    struct chunk_built *built) {
    char name[ECRDT_MAX_BUCKET_NAME + 1] = {0};
    struct bucket *bk;
    size_t done = 0;
    *built = (struct chunk_built){0};
    memcpy(name, m->bucket.data, m->bucket.len);
    int rc = txn_bucket(t, name, false, &bk);
    if (rc <= 0)
        return rc;
    rc = clocks_load(t, bk);
    struct build b = {
        .t = t, .bk = bk, .budget = budget, .may_cut = true, .complete = true};
    if (rc >= 0)
        rc = build_init(&b);
    while (rc == ECRDT_OK && done < m->n && !b.cut && !enough(&b)) {
        rc = fill_asked(&b, m, &m->parts[done]);
        if (b.cut)
            m->parts[done].lo = b.cut_at;
        else
            done++;
    }
    if (done) /* m may have no parts at all */
        memmove(m->parts, m->parts + done, (m->n - done) * sizeof *m->parts);
    m->n -= done;
    if (rc == ECRDT_OK && b.c.n_parts)
        rc = fork_lists(t, bk, &b.c, NULL, &b.forks);
    if (rc == ECRDT_OK && b.c.n_parts) {
        chunk_encode(out, &b.c);
        rc = out->err;
        *built = (struct chunk_built){(uint32_t)b.c.n_items, b.cut, true};
    }
    bool any = b.c.n_parts > 0;
    build_free(&b);
    return rc < 0 ? rc : any;
}

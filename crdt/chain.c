/* chain.c: links of chains in the table pairs: kept, followed, thinned out. */
#include "crdt/chain.h"
#include "lib/mutant.h"

enum {
    PAIR_KEY = 4 + 4 + 8,
    PAIR_LINK = 3 * 8,
    THIN_EVERY = 1024,       /* one in so many links looks for old ones */
    THIN_STEPS = CHAIN_KEEP, /* the most that one look goes past CHAIN_KEEP */
};
static const uint64_t gap_bit = UINT64_C(1) << 63;

static slice pair_key(uint8_t b[PAIR_KEY], const struct bucket *bk,
                      uint32_t origin, uint64_t seq) {
    store32(b, bk->id);
    store32(b + 4, origin);
    store64(b + 8, seq);
    return slice_of(b, PAIR_KEY);
}

static void link_store(uint8_t p[PAIR_LINK], const struct chain_link *l) {
    store64(p, l->h);
    store64(p + 8, l->prev_seq | (l->gap ? gap_bit : 0));
    store64(p + 16, l->prev_h);
}

static void link_load(struct chain_link *l, uint64_t seq, const uint8_t *p) {
    uint64_t prev = load64(p + 8);
    *l = (struct chain_link){seq, load64(p), prev & ~gap_bit, load64(p + 16),
                             (prev & gap_bit) != 0};
}

/* Where the link of h stands in a record; rec.len if it is not there. */
static size_t link_at(slice rec, uint64_t h) {
    size_t at = 0;
    while (at < rec.len && load64((const uint8_t *)rec.data + at) != h)
        at += PAIR_LINK;
    return at;
}

/* The record of a seq: 1 and its links, 0, < 0. */
static int get_record(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                      uint64_t seq, slice *rec) {
    uint8_t key[PAIR_KEY];
    int rc = db_get(t->db, DB_PAIRS, pair_key(key, bk, origin, seq), rec);
    if (rc == 1 && (!rec->len || rec->len % PAIR_LINK))
        return txn_corrupt(t, "a chain");
    return rc;
}

/* The link of a stored pair. */
static int get_link(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                    uint64_t seq, uint64_t h, struct chain_link *l) {
    slice rec;
    int rc = get_record(t, bk, origin, seq, &rec);
    size_t at = rc == 1 ? link_at(rec, h) : 0;
    if (rc != 1 || at == rec.len)
        return rc < 0 ? rc : 0;
    link_load(l, seq, (const uint8_t *)rec.data + at);
    return 1;
}

/* The newest stored pair of the present incarnation below seq; zeros if there
 * is none. Its chain has no branches. */
static int own_below(ecrdt_txn *t, struct bucket *bk, uint64_t seq,
                     struct chain_link *l) {
    uint8_t b[PAIR_KEY];
    slice key = pair_key(b, bk, bk->head.me, seq), rec;
    struct db_cursor *c;
    *l = (struct chain_link){0};
    int rc = db_cursor_open(t->db, DB_PAIRS, &c);
    if (rc < 0)
        return rc;
    rc = db_cursor_before(c, &key, &rec);
    if (rc == 1 && key.len == PAIR_KEY && !memcmp(key.data, b, 8) &&
        rec.len >= PAIR_LINK)
        link_load(l, load64((const uint8_t *)key.data + 8), rec.data);
    db_cursor_close(c);
    return rc < 0 ? rc : ECRDT_OK;
}

int chain_link(ecrdt_txn *t, struct bucket *bk, uint32_t origin, uint64_t seq,
               uint64_t h, struct chain_link *l) {
    const struct bucket_head *own = &bk->head;
    bool mine = origin == own->me && seq;
    *l = (struct chain_link){seq, h, own->prev_seq, own->prev_h, false};
    if (mine && seq == own->seq && h == own->h)
        return 1;
    int rc = get_link(t, bk, origin, seq, h, l);
    if (rc != 0 || !mine || seq != own->prev_seq || h != own->prev_h)
        return rc;
    struct chain_link below;
    rc = own_below(t, bk, seq, &below);
    *l = (struct chain_link){seq, h, below.seq, below.h, false};
    return rc < 0 ? rc : 1;
}

/* ---- keep ---- */

static int put_links(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                     const struct chain_link *l, slice rec, size_t at) {
    uint8_t key[PAIR_KEY], link[PAIR_LINK];
    link_store(link, l);
    const uint8_t *p = rec.data;
    size_t behind = at < rec.len ? at + PAIR_LINK : at;
    buf_clear(&t->rec);
    buf_put(&t->rec, p, at);
    buf_put(&t->rec, link, sizeof link);
    buf_put(&t->rec, p + behind, rec.len - behind);
    if (t->rec.err)
        return db_stick(t->db, t->rec.err);
    return db_put(t->db, DB_PAIRS, pair_key(key, bk, origin, l->seq), &t->rec);
}

static int put_link(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                    const struct chain_link *l) {
    slice rec = {0};
    int rc = get_record(t, bk, origin, l->seq, &rec);
    if (rc < 0)
        return rc;
    if (rc == 0)
        rec = slice_of("", 0);
    size_t at = link_at(rec, l->h);
    if (at == rec.len && rec.len >= VV_MAX_HEADS * PAIR_LINK)
        return ECRDT_OK;
    return put_links(t, bk, origin, l, rec, at);
}

/* The whole record: a branch that shares this seq then ends in a gap. */
static int drop_link(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                     const struct chain_link *l) {
    uint8_t key[PAIR_KEY];
    int rc = db_del(t->db, DB_PAIRS, pair_key(key, bk, origin, l->seq));
    return rc < 0 ? rc : ECRDT_OK;
}

static bool same_mark(uint64_t a, uint64_t b) {
    return b && a / CHAIN_MARK == b / CHAIN_MARK;
}

/* Past the newest CHAIN_KEEP pairs below l only the first of each mark stay,
 * up to where an earlier look has been. */
static int thin(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                struct chain_link l) {
    struct chain_link below;
    int rc = ECRDT_OK;
    for (size_t n = 0; n < CHAIN_KEEP + THIN_STEPS && rc >= 0; n++) {
        rc = get_link(t, bk, origin, l.prev_seq, l.prev_h, &below);
        if (rc <= 0 || below.gap)
            break;
        if (n < CHAIN_KEEP || !same_mark(below.seq, below.prev_seq)) {
            l = below;
            continue;
        }
        l.prev_seq = below.prev_seq;
        l.prev_h = below.prev_h;
        l.gap = true;
        rc = drop_link(t, bk, origin, &below);
        if (rc == ECRDT_OK)
            rc = put_link(t, bk, origin, &l);
    }
    return rc < 0 ? rc : ECRDT_OK;
}

int chain_keep(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
               const struct chain_link *l) {
    struct chain_link had;
    int rc = get_link(t, bk, origin, l->seq, l->h, &had);
    if (rc < 0 || (rc == 1 && (!had.gap || l->gap)))
        return rc < 0 ? rc : ECRDT_OK;
    rc = put_link(t, bk, origin, l);
    if (rc == ECRDT_OK && l->h % THIN_EVERY == 0)
        rc = thin(t, bk, origin, *l);
    return rc;
}

int chain_keep_own(ecrdt_txn *t, struct bucket *bk, uint64_t seq, uint64_t h) {
    struct chain_link below;
    int rc = seq ? own_below(t, bk, seq, &below) : ECRDT_OK;
    if (rc < 0 || !seq)
        return rc;
    struct chain_link l = {seq, h, below.seq, below.h, false};
    return chain_keep(t, bk, bk->head.me, &l);
}

int chain_keep_list(ecrdt_txn *t, struct bucket *bk,
                    const struct chain_lists *ls, const struct chain_list *l,
                    const struct head *top, const struct chain_link *below) {
    struct chain_link link = *below;
    uint32_t no;
    int rc = origin_no(t, top->origin, true, &no);
    for (size_t i = 0; rc >= 0 && l && i < l->n; i++) {
        const struct chain_pair *pair = chain_lists_pairs(ls, l) + i;
        if (pair->seq <= link.prev_seq)
            continue; /* another part builds on less */
        link.seq = pair->seq;
        link.h = pair->h;
        rc = chain_keep(t, bk, no, &link);
        link = (struct chain_link){.prev_seq = pair->seq,
                                   .prev_h = pair->h,
                                   .gap = pair->seq < l->since};
    }
    link.seq = top->seq;
    link.h = top->h;
    return rc < 0 ? rc : chain_keep(t, bk, no, &link);
}

/* ---- follow ---- */

/* Is x on the chain below top? Top has the greater seq. */
static int find_below(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                      const struct head *top, const struct head *x) {
    struct chain_link l;
    uint64_t seq = top->seq, h = top->h;
    for (;;) {
        int rc = chain_link(t, bk, origin, seq, h, &l);
        if (rc <= 0)
            return rc < 0 ? rc : CHAIN_UNKNOWN;
        if (l.prev_seq == x->seq)
            return l.prev_h == x->h ? CHAIN_ON : CHAIN_OFF;
        if (l.prev_seq < x->seq)
            return l.gap ? CHAIN_UNKNOWN : CHAIN_OFF;
        seq = l.prev_seq;
        h = l.prev_h;
    }
}

static int find_among(ecrdt_txn *t, struct bucket *bk, const struct head *heads,
                      size_t n, const struct head *x) {
    uint32_t origin;
    if (!n || heads[0].seq < x->seq)
        return CHAIN_AHEAD;
    if (MUTANT(nochain) || MUTANT(dotreuse))
        return CHAIN_ON;
    for (size_t i = 0; i < n; i++)
        if (heads[i].seq == x->seq && heads[i].h == x->h)
            return CHAIN_ON;
    int rc = origin_no(t, x->origin, false, &origin), place = CHAIN_OFF;
    if (rc <= 0)
        return rc < 0 ? rc : CHAIN_UNKNOWN;
    for (size_t i = 0; i < n && heads[i].seq > x->seq; i++) {
        rc = find_below(t, bk, origin, &heads[i], x);
        if (rc < 0 || rc == CHAIN_ON)
            return rc;
        if (rc == CHAIN_UNKNOWN)
            place = rc;
    }
    return place;
}

int chain_find_below(ecrdt_txn *t, struct bucket *bk, const struct head *top,
                     const struct head *x) {
    uint32_t origin;
    if (top->seq <= x->seq)
        return CHAIN_UNKNOWN;
    int rc = origin_no(t, x->origin, false, &origin);
    return rc == 1  ? find_below(t, bk, origin, top, x)
           : rc < 0 ? rc
                    : CHAIN_UNKNOWN;
}

int chain_find(ecrdt_txn *t, struct bucket *bk, const struct vv *here,
               const struct head *x) {
    size_t n;
    const struct head *heads = vv_heads(here, x->origin, &n);
    return find_among(t, bk, heads, n, x);
}

int chain_is_cloned(ecrdt_txn *t, struct bucket *bk, const struct vv *heard) {
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    struct head own = {.seq = bk->head.seq, .h = bk->head.h};
    size_t n;
    const struct head *x = vv_heads(heard, me, &n);
    for (size_t i = 0; i < n && !MUTANT(sametwin) && !MUTANT(dotreuse); i++) {
        struct chain_link l; /* no branches here: often one look will do */
        int rc = chain_link(t, bk, bk->head.me, x[i].seq, x[i].h, &l);
        rc = rc == 0  ? find_among(t, bk, &own, own.seq > 0, &x[i])
             : rc < 0 ? rc
                      : CHAIN_ON;
        if (rc < 0 || rc == CHAIN_AHEAD || rc == CHAIN_OFF)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

static void reverse(struct chain_pair *p, size_t n) {
    for (size_t i = 0, j = n; i + 1 < j; i++) {
        struct chain_pair x = p[i];
        p[i] = p[--j];
        p[j] = x;
    }
}

int chain_walk(ecrdt_txn *t, struct bucket *bk, const struct head *top,
               uint64_t floor, size_t max, bool all, struct chain_list *list,
               struct buf *pairs) {
    struct chain_link l = {.seq = top->seq, .h = top->h};
    uint32_t origin;
    bool whole = true;
    size_t at = pairs->len;
    *list = (struct chain_list){.top = *top,
                                .since = top->seq,
                                .first = at / sizeof(struct chain_pair)};
    int rc = origin_no(t, top->origin, false, &origin);
    while (rc == 1 && (rc = chain_link(t, bk, origin, l.seq, l.h, &l)) == 1) {
        if (list->n == max)
            break;
        whole = whole && !l.gap;
        if (whole)
            list->since = l.prev_seq > floor ? l.prev_seq : floor;
        if (l.prev_seq <= floor || (!whole && !all))
            break;
        struct chain_pair pair = {l.prev_seq, l.prev_h};
        buf_put(pairs, &pair, sizeof pair);
        list->n++;
        l.seq = l.prev_seq;
        l.h = l.prev_h;
    }
    if (pairs->err)
        return pairs->err;
    if (list->n)
        reverse((struct chain_pair *)(void *)(pairs->data + at), list->n);
    return rc < 0 ? rc : ECRDT_OK;
}

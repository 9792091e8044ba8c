/* clocks.c: loads and saves range clocks, floor and log bound; only entries
 * that changed are written. */
#include "crdt/clocks.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/mutant.h"

enum { CLOCK_KEY = 4 + 4 + ORIGIN_SIZE, CLOCK_HEAD = 16 };

static slice clock_key(uint8_t b[CLOCK_KEY], const struct bucket *bk,
                       uint32_t no, const uint8_t *origin) {
    store32(b, bk->id);
    store32(b + 4, no);
    if (origin)
        memcpy(b + 8, origin, ORIGIN_SIZE);
    return slice_of(b, origin ? CLOCK_KEY : 8);
}

/* The heads in a record, to the end of v. 0, ECRDT_ECORRUPT, ECRDT_ENOMEM. */
static int decode_heads(struct vv *v, const uint8_t *origin, slice value) {
    size_t n = value.len / CLOCK_HEAD;
    const uint8_t *p = value.data;
    if (!n || n > VV_MAX_HEADS || value.len % CLOCK_HEAD)
        return ECRDT_ECORRUPT;
    struct head heads[VV_MAX_HEADS];
    for (size_t i = 0; i < n; i++, p += CLOCK_HEAD) {
        heads[i] = (struct head){.seq = load64(p), .h = load64(p + 8)};
        memcpy(heads[i].origin, origin, ORIGIN_SIZE);
    }
    return vv_set_heads(v, origin, heads, n);
}

/* All entries of one number, which LMDB holds in the order of origins. */
static int load_vector(ecrdt_txn *t, struct bucket *bk, uint32_t no,
                       struct vv *v) {
    uint8_t b[CLOCK_KEY];
    slice prefix = clock_key(b, bk, no, NULL), key = prefix, value;
    struct db_cursor *c;
    int rc = db_cursor_open(t->db, DB_CLOCKS, &c);
    if (rc < 0)
        return rc;
    for (rc = db_cursor_seek(c, &key, &value);
         rc == 1 && slice_starts(key, prefix);
         rc = db_cursor_next(c, &key, &value)) {
        rc = key.len == CLOCK_KEY
                 ? decode_heads(v, (const uint8_t *)key.data + 8, value)
                 : ECRDT_ECORRUPT;
        if (rc == ECRDT_ECORRUPT)
            rc = txn_corrupt(t, "a clock");
        if (rc < 0)
            break;
    }
    db_cursor_close(c);
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}

/* The cut list of the head into the empty rs, without clocks. */
static int decode_cuts(ecrdt_txn *t, const struct bucket *bk,
                       struct ranges *rs) {
    const uint8_t *p = bk->head.cuts.data, *end = p + bk->head.cuts.len;
    int rc = ranges_init(rs);
    while (rc == ECRDT_OK && p < end) {
        if (end - p < 6 || end - p - 6 < load16(p + 4) ||
            load16(p + 4) > ITEM_ID_MAX)
            return txn_corrupt(t, "the list of cuts");
        uint32_t no = load32(p);
        slice lo = slice_of(p + 6, load16(p + 4));
        size_t at = 0;
        if (lo.len) /* the part to the right of a cut keeps the number */
            rc = ranges_cut(rs, lo, rs->r[rs->n - 1].no, &at);
        rs->r[at].no = no;
        p += 6 + lo.len;
    }
    return rc;
}

int clocks_load(ecrdt_txn *t, struct bucket *bk) {
    if (bk->have_ranges)
        return ECRDT_OK;
    int rc = txn_head(t, bk);
    if (rc < 0)
        return rc;
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    rc = decode_cuts(t, bk, &bk->rs);
    for (size_t i = 0; i < bk->rs.n && rc == ECRDT_OK; i++)
        rc = load_vector(t, bk, bk->rs.r[i].no, &bk->rs.r[i].clk);
    if (rc == ECRDT_OK && t->mode == TXN_WRITE)
        rc = ranges_copy(&bk->was, &bk->rs);
    for (size_t i = 0; i < bk->rs.n && rc == ECRDT_OK; i++)
        rc = vv_raise(&bk->rs.r[i].clk, me, bk->head.seq, bk->head.h);
    if (rc < 0)
        return db_stick(t->db, rc);
    bk->have_ranges = true;
    return ECRDT_OK;
}

/* The n heads of one origin from e on. */
static int put_entry(ecrdt_txn *t, struct bucket *bk, uint32_t no,
                     const struct head *e, size_t n) {
    uint8_t key[CLOCK_KEY], value[CLOCK_HEAD];
    buf_clear(&t->rec);
    for (size_t i = 0; i < n; i++) {
        store64(value, e[i].seq);
        store64(value + 8, e[i].h);
        buf_put(&t->rec, value, sizeof value);
    }
    return db_put(t->db, DB_CLOCKS, clock_key(key, bk, no, e->origin), &t->rec);
}

static const struct range *by_no(const struct ranges *rs, uint32_t no) {
    for (size_t i = 0; i < rs->n; i++)
        if (rs->r[i].no == no)
            return &rs->r[i];
    return NULL;
}

/* Entries of r that differ from those on disk; our own lives in the head. */
static int save_range(ecrdt_txn *t, struct bucket *bk, const struct range *r,
                      const uint8_t *me) {
    static const struct vv none;
    const struct range *old = by_no(&bk->was, r->no);
    const struct vv *was = old ? &old->clk : &none;
    for (size_t i = 0, j = 0, n; i < r->clk.n; i += n) {
        const struct head *e = &r->clk.e[i];
        n = vv_group(&r->clk, i);
        while (j < was->n &&
               memcmp(was->e[j].origin, e->origin, ORIGIN_SIZE) < 0)
            j++;
        bool same = j < was->n && vv_group(was, j) == n &&
                    !memcmp(&was->e[j], e, n * sizeof *e);
        if (same || !memcmp(e->origin, me, ORIGIN_SIZE))
            continue;
        int rc = put_entry(t, bk, r->no, e, n);
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

static int drop_range(ecrdt_txn *t, struct bucket *bk, const struct range *r) {
    for (size_t i = 0; i < r->clk.n; i++) {
        uint8_t key[CLOCK_KEY];
        int rc = db_del(t->db, DB_CLOCKS,
                        clock_key(key, bk, r->no, r->clk.e[i].origin));
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

static int encode_cuts(struct bucket *bk) {
    struct buf *out = &bk->head.cuts;
    buf_clear(out);
    for (size_t i = 0; i < bk->rs.n; i++) {
        const struct range *r = &bk->rs.r[i];
        uint8_t head[6];
        store32(head, r->no);
        store16(head + 4, r->lo.len);
        buf_put(out, head, sizeof head);
        buf_put(out, r->lo.b, r->lo.len);
    }
    return out->err;
}

int clocks_save(ecrdt_txn *t, struct bucket *bk) {
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    int rc = encode_cuts(bk);
    if (rc < 0)
        return db_stick(t->db, rc);
    bk->head_dirty = true;
    for (size_t i = 0; i < bk->rs.n && rc >= 0; i++)
        rc = save_range(t, bk, &bk->rs.r[i], me);
    for (size_t i = 0; i < bk->was.n && rc >= 0; i++)
        if (!by_no(&bk->rs, bk->was.r[i].no))
            rc = drop_range(t, bk, &bk->was.r[i]);
    bk->ranges_dirty = false;
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}

/* They are counted for ever, and the last ones have a meaning of their own. */
uint32_t clocks_new_no(struct bucket *bk) {
    uint32_t no = bk->head.range_next;
    while (no >= CLOCK_FLOOR || by_no(&bk->rs, no) || by_no(&bk->was, no))
        no = no < CLOCK_FLOOR ? no + 1 : 1;
    bk->head.range_next = no + 1;
    return no;
}

int clocks_cut(struct bucket *bk, slice id, size_t *at) {
    size_t n = bk->rs.n;
    uint32_t next = bk->head.range_next;
    int rc = ranges_cut(&bk->rs, id, clocks_new_no(bk), at);
    if (bk->rs.n == n)
        bk->head.range_next = next; /* only a cut that is made uses one up */
    return rc;
}

int clocks_vector(ecrdt_txn *t, struct bucket *bk, enum clock_vector which,
                  struct vv *v) {
    return load_vector(t, bk, (uint32_t)which, v);
}

int clocks_raise(ecrdt_txn *t, struct bucket *bk, enum clock_vector which,
                 const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    uint8_t key[CLOCK_KEY];
    slice v;
    int rc = db_get(t->db, DB_CLOCKS,
                    clock_key(key, bk, (uint32_t)which, origin), &v);
    if (rc < 0)
        return rc;
    if (rc == 1 && v.len != CLOCK_HEAD)
        return txn_corrupt(t, "a clock");
    if (rc == 1 && load64(v.data) >= seq)
        return ECRDT_OK;
    struct head e = {.seq = seq};
    memcpy(e.origin, origin, ORIGIN_SIZE);
    INVARIANT(bk->have_head); /* as in each write transaction */
    bk->head_dirty = true;
    return put_entry(t, bk, (uint32_t)which, &e, 1);
}

int clocks_raise_all(ecrdt_txn *t, struct bucket *bk, enum clock_vector which,
                     const struct vv *by) {
    for (size_t i = 0; i < by->n; i++) {
        int rc = clocks_raise(t, bk, which, by->e[i].origin, by->e[i].seq);
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

/* The sequence number that range no has of origin. */
static int seq_of(ecrdt_txn *t, struct bucket *bk, uint32_t no,
                  const uint8_t *origin, uint64_t *seq) {
    uint8_t key[CLOCK_KEY];
    slice v;
    *seq = 0;
    int rc = db_get(t->db, DB_CLOCKS, clock_key(key, bk, no, origin), &v);
    if (rc == 1 && v.len < CLOCK_HEAD)
        return txn_corrupt(t, "a clock");
    if (rc == 1)
        *seq = load64(v.data);
    return rc < 0 ? rc : ECRDT_OK;
}

int clocks_least(ecrdt_txn *t, struct bucket *bk,
                 const uint8_t origin[ORIGIN_SIZE], uint64_t *least) {
    struct ranges rs = {0};
    int rc = txn_head(t, bk);
    if (rc < 0)
        return rc;
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    *least = bk->head.seq;
    if (!memcmp(me, origin, ORIGIN_SIZE))
        return ECRDT_OK;
    rc = decode_cuts(t, bk, &rs);
    *least = UINT64_MAX;
    size_t n = MUTANT(receiptrange) ? 1 : rs.n;
    for (size_t i = 0; i < n && rc == ECRDT_OK; i++) {
        uint64_t seq;
        rc = seq_of(t, bk, rs.r[i].no, origin, &seq);
        if (rc == ECRDT_OK && seq < *least)
            *least = seq;
    }
    ranges_free(&rs);
    return rc;
}

int replica_clock(ecrdt_txn *t, const char *bucket, struct ranges *rs,
                  struct vv *floor) {
    struct bucket *bk;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc < 0 ? rc : ranges_init(rs);
    rc = clocks_load(t, bk);
    if (rc == ECRDT_OK)
        rc = ranges_copy(rs, &bk->rs);
    if (rc == ECRDT_OK)
        rc = clocks_vector(t, bk, CLOCK_FLOOR, floor);
    return rc;
}

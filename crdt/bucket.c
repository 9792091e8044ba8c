/* bucket.c: buckets by name, and their head records. */
#include "crdt/chain.h"
#include "crdt/clocks.h"
#include "crdt/store.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/mutant.h"

enum {
    HEAD_KEY = 5,
    HEAD_VERSION = 3,
    HEAD_SAVES = 1, /* where it stands */
    HEAD_FIXED = 1 + 8 + 4 + 4 * 8 + 16 + 4 * 8 + 3 * 8 + 3 * 4
};

int bucket_check_name(const char *name) {
    size_t n = name ? strnlen(name, ECRDT_MAX_BUCKET_NAME + 1) : 0;
    if (n >= 1 && n <= ECRDT_MAX_BUCKET_NAME)
        return ECRDT_OK;
    return err_set(ECRDT_EINVAL,
                   "a bucket's name has 1 to %d bytes, this one %s",
                   ECRDT_MAX_BUCKET_NAME,
                   !name ? "is NULL"
                   : n   ? "has more"
                         : "is empty");
}

/* META: 'b' + name -> number u32, salt. */
static slice name_key(uint8_t b[1 + ECRDT_MAX_BUCKET_NAME], const char *name) {
    size_t n = strlen(name);
    b[0] = 'b';
    memcpy(b + 1, name, n);
    return slice_of(b, 1 + n);
}

int bucket_find(ecrdt_txn *t, const char *name, struct bucket *bk) {
    uint8_t key[1 + ECRDT_MAX_BUCKET_NAME];
    slice v;
    int rc = db_get(t->db, DB_META, name_key(key, name), &v);
    if (rc <= 0)
        return rc;
    if (v.len != 4 + BUCKET_SALT)
        return txn_corrupt(t, "the record of a bucket");
    bk->id = load32(v.data);
    memcpy(bk->salt, (const uint8_t *)v.data + 4, BUCKET_SALT);
    strcpy(bk->name, name);
    return 1;
}

int bucket_create(ecrdt_txn *t, const char *name, struct bucket *bk) {
    uint32_t count = 0, me;
    int rc = meta_get_u32(t, "m.buckets", &count);
    if (rc < 0)
        return rc;
    if (count >= ECRDT_MAX_BUCKETS)
        return err_set(ECRDT_ETOOBIG,
                       "cannot make bucket '%s': the store has %d buckets, "
                       "its limit; put more keys into fewer buckets",
                       name, ECRDT_MAX_BUCKETS);
    rc = origin_me(t, &me);
    if (rc < 0)
        return rc;
    bk->id = count;
    strcpy(bk->name, name);
    crypto_blake2b(bk->salt, BUCKET_SALT, ecrdt_str(name));
    bk->head.me = me;
    bk->head.range_next = 1;
    bk->have_head = bk->head_dirty = bk->made = true;
    rc = meta_put_u32(t, "m.buckets", count + 1);
    if (rc < 0)
        return rc;
    uint8_t key[1 + ECRDT_MAX_BUCKET_NAME], no[4];
    store32(no, bk->id);
    buf_clear(&t->rec);
    buf_put(&t->rec, no, 4);
    buf_put(&t->rec, bk->salt, BUCKET_SALT);
    return db_put(t->db, DB_META, name_key(key, name), &t->rec);
}

int replica_each_bucket(ecrdt_txn *t, int (*fn)(void *ctx, const char *bucket),
                        void *ctx) {
    char name[ECRDT_MAX_BUCKET_NAME + 1];
    uint8_t key[META_NAME_KEY] = "b";
    size_t len = 1;
    slice v;
    int rc;
    while ((rc = meta_next(t, key, &len, name, &v)) == 1) {
        rc = fn(ctx, name); /* may write: no cursor is open here */
        if (rc)
            return rc;
    }
    return rc;
}

/* ---- what changed --------------------------------------------------------
 * No clock and no floor changes without a new head, which counts that. */

struct naming {
    ecrdt_txn *t;
    struct replica_marks *seen;
};

static int add_marks(struct replica_marks *seen, uint32_t no) {
    int rc = alloc_grow(&seen->m, &seen->cap, no + 1, sizeof *seen->m);
    for (; rc == ECRDT_OK && seen->n <= no; seen->n++)
        seen->m[seen->n] = (struct replica_mark){0};
    return rc;
}

/* Notes the name under its number. */
static int note_name(void *ctx, const char *name) {
    struct naming *n = ctx;
    struct bucket bk = {0};
    int rc = bucket_find(n->t, name, &bk);
    if (rc == 1)
        rc = bk.id < ECRDT_MAX_BUCKETS ? add_marks(n->seen, bk.id)
                                       : ECRDT_ECORRUPT;
    if (rc == ECRDT_OK && bk.name[0])
        strcpy(n->seen->m[bk.id].bucket, name);
    return rc;
}

/* The mark of the head in a row; NULL, an error set and stuck. A number
 * without a name has all names noted: one walk for all that are new. */
static struct replica_mark *mark_of(ecrdt_txn *t, struct replica_marks *seen,
                                    slice key, slice head) {
    struct naming n = {t, seen};
    uint32_t no = load32((const uint8_t *)key.data + 1);
    int rc = no < ECRDT_MAX_BUCKETS && head.len >= HEAD_FIXED ? ECRDT_OK
                                                              : ECRDT_ECORRUPT;
    if (rc == ECRDT_OK && (no >= seen->n || !seen->m[no].bucket[0]))
        rc = replica_each_bucket(t, note_name, &n);
    if (rc == ECRDT_OK && (no >= seen->n || !seen->m[no].bucket[0]))
        rc = ECRDT_ECORRUPT;
    if (rc == ECRDT_ECORRUPT)
        txn_corrupt(t, "the head record of a bucket");
    else if (rc < 0)
        db_stick(t->db, rc);
    return rc == ECRDT_OK ? &seen->m[no] : NULL;
}

int replica_each_changed(ecrdt_txn *t, struct replica_marks *seen,
                         int (*fn)(void *ctx, const char *bucket), void *ctx) {
    static const uint8_t first[] = {DB_HEAD_PREFIX};
    struct db_cursor *c;
    slice key = slice_of(first, sizeof first), head;
    int rc = db_cursor_open(t->db, DB_HEADS, &c);
    if (rc < 0)
        return rc;
    for (rc = db_cursor_seek(c, &key, &head);
         rc == 1 && key.len == HEAD_KEY &&
         *(const uint8_t *)key.data == DB_HEAD_PREFIX;
         rc = db_cursor_next(c, &key, &head)) {
        struct replica_mark *m = mark_of(t, seen, key, head);
        uint64_t saves =
            m ? load64((const uint8_t *)head.data + HEAD_SAVES) : 0;
        int stop = !m                  ? db_err(t->db)
                   : m->saves != saves ? fn(ctx, m->bucket)
                                       : 0;
        if (stop) {
            db_cursor_close(c);
            return stop;
        }
        m->saves = saves;
    }
    db_cursor_close(c);
    return rc < 0 ? rc : ECRDT_OK;
}

void replica_marks_free(struct replica_marks *seen) {
    alloc_free(seen->m);
    *seen = (struct replica_marks){0};
}

int bucket_unmake(ecrdt_txn *t, const struct bucket *bk) {
    uint8_t key[1 + ECRDT_MAX_BUCKET_NAME];
    int rc = db_del(t->db, DB_META, name_key(key, bk->name));
    return rc < 0 ? rc : meta_put_u32(t, "m.buckets", bk->id);
}

static slice head_key(uint8_t b[HEAD_KEY], const struct bucket *bk) {
    b[0] = DB_HEAD_PREFIX;
    store32(b + 1, bk->id);
    return slice_of(b, HEAD_KEY);
}

static int head_decode(struct bucket_head *h, slice v) {
    const uint8_t *p = v.data;
    if (v.len < HEAD_FIXED || p[0] != HEAD_VERSION)
        return ECRDT_ECORRUPT;
    h->saves = load64(p + HEAD_SAVES);
    h->me = load32(p + 9);
    h->seq = load64(p + 13);
    h->h = load64(p + 21);
    h->hlc = load64(p + 29);
    h->gen = load64(p + 37);
    memcpy(h->digest, p + 45, 16);
    h->live = load64(p + 61);
    h->tombs = load64(p + 69);
    h->log_next = load64(p + 77);
    h->log_bytes = load64(p + 85);
    h->prev_seq = load64(p + 93);
    h->prev_h = load64(p + 101);
    h->exposures = load64(p + 109);
    h->log_open_n = load32(p + 117);
    h->range_next = load32(p + 121);
    uint32_t cuts = load32(p + 125);
    if (cuts > v.len - HEAD_FIXED)
        return ECRDT_ECORRUPT;
    buf_clear(&h->cuts);
    buf_clear(&h->log_open);
    buf_put(&h->cuts, p + HEAD_FIXED, cuts);
    buf_put(&h->log_open, p + HEAD_FIXED + cuts, v.len - HEAD_FIXED - cuts);
    return h->cuts.err ? h->cuts.err : h->log_open.err;
}

int head_load(ecrdt_txn *t, struct bucket *bk) {
    uint8_t key[HEAD_KEY];
    slice v;
    int rc = db_get(t->db, DB_HEADS, head_key(key, bk), &v);
    if (rc < 0)
        return rc;
    rc = rc == 1 ? head_decode(&bk->head, v) : ECRDT_ECORRUPT;
    if (rc == ECRDT_ECORRUPT)
        return txn_corrupt(t, "the head record of a bucket");
    if (rc < 0)
        return db_stick(t->db, rc);
    bk->have_head = true;
    bk->seq_before = bk->head.seq;
    return ECRDT_OK;
}

/* Extends the chain of this origin's commits: h = first 8 bytes of
 * BLAKE2b-128(previous h | e16 of the events of the commit). If a snapshot
 * was exposed since the last head was saved, it held that head or the one
 * before: both are kept (why two: see chain.h). */
static int extend_chain(ecrdt_txn *t, struct bucket *bk) {
    struct bucket_head *h = &bk->head;
    if (h->seq == bk->seq_before)
        return ECRDT_OK;
    uint64_t seen = os_lock_exposures(t->s->lock);
    int rc = ECRDT_OK;
    if (seen != h->exposures) {
        if (!MUTANT(onepair))
            rc = chain_keep_own(t, bk, h->prev_seq, h->prev_h);
        if (rc == ECRDT_OK)
            rc = chain_keep_own(t, bk, bk->seq_before, h->h);
    }
    h->exposures = seen;
    h->prev_seq = bk->seq_before;
    h->prev_h = h->h;
    uint8_t prev[8], sum[CRYPTO_E16];
    store64(prev, h->h);
    slice parts[2] = {slice_of(prev, 8), buf_slice(&bk->e16s)};
    crypto_blake2b_parts(sum, sizeof sum, parts, 2);
    h->h = load64(sum);
    bk->seq_before = h->seq;
    buf_clear(&bk->e16s);
    return rc;
}

int head_close(ecrdt_txn *t, struct bucket *bk) {
    struct bucket_head *h = &bk->head;
    const uint8_t *me = origin_id(t, h->me);
    int rc = me ? extend_chain(t, bk) : db_err(t->db);
    if (rc == ECRDT_OK)
        rc = chain_keep_own(t, bk, h->prev_seq, h->prev_h);
    if (rc == ECRDT_OK)
        rc = chain_keep_own(t, bk, h->seq, h->h);
    for (size_t i = 0; i < bk->rs.n && rc == ECRDT_OK; i++)
        rc = vv_raise(&bk->rs.r[i].clk, me, h->seq, h->h);
    h->seq = h->h = h->prev_seq = h->prev_h = 0;
    bk->seq_before = 0;
    return rc;
}

int head_save(ecrdt_txn *t, struct bucket *bk) {
    struct bucket_head *h = &bk->head;
    int rc = extend_chain(t, bk);
    if (rc < 0)
        return rc;
    buf_clear(&t->rec);
    uint8_t *p = buf_extend(&t->rec, HEAD_FIXED);
    if (!p)
        return db_stick(t->db, t->rec.err);
    p[0] = HEAD_VERSION;
    store64(p + HEAD_SAVES, ++h->saves);
    store32(p + 9, h->me);
    store64(p + 13, h->seq);
    store64(p + 21, h->h);
    store64(p + 29, h->hlc);
    store64(p + 37, h->gen);
    memcpy(p + 45, h->digest, 16);
    store64(p + 61, h->live);
    store64(p + 69, h->tombs);
    store64(p + 77, h->log_next);
    store64(p + 85, h->log_bytes);
    store64(p + 93, h->prev_seq);
    store64(p + 101, h->prev_h);
    store64(p + 109, h->exposures);
    store32(p + 117, MUTANT(lostbuffer) ? 0 : h->log_open_n);
    store32(p + 121, h->range_next);
    store32(p + 125, (uint32_t)h->cuts.len);
    buf_put(&t->rec, h->cuts.data, h->cuts.len);
    if (!MUTANT(lostbuffer))
        buf_put(&t->rec, h->log_open.data, h->log_open.len);
    if (t->rec.err)
        return db_stick(t->db, t->rec.err);
    uint8_t key[HEAD_KEY];
    bk->head_dirty = false;
    return db_put(t->db, DB_HEADS, head_key(key, bk), &t->rec);
}

void bucket_reset(struct bucket *bk) {
    bk->have_head = bk->head_dirty = bk->made = false;
    if (bk->have_ranges || bk->rs.n)
        ranges_free(&bk->rs);
    if (bk->was.n)
        ranges_free(&bk->was);
    bk->have_ranges = bk->ranges_dirty = false;
    bk->hlc_now = 0;
    buf_clear(&bk->e16s);
    buf_trim(&bk->e16s);
}

void bucket_free(struct bucket *bk) {
    if (!bk)
        return;
    buf_free(&bk->head.cuts);
    buf_free(&bk->head.log_open);
    buf_free(&bk->e16s);
    ranges_free(&bk->rs);
    ranges_free(&bk->was);
    alloc_free(bk);
}

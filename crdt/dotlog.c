/* dotlog.c: append-only records of up to 40 dots; the open one lives in the
 * bucket's head, so that a small commit does not touch another page. */
#include "crdt/dotlog.h"
#include "crdt/clocks.h"
#include "crdt/setting.h"
#include "lib/mutant.h"

enum { LOG_KEY = 12 };

static slice log_key(uint8_t b[LOG_KEY], const struct bucket *bk,
                     uint64_t arrival) {
    store32(b, bk->id);
    store64(b + 4, arrival);
    return slice_of(b, LOG_KEY);
}

/* Entries of one record from number first on: fn for each >= from. */
static int each_in(slice rec, uint64_t first, uint64_t from,
                   int (*fn)(void *ctx, const struct dotlog_entry *e),
                   void *ctx) {
    const uint8_t *p = rec.data, *end = p + rec.len;
    struct dotlog_entry e = {.arrival = first};
    for (; p < end; e.arrival++) {
        uint64_t origin, len;
        size_t n = varint_get(p, end, &origin);
        if (!n || origin > UINT32_MAX)
            return ECRDT_ECORRUPT;
        p += n;
        n = varint_get(p, end, &e.seq);
        if (!n)
            return ECRDT_ECORRUPT;
        p += n;
        n = varint_get(p, end, &len);
        if (!n || len > (uint64_t)(end - p) - n || len > ITEM_ID_MAX)
            return ECRDT_ECORRUPT;
        p += n;
        e.origin = (uint32_t)origin;
        e.id = slice_of(p, len);
        p += len;
        int rc = e.arrival >= from ? fn(ctx, &e) : 0;
        if (rc)
            return rc;
    }
    return ECRDT_OK;
}

struct drop_ctx {
    ecrdt_txn *t;
    struct vv dots; /* the greatest dropped of each origin */
};

static int note_dropped(void *ctx, const struct dotlog_entry *e) {
    struct drop_ctx *d = ctx;
    const uint8_t *id = origin_id(d->t, e->origin);
    return id ? vv_raise(&d->dots, id, e->seq, 0) : db_err(d->t->db);
}

/* Takes the oldest record out, its dots into d: 1, 0 if there is none, < 0. */
static int take_oldest(ecrdt_txn *t, struct bucket *bk, struct db_cursor *c,
                       struct drop_ctx *d) {
    uint8_t b[LOG_KEY];
    slice key = log_key(b, bk, 0), rec;
    int rc = db_cursor_seek(c, &key, &rec);
    if (rc <= 0 || key.len != LOG_KEY || load32(key.data) != bk->id)
        return rc < 0 ? rc : 0;
    bk->head.log_bytes -= rec.len;
    rc = each_in(rec, 0, 0, note_dropped, d);
    if (rc == ECRDT_ECORRUPT)
        return txn_corrupt(t, "the dots log");
    if (rc == ECRDT_OK)
        rc = db_cursor_del(c);
    return rc < 0 ? rc : 1;
}

/* Drops the oldest records: what they told is from now on below L. A few more
 * than the cap asks for, so that L is not raised for each of them. */
static int drop_oldest(ecrdt_txn *t, struct bucket *bk) {
    enum { SPARE = 64 };
    uint64_t most = t->log_cap - t->log_cap / SPARE;
    struct drop_ctx d = {.t = t};
    struct db_cursor *c;
    int rc = db_cursor_open(t->db, DB_LOG, &c);
    if (rc < 0)
        return rc;
    for (rc = 1; rc == 1 && bk->head.log_bytes > most;)
        rc = take_oldest(t, bk, c, &d);
    db_cursor_close(c);
    if (rc >= 0 && !MUTANT(ringL))
        rc = clocks_raise_all(t, bk, CLOCK_LOG, &d.dots);
    vv_free(&d.dots);
    return rc < 0 ? rc : ECRDT_OK;
}

/* Moves the open record out of the head into the log table. */
static int close_record(ecrdt_txn *t, struct bucket *bk) {
    struct bucket_head *h = &bk->head;
    uint8_t key[LOG_KEY];
    buf_clear(&t->rec);
    buf_put(&t->rec, h->log_open.data, h->log_open.len);
    h->log_bytes += h->log_open.len;
    int rc = db_put(t->db, DB_LOG,
                    log_key(key, bk, h->log_next - h->log_open_n), &t->rec);
    buf_clear(&h->log_open);
    h->log_open_n = 0;
    if (rc == ECRDT_OK && !t->log_cap)
        rc = setting_read(t, ECRDT_LOG_CAP_BYTES, &t->log_cap);
    if (rc == ECRDT_OK && h->log_bytes > t->log_cap)
        rc = drop_oldest(t, bk);
    return rc;
}

int dotlog_append(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                  uint64_t seq, slice id) {
    struct bucket_head *h = &bk->head;
    size_t most = 3 * VARINT_MAX + id.len;
    if (h->log_open_n == DOTLOG_RECORD_ENTRIES ||
        (h->log_open_n && h->log_open.len + most > DOTLOG_RECORD_BYTES)) {
        int rc = close_record(t, bk);
        if (rc < 0)
            return rc;
    }
    uint8_t *p = buf_extend(&h->log_open, most), *start = p;
    if (!p)
        return db_stick(t->db, h->log_open.err);
    p += varint_put(p, origin);
    p += varint_put(p, seq);
    p += varint_put(p, id.len);
    memcpy(p, id.data, id.len);
    p += id.len;
    h->log_open.len -= most - (size_t)(p - start);
    h->log_open_n++;
    h->log_next++;
    bk->head_dirty = true;
    return ECRDT_OK;
}

/* Position on the record that holds arrival number from. */
static int seek_record(struct db_cursor *c, const struct bucket *bk,
                       uint64_t from, slice *key, slice *rec) {
    uint8_t b[LOG_KEY];
    if (from < UINT64_MAX) {
        *key = log_key(b, bk, from + 1);
        int rc = db_cursor_before(c, key, rec);
        if (rc < 0 ||
            (rc == 1 && key->len == LOG_KEY && load32(key->data) == bk->id))
            return rc;
    }
    *key = log_key(b, bk, from);
    return db_cursor_seek(c, key, rec);
}

int dotlog_each(ecrdt_txn *t, struct bucket *bk, uint64_t from,
                int (*fn)(void *ctx, const struct dotlog_entry *e), void *ctx) {
    uint64_t open_first = bk->head.log_next - bk->head.log_open_n;
    int rc = ECRDT_OK;
    if (from < open_first) {
        struct db_cursor *c;
        rc = db_cursor_open(t->db, DB_LOG, &c);
        if (rc < 0)
            return rc;
        slice key, rec;
        int row = seek_record(c, bk, from, &key, &rec);
        while (row == 1 && key.len == LOG_KEY && load32(key.data) == bk->id) {
            uint64_t first = load64((const uint8_t *)key.data + 4);
            rc = each_in(rec, first, from, fn, ctx);
            if (rc)
                break;
            row = db_cursor_next(c, &key, &rec);
        }
        db_cursor_close(c);
        if (row < 0)
            return row;
    }
    if (rc == ECRDT_OK)
        rc = each_in(buf_slice(&bk->head.log_open), open_first, from, fn, ctx);
    return rc == ECRDT_ECORRUPT ? txn_corrupt(t, "the dots log") : rc;
}

/* receipt.c: codecs of receipts, wants and acks; the latter two lie in the
 * peers table under names that no peer's record has. */
#include "crdt/receipt.h"
#include "crdt/store.h"

enum {
    RECEIPT_BODY = RECEIPT_SALT + ORIGIN_SIZE + 8,
    WANT_TAG = 1,
    ACK_TAG = 2,
    OF_SIZE = 1 + RECEIPT_SALT + ORIGIN_SIZE,
    ACK_NAME = OF_SIZE + 32,
    RECORD_SIZE = 9
};
_Static_assert(sizeof(ecrdt_receipt) == RECEIPT_BODY + 8, "the check sum");

/* ---- receipts ---- */

static void check_sum(uint8_t out[16], const ecrdt_receipt *r) {
    slice parts[2] = {ECRDT_STR("ecrdt-receipt-1"),
                      slice_of(r->b, RECEIPT_BODY)};
    crypto_blake2b_parts(out, 16, parts, 2);
}

void receipt_encode(ecrdt_receipt *out, const struct receipt_of *what,
                    uint64_t seq) {
    uint8_t sum[16];
    memcpy(out->b, what->salt, RECEIPT_SALT);
    memcpy(out->b + RECEIPT_SALT, what->origin, ORIGIN_SIZE);
    store64(out->b + RECEIPT_SALT + ORIGIN_SIZE, seq);
    check_sum(sum, out);
    memcpy(out->b + RECEIPT_BODY, sum, 8);
}

int receipt_decode(const ecrdt_receipt *r, struct receipt_of *what,
                   uint64_t *seq) {
    uint8_t sum[16];
    check_sum(sum, r);
    if (memcmp(r->b + RECEIPT_BODY, sum, 8) != 0)
        return err_set(ECRDT_EINVAL,
                       "this is not a receipt: its check sum is wrong; it is "
                       "made by ecrdt_receipt_of() and carried as it is");
    memcpy(what->salt, r->b, RECEIPT_SALT);
    memcpy(what->origin, r->b + RECEIPT_SALT, ORIGIN_SIZE);
    *seq = load64(r->b + RECEIPT_SALT + ORIGIN_SIZE);
    return ECRDT_OK;
}

void receipt_salt(uint8_t salt[RECEIPT_SALT], const char *bucket) {
    crypto_blake2b(salt, RECEIPT_SALT, ecrdt_str(bucket));
}

/* ---- records ---- */

static slice name_of(uint8_t b[ACK_NAME], uint8_t tag,
                     const struct receipt_of *of, const uint8_t *peer) {
    b[0] = tag;
    memcpy(b + 1, of->salt, RECEIPT_SALT);
    memcpy(b + 1 + RECEIPT_SALT, of->origin, ORIGIN_SIZE);
    if (peer)
        memcpy(b + OF_SIZE, peer, 32);
    return slice_of(b, peer ? ACK_NAME : OF_SIZE);
}

/* Both records: a number of 8 bytes and one byte. */
static int put(ecrdt_txn *t, slice name, uint64_t number, uint8_t byte) {
    uint8_t b[RECORD_SIZE];
    store64(b, number);
    b[8] = byte;
    buf_clear(&t->rec);
    buf_put(&t->rec, b, sizeof b);
    return db_put(t->db, DB_PEERS, name, &t->rec);
}

static int del(ecrdt_txn *t, slice name) {
    int rc = db_del(t->db, DB_PEERS, name);
    return rc < 0 ? rc : ECRDT_OK;
}

static bool want_decode(slice name, slice v, struct want *w) {
    const uint8_t *p = name.data, *b = v.data;
    if (name.len != OF_SIZE || v.len != RECORD_SIZE || b[8] > 1)
        return false;
    memcpy(w->of.salt, p + 1, RECEIPT_SALT);
    memcpy(w->of.origin, p + 1 + RECEIPT_SALT, ORIGIN_SIZE);
    w->until_ms = load64(b);
    w->seen = b[8];
    return true;
}

static bool ack_decode(slice name, slice v, struct ack *a) {
    const uint8_t *p = name.data, *b = v.data;
    if (name.len != ACK_NAME || v.len != RECORD_SIZE || b[8] >= ACK_KINDS)
        return false;
    memcpy(a->peer, p + OF_SIZE, sizeof a->peer);
    a->seq = load64(b);
    a->kind = b[8];
    return true;
}

int want_get(ecrdt_txn *t, struct want *w) {
    uint8_t b[ACK_NAME];
    slice name = name_of(b, WANT_TAG, &w->of, NULL), v;
    int rc = db_get(t->db, DB_PEERS, name, &v);
    return rc == 1 ? want_decode(name, v, w) : rc;
}

int want_put(ecrdt_txn *t, const struct want *w) {
    uint8_t b[ACK_NAME];
    return put(t, name_of(b, WANT_TAG, &w->of, NULL), w->until_ms, w->seen);
}

int want_del(ecrdt_txn *t, const struct want *w) {
    uint8_t b[ACK_NAME];
    return del(t, name_of(b, WANT_TAG, &w->of, NULL));
}

int ack_put(ecrdt_txn *t, const struct receipt_of *of, const struct ack *a) {
    uint8_t b[ACK_NAME];
    slice name = name_of(b, ACK_TAG, of, a->peer);
    return a->seq ? put(t, name, a->seq, a->kind) : del(t, name);
}

/* Rows whose names begin with prefix. */
static int each_row(ecrdt_txn *t, slice prefix,
                    int (*fn)(void *ctx, slice name, slice value), void *ctx) {
    struct db_cursor *c;
    slice name = prefix, value;
    int rc = db_cursor_open(t->db, DB_PEERS, &c), stop = 0;
    if (rc < 0)
        return rc;
    for (rc = db_cursor_seek(c, &name, &value);
         rc == 1 && !stop && slice_starts(name, prefix);) {
        stop = fn(ctx, name, value);
        if (!stop)
            rc = db_cursor_next(c, &name, &value);
    }
    db_cursor_close(c);
    return stop ? stop : rc < 0 ? rc : ECRDT_OK;
}

struct each_want {
    int (*fn)(void *ctx, const struct want *w);
    void *ctx;
};

static int give_want(void *ctx, slice name, slice value) {
    struct each_want *x = ctx;
    struct want w;
    return want_decode(name, value, &w) ? x->fn(x->ctx, &w) : 0;
}

int want_each(ecrdt_txn *t, int (*fn)(void *ctx, const struct want *w),
              void *ctx) {
    static const uint8_t tag = WANT_TAG;
    struct each_want x = {fn, ctx};
    return each_row(t, slice_of(&tag, 1), give_want, &x);
}

struct each_ack {
    int (*fn)(void *ctx, const struct ack *a);
    void *ctx;
};

static int give_ack(void *ctx, slice name, slice value) {
    struct each_ack *x = ctx;
    struct ack a;
    return ack_decode(name, value, &a) ? x->fn(x->ctx, &a) : 0;
}

int ack_each(ecrdt_txn *t, const struct receipt_of *of,
             int (*fn)(void *ctx, const struct ack *a), void *ctx) {
    uint8_t b[ACK_NAME];
    struct each_ack x = {fn, ctx};
    return each_row(t, name_of(b, ACK_TAG, of, NULL), give_ack, &x);
}

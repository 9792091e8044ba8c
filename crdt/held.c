/* held.c: reads and writes the subscription's records, and marks what a new
 * one leaves out to be forgotten. */
#include "crdt/held.h"
#include "crdt/clocks.h"
#include "crdt/narrow.h"
#include "lib/mutant.h"

enum {
    HELD_KEY = 1 + ECRDT_MAX_BUCKET_NAME,
    HELD_FIXED = 7,
    FLAG_NARROWING = 1,
    FLAG_IMPLIED = 2
};

static slice held_key(uint8_t b[HELD_KEY], const char *bucket) {
    size_t n = strlen(bucket);
    b[0] = 's';
    memcpy(b + 1, bucket, n);
    return slice_of(b, 1 + n);
}

/* Do the bytes behind HELD_FIXED hold whole prefixes, rising? */
static bool prefixes_fit(const struct held *h) {
    slice prefix, last = {0};
    const uint8_t *p = h->prefixes.data;
    size_t n = h->prefixes.len;
    for (size_t at = 0; at < n; at += 1u + p[at])
        if (!p[at] || p[at] > SUBSCRIPTION_PREFIX || at + 1 + p[at] > n)
            return false;
    for (size_t at = 0; held_next(h, &at, &prefix); last = prefix)
        if (slice_cmp(last, prefix) >= 0)
            return false;
    return (h->kind == HELD_PREFIXES) == (n > 0);
}

static int decode(ecrdt_txn *t, slice v, struct held *h) {
    const uint8_t *p = v.data;
    if (v.len < HELD_FIXED || p[0] >= HELD_KINDS ||
        p[1] > (FLAG_NARROWING | FLAG_IMPLIED))
        return txn_corrupt(t, "a record of the subscription");
    h->kind = p[0];
    h->narrowing = p[1] & FLAG_NARROWING;
    h->implied = p[1] & FLAG_IMPLIED;
    h->since = load32(p + 2);
    h->renewals = p[6];
    buf_clear(&h->prefixes);
    buf_put(&h->prefixes, p + HELD_FIXED, v.len - HELD_FIXED);
    if (h->prefixes.err)
        return db_stick(t->db, h->prefixes.err);
    return prefixes_fit(h) ? ECRDT_OK
                           : txn_corrupt(t, "a record of the subscription");
}

/* Are buckets held that have no record? 1 or 0, < 0. */
static int load_others(ecrdt_txn *t) {
    slice v;
    int rc = db_get(t->db, DB_META, ECRDT_STR("s"), &v);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    const uint8_t *p = v.data;
    if (v.len != 1 || *p > 1)
        return txn_corrupt(t, "a record of the subscription");
    return *p;
}

int held_load(ecrdt_txn *t, const char *bucket, struct held *h) {
    uint8_t b[HELD_KEY];
    slice v;
    memcpy(h->bucket, bucket, strlen(bucket) + 1);
    int rc = db_get(t->db, DB_META, held_key(b, bucket), &v);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        rc = decode(t, v, h);
        return rc < 0 ? rc : 1;
    }
    rc = load_others(t);
    h->kind = rc == 1 ? HELD_ALL : HELD_NONE;
    h->implied = true;
    return rc < 0 ? rc : 0;
}

int held_save(ecrdt_txn *t, const struct held *h) {
    uint8_t b[HELD_KEY], fixed[HELD_FIXED] = {h->kind};
    if (h->implied && !h->narrowing) {
        int rc = db_del(t->db, DB_META, held_key(b, h->bucket));
        return rc < 0 ? rc : ECRDT_OK;
    }
    fixed[1] = (uint8_t)((h->narrowing ? FLAG_NARROWING : 0) |
                         (h->implied ? FLAG_IMPLIED : 0));
    store32(fixed + 2, h->since);
    fixed[6] = h->renewals;
    buf_clear(&t->rec);
    buf_put(&t->rec, fixed, sizeof fixed);
    buf_put(&t->rec, h->prefixes.data, h->prefixes.len);
    return db_put(t->db, DB_META, held_key(b, h->bucket), &t->rec);
}

int held_spans_of(ecrdt_txn *t, const char *bucket, struct spans *sp) {
    struct held h = {0};
    int rc = held_load(t, bucket, &h);
    if (rc >= 0)
        rc = held_spans(&h, sp);
    held_free(&h);
    return rc;
}

int held_each(ecrdt_txn *t, int (*fn)(void *ctx, const struct held *h),
              void *ctx) {
    uint8_t key[META_NAME_KEY] = "s";
    struct held h = {0};
    size_t len = 2; /* behind that of the buckets not named */
    slice v;
    int rc;
    while ((rc = meta_next(t, key, &len, h.bucket, &v)) == 1) {
        rc = decode(t, v, &h);
        if (rc == ECRDT_OK)
            rc = fn(ctx, &h); /* may write: no cursor is open here */
        if (rc)
            break;
    }
    held_free(&h);
    return rc;
}

static int add_record(void *ctx, const struct held *h) {
    struct subscription *s = ctx;
    struct held *to = subscription_add(s, ecrdt_str(h->bucket));
    if (!to)
        return ECRDT_ENOMEM;
    struct buf none = to->prefixes;
    *to = *h;
    to->prefixes = none;
    buf_put(&to->prefixes, h->prefixes.data, h->prefixes.len);
    return to->prefixes.err;
}

int subscription_load(ecrdt_txn *t, struct subscription *s) {
    int rc = load_others(t);
    s->others = rc == 1;
    return rc < 0 ? rc : held_each(t, add_record, s);
}

/* ---- changes --------------------------------------------------------------
 */

static int check_size(ecrdt_txn *t) {
    struct subscription s = {0};
    struct buf b = {0};
    int rc = subscription_load(t, &s);
    subscription_encode(&b, &s);
    if (rc == ECRDT_OK)
        rc = b.err;
    if (rc == ECRDT_OK && b.len > SUBSCRIPTION_BYTES)
        rc = err_set(ECRDT_ETOOBIG,
                     "cannot subscribe to so many prefixes: all of them take "
                     "%zu bytes, the limit is %d; use shorter or fewer ones",
                     b.len, SUBSCRIPTION_BYTES);
    buf_free(&b);
    subscription_free(&s);
    return rc;
}

/* Stores h; 1 if data of the bucket lies outside of it. */
static int put(ecrdt_txn *t, struct held *h) {
    int outside = narrow_outside(t, h);
    if (outside < 0)
        return outside;
    h->narrowing = outside;
    h->since = h->renewals = 0;
    int rc = held_save(t, h);
    return rc < 0 ? rc : outside;
}

int subscription_put(ecrdt_txn *t, const struct held *want) {
    struct held h = *want;
    h.implied = false;
    int outside = put(t, &h);
    int rc = outside < 0 ? outside : check_size(t);
    return rc < 0 ? rc : outside;
}

struct others {
    ecrdt_txn *t;
    bool all;
    int outside;
};

static int follow(void *ctx, const char *bucket) {
    struct others *o = ctx;
    struct held h = {0};
    int rc = held_load(o->t, bucket, &h);
    if (rc >= 0 && h.implied) {
        h.kind = o->all ? HELD_ALL : HELD_NONE;
        rc = put(o->t, &h);
        o->outside |= rc == 1;
    }
    held_free(&h);
    return rc < 0 ? rc : ECRDT_OK;
}

int subscription_put_others(ecrdt_txn *t, bool all) {
    struct others o = {t, all, 0};
    uint8_t byte = all;
    buf_clear(&t->rec);
    buf_put(&t->rec, &byte, 1);
    int rc = db_put(t->db, DB_META, ECRDT_STR("s"), &t->rec);
    if (rc == ECRDT_OK)
        rc = replica_each_bucket(t, follow, &o);
    return rc < 0 ? rc : o.outside;
}

/* Buckets that were named, and that want does not name, follow the others. */
struct unnamed {
    ecrdt_txn *t;
    const struct subscription *want;
    int outside;
};

static int unname(void *ctx, const struct held *was) {
    struct unnamed *u = ctx;
    if (was->implied || subscription_find(u->want, was->bucket))
        return ECRDT_OK;
    struct held h = {.kind = u->want->others ? HELD_ALL : HELD_NONE,
                     .implied = true};
    memcpy(h.bucket, was->bucket, sizeof h.bucket);
    int rc = put(u->t, &h);
    u->outside |= rc == 1;
    return rc < 0 ? rc : ECRDT_OK;
}

static int replace_one(ecrdt_txn *t, const struct held *want) {
    struct held was = {0};
    int rc = held_load(t, want->bucket, &was);
    bool same = rc >= 0 && !was.implied && held_eq(&was, want);
    held_free(&was);
    return rc < 0 || same ? (rc < 0 ? rc : 0) : subscription_put(t, want);
}

static int doubt(void *ctx, const char *bucket) {
    ecrdt_txn *t = ctx;
    struct held h = {0};
    int rc = held_load(t, bucket, &h);
    if (rc >= 0 && !h.narrowing)
        rc = put(t, &h);
    held_free(&h);
    return rc < 0 ? rc : ECRDT_OK;
}

int subscription_doubt(ecrdt_txn *t) {
    return MUTANT(nodoubt) ? ECRDT_OK : replica_each_bucket(t, doubt, t);
}

int subscription_replace(ecrdt_txn *t, const struct subscription *want) {
    struct unnamed u = {t, want, 0};
    int rc = load_others(t);
    if (rc >= 0 && rc != want->others) {
        rc = subscription_put_others(t, want->others);
        u.outside |= rc == 1;
    }
    for (size_t i = 0; i < want->n && rc >= 0; i++) {
        rc = replace_one(t, &want->b[i]);
        u.outside |= rc == 1;
    }
    if (rc >= 0)
        rc = held_each(t, unname, &u);
    return rc < 0 ? rc : u.outside;
}

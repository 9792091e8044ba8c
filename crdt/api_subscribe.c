/* api_subscribe.c: public calls on what a store holds, and the digest of a
 * part of a bucket. */
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/held.h"
#include "crdt/step.h"
#include "crdt/items.h"
#include "lib/alloc.h"

/* Frame of a call that changes the subscription. */
static int in_write(ecrdt_store *s, const char *call,
                    int (*fn)(ecrdt_txn *t, const struct held *want),
                    const struct held *want) {
    int rc = store_check(s, call);
    ecrdt_txn *t = rc < 0 ? NULL : ecrdt_write(s);
    if (!t)
        return rc < 0 ? rc : ecrdt_errcode();
    int outside = fn(t, want);
    if (outside < 0) {
        ecrdt_abort(t);
        return outside;
    }
    rc = ecrdt_commit(t);
    return rc < 0 ? rc : outside;
}

static int put_others(ecrdt_txn *t, const struct held *want) {
    return subscription_put_others(t, want->kind == HELD_ALL);
}

static int name_bucket(struct held *h, const char *bucket) {
    int rc = bucket_check_name(bucket);
    if (rc == ECRDT_OK)
        strcpy(h->bucket, bucket);
    return rc;
}

int ecrdt_subscribe(ecrdt_store *s, const char *bucket,
                    const ecrdt_slice *prefixes, size_t n) {
    struct held h = {.kind = HELD_ALL};
    if (s && n && (!bucket || !prefixes))
        return err_set(ECRDT_EINVAL, "ecrdt_subscribe(): prefixes need a "
                                     "bucket, and an array of them");
    int rc = s && bucket ? name_bucket(&h, bucket) : ECRDT_OK;
    if (rc == ECRDT_OK && bucket)
        rc = held_set(&h, prefixes, n);
    if (rc == ECRDT_OK)
        rc = in_write(s, "ecrdt_subscribe()",
                      bucket ? subscription_put : put_others, &h);
    held_free(&h);
    return rc;
}

int ecrdt_unsubscribe(ecrdt_store *s, const char *bucket) {
    struct held h = {.kind = HELD_NONE};
    int rc = s && bucket ? name_bucket(&h, bucket) : ECRDT_OK;
    return rc < 0 ? rc
                  : in_write(s, "ecrdt_unsubscribe()",
                             bucket ? subscription_put : put_others, &h);
}

/* ---- listing --------------------------------------------------------------
 */

struct listing {
    ecrdt_subscription_fn fn;
    void *ctx;
};

static int give_row(const struct listing *l, const char *bucket,
                    const struct held *h) {
    ecrdt_subscription row = {
        .bucket = bucket, .all = h->kind == HELD_ALL, .leaving = h->narrowing};
    slice prefix, *list = NULL;
    for (size_t at = 0; held_next(h, &at, &prefix);)
        row.n++;
    if (row.n && !(list = alloc_resize(NULL, row.n, sizeof *list)))
        return ECRDT_ENOMEM;
    row.prefixes = list;
    for (size_t i = 0, at = 0; list && held_next(h, &at, &list[i]); i++)
        ;
    int stop = l->fn(l->ctx, &row);
    alloc_free(list);
    return stop ? err_set(ECRDT_ECANCELED, "the caller stopped the listing of "
                                           "subscriptions")
                : ECRDT_OK;
}

int ecrdt_subscriptions(ecrdt_store *s, ecrdt_subscription_fn fn, void *ctx) {
    struct listing l = {fn, ctx};
    struct subscription all = {0};
    ecrdt_txn *t;
    int rc = store_check(s, "ecrdt_subscriptions()");
    if (rc == ECRDT_OK && !fn)
        rc = err_set(ECRDT_EINVAL, "ecrdt_subscriptions() needs a function");
    if (rc == ECRDT_OK)
        rc = replica_begin(s, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = subscription_load(t, &all);
    ecrdt_abort(t);
    for (size_t i = 0; i < all.n && rc == ECRDT_OK; i++)
        rc = give_row(&l, all.b[i].bucket, &all.b[i]);
    const struct held others = {.kind = all.others ? HELD_ALL : HELD_NONE};
    if (rc == ECRDT_OK)
        rc = give_row(&l, NULL, &others);
    subscription_free(&all);
    return rc;
}

/* ---- digest of a prefix ---------------------------------------------------
 */

/* Adds the names of an item's live events. */
static int sum_item(ecrdt_txn *t, const struct bucket *bk, slice id, slice rec,
                    uint8_t sum[16]) {
    struct event e;
    uint8_t e16[CRYPTO_E16];
    int rc;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;) {
        if (!event_live(&e))
            continue;
        rc = door_name(t, bk, id, &e, e16);
        if (rc < 0)
            return rc;
        digest_add(sum, e16);
    }
    return rc < 0 ? txn_corrupt(t, "an item") : ECRDT_OK;
}

/* Adds up the live events of all items whose ids begin with those of the
 * prefix; a longer key's shorter neighbour may pad to the same bytes. */
static int sum_prefix(ecrdt_txn *t, struct bucket *bk, slice prefix,
                      uint8_t sum[16]) {
    struct item_key from;
    uint8_t b[KEY_K_MAX];
    struct items c;
    int rc = items_open(&c, t);
    if (rc < 0)
        return rc;
    item_key_set(&from, bk->id, slice_of(b, key_prefix(b, prefix)), 0);
    slice start = item_key_db(&from), key = start, rec;
    for (rc = items_seek(&c, &key, &rec); rc == 1 && slice_starts(key, start);
         rc = items_next(&c, &key, &rec)) {
        rc = sum_item(t, bk, item_key_id_of(key), rec, sum);
        if (rc < 0)
            break;
    }
    items_close(&c);
    return rc < 0 ? rc : ECRDT_OK;
}

int ecrdt_digest_prefix(ecrdt_store *s, const char *bucket, ecrdt_slice prefix,
                        uint8_t out[16]) {
    ecrdt_txn *t;
    struct bucket *bk;
    int rc = store_check(s, "ecrdt_digest_prefix()");
    if (rc == ECRDT_OK)
        rc = check_out(out, "ecrdt_digest_prefix()");
    if (rc == ECRDT_OK && prefix.len > KEY_HASHED_PREFIX)
        rc = err_set(ECRDT_ETOOBIG,
                     "ecrdt_digest_prefix(): a prefix has at most %d bytes, "
                     "this one %zu",
                     KEY_HASHED_PREFIX, prefix.len);
    if (rc == ECRDT_OK)
        rc = replica_begin(s, false, 0, &t);
    if (rc < 0)
        return rc;
    memset(out, 0, 16);
    rc = txn_bucket(t, bucket, false, &bk);
    if (rc == 1)
        rc = sum_prefix(t, bk, prefix, out);
    ecrdt_abort(t);
    return rc;
}

/* origin.c: origins by number and id, and the incarnation of this store:
 * its key pair and how it is renewed (PROTOCOL D2). */
#include "crdt/clocks.h"
#include "crdt/store.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/log.h"

enum { ME_KEY = CRYPTO_SK };

int meta_get_u32(ecrdt_txn *t, const char *key, uint32_t *v) {
    slice value;
    int rc = db_get(t->db, DB_META, ecrdt_str(key), &value);
    if (rc <= 0)
        return rc;
    if (value.len != 4)
        return txn_corrupt(t, key);
    *v = load32(value.data);
    return 1;
}

int meta_put_u32(ecrdt_txn *t, const char *key, uint32_t v) {
    uint8_t b[4];
    store32(b, v);
    buf_clear(&t->rec);
    buf_put(&t->rec, b, 4);
    return db_put(t->db, DB_META, ecrdt_str(key), &t->rec);
}

int meta_next(ecrdt_txn *t, uint8_t key[META_NAME_KEY], size_t *len, char *name,
              slice *value) {
    struct db_cursor *c;
    int rc = db_cursor_open(t->db, DB_META, &c);
    if (rc < 0)
        return rc;
    slice k = slice_of(key, *len);
    rc = db_cursor_seek(c, &k, value);
    if (rc == 1 &&
        (*(const uint8_t *)k.data != *key || k.len > 1 + ECRDT_MAX_BUCKET_NAME))
        rc = 0;
    if (rc == 1) {
        memcpy(key, k.data, k.len);
        memcpy(name, key + 1, k.len - 1);
        name[k.len - 1] = 0;
        key[k.len] = 0;
        *len = k.len + 1;
    }
    db_cursor_close(c);
    return rc;
}

/* Keys of the two maps: 'o' + number -> id, 'i' + id -> number. */
static slice no_key(uint8_t b[5], uint32_t no) {
    b[0] = 'o';
    store32(b + 1, no);
    return slice_of(b, 5);
}

static slice id_key(uint8_t b[17], const uint8_t *id) {
    b[0] = 'i';
    memcpy(b + 1, id, ORIGIN_SIZE);
    return slice_of(b, 17);
}

/* Makes room for number no in the cache; new places are all zero. */
static int cache_reach(ecrdt_txn *t, uint32_t no) {
    if (no < t->n_origins)
        return ECRDT_OK;
    int rc =
        alloc_grow(&t->origins, &t->cap_origins, (size_t)no + 1, ORIGIN_SIZE);
    if (rc < 0)
        return db_stick(t->db, rc);
    memset(t->origins + t->n_origins, 0,
           ((size_t)no + 1 - t->n_origins) * ORIGIN_SIZE);
    t->n_origins = (size_t)no + 1;
    return ECRDT_OK;
}

const uint8_t *origin_id(ecrdt_txn *t, uint32_t no) {
    static const uint8_t unknown[ORIGIN_SIZE];
    if (no < t->n_origins && memcmp(t->origins[no], unknown, ORIGIN_SIZE))
        return t->origins[no];
    uint8_t key[5];
    slice value;
    int rc = db_get(t->db, DB_META, no_key(key, no), &value);
    if (rc < 0)
        return NULL;
    if (rc == 0 || value.len != ORIGIN_SIZE) {
        txn_corrupt(t, "the table of origins");
        return NULL;
    }
    if (cache_reach(t, no) < 0)
        return NULL;
    memcpy(t->origins[no], value.data, ORIGIN_SIZE);
    return t->origins[no];
}

static int add_origin(ecrdt_txn *t, const uint8_t id[ORIGIN_SIZE],
                      uint32_t *no) {
    uint8_t nk[5], ik[17], b[4];
    uint32_t count = 0;
    t->made_names = true;
    int rc = meta_get_u32(t, "m.origins", &count);
    if (rc < 0)
        return rc;
    *no = count;
    rc = meta_put_u32(t, "m.origins", count + 1);
    if (rc < 0)
        return rc;
    buf_clear(&t->rec);
    buf_put(&t->rec, id, ORIGIN_SIZE);
    rc = db_put(t->db, DB_META, no_key(nk, *no), &t->rec);
    if (rc < 0)
        return rc;
    store32(b, *no);
    buf_clear(&t->rec);
    buf_put(&t->rec, b, 4);
    return db_put(t->db, DB_META, id_key(ik, id), &t->rec);
}

int origin_no(ecrdt_txn *t, const uint8_t id[ORIGIN_SIZE], bool create,
              uint32_t *no) {
    uint8_t key[17];
    slice value;
    int rc = db_get(t->db, DB_META, id_key(key, id), &value);
    if (rc < 0)
        return rc;
    if (rc == 1 && value.len != 4)
        return txn_corrupt(t, "the table of origins");
    if (rc == 1) {
        *no = load32(value.data);
        return 1;
    }
    if (!create)
        return 0;
    rc = add_origin(t, id, no);
    return rc < 0 ? rc : 1;
}

int origin_me(ecrdt_txn *t, uint32_t *no) {
    int rc = meta_get_u32(t, "m.me", no);
    return rc == 0 ? txn_corrupt(t, "the incarnation") : rc;
}

/* origin id = BLAKE2b-128('ecrdt-origin-1' | public key). */
static void origin_of(uint8_t id[ORIGIN_SIZE], const uint8_t pk[CRYPTO_PK]) {
    slice parts[2] = {ECRDT_STR("ecrdt-origin-1"), slice_of(pk, CRYPTO_PK)};
    crypto_blake2b_parts(id, ORIGIN_SIZE, parts, 2);
}

struct close_ctx {
    ecrdt_txn *t;
    uint32_t me;
};

/* Writes the old incarnation's head out into every range of one bucket. */
static int close_in_bucket(void *ctx, const char *name) {
    struct close_ctx *c = ctx;
    struct bucket *bk;
    int rc = txn_bucket(c->t, name, false, &bk);
    if (rc == 1)
        rc = clocks_load(c->t, bk);
    if (rc == ECRDT_OK)
        rc = head_close(c->t, bk);
    if (rc < 0)
        return rc;
    bk->head.me = c->me;
    bk->head.gen++;
    bk->head_dirty = bk->ranges_dirty = true;
    return ECRDT_OK;
}

int origin_renew(ecrdt_txn *t) {
    uint8_t pk[CRYPTO_PK], sk[CRYPTO_SK], id[ORIGIN_SIZE];
    crypto_sign_key_new(pk, sk);
    origin_of(id, pk);
    struct close_ctx c = {t, 0};
    int rc = origin_no(t, id, true, &c.me);
    if (rc < 0)
        goto out;
    rc = meta_put_u32(t, "m.me", c.me);
    if (rc < 0)
        goto out;
    buf_clear(&t->rec);
    buf_put(&t->rec, sk, ME_KEY);
    rc = db_put(t->db, DB_META, ECRDT_STR("m.key"), &t->rec);
    if (t->rec.data)
        crypto_wipe(t->rec.data, t->rec.len);
    if (rc == ECRDT_OK)
        rc = replica_each_bucket(t, close_in_bucket, &c);
out:
    crypto_wipe(sk, sizeof sk);
    return rc < 0 ? rc : ECRDT_OK;
}

int replica_origin(ecrdt_txn *t, uint8_t id[ORIGIN_SIZE]) {
    uint32_t no;
    int rc = origin_me(t, &no);
    const uint8_t *me = rc < 0 ? NULL : origin_id(t, no);
    if (!me)
        return rc < 0 ? rc : db_err(t->db);
    memcpy(id, me, ORIGIN_SIZE);
    return ECRDT_OK;
}

int replica_sign(ecrdt_store *s, slice msg, uint8_t sig[64], uint8_t pk[32]) {
    ecrdt_txn *t;
    slice key;
    int rc = replica_begin(s, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = db_get(t->db, DB_META, ECRDT_STR("m.key"), &key);
    if (rc == 1 && key.len == ME_KEY) {
        const uint8_t *sk = key.data;
        crypto_sign_make(sig, msg, sk);
        memcpy(pk, sk + CRYPTO_SEED, CRYPTO_PK);
    } else if (rc >= 0) {
        rc = txn_corrupt(t, "the incarnation's key");
    }
    ecrdt_abort(t);
    return rc < 0 ? rc : ECRDT_OK;
}

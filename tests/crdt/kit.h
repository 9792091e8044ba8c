/* kit.h: stores for the tests of crdt/: opened when first named, closed and
 * removed behind each case; chunks from one to the other. */
#ifndef TESTS_CRDT_KIT_H
#define TESTS_CRDT_KIT_H
#include "crdt/chunk.h"
#include "crdt/guard.h"
#include "tests/support/test.h"

enum { KIT_STORES = 18 };
static char *kit_dir;
static ecrdt_store *kit_stores[KIT_STORES];
#define KIT_B "bucket"

static inline const char *kit_path(size_t i) {
    char name[32];
    snprintf(name, sizeof name, "s%zu", i);
    return path_join(kit_dir, name);
}

static inline ecrdt_store *kit_open(size_t i, uint32_t flags) {
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = flags;
    o.max_readers = 32;
    o.max_bytes = UINT64_C(1) << 30;
    o.lock_timeout_ms = 2000;
    kit_stores[i] = assert_handle(ecrdt_open(kit_path(i), &o));
    return kit_stores[i];
}

/* Store number i. */
static inline ecrdt_store *kit(size_t i) {
    return kit_stores[i] ? kit_stores[i] : kit_open(i, ECRDT_EPHEMERAL);
}

static inline void kit_close(size_t i) {
    assert_ok(ecrdt_close(kit_stores[i]));
    kit_stores[i] = NULL;
}

static inline int kit_setup(void **state) {
    (void)state;
    kit_dir = tmpdir_make();
    return 0;
}

static inline int kit_teardown(void **state) {
    (void)state;
    int rc = 0;
    for (size_t i = 0; i < KIT_STORES; i++) {
        if (kit_stores[i] && ecrdt_close(kit_stores[i]) != 0)
            rc = 1;
        kit_stores[i] = NULL;
    }
    tmpdir_remove(kit_dir);
    kit_dir = NULL;
    return rc;
}

#define kit_test(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

/* n bytes of one character; they stay. */
static inline slice kit_fill(size_t n, char with) {
    enum { MOST = ECRDT_MAX_VALUE + 16 };
    static char *of[256];
    char **p = &of[(uint8_t)with];
    assert_true(n <= MOST);
    if (!*p) {
        *p = malloc(MOST);
        assert_non_null(*p);
        memset(*p, with, MOST);
    }
    return slice_of(*p, n);
}

static inline ecrdt_txn *kit_write(size_t i) {
    return assert_handle(ecrdt_write(kit(i)));
}
static inline ecrdt_txn *kit_read(size_t i) {
    return assert_handle(ecrdt_read(kit(i)));
}

/* ---- one call, one transaction --------------------------------------------
 */

static inline void kit_set(size_t i, const char *key, const char *value) {
    ecrdt_txn *t = kit_write(i);
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str(value)));
    assert_ok(ecrdt_commit(t));
}

static inline void kit_del(size_t i, const char *key) {
    ecrdt_txn *t = kit_write(i);
    assert_code(1, ecrdt_reg_del(t, KIT_B, slice_str(key)));
    assert_ok(ecrdt_commit(t));
}

static inline void kit_add(size_t i, const char *key, const char *elem) {
    ecrdt_txn *t = kit_write(i);
    assert_true(ecrdt_set_add(t, KIT_B, slice_str(key), slice_str(elem)) >= 0);
    assert_ok(ecrdt_commit(t));
}

static inline void kit_count(size_t i, const char *key, int64_t by) {
    ecrdt_txn *t = kit_write(i);
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str(key), by, NULL));
    assert_ok(ecrdt_commit(t));
}

static inline int64_t kit_value(size_t i, const char *key) {
    int64_t v;
    ecrdt_txn *t = kit_read(i);
    assert_true(ecrdt_counter_get(t, KIT_B, slice_str(key), &v) >= 0);
    ecrdt_abort(t);
    return v;
}

/* The register reads want; NULL: it is absent. */
static inline void kit_expect(size_t i, const char *key, const char *want) {
    slice v;
    ecrdt_txn *t = kit_read(i);
    assert_code(want != NULL,
                ecrdt_reg_get(t, KIT_B, slice_str(key), &v, NULL));
    if (want)
        assert_slice_equal(v, slice_str(want));
    ecrdt_abort(t);
}

/* How many concurrent values a register has. */
static inline size_t kit_siblings(size_t i, const char *key) {
    ecrdt_entry row;
    ecrdt_txn *t = kit_read(i);
    ecrdt_iter *it =
        assert_handle(ecrdt_reg_siblings(t, KIT_B, slice_str(key)));
    size_t n = 0;
    int rc;
    while ((rc = ecrdt_next(it, &row)) == 1)
        n++;
    assert_ok(rc);
    ecrdt_abort(t);
    return n;
}

/* ---- inside ----------------------------------------------------------------
 */

/* The bucket in t, its head loaded; NULL if there is none. */
static inline struct bucket *kit_bucket(ecrdt_txn *t) {
    struct bucket *bk = NULL;
    int rc = txn_bucket(t, KIT_B, false, &bk);
    assert_true(rc >= 0);
    if (rc == 1)
        assert_ok(txn_head(t, bk));
    return bk;
}

static inline uint64_t kit_seq(size_t i) {
    ecrdt_txn *t = kit_read(i);
    struct bucket *bk = kit_bucket(t);
    uint64_t seq = bk ? bk->head.seq : 0;
    ecrdt_abort(t);
    return seq;
}

static inline void kit_sound(size_t i) {
    assert_ok(ecrdt_verify(kit(i), NULL, NULL));
}

static inline void kit_digest(size_t i, uint8_t out[16]) {
    assert_ok(ecrdt_digest(kit(i), KIT_B, out));
}

static inline void kit_same_digest(size_t i, size_t k) {
    uint8_t a[16], b[16];
    kit_digest(i, a);
    kit_digest(k, b);
    assert_memory_equal(a, b, 16);
}

/* ---- chunks ----------------------------------------------------------------
 */

/* A snapshot whose content leaves the store. */
static inline ecrdt_txn *kit_expose(size_t i) {
    ecrdt_txn *t;
    assert_ok(replica_expose(kit(i), &t));
    return t;
}

static inline void kit_clock(size_t i, struct ranges *rs) {
    struct vv floor = {0};
    ecrdt_txn *t = kit_expose(i);
    ranges_free(rs);
    assert_ok(replica_clock(t, KIT_B, rs, &floor));
    ecrdt_abort(t);
    vv_free(&floor);
}

/* The next chunk of store i for peer, of at most so many items: 1 or 0. */
static inline int kit_build(size_t i, struct ranges *peer, uint32_t items,
                            struct buf *out) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, items};
    struct chunk_built built;
    ecrdt_txn *t = kit_expose(i);
    buf_clear(out);
    int rc = chunk_build(t, KIT_B, peer, &budget, NULL, out, &built);
    ecrdt_abort(t);
    assert_true(rc == 0 || rc == 1);
    return rc;
}

static inline struct chunk_report kit_apply(size_t i, slice chunk) {
    struct chunk_report r = {0};
    ecrdt_txn *t;
    assert_ok(replica_begin(kit(i), true, 2000, &t));
    assert_ok(chunk_apply(t, chunk, &r));
    assert_ok(ecrdt_commit(t));
    return r;
}

/* All that to lacks comes over from from, so many items at a time. */
static inline void kit_pull_by(size_t to, size_t from, uint32_t items) {
    struct ranges peer = {0};
    struct buf out = {0};
    kit_clock(to, &peer);
    while (kit_build(from, &peer, items, &out)) {
        struct chunk_report r = kit_apply(to, buf_slice(&out));
        assert_int_equal(r.ahead + r.refused, 0);
    }
    ranges_free(&peer);
    buf_free(&out);
}

/* One chunk, whatever comes of it: 1 if there was one. */
static inline int kit_try_by(size_t to, size_t from, uint32_t items) {
    struct ranges peer = {0};
    struct buf out = {0};
    kit_clock(to, &peer);
    int any = kit_build(from, &peer, items, &out);
    if (any)
        kit_apply(to, buf_slice(&out));
    ranges_free(&peer);
    buf_free(&out);
    return any;
}
static inline int kit_try(size_t to, size_t from) {
    return kit_try_by(to, from, CHUNK_PUSH_ITEMS);
}

/* After a copy of the folder: all that a guard could tell it by agrees. */
static inline void kit_twin(size_t i) {
    struct guard g;
    assert_code(1, guard_load(kit_path(i), &g));
    guard_facts_read(kit_path(i), &g.facts);
    assert_ok(guard_save(kit_path(i), 0660, &g, false));
}

static inline void kit_pull(size_t to, size_t from) {
    kit_pull_by(to, from, CHUNK_PUSH_ITEMS);
}
#endif

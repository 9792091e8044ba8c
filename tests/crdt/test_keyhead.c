/* test_keyhead.c: key heads: O(1) sizes and values follow every change. */
#include "crdt/keyhead.h"
#include "crdt/counter.h"
#include "crdt/items.h"
#include "tests/crdt/kit.h"

static void records_decode(void **state) {
    (void)state;
    enum { FIXED = 3 + 16 };
    struct keyhead_view v;
    uint8_t rec[FIXED + 3] = {5, 6, 7, [FIXED - 1] = 9};
    memcpy(rec + FIXED, "key", 3);
    assert_true(keyhead_decode(TAG_COUNTER_HEAD, slice_of(rec, FIXED + 3), &v));
    assert_int_equal(v.live, 5);
    assert_int_equal(v.rows, 6);
    assert_int_equal(v.bound, 7);
    assert_int_equal((int64_t)v.total, 9);
    assert_slice_equal(v.full_key, slice_str("key"));
    memset(rec + 3, 0xff, 16);
    assert_true(keyhead_decode(TAG_COUNTER_HEAD, slice_of(rec, FIXED), &v));
    assert_int_equal((int64_t)v.total, -1);
    assert_int_equal(v.full_key.len, 0);
    for (size_t n = 0; n < FIXED; n++) {
        uint8_t *exact = malloc(n + 1);
        assert_non_null(exact);
        memcpy(exact, rec, n);
        assert_false(keyhead_decode(TAG_COUNTER_HEAD, slice_of(exact, n), &v));
        free(exact);
    }
    assert_true(keyhead_decode(TAG_SET_HEAD, slice_of(rec, 1), &v));
    assert_int_equal(v.live, 5);
    assert_int_equal(v.full_key.len, 0);
    assert_false(keyhead_decode(TAG_SET_HEAD, slice_of(rec, 0), &v));
}

static void head_key(ecrdt_txn *t, struct item_key *k, slice key, uint8_t tag) {
    item_key_make(k, kit_bucket(t)->id, key, tag);
}

static void assert_head(size_t i, slice key, uint8_t tag, uint64_t live,
                        int64_t total) {
    struct item_key k;
    struct keyhead_view v;
    ecrdt_txn *t = kit_read(i);
    head_key(t, &k, key, tag);
    assert_code(live > 0, keyhead_read(t, &k, &v));
    assert_int_equal(v.live, live);
    assert_int_equal((int64_t)v.total, total);
    if (live)
        assert_slice_equal(v.full_key,
                           key.len > KEY_RAW_MAX ? key : slice_of(NULL, 0));
    ecrdt_abort(t);
}

static void heads_follow_local_and_remote_changes(void **state) {
    (void)state;
    static const size_t lens[] = {1, 256, 257};
    for (size_t n = 0; n < 3; n++) {
        slice key = kit_fill(lens[n], 'k');
        ecrdt_txn *t = kit_write(0);
        for (char c = 'a'; c <= 'e'; c++)
            assert_code(1, ecrdt_set_add(t, KIT_B, key, slice_of(&c, 1)));
        assert_ok(ecrdt_counter_add(t, KIT_B, key, -7, NULL));
        assert_ok(ecrdt_commit(t));
        assert_head(0, key, TAG_SET_HEAD, 5, 0);
        assert_head(0, key, TAG_COUNTER_HEAD, 1, -7);
        kit_pull(1, 0);
        assert_head(1, key, TAG_SET_HEAD, 5, 0);
        assert_head(1, key, TAG_COUNTER_HEAD, 1, -7);
        t = kit_write(1);
        assert_ok(ecrdt_set_clear(t, KIT_B, key));
        assert_ok(ecrdt_counter_add(t, KIT_B, key, 10, NULL));
        assert_ok(ecrdt_commit(t));
        kit_pull(0, 1);
        assert_head(0, key, TAG_SET_HEAD, 0, 0);
        assert_head(0, key, TAG_COUNTER_HEAD, 2, 3);
    }
    kit_sound(0);
    kit_sound(1);
}

/* A head that says nothing has no record. */
static void empty_heads_are_removed(void **state) {
    (void)state;
    uint64_t n;
    kit_add(0, "s", "e");
    ecrdt_txn *t = kit_write(0);
    assert_ok(db_count(t->db, DB_KEYS, &n));
    assert_int_equal(n, 1);
    assert_code(1, ecrdt_set_remove(t, KIT_B, slice_str("s"), slice_str("e")));
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    assert_ok(db_count(t->db, DB_KEYS, &n));
    assert_int_equal(n, 0);
    ecrdt_abort(t);
    kit_sound(0);
}

/* Does the counter's row hold a head, not an entry? */
static bool counter_head_stored(size_t i, const char *key) {
    struct item_key k;
    slice rec;
    struct counter_row row;
    ecrdt_txn *t = kit_read(i);
    head_key(t, &k, slice_str(key), TAG_COUNTER_HEAD);
    assert_code(1, db_get(t->db, DB_ITEMS, item_key_db(&k), &rec));
    assert_true(counter_row_open(rec, &row));
    ecrdt_abort(t);
    return row.head;
}

/* One entry says all that a head would; the second one brings the head. */
static void a_counter_alone_has_no_head(void **state) {
    (void)state;
    kit_count(0, "c", 3);
    assert_false(counter_head_stored(0, "c"));
    assert_head(0, slice_str("c"), TAG_COUNTER_HEAD, 1, 3);
    kit_count(1, "c", 4);
    kit_count(1, "c/", 9); /* its neighbours are none of it */
    kit_count(1, "b", 9);
    kit_pull(0, 1);
    assert_true(counter_head_stored(0, "c"));
    assert_head(0, slice_str("c"), TAG_COUNTER_HEAD, 2, 7);
    kit_sound(0);
    assert_ok(ecrdt_retire(kit(1)));
    kit_pull(0, 1);
    ecrdt_fold_report r;
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_GC_RETENTION_MS, 0));
    assert_ok(ecrdt_fold(kit(0), ECRDT_FOLD_CLAIM, &r));
    assert_head(0, slice_str("c"), TAG_COUNTER_HEAD, 1, 7);
    assert_true(counter_head_stored(0, "c")); /* the tomb is an entry, too */
    assert_ok(ecrdt_gc(kit(0), 0, 0, NULL));
    assert_false(counter_head_stored(0, "c"));
    assert_head(0, slice_str("c"), TAG_COUNTER_HEAD, 1, 7);
    kit_sound(0);
}

/* Without its head a counter of several entries is damaged, not smaller. */
static void a_lost_head_is_damage(void **state) {
    (void)state;
    struct item_key k;
    int64_t now;
    kit_count(0, "c", 3);
    kit_count(1, "c", 4);
    kit_pull(0, 1);
    ecrdt_txn *t = kit_write(0);
    head_key(t, &k, slice_str("c"), TAG_COUNTER_HEAD);
    assert_code(1, db_del(t->db, DB_ITEMS, item_key_db(&k)));
    assert_code(ECRDT_ECORRUPT,
                ecrdt_counter_get(t, KIT_B, slice_str("c"), &now));
    ecrdt_abort(t);
}

/* Many keys in one transaction: the table grows, each head is found. */
static void the_table_grows(void **state) {
    (void)state;
    enum { KEYS = 5000 };
    ecrdt_txn *t = kit_write(0);
    char key[16];
    int64_t now;
    for (int round = 1; round <= 2; round++)
        for (int i = 0; i < KEYS; i++) {
            snprintf(key, sizeof key, "k%d", i);
            assert_ok(ecrdt_counter_add(t, KIT_B, slice_str(key), i, &now));
            assert_int_equal(now, round * i);
        }
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), KEYS);
    t = kit_read(0);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_code(1, ecrdt_counter_get(t, KIT_B, slice_str(key), &now));
        assert_int_equal(now, 2 * i);
    }
    ecrdt_abort(t);
    kit_sound(0);
}

static int count_waiting(ecrdt_txn *t, struct keyhead *h) {
    (void)t;
    assert_true(h->count_dirty);
    return 0;
}
static int stop_waiting(ecrdt_txn *t, struct keyhead *h) {
    (void)t, (void)h;
    return ECRDT_EIO;
}

static void waiting_adds_are_walked(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    assert_ok(keyhead_each_waiting(t, stop_waiting)); /* none */
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("c"), 1, NULL));
    assert_code(1, ecrdt_set_add(t, KIT_B, slice_str("s"), slice_str("")));
    assert_ok(keyhead_each_waiting(t, count_waiting));
    assert_code(ECRDT_EIO, keyhead_each_waiting(t, stop_waiting));
    struct item_key k;
    struct keyhead_view v;
    head_key(t, &k, slice_str("c"), TAG_COUNTER_HEAD);
    assert_code(1, keyhead_read(t, &k, &v)); /* exists before it is flushed */
    assert_int_equal((int64_t)v.total, 1);
    assert_ok(txn_flush(t));
    assert_ok(keyhead_each_waiting(t, stop_waiting));
    assert_code(1, keyhead_read(t, &k, &v));
    assert_int_equal((int64_t)v.total, 1);
    assert_int_equal(v.live, 1);
    ecrdt_abort(t);
    assert_int_equal(kit_seq(0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_decode),
        kit_test(heads_follow_local_and_remote_changes),
        kit_test(empty_heads_are_removed),
        kit_test(a_counter_alone_has_no_head),
        kit_test(a_lost_head_is_damage),
        kit_test(the_table_grows),
        kit_test(waiting_adds_are_walked),
    };
    return TEST_RUN(tests);
}

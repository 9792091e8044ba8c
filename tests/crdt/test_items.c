/* test_items.c: walks over items pass over the heads of counters. */
#include "crdt/items.h"
#include "tests/crdt/kit.h"

static void heads_are_told_from_items(void **state) {
    (void)state;
    static const size_t lens[] = {1, 7, 8, 9, 16, 256, 257, 1024};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct item_key k, e;
        slice key = kit_fill(lens[i], '/'); /* 0x2f, the tag of a head */
        item_key_make(&k, 0, key, TAG_COUNTER_HEAD);
        assert_true(item_id_is_head(item_key_id(&k)));
        item_key_retag(&k, TAG_REGISTER);
        assert_false(item_id_is_head(item_key_id(&k)));
        item_key_make(&e, 0, key, TAG_ELEMENT);
        item_key_element(&e, slice_str("/"));
        assert_false(item_id_is_head(item_key_id(&e)));
    }
    assert_false(item_id_is_head(slice_of(NULL, 0)));
    assert_false(item_id_is_head(slice_str("/")));
}

/* Counters of two entries each, so that heads lie among the items. */
static void walks_meet_items_alone(void **state) {
    (void)state;
    struct items c;
    uint8_t from[BUCKET_PREFIX];
    size_t forth = 0, back = 0;
    for (size_t i = 0; i < 2; i++) {
        kit_count(i, "a", 1);
        kit_count(i, "b", 1);
    }
    kit_set(0, "r", "v");
    kit_pull(0, 1);
    ecrdt_txn *t = kit_read(0);
    struct bucket *bk = kit_bucket(t);
    assert_ok(items_open(&c, t));
    slice key = item_key_prefix(from, bk->id), rec;
    for (int rc = items_seek(&c, &key, &rec); rc == 1; forth++) {
        assert_false(item_id_is_head(item_key_id_of(key)));
        rc = items_next(&c, &key, &rec);
    }
    key = item_key_prefix(from, bk->id + 1);
    for (; items_before(&c, &key, &rec) == 1; back++)
        assert_false(item_id_is_head(item_key_id_of(key)));
    items_close(&c);
    ecrdt_abort(t);
    assert_int_equal(forth, 5);
    assert_int_equal(back, 5);
}

static struct items walk_open(ecrdt_txn *t) {
    struct items w;
    assert_ok(items_open(&w, t));
    return w;
}

/* The key of counter "c" and its entry of store i, as t numbers buckets. */
static struct item_key entry_of(ecrdt_txn *t, size_t i) {
    struct item_key k;
    uint8_t id[ORIGIN_SIZE];
    ecrdt_txn *of = kit_read(i);
    assert_ok(replica_origin(of, id));
    ecrdt_abort(of);
    item_key_make(&k, kit_bucket(t)->id, slice_str("c"), TAG_ENTRY);
    item_key_origin(&k, id);
    return k;
}

static void assert_seek(struct items *w, slice from, const struct item_key *k) {
    struct item_key at;
    slice key, rec, found;
    memcpy(at.b, from.data, from.len);
    key = slice_of(at.b, from.len);
    if (!k) {
        assert_code(0, items_seek(w, &key, &rec));
        return;
    }
    assert_code(1, items_seek(w, &key, &rec));
    assert_slice_equal(key, item_key_db(k));
    assert_code(1, items_find(w->t, w->c, k, &found));
    assert_slice_equal(found, rec);
}

/* Wherever its row is, an entry is found at the place of its id: from bounds
 * before, at and behind it, and from inside of its key. */
static void an_entry_is_where_its_id_is(size_t i) {
    ecrdt_txn *t = kit_read(i);
    struct items w = walk_open(t);
    struct item_key a = entry_of(t, 0), b = entry_of(t, 1), from, none;
    slice key, rec;
    bool both = items_find(t, w.c, &b, &rec) == 1;
    if (both && slice_cmp(item_key_db(&a), item_key_db(&b)) > 0) {
        from = a;
        a = b;
        b = from;
    }
    slice whole = item_key_db(&a);
    for (size_t n = 0; n <= whole.len; n++)
        assert_seek(&w, slice_of(whole.data, n), &a);
    from = a;
    from.b[from.len++] = 0;
    assert_seek(&w, item_key_db(&from), both ? &b : NULL);
    from = a;
    from.b[BUCKET_PREFIX + a.k_len] = TAG_COUNTER_HEAD;
    assert_seek(&w, item_key_db(&from), &a); /* no id, but a bound */
    for (size_t n = 0; n <= whole.len; n++) {
        key = slice_of(whole.data, n);
        assert_code(0, items_before(&w, &key, &rec));
    }
    from = a;
    from.b[from.len++] = 0;
    key = item_key_db(&from);
    assert_code(1, items_before(&w, &key, &rec));
    assert_slice_equal(key, item_key_db(&a));
    none = a;
    none.b[none.len - 1] ^= 1;
    assert_code(0, items_find(t, w.c, &none, &rec));
    items_close(&w);
    ecrdt_abort(t);
}

static void entries_alone_and_not(void **state) {
    (void)state;
    kit_count(0, "c", 3);
    an_entry_is_where_its_id_is(0);
    kit_count(1, "c", 4);
    kit_pull(0, 1);
    an_entry_is_where_its_id_is(0);
    kit_sound(0);
}

/* LMDB takes keys that are longer than any of ours: here by one byte. */
static void a_key_that_is_too_long_is_damage(void **state) {
    (void)state;
    uint8_t b[1 + ITEM_ID_MAX + 1] = {0};
    struct buf rec = {0};
    struct items w;
    slice key = slice_of(NULL, 0), value;
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_write(0);
    memset(b + 1, 'z', sizeof b - 1);
    buf_put(&rec, "?", 1);
    assert_ok(db_put(t->db, DB_ITEMS, slice_of(b, sizeof b), &rec));
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    assert_ok(items_open(&w, t));
    assert_code(1, items_seek(&w, &key, &value));
    assert_code(ECRDT_ECORRUPT, items_next(&w, &key, &value));
    items_close(&w);
    ecrdt_abort(t);
    buf_free(&rec);
}

static void rows_are_taken_apart(void **state) {
    (void)state;
    static const uint8_t alone[] = {0x23, 1}, head[] = {0, 1},
                         other[18] = {0x10, 7, [17] = 0x23};
    struct counter_row row;
    assert_true(counter_row_open(slice_of(alone, 2), &row));
    assert_true(!row.head && !row.origin && row.rec.len == 2);
    assert_true(counter_row_open(slice_of(head, 2), &row));
    assert_true(row.head && row.rec.len == 1);
    assert_true(counter_row_open(slice_of(other, 18), &row));
    assert_true(!row.head && row.origin == other + 1 && row.rec.len == 1);
    assert_false(counter_row_open(slice_of(other, 17), &row));
    assert_false(counter_row_open(slice_of(head, 1), &row));
    assert_false(counter_row_open(slice_of(NULL, 0), &row));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(heads_are_told_from_items),
        kit_test(walks_meet_items_alone),
        kit_test(entries_alone_and_not),
        kit_test(a_key_that_is_too_long_is_damage),
        cmocka_unit_test(rows_are_taken_apart),
    };
    return TEST_RUN(tests);
}

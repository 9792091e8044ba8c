/* test_bucket.c: buckets by name, their limits, and their head records. */
#include "crdt/store.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "tests/crdt/kit.h"

static int put(ecrdt_txn *t, const char *bucket) {
    return ecrdt_reg_set(t, bucket, slice_str("k"), slice_str("v"));
}

static void names_have_limits(void **state) {
    (void)state;
    char name[ECRDT_MAX_BUCKET_NAME + 2];
    memset(name, 'n', sizeof name);
    name[ECRDT_MAX_BUCKET_NAME + 1] = 0;
    ecrdt_txn *t = kit_write(0);
    assert_code(ECRDT_EINVAL, put(t, name)); /* 65 */
    assert_code(ECRDT_EINVAL, put(t, ""));
    assert_code(ECRDT_EINVAL, put(t, NULL));
    name[ECRDT_MAX_BUCKET_NAME] = 0;
    assert_ok(put(t, name)); /* 64 */
    assert_ok(put(t, "n"));
    assert_ok(put(t, "\xff any bytes \x01"));
    assert_ok(ecrdt_commit(t)); /* EINVAL did not stick */
    t = kit_read(0);
    slice v;
    assert_code(1, ecrdt_reg_get(t, name, slice_str("k"), &v, NULL));
    assert_code(0, ecrdt_reg_get(t, "nn", slice_str("k"), &v, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_reg_get(t, "", slice_str("k"), &v, NULL));
    ecrdt_abort(t);
}

static int add_name(void *ctx, const void *name, size_t len) {
    struct buf *b = ctx;
    buf_put(b, name, len);
    buf_put(b, ",", 1);
    return 0;
}

static int stop(void *ctx, const void *name, size_t len) {
    (void)name, (void)len;
    return ++*(int *)ctx == 2;
}

static void names_are_listed_in_order(void **state) {
    (void)state;
    static const char *const names[] = {"b", "a", "ab", "aa", "\xff", "B"};
    struct buf b = {0};
    assert_ok(ecrdt_buckets(kit(0), add_name, &b));
    assert_int_equal(b.len, 0);
    ecrdt_txn *t = kit_write(0);
    for (size_t i = 0; i < 6; i++)
        assert_ok(put(t, names[i]));
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_buckets(kit(0), add_name, &b));
    assert_slice_equal(buf_slice(&b), slice_str("B,a,aa,ab,b,\xff,"));
    int n = 0;
    assert_code(ECRDT_ECANCELED, ecrdt_buckets(kit(0), stop, &n));
    assert_int_equal(n, 2);
    assert_code(ECRDT_EINVAL, ecrdt_buckets(kit(0), NULL, NULL));
    buf_free(&b);
}

static void a_store_has_1024_buckets(void **state) {
    (void)state;
    char name[16];
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < ECRDT_MAX_BUCKETS; i++) {
        snprintf(name, sizeof name, "b%d", i);
        assert_ok(put(t, name));
    }
    assert_code(ECRDT_ETOOBIG, put(t, "one more"));
    assert_true(strstr(ecrdt_errmsg(), "1024") != NULL);
    assert_ok(put(t, "b0"));
    assert_ok(ecrdt_commit(t));
    t = kit_write(0);
    assert_code(ECRDT_ETOOBIG, put(t, "one more"));
    assert_ok(put(t, "b1023"));
    assert_ok(ecrdt_commit(t));
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(0), &st));
    assert_int_equal(st.buckets, ECRDT_MAX_BUCKETS);
    /* A chunk for another bucket is refused and counted. */
    kit_set(1, "k", "v");
    struct ranges none = {0};
    struct buf out = {0};
    assert_int_equal(kit_build(1, &none, 10, &out), 1);
    struct chunk_report r = kit_apply(0, buf_slice(&out));
    assert_int_equal(r.refused, 1);
    assert_int_equal(r.applied, 0);
    ranges_free(&none);
    buf_free(&out);
}

/* Reading, and writes that fail or come to nothing, make no bucket. */
static void only_a_write_makes_a_bucket(void **state) {
    (void)state;
    slice v, k = slice_str("k");
    uint64_t n;
    struct buf b = {0};
    ecrdt_txn *t = kit_write(0);
    assert_code(0, ecrdt_reg_get(t, "x", k, &v, NULL));
    assert_code(0, ecrdt_reg_del(t, "x", k));
    assert_code(0, ecrdt_set_remove(t, "x", k, k));
    assert_ok(ecrdt_set_clear(t, "x", k));
    assert_ok(ecrdt_set_size(t, "x", k, &n));
    assert_ok(ecrdt_counter_reset(t, "x", k));
    assert_code(ECRDT_EINVAL, ecrdt_reg_set(t, "x", slice_str(""), k));
    assert_code(ECRDT_ETOOBIG,
                ecrdt_reg_set(t, "x", k, kit_fill(ECRDT_MAX_VALUE + 1, 'v')));
    assert_ok(ecrdt_commit(t));
    assert_code(1, ecrdt_settled(kit(0), "x"));
    assert_ok(ecrdt_buckets(kit(0), add_name, &b));
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void heads_survive_a_new_process(void **state) {
    (void)state;
    struct bucket_head was, is;
    for (int i = 0; i < 50; i++) {
        char key[8];
        snprintf(key, sizeof key, "%d", i % 20);
        kit_set(0, key, "v");
    }
    kit_del(0, "3");
    ecrdt_txn *t = kit_read(0);
    was = kit_bucket(t)->head;
    uint8_t log[2048], cuts[256];
    size_t n_log = was.log_open.len, n_cuts = was.cuts.len;
    memcpy(log, was.log_open.data, n_log);
    if (n_cuts)
        memcpy(cuts, was.cuts.data, n_cuts);
    ecrdt_abort(t);
    kit_close(0);
    t = kit_read(0);
    is = kit_bucket(t)->head;
    assert_slice_equal(buf_slice(&is.log_open), slice_of(log, n_log));
    assert_slice_equal(buf_slice(&is.cuts), slice_of(cuts, n_cuts));
    was.log_open = is.log_open;
    was.cuts = is.cuts;
    assert_memory_equal(&was, &is, sizeof was);
    assert_int_equal(is.seq, 51);
    assert_int_equal(is.live, 19);
    assert_int_equal(is.tombs, 1);
    ecrdt_abort(t);
}

/* h = first 8 bytes of BLAKE2b-128(h before | e16 of the commit's events). */
static void commits_are_chained(void **state) {
    (void)state;
    uint64_t h = 0;
    struct item it = {0};
    for (int i = 0; i < 3; i++) {
        uint8_t all[8 + 2 * CRYPTO_E16], sum[16];
        store64(all, h);
        ecrdt_txn *t = kit_write(0);
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("a"), slice_str("v")));
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("b"), slice_str("v")));
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("a"), slice_str("w")));
        assert_ok(ecrdt_commit(t));
        t = kit_read(0);
        struct bucket *bk = kit_bucket(t);
        for (int e = 0; e < 2; e++) {
            struct item_key k;
            slice rec;
            item_key_make(&k, bk->id, slice_str(e ? "b" : "a"), TAG_REGISTER);
            assert_code(1, db_get(t->db, DB_ITEMS, item_key_db(&k), &rec));
            assert_ok(item_decode(&it, rec));
            assert_ok(door_name(t, bk, item_key_id(&k), &it.ev[0],
                                all + 8 + e * CRYPTO_E16));
        }
        crypto_blake2b(sum, 16, slice_of(all, sizeof all));
        h = load64(sum);
        assert_true(bk->head.h == h);
        ecrdt_abort(t);
    }
    kit_pull(1, 0);
    struct ranges rs = {0};
    kit_clock(1, &rs);
    assert_true(rs.r[0].clk.e[0].h == h);
    ranges_free(&rs);
    item_free(&it);
}

/* ---- what changed ---- */

static int take_name(void *ctx, const char *bucket) {
    return add_name(ctx, bucket, strlen(bucket));
}

/* The buckets that are named, each with a comma behind. */
static void expect_changed(struct replica_marks *seen, const char *names) {
    struct buf b = {0};
    ecrdt_txn *t = kit_read(0);
    assert_ok(replica_each_changed(t, seen, take_name, &b));
    ecrdt_abort(t);
    assert_slice_equal(buf_slice(&b), slice_str(names));
    buf_free(&b);
}

static int no_memory(void *ctx, const char *bucket) {
    (void)ctx, (void)bucket;
    return ECRDT_ENOMEM;
}

static void put_one(const char *bucket) {
    ecrdt_txn *t = kit_write(0);
    assert_ok(put(t, bucket));
    assert_ok(ecrdt_commit(t));
}

static void what_changed_is_named(void **state) {
    (void)state;
    struct replica_marks seen = {0}, fresh = {0};
    expect_changed(&seen, "");
    put_one("z");
    put_one(KIT_B);
    put_one("a");
    expect_changed(&seen, "z," KIT_B ",a,"); /* in the order of numbers */
    expect_changed(&seen, "");
    put_one("a");
    put_one("new");
    expect_changed(&seen, "a,new,");
    kit_set(1, "k", "v");
    kit_pull(0, 1);
    expect_changed(&seen, KIT_B ",");
    kit_pull(0, 1);
    expect_changed(&seen, "");
    /* A store that stops half-way is told again. */
    put_one("a");
    ecrdt_txn *t = kit_read(0);
    assert_code(ECRDT_ENOMEM, replica_each_changed(t, &seen, no_memory, NULL));
    ecrdt_abort(t);
    expect_changed(&seen, "a,");
    expect_changed(&fresh, "z," KIT_B ",a,new,");
    replica_marks_free(&seen);
    replica_marks_free(&fresh);
}

/* All names are found in one walk, whose steps allocate a cursor each: not in
 * one walk for each bucket. */
static void the_first_look_walks_once(void **state) {
    (void)state;
    enum { BUCKETS = 200 };
    struct replica_marks seen = {0};
    struct buf b = {0};
    char name[16];
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < BUCKETS; i++) {
        snprintf(name, sizeof name, "b%d", i);
        assert_ok(put(t, name));
    }
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    fault_alloc_at(5 * BUCKETS);
    assert_ok(replica_each_changed(t, &seen, take_name, &b));
    assert_false(fault_alloc_hit());
    fault_alloc_at(0);
    ecrdt_abort(t);
    assert_int_equal(seen.n, BUCKETS);
    snprintf(name, sizeof name, ",b%d,", BUCKETS - 1);
    buf_put(&b, "", 1);
    assert_non_null(strstr((char *)b.data, name));
    put_one("one more");
    expect_changed(&seen, "one more,");
    buf_free(&b);
    replica_marks_free(&seen);
}

/* So are clocks and floors that rise without a change of any item. */
static void clocks_and_floors_count_as_changes(void **state) {
    (void)state;
    struct replica_marks seen = {0};
    static const uint8_t origin[ORIGIN_SIZE] = "some origin";
    put_one("a");
    put_one(KIT_B);
    expect_changed(&seen, "a," KIT_B ",");
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk = kit_bucket(t);
    assert_ok(clocks_raise(t, bk, CLOCK_FLOOR, origin, 5));
    assert_ok(ecrdt_commit(t));
    expect_changed(&seen, KIT_B ",");
    t = kit_write(0);
    bk = kit_bucket(t);
    assert_ok(clocks_load(t, bk));
    assert_ok(vv_raise(&bk->rs.r[0].clk, origin, 9, 9));
    bk->ranges_dirty = true;
    assert_ok(ecrdt_commit(t));
    expect_changed(&seen, KIT_B ",");
    t = kit_write(0);
    assert_ok(origin_renew(t));
    assert_ok(ecrdt_commit(t));
    expect_changed(&seen, "a," KIT_B ",");
    replica_marks_free(&seen);
}

/* ---- numbers of one byte and of two --------------------------------------
 */

enum { EDGE = 128, FIRST = EDGE - 2, LAST = EDGE + 1 };

static const char *numbered(int i) {
    static char name[2][16];
    snprintf(name[i & 1], sizeof *name, "b%d", i);
    return name[i & 1];
}

static void make_numbered(size_t store) {
    ecrdt_txn *t = kit_write(store);
    for (int i = 0; i <= LAST; i++)
        assert_ok(put(t, numbered(i)));
    assert_ok(ecrdt_commit(t));
}

/* An element, a removed one, and adds to a counter. */
static void fill_edge(size_t store, int64_t by) {
    ecrdt_txn *t = kit_write(store);
    for (int i = FIRST; i <= LAST; i++) {
        const char *b = numbered(i);
        slice set = slice_str("set"), one = slice_str("one"),
              two = slice_str("two");
        assert_true(ecrdt_set_add(t, b, set, one) >= 0);
        assert_true(ecrdt_set_add(t, b, set, two) >= 0);
        assert_code(1, ecrdt_set_remove(t, b, set, two));
        assert_ok(ecrdt_counter_add(t, b, slice_str("n"), by + i, NULL));
    }
    assert_ok(ecrdt_commit(t));
}

static void import_all(size_t to, size_t from) {
    struct buf summary = {0}, delta = {0};
    assert_ok(ecrdt_summary(kit(to), buf_sink, &summary));
    assert_ok(ecrdt_export(kit(from), buf_slice(&summary), 1 << 20, buf_sink,
                           &delta));
    assert_ok(ecrdt_import(kit(to), buf_slice(&delta), NULL));
    buf_free(&summary);
    buf_free(&delta);
}

/* The keys of a bucket, and what is in them, by walks and by looks. */
static void expect_edge(ecrdt_txn *t, int i, int64_t value) {
    const char *b = numbered(i);
    static const char *const keys[] = {"k", "n", "set"};
    ecrdt_iter *it = assert_handle(ecrdt_keys(
        t, b, slice_of(NULL, 0), ECRDT_REG | ECRDT_SET | ECRDT_COUNTER));
    ecrdt_entry e;
    int64_t n;
    for (int k = 0; k < 3; k++) {
        assert_code(1, ecrdt_next(it, &e));
        assert_slice_equal(e.key, slice_str(keys[k]));
    }
    assert_code(0, ecrdt_next(it, &e));
    assert_ok(ecrdt_seek(it, slice_str("n")));
    assert_code(1, ecrdt_next(it, &e));
    assert_slice_equal(e.key, slice_str("n"));
    it = assert_handle(ecrdt_elems(t, b, slice_str("set"), slice_of(NULL, 0)));
    assert_code(1, ecrdt_next(it, &e));
    assert_slice_equal(e.val, slice_str("one"));
    assert_code(0, ecrdt_next(it, &e));
    assert_code(1, ecrdt_counter_get(t, b, slice_str("n"), &n));
    assert_int_equal(n, value);
}

/* A counter with two entries has a head, one alone has none; a set has one in
 * another table; removed elements have rows in a third. */
static void numbers_take_one_byte_or_two(void **state) {
    (void)state;
    ecrdt_gc_report r;
    ecrdt_txn *t, *early = assert_handle(ecrdt_auto(kit(1)));
    ecrdt_iter *it = assert_handle(
        ecrdt_keys(early, numbered(EDGE), slice_of(NULL, 0), ECRDT_REG));
    ecrdt_entry e;
    make_numbered(0);
    fill_edge(0, 1);
    import_all(1, 0);
    fill_edge(1, 1000);
    import_all(0, 1);
    assert_code(1, ecrdt_next(it, &e)); /* its bucket came to be since */
    assert_slice_equal(e.key, slice_str("k"));
    assert_code(0, ecrdt_next(it, &e));
    ecrdt_abort(early);
    for (size_t s = 0; s < 2; s++) {
        kit_sound(s);
        t = kit_read(s);
        for (int i = FIRST; i <= LAST; i++)
            expect_edge(t, i, 1001 + 2 * i);
        ecrdt_abort(t);
        assert_ok(ecrdt_gc(kit(s), 0, 0, &r));
        assert_int_equal(r.tombstones, LAST - FIRST + 1);
        kit_sound(s);
    }
    t = kit_write(0);
    for (int i = FIRST; i <= LAST; i++) {
        assert_ok(ecrdt_counter_reset(t, numbered(i), slice_str("n")));
        assert_ok(ecrdt_set_clear(t, numbered(i), slice_str("set")));
    }
    assert_ok(ecrdt_commit(t));
    import_all(1, 0);
    kit_sound(0);
    kit_sound(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(names_have_limits),
        kit_test(names_are_listed_in_order),
        kit_test(a_store_has_1024_buckets),
        kit_test(only_a_write_makes_a_bucket),
        kit_test(heads_survive_a_new_process),
        kit_test(commits_are_chained),
        kit_test(what_changed_is_named),
        kit_test(the_first_look_walks_once),
        kit_test(clocks_and_floors_count_as_changes),
        kit_test(numbers_take_one_byte_or_two),
    };
    fault_alloc_install();
    return TEST_RUN(tests);
}

/* test_dbhole.c: blocks of free pages go back to the filesystem; what is kept,
 * what a reader still sees, what is written into the holes later. */
#include "lib/db_inner.h"
#include "lib/dbfile.h"
#include "tests/lib/scratch.h"

static struct db *db;

static int setup(void **state) {
    struct db_conf conf = kit_conf;
    conf.max_bytes = 256 << 20;
    scratch_make(state);
    db = kit_open(dir, &conf);
    return 0;
}

static int teardown(void **state) {
    db_close(db);
    return scratch_remove(state);
}

enum { ROWS = 20000, VALUE = 1000, KEEP = 1 << 20 };

static void put_rows(uint8_t with) {
    struct db_txn *t;
    struct buf v = {0};
    uint8_t key[4], value[VALUE];
    memset(value, with, sizeof value);
    assert_ok(db_begin(db, true, &t));
    for (uint32_t i = 0; i < ROWS; i++) {
        store32(key, i);
        buf_clear(&v);
        buf_put(&v, value, sizeof value);
        assert_ok(db_put(t, DB_ITEMS, slice_of(key, 4), &v));
    }
    assert_ok(db_commit(t));
    buf_free(&v);
}

static void check_rows(struct db_txn *t, uint8_t with) {
    uint8_t key[4];
    slice v;
    for (uint32_t i = 0; i < ROWS; i++) {
        store32(key, i);
        assert_code(1, db_get(t, DB_ITEMS, slice_of(key, 4), &v));
        assert_int_equal(*(const uint8_t *)v.data, with);
        assert_int_equal(v.len, VALUE);
    }
}

static void empty(void) {
    for (int i = 0; i < 3; i++) { /* what the last two freed is not free yet */
        struct db_txn *t;
        struct buf v = {0};
        assert_ok(db_begin(db, true, &t));
        if (i == 0)
            assert_ok(db_clear(t, DB_ITEMS));
        buf_put(&v, &i, sizeof i);
        assert_ok(db_put(t, DB_META, slice_str("x"), &v));
        assert_ok(db_commit(t));
        buf_free(&v);
    }
}

/* All of it; how many steps that took. */
static unsigned release(void) {
    uint64_t from = 0;
    unsigned steps = 0;
    struct db_txn *t;
    int rc;
    do {
        assert_ok(db_begin(db, true, &t));
        rc = db_release(db, KEEP, &from);
        db_abort(t);
        steps++;
    } while (rc == 1);
    assert_ok(rc);
    return steps;
}

static void free_pages_give_their_blocks_back(void **state) {
    (void)state;
    put_rows('a');
    uint64_t full = db_bytes_held(db);
    empty();
    assert_true(db_free_bytes(db) > ROWS * (uint64_t)VALUE);
    assert_true(release() > 3);
    uint64_t held = db_bytes_held(db);
    assert_true(held < full / 4);
    assert_true(held >= KEEP);
    assert_int_equal(release(), 1); /* nothing more */
    assert_int_equal(db_bytes_held(db), held);
    put_rows('b'); /* into the holes */
    struct db_txn *t = kit_begin(db, false);
    check_rows(t, 'b');
    db_abort(t);
    struct db_stat st;
    assert_ok(db_stat(db, &st));
    assert_true(st.bytes_used < full + (4 << 20));
}

/* The pages that the next commits take are allocated, over and over. */
static void the_next_commits_need_no_blocks(void **state) {
    (void)state;
    put_rows('a');
    empty();
    release();
    for (char c = 'b'; c < 'g'; c++) {
        uint64_t held = db_bytes_held(db);
        for (int i = 0; i < 4; i++) /* less than what is kept */
            assert_ok(kit_put(db, DB_ITEMS, "big", c, 100000));
        assert_true(db_bytes_held(db) <= held + 65536);
        release();
        assert_true(db_bytes_held(db) < 3 * KEEP + (1 << 20));
    }
}

static void what_a_reader_sees_is_left(void **state) {
    (void)state;
    struct db_txn *reader;
    put_rows('a');
    assert_ok(db_begin(db, false, &reader));
    uint64_t full = db_bytes_held(db);
    empty();
    release();
    assert_true(db_bytes_held(db) > full / 2);
    check_rows(reader, 'a');
    db_abort(reader);
    release();
    assert_true(db_bytes_held(db) < full / 4);
}

static void little_is_not_worth_it(void **state) {
    (void)state;
    uint64_t held = db_bytes_held(db);
    assert_int_equal(release(), 1);
    assert_int_equal(db_bytes_held(db), held);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(free_pages_give_their_blocks_back,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_commits_need_no_blocks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_reader_sees_is_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(little_is_not_worth_it, setup,
                                        teardown),
    };
    return TEST_RUN(tests);
}

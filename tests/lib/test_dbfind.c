/* test_dbfind.c: an absent key is told apart from a damaged one: the rows on
 * both sides of its place are checked. */
#include "tests/lib/scratch.h"

enum { ROWS = 400 };

static const char *name(unsigned i) {
    static char b[16];
    sprintf(b, "key%05u", i);
    return b;
}

static void fill(unsigned step) {
    struct db *db = kit_open(dir, &kit_conf);
    for (unsigned i = 0; i < ROWS; i += step)
        assert_ok(kit_put(db, DB_ITEMS, name(i), 'x', 20));
    db_close(db);
}

static void found_and_absent(void **state) {
    (void)state;
    fill(2);
    struct db *db = kit_open(dir, &kit_conf);
    struct db_txn *t = kit_begin(db, false);
    struct db_cursor *c;
    slice v, k;
    assert_ok(db_cursor_open(t, DB_ITEMS, &c));
    assert_int_equal(db_cursor_find(c, slice_str("a"), &v), 0);
    assert_int_equal(db_cursor_find(c, slice_str("z"), &v), 0);
    for (unsigned i = 0; i < ROWS; i++) {
        assert_int_equal(db_cursor_find(c, slice_str(name(i)), &v), i % 2 == 0);
        assert_int_equal(db_get(t, DB_ITEMS, slice_str(name(i)), &v),
                         i % 2 == 0);
        k = slice_str(name(i));
        assert_int_equal(db_cursor_before(c, &k, &v), i > 0);
        if (i)
            assert_slice_equal(k, slice_str(name((i - 1) & ~1u)));
    }
    k = slice_str("z");
    assert_int_equal(db_cursor_before(c, &k, &v), 1);
    assert_slice_equal(k, slice_str(name(ROWS - 2)));
    db_cursor_close(c);
    db_abort(t);
    db_close(db);
}

static void empty_table(void **state) {
    (void)state;
    struct db *db = kit_open(dir, &kit_conf);
    struct db_txn *t = kit_begin(db, true);
    struct db_cursor *c;
    slice k = slice_str("k"), v;
    assert_int_equal(db_get(t, DB_KEYS, k, &v), 0);
    assert_int_equal(db_get(t, DB_HEADS, slice_str("H"), &v), 0);
    assert_ok(db_cursor_open(t, DB_HEADS, &c));
    assert_int_equal(db_cursor_find(c, slice_str("H"), &v), 0);
    assert_int_equal(db_cursor_before(c, &k, &v), 0);
    assert_int_equal(db_cursor_next(c, &k, &v), 0); /* tables are no rows */
    db_cursor_close(c);
    assert_ok(db_clear(t, DB_HEADS));
    db_abort(t);
    db_close(db);
}

/* Changes a byte of each copy of a key in the file. */
static void spoil(const char *key, size_t at) {
    size_t len;
    const char *file = path_join(dir, "data.mdb");
    char *bytes = file_read(file, &len), *p = bytes;
    unsigned n = 0;
    while ((p = memmem(p, len - (size_t)(p - bytes), key, strlen(key)))) {
        p[at] ^= 1;
        p++;
        n++;
    }
    assert_true(n > 0);
    file_write(file, bytes, len);
    free(bytes);
}

/* The key is gone from where it was: not "absent", but damage. The rows that
 * are not beside it read on. */
static void changed_key(void **state) {
    (void)state;
    for (size_t at = 0; at < 8; at++) {
        fill(1);
        spoil("key00123", at);
        struct db *db = kit_open(dir, &kit_conf);
        assert_int_equal(kit_get(db, DB_ITEMS, "key00123"), ECRDT_ECORRUPT);
        kit_says("table 'items'");
        assert_int_equal(kit_get(db, DB_ITEMS, "key00007"), 20);
        struct db_txn *t = kit_begin(db, true);
        struct db_cursor *c;
        slice v;
        assert_ok(db_cursor_open(t, DB_ITEMS, &c));
        assert_code(ECRDT_ECORRUPT,
                    db_cursor_find(c, slice_str("key00123"), &v));
        db_cursor_close(c);
        assert_code(ECRDT_ECORRUPT, db_commit(t));
        db_close(db);
        unlink(path_join(dir, "data.mdb"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_folder(found_and_absent),
        with_folder(empty_table),
        with_folder(changed_key),
    };
    return TEST_RUN(tests);
}

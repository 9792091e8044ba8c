/* test_dbenv.c: the roots of tables are checked at their first use, and not
 * before; the figures of an environment. */
#include "tests/lib/image.h"

enum { PAGE = 4096, METAS = 16 + 24, ROW_ROOT = 40, ROW_SIZE = 48 };

static const char *const names[DB_TABLES] = {
    [DB_META] = "meta",     [DB_ITEMS] = "items", [DB_KEYS] = "keys",
    [DB_CLOCKS] = "clocks", [DB_LOG] = "log",     [DB_PEERS] = "peers",
    [DB_PAIRS] = "pairs",   [DB_TOMBS] = "tombs"};

static int setup(void **state) {
    scratch_make(state);
    struct db *db = kit_open(dir, &kit_conf);
    for (int i = 0; i < DB_TABLES; i++)
        for (int j = 0; j < 3; j++)
            if (kit_put(db, (enum db_table)i, "H", 'x', 5000) != 0)
                return 1;
    db_close(db);
    image_take("data.mdb");
    return 0;
}

static uint64_t number_at(const uint8_t *p) {
    uint64_t n;
    memcpy(&n, p, sizeof n);
    return n;
}

/* Root page of a table, or with NULL of the free pages, in the last commit. */
static uint64_t root_of(const char *name) {
    uint64_t txn[2];
    for (int i = 0; i < 2; i++)
        txn[i] = number_at(image + i * PAGE + METAS + 2 * ROW_SIZE + 8);
    const uint8_t *rows = image + (txn[1] > txn[0]) * PAGE + METAS;
    if (!name)
        return number_at(rows + ROW_ROOT);
    const uint8_t *page = image + number_at(rows + ROW_SIZE + ROW_ROOT) * PAGE;
    size_t n = strlen(name);
    for (size_t at = 16; at + n + ROW_SIZE <= PAGE; at++)
        if (!memcmp(page + at, name, n))
            return number_at(page + at + n + ROW_ROOT);
    fail_msg("no table '%s'", name);
    return 0;
}

/* The file with a header that no root has. */
static struct db *open_without(uint64_t root) {
    assert_in_range(root, 2, image_len / PAGE - 1);
    uint16_t flags, none = 0;
    memcpy(&flags, image + root * PAGE + 10, sizeof flags);
    memcpy(image + root * PAGE + 10, &none, sizeof none);
    file_write(file, image, image_len);
    memcpy(image + root * PAGE + 10, &flags, sizeof flags);
    return kit_open(dir, &kit_conf);
}

static void roots_are_checked_at_first_use(void **state) {
    (void)state;
    for (int i = 0; i < DB_TABLES; i++) {
        if (!names[i])
            continue; /* the main database is checked at open */
        struct db *db = open_without(root_of(names[i]));
        for (int j = 0; j < DB_TABLES; j++)
            assert_int_equal(kit_get(db, (enum db_table)j, "H"),
                             i == j ? ECRDT_ECORRUPT : 5000);
        assert_code(ECRDT_ECORRUPT, kit_get(db, (enum db_table)i, "H"));
        kit_says("damaged");
        assert_code(ECRDT_ECORRUPT, kit_put(db, (enum db_table)i, "I", 'x', 9));
        struct db_cursor *c;
        struct db_txn *t = kit_begin(db, false);
        assert_code(ECRDT_ECORRUPT, db_cursor_open(t, (enum db_table)i, &c));
        db_abort(t);
        db_close(db);
    }
}

static void free_pages_are_checked_before_writing(void **state) {
    (void)state;
    struct db *db = open_without(root_of(NULL));
    assert_int_equal(kit_get(db, DB_ITEMS, "H"), 5000);
    assert_code(ECRDT_ECORRUPT, kit_put(db, DB_ITEMS, "I", 'x', 9));
    assert_int_equal(kit_get(db, DB_ITEMS, "H"), 5000);
    db_close(db);
}

static void figures(void **state) {
    (void)state;
    struct db_stat before, st;
    struct db *db = kit_open(dir, &kit_conf);
    assert_ok(db_stat(db, &before));
    assert_int_equal(before.bytes_max, kit_conf.max_bytes);
    assert_int_equal(before.last_txn, db_last_txn(db));
    struct db_txn *reader = kit_begin(db, false);
    assert_ok(kit_put(db, DB_ITEMS, "J", 'x', 100000));
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.last_txn, before.last_txn + 1);
    assert_true(st.bytes_used >= before.bytes_used + 100000);
    assert_int_equal(st.readers, 1);
    assert_int_equal(st.oldest_txn, before.last_txn);
    assert_int_equal(st.oldest_pid, getpid());
    db_abort(reader);
    db_close(db);
}

#define with_image(f) cmocka_unit_test_setup_teardown(f, setup, image_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        with_image(roots_are_checked_at_first_use),
        with_image(free_pages_are_checked_before_writing),
        with_image(figures),
    };
    return TEST_RUN(tests);
}

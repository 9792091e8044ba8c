/* test_db_damage.c: cut-off files and flipped bits end in an error, not in a
 * signal nor in a wrong value. Each trial runs in a process of its own, and
 * what LMDB makes impossible to notice is measured and bounded: it follows
 * pointers inside a page before anyone can check that page. LMDB alone:
 * 221 signals and 241 silent of 1,500 (research/reliability.md A2). */
#include "tests/lib/damage.h"

enum { ITEMS = 3000, FEW = 100, LARGE = 20000, FLIPS = 600, CUTS = 300 };

static size_t used;
static const struct db_conf conf = {.max_bytes = 64 << 20,
                                    .max_readers = 16,
                                    .file_mode = 0600,
                                    .wait_ms = 1000};

/* ---- what is stored: a function of table and row --------------------------
 */

static slice key_of(char b[64], enum db_table table, unsigned i) {
    int n = sprintf(b, "%c%08u-%.*s",
                    table == DB_HEADS ? DB_HEAD_PREFIX : 'a' + (int)table,
                    i * 2654435761u % 100000007u, (int)(i % 40),
                    "0123456789abcdefghijklmnopqrstuvwxyz!#$%");
    return slice_of(b, (size_t)n);
}

static unsigned rows_of(enum db_table table) {
    return table == DB_ITEMS ? ITEMS : FEW;
}

static void value_of(struct buf *v, enum db_table table, unsigned i) {
    size_t n = i % 97 == 5 ? LARGE + i : 10 + i % 150;
    buf_clear(v);
    uint8_t *p = buf_extend(v, n);
    for (size_t j = 0; j < n; j++)
        p[j] = (uint8_t)(j * 31 + i * 7 + (unsigned)table);
}

static int setup(void **state) {
    scratch_make(state);
    struct db *db = kit_open(dir, &conf);
    struct db_txn *t = NULL;
    struct buf v = {0};
    struct db_stat st;
    char k[64];
    for (int i = 0; i < DB_TABLES; i++)
        for (unsigned j = 0; j < rows_of((enum db_table)i); j++) {
            if (!t)
                t = kit_begin(db, true);
            value_of(&v, (enum db_table)i, j);
            assert_ok(db_put(t, (enum db_table)i,
                             key_of(k, (enum db_table)i, j), &v));
            if (j % FEW < FEW - 1)
                continue;
            assert_ok(db_commit(t));
            t = NULL;
        }
    assert_ok(db_stat(db, &st));
    used = st.bytes_used;
    db_close(db);
    buf_free(&v);
    return damage_setup("data.mdb");
}

/* ---- one trial, in a child ------------------------------------------------
 */

static enum outcome worse(enum outcome was, int rc, bool right) {
    enum outcome is = rc < 0 ? NOTICED : rc == 1 && right ? HARMLESS : WRONG;
    return is > was ? is : was;
}

static enum outcome get_all(struct db *db, enum outcome found) {
    struct buf v = {0};
    char k[64];
    for (int i = 0; i < DB_TABLES; i++)
        for (unsigned j = 0; j < rows_of((enum db_table)i); j++) {
            struct db_txn *t;
            slice got;
            if (db_begin(db, false, &t) < 0)
                return NOTICED;
            int rc = db_get(t, (enum db_table)i, key_of(k, (enum db_table)i, j),
                            &got);
            value_of(&v, (enum db_table)i, j);
            found = worse(found, rc, rc == 1 && slice_eq(got, buf_slice(&v)));
            db_abort(t);
        }
    return found;
}

static enum outcome walk_all(struct db *db, enum outcome found) {
    for (int i = 0; i < DB_TABLES; i++) {
        struct db_txn *t;
        struct db_cursor *c;
        slice k, v;
        unsigned n = 0;
        if (db_begin(db, false, &t) < 0)
            return NOTICED;
        int rc = db_cursor_open(t, (enum db_table)i, &c);
        while (rc >= 0 && (rc = db_cursor_next(c, &k, &v)) == 1)
            n++;
        db_cursor_close(c);
        db_abort(t);
        found = worse(found, rc < 0 ? rc : 1, n == rows_of((enum db_table)i));
    }
    return found;
}

/* Overwrites rows; errors are fine, wrong reads were looked for before. */
static void write_some(struct db *db) {
    struct buf v = {0};
    char k[64];
    for (unsigned j = 0; j < ITEMS; j += 7) {
        struct db_txn *t;
        struct db_cursor *c;
        slice got, key = key_of(k, DB_ITEMS, j);
        if (db_begin(db, true, &t) < 0)
            break;
        int rc = db_cursor_open(t, DB_ITEMS, &c);
        rc = rc < 0 ? rc : db_cursor_find(c, key, &got);
        value_of(&v, DB_ITEMS, j + 1);
        if (rc >= 0)
            db_cursor_put(c, key, &v, rc == 1);
        db_cursor_close(c);
        if (db_err(t) < 0)
            db_abort(t);
        else
            db_commit(t);
    }
    buf_free(&v);
}

static int trial(void *arg) {
    const bool *writes = arg;
    struct db *db;
    if (db_open(&db, dir, &conf) < 0)
        return AT_OPEN;
    enum outcome found = walk_all(db, get_all(db, HARMLESS));
    if (*writes && found == HARMLESS)
        write_some(db);
    db_close(db);
    return (int)found;
}

/* A file that lost its end is refused, whatever its length. */
static void cut_off_files(void **state) {
    (void)state;
    struct rng r = rng_seed();
    struct counts c = {0};
    bool writes = false;
    memcpy(bytes, image, image_len);
    for (int i = 0; i < CUTS; i++)
        damage_try(rng_below(&r, used), trial, &writes, &c);
    damage_show("cut off", &c);
    assert_int_equal(c.n[AT_OPEN], CUTS);
}

static void flips(bool writes) {
    struct rng r = rng_seed();
    struct counts c = {0};
    memcpy(bytes, image, image_len);
    for (int i = 0; i < FLIPS; i++) {
        size_t at = rng_below(&r, used);
        uint8_t bit = (uint8_t)(1 << rng_below(&r, 8));
        bytes[at] ^= bit;
        enum outcome o = damage_try(image_len, trial, &writes, &c);
        bytes[at] ^= bit;
        if (o >= WRONG)
            printf("# byte 0x%zx bit 0x%x: %s\n", at, bit, outcomes[o]);
    }
    damage_show(writes ? "flipped, then written to" : "flipped", &c);
    /* A few in a thousand are LMDB's: see docs/decisions. */
    assert_in_range(c.n[WRONG], 0, FLIPS / 100);
    assert_in_range(c.n[SIGNAL], 0, FLIPS / 100);
    assert_true(c.n[NOTICED] > FLIPS / 3);
}

static void flipped_bits(void **state) {
    (void)state;
    flips(false);
}

static void flipped_bits_and_writes(void **state) {
    (void)state;
    flips(true);
}

/* A flipped bit in the key or the value of one row of each table: that row is
 * an error, never absent, never another value. */
static void flipped_rows(void **state) {
    (void)state;
    for (int i = 0; i < DB_TABLES; i++) {
        enum db_table table = (enum db_table)i;
        char b[64];
        slice key = key_of(b, table, 7), got;
        uint8_t *at = memmem(image, used, key.data, key.len), *last = at;
        while (at) { /* the newest copy is not the first one, perhaps */
            last = at;
            at = memmem(at + 1, used - (size_t)(at + 1 - image), key.data,
                        key.len);
        }
        assert_non_null(last);
        for (size_t n = 0; n < key.len + 17; n++) {
            unsigned errors = 0;
            memcpy(bytes, image, image_len);
            uint8_t *p = memmem(bytes, used, key.data, key.len);
            for (; p; p = memmem(p + 1, used - (size_t)(p + 1 - bytes),
                                 key.data, key.len))
                p[n] ^= 1; /* in all copies */
            file_write(file, bytes, image_len);
            struct db *db;
            if (db_open(&db, dir, &conf) < 0)
                continue;
            struct db_txn *t = kit_begin(db, false);
            int rc = db_get(t, table, key, &got);
            errors += rc == ECRDT_ECORRUPT;
            if (errors != 1)
                fail_msg("table %d, byte %zu of the row: %d", i, n, rc);
            db_abort(t);
            db_close(db);
        }
    }
}

/* The one thing that no check can help: a file that is cut while it is
 * mapped. Who may write to it must not do that; we only say what happens. */
static int cut_under_map(void *arg) {
    (void)arg;
    struct db *db;
    if (db_open(&db, dir, &conf) < 0)
        return AT_OPEN;
    if (truncate(file, 3 * 4096))
        return WRONG;
    enum outcome found = get_all(db, HARMLESS);
    db_close(db);
    return (int)found;
}

static void cut_while_open(void **state) {
    (void)state;
    file_write(file, image, image_len);
    int rc = kit_child(cut_under_map, NULL);
    printf("# cut while mapped: %s %d\n", rc > 1000 ? "signal" : "outcome",
           rc % 1000);
    assert_int_not_equal(rc, HARMLESS);
    assert_int_not_equal(rc, WRONG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_off_files),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(flipped_bits_and_writes),
        cmocka_unit_test(flipped_rows),
        cmocka_unit_test(cut_while_open),
    };
    return TEST_RUN_WITH(tests, setup, damage_teardown);
}

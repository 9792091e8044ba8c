/* test_dbcheck.c: an environment opened with check is refused if LMDB must not
 * read it, and a check beside a writer has no false finding. */
#include "lib/db_inner.h"
#include "tests/lib/scratch.h"
#include <fcntl.h>

enum { PAGE = 4096, CHECKS = 150 };

static const struct db_conf checked = {.max_bytes = 16 << 20,
                                       .max_readers = 32,
                                       .file_mode = 0660,
                                       .wait_ms = 1000,
                                       .check = true};

static int setup(void **state) {
    scratch_make(state);
    struct db *db = kit_open(dir, &kit_conf);
    char key[16];
    for (int i = 0; i < 200; i++) {
        sprintf(key, "k%05d", i);
        assert_ok(kit_put(db, DB_ITEMS, key, 'a', 100));
    }
    db_close(db);
    return 0;
}

static int show(void *ctx, const char *line) {
    (void)ctx;
    printf("# %s\n", line);
    return 0;
}

static int check(struct db *db, bool write, uint64_t *n) {
    struct db_txn *t = kit_begin(db, write);
    int rc = db_check_pages(t, show, NULL, n);
    db_abort(t);
    return rc;
}

static void sound(void **state) {
    (void)state;
    uint64_t n = 9;
    struct db *db = kit_open(dir, &checked);
    assert_int_equal(check(db, false, &n), 1);
    assert_int_equal(n, 0);
    assert_int_equal(check(db, true, &n), 1); /* what it began with */
    assert_int_equal(n, 0);
    db_close(db);
}

/* In all pages that hold key: another byte behind it, or another number of the
 * page. */
static void damage(const char *key, bool page) {
    const char *file = path_join(dir, "data.mdb");
    size_t len;
    char *b = file_read(file, &len);
    char *p = memmem(b, len, key, strlen(key));
    assert_non_null(p);
    for (; p; p = memmem(p + 1, len - (size_t)(p + 1 - b), key, strlen(key)))
        if (page)
            b[(size_t)(p - b) / PAGE * PAGE] ^= 1;
        else
            p[strlen(key) + 3] ^= 1;
    file_write(file, b, len);
    free(b);
}

static void a_damaged_record(void **state) {
    (void)state;
    uint64_t n = 0;
    damage("k00007", false);
    struct db *db = kit_open(dir, &checked);
    assert_int_equal(check(db, false, &n), 1);
    assert_int_equal(n, 1);
    assert_int_equal(kit_get(db, DB_ITEMS, "k00007"), ECRDT_ECORRUPT);
    assert_int_equal(kit_get(db, DB_ITEMS, "k00008"), 100);
    db_close(db);
}

static void a_broken_page(void **state) {
    (void)state;
    struct db *db;
    damage("k00070", true);
    assert_code(ECRDT_ECORRUPT, db_open(&db, dir, &checked));
    kit_says("table 'items': it is another page than it should be");
    kit_says("restore it from a backup or a peer");
}

/* A check holds its snapshot, however slow the machine: what is written beside
 * it takes new pages. */
static const struct db_conf roomy = {
    .max_bytes = 1 << 28, .max_readers = 32, .file_mode = 0660, .wait_ms = 100};

static int write_on(int up, int down, void *arg) {
    (void)arg;
    struct db *db;
    char key[16];
    must(fcntl(down, F_SETFL, O_NONBLOCK) == 0);
    must(db_open(&db, dir, &roomy) == 0);
    for (unsigned i = 0;; i++) {
        char end;
        snprintf(key, sizeof key, "w%05u", i * 7919u % 200u);
        must(kit_put(db, DB_ITEMS, key, 'b', 50 + i % 9000) == 0);
        if (i == 10)
            kit_say(up);
        if (read(down, &end, 1) == 0)
            break;
    }
    db_close(db);
    return 0;
}

static void beside_a_writer(void **state) {
    (void)state;
    uint64_t findings = 0, n;
    struct db *db = kit_open(dir, &roomy);
    struct kit_proc p = kit_start(write_on, NULL);
    uint64_t first = db_last_txn(db);
    for (int i = 0; i < CHECKS; i++) {
        int rc = check(db, false, &n);
        assert_true(rc == 1 || rc == ECRDT_EBUSY);
        findings += n;
    }
    printf("# %llu commits meanwhile\n",
           (unsigned long long)(db_last_txn(db) - first));
    assert_int_equal(findings, 0);
    assert_int_equal(kit_end(&p, 0), 0);
    db_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sound, setup, scratch_remove),
        cmocka_unit_test_setup_teardown(a_damaged_record, setup,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(a_broken_page, setup, scratch_remove),
        cmocka_unit_test_setup_teardown(beside_a_writer, setup, scratch_remove),
    };
    return TEST_RUN(tests);
}

/* test_dbcopy.c: a copy holds what it should and no trace of the rest, and
 * fails as a whole. */
#include "tests/lib/scratch.h"
#include <sys/mount.h>
#include <sys/stat.h>

static const char *to;

static int setup(void **state) {
    scratch_make(state);
    to = scratch_path("to");
    return mkdir(to, 0700) || mkdir(path_join(dir, "from"), 0700);
}

static struct db *fill(void) {
    struct db *db = kit_open(path_join(dir, "from"), &kit_conf);
    char key[32];
    for (int table = 0; table < DB_TABLES; table++)
        for (unsigned i = 0; i < 60; i++) {
            sprintf(key, "H%03u", i * 37 % 100);
            assert_ok(
                kit_put(db, (enum db_table)table, key, 'a', i % 10 ? i : 9000));
        }
    assert_ok(kit_put(db, DB_META, "secret", 'S', 64));
    return db;
}

static bool keep(enum db_table table, slice key) {
    return table != DB_PEERS && !slice_eq(key, slice_str("secret"));
}

static int copy(struct db *db) {
    struct db_txn *t = kit_begin(db, false);
    int rc = db_copy(t, to, &kit_conf, keep);
    db_abort(t);
    return rc;
}

static void copy_holds_what_it_should(void **state) {
    (void)state;
    struct db *db = fill();
    assert_ok(copy(db));
    assert_int_equal(access(path_join(to, "lock.mdb"), F_OK), -1);
    struct db *other = kit_open(to, &kit_conf);
    char key[32];
    for (int table = 0; table < DB_TABLES; table++)
        for (unsigned i = 0; i < 100; i++) {
            sprintf(key, "H%03u", i);
            assert_int_equal(kit_get(other, (enum db_table)table, key),
                             table == DB_PEERS
                                 ? -100
                                 : kit_get(db, (enum db_table)table, key));
        }
    assert_int_equal(kit_get(other, DB_META, "secret"), -100);
    assert_ok(kit_put(other, DB_META, "new", 'x', 1));
    db_close(other);
    db_close(db);
    size_t len; /* not a byte of it, in no unused page either */
    char *bytes = file_read(path_join(to, "data.mdb"), &len);
    assert_null(memmem(bytes, len, "SSSSSSSS", 8));
    assert_null(memmem(bytes, len, "secret", 6));
    free(bytes);
}

static void damaged_source(void **state) {
    (void)state;
    db_close(fill());
    size_t len;
    const char *file = path_join(path_join(dir, "from"), "data.mdb");
    char *bytes = file_read(file, &len), *p;
    for (p = bytes; (p = memmem(p, len - (size_t)(p - bytes), "H025", 4)); p++)
        p[20] ^= 1;
    file_write(file, bytes, len);
    free(bytes);
    struct db *db = kit_open(path_join(dir, "from"), &kit_conf);
    assert_code(ECRDT_ECORRUPT, copy(db));
    assert_int_equal(os_folder_empty(to), 1);
    db_close(db);
}

static void full_target(void **state) {
    (void)state;
    struct db *db = fill();
    assert_ok(kit_put(db, DB_ITEMS, "large", 'x', 4 << 20));
    if (mount("none", to, "tmpfs", 0, "size=2m")) {
        db_close(db);
        skip();
    }
    int rc = copy(db), empty = os_folder_empty(to);
    umount(to);
    db_close(db);
    assert_int_equal(rc, ECRDT_EFULL);
    assert_int_equal(empty, 1);
}

static void no_such_folder(void **state) {
    (void)state;
    struct db *db = fill();
    assert_int_equal(rmdir(to), 0);
    assert_true(copy(db) < 0);
    db_close(db);
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    struct db *db = fill();
    long live = fault_alloc_live();
    int rc;
    for (unsigned long n = 1; n < 200; n++) {
        struct db_txn *t = kit_begin(db, false);
        fault_alloc_at(n);
        rc = db_copy(t, to, &kit_conf, keep);
        fault_alloc_at(0);
        db_abort(t);
        assert_int_equal(fault_alloc_live(), live);
        if (rc == 0)
            break;
        assert_int_equal(rc, ECRDT_ENOMEM);
        assert_int_equal(os_folder_empty(to), 1);
    }
    assert_int_equal(rc, 0);
    db_close(db);
}

#define with_folders(f)                                                        \
    cmocka_unit_test_setup_teardown(f, setup, scratch_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        with_folders(copy_holds_what_it_should),
        with_folders(damaged_source),
        with_folders(full_target),
        with_folders(no_such_folder),
        with_folders(each_allocation_may_fail),
    };
    fault_alloc_install();
    return TEST_RUN(tests);
}

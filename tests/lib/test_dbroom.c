/* test_dbroom.c: on a full disk, or at the limit, new data is refused, and what
 * may use the reserve goes on: deletes, until there is room again. */
#include "tests/lib/scratch.h"
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static const char *mnt;

static int setup(void **state) {
    scratch_make(state);
    mnt = scratch_path("mnt");
    return mkdir(mnt, 0700);
}

static int teardown(void **state) {
    umount2(mnt, MNT_DETACH);
    return scratch_remove(state);
}

static bool small_disk(void) {
    return mount("none", mnt, "tmpfs", 0, "size=4m") == 0;
}

static const char *key_no(int i) {
    static char b[16];
    sprintf(b, "k%06d", i);
    return b;
}

static uint64_t disk_left(void) {
    struct statvfs fs;
    assert_int_equal(statvfs(mnt, &fs), 0);
    return fs.f_bavail * fs.f_frsize;
}

/* As the CRDT does: a short record takes the place of the value. */
static int delete (struct db *db, const char *key) {
    struct db_txn *t;
    struct db_cursor *c;
    struct buf v = {0};
    slice old;
    int rc = db_begin(db, true, &t);
    if (rc < 0)
        return rc;
    buf_put(&v, "tomb", 4);
    assert_ok(db_cursor_open(t, DB_ITEMS, &c));
    rc = db_cursor_find(c, slice_str(key), &old);
    if (rc >= 0)
        rc = db_cursor_put(c, slice_str(key), &v, rc == 1);
    db_cursor_close(c);
    buf_free(&v);
    if (rc < 0)
        db_abort(t);
    else
        rc = db_commit(t);
    return rc;
}

static int fill(struct db *db, size_t size) {
    int n = 0, rc;
    while ((rc = kit_put(db, DB_ITEMS, key_no(n), 'x', size)) == 0)
        n++;
    assert_code(ECRDT_EFULL, rc);
    kit_says("its disk is full");
    return n;
}

static void check_all(struct db *db, int from, int n, size_t size) {
    for (int i = from; i < n; i++)
        assert_int_equal(kit_get(db, DB_ITEMS, key_no(i)), size);
}

/* Small rows, then rows of 200 KB: what was committed is there, deletes work
 * one after the other, then new rows fit. */
static void disk_is_filled_by_us(void **state) {
    (void)state;
    static const size_t sizes[] = {300, 1500, 30000, 200000};
    for (size_t i = 0; i < 4; i++) {
        size_t size = sizes[i];
        if (!small_disk())
            skip();
        struct db *db = kit_open(mnt, &kit_conf);
        int n = fill(db, size), more = 0, rc;
        printf("# %d rows of %zu bytes, %llu bytes of disk left\n", n, size,
               (unsigned long long)disk_left());
        check_all(db, 0, n, size);
        assert_code(ECRDT_EFULL, kit_put(db, DB_ITEMS, "more", 'x', size));
        for (int k = 0; k < n / 2; k++)
            assert_ok(delete (db, key_no(k)));
        check_all(db, n / 2, n, size);
        do
            rc = kit_put(db, DB_ITEMS, key_no(n + more), 'x', size / 2);
        while (rc == 0 && ++more < n);
        printf("# %d more after %d deletes\n", more, n / 2);
        /* Many small rows share a page: it is not free before all are. */
        assert_true(more > n / 8 || size < 3000);
        db_close(db);
        db = kit_open(mnt, &kit_conf); /* also for those who open it now */
        check_all(db, n / 2, n, size);
        assert_ok(delete (db, key_no(n - 1)));
        db_close(db);
        assert_int_equal(umount(mnt), 0);
    }
}

/* Somebody else fills the disk and frees it again. */
static void disk_is_filled_by_others(void **state) {
    (void)state;
    if (!small_disk())
        skip();
    struct db *db = kit_open(mnt, &kit_conf);
    for (int i = 0; i < 100; i++)
        assert_ok(kit_put(db, DB_ITEMS, key_no(i), 'x', 5000));
    kit_fill_disk(mnt);
    int n = 100, rc;
    while ((rc = kit_put(db, DB_ITEMS, key_no(n), 'x', 5000)) == 0)
        n++;
    assert_code(ECRDT_EFULL, rc);
    assert_in_range(n, 100, 200); /* out of the reserve, at most */
    check_all(db, 0, n, 5000);
    for (int i = 0; i < n; i++) /* many more than what is left could hold */
        assert_ok(delete (db, key_no(i)));
    for (int i = 0; i < 400; i++)
        assert_ok(delete (db, key_no(i % n)));
    assert_ok(kit_put(db, DB_ITEMS, key_no(0), 'y', 5000));
    assert_int_equal(unlink(path_join(mnt, "hog")), 0);
    for (int i = 0; i < 200; i++)
        assert_ok(kit_put(db, DB_ITEMS, key_no(i), 'z', 5000));
    check_all(db, 0, 200, 5000);
    db_close(db);
}

/* A new environment on a full disk is an error and leaves nothing. */
static void nothing_can_be_made(void **state) {
    (void)state;
    if (!small_disk())
        skip();
    kit_fill_disk(mnt);
    struct db *db;
    struct os_lock *lock;
    assert_code(ECRDT_EFULL, db_open(&db, mnt, &kit_conf));
    assert_code(ECRDT_EFULL, os_lock_open(mnt, "lock.ecrdt", 0660, &lock));
    assert_int_equal(unlink(path_join(mnt, "hog")), 0);
    unlink(path_join(mnt, "lock.ecrdt"));
    unlink(path_join(mnt, "lock.mdb"));
    assert_int_equal(os_folder_empty(mnt), 1);
    db_close(kit_open(mnt, &kit_conf));
}

/* Whoever opens it while the disk is full reads, and deletes. */
static void opened_on_a_full_disk(void **state) {
    (void)state;
    if (!small_disk())
        skip();
    struct db *db = kit_open(mnt, &kit_conf);
    for (int i = 0; i < 50; i++)
        assert_ok(kit_put(db, DB_ITEMS, key_no(i), 'x', 5000));
    db_close(db);
    kit_fill_disk(mnt);
    db = kit_open(mnt, &kit_conf);
    check_all(db, 0, 50, 5000);
    for (int i = 0; i < 50; i++)
        assert_ok(delete (db, key_no(i)));
    db_close(db);
    assert_int_equal(unlink(path_join(mnt, "lock.mdb")), 0);
    kit_fill_disk(mnt);
    /* A missing lock file cannot be made: an error, where LMDB is killed. */
    assert_code(ECRDT_EFULL, db_open(&db, mnt, &kit_conf));
    kit_says("lock file");
}

#define with_disk(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- the limit -----------------------------------------------------------
 */

enum { RAISED = 64 << 20 };

static int raise_limit(void *arg) {
    struct db_conf larger = kit_conf;
    struct db *db;
    larger.max_bytes = RAISED;
    must(db_open(&db, arg, &larger) == 0);
    must(kit_put(db, DB_META, "m", 'm', 4) == 0);
    db_close(db);
    return 0;
}

/* A process whose store is full goes on when another one raises the limit, as
 * soon as none of its transactions needs the map as it is. */
static void limit_is_raised_by_others(void **state) {
    (void)state;
    struct db_conf as_file = kit_conf;
    struct db_stat st;
    int n = 0, rc;
    as_file.max_bytes = 0;
    db_close(kit_open(dir, &kit_conf));
    struct db *db = kit_open(dir, &as_file);
    while ((rc = kit_put(db, DB_ITEMS, key_no(n), 'x', 200000)) == 0)
        n++;
    assert_code(ECRDT_EFULL, rc);
    kit_says("max_bytes of 16777216");
    assert_int_equal(kit_child(raise_limit, (void *)(uintptr_t)dir), 0);
    struct db_txn *t = kit_begin(db, false);
    assert_code(ECRDT_EFULL, kit_put(db, DB_ITEMS, "more", 'x', 200000));
    db_abort(t);
    for (int i = 0; i < n; i++)
        assert_ok(kit_put(db, DB_ITEMS, key_no(n + i), 'x', 200000));
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.bytes_max, RAISED);
    check_all(db, 0, 2 * n, 200000);
    db_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_folder(limit_is_raised_by_others), with_disk(disk_is_filled_by_us),
        with_disk(disk_is_filled_by_others),    with_disk(nothing_can_be_made),
        with_disk(opened_on_a_full_disk),
    };
    return TEST_RUN(tests);
}

/* test_full.c: a full disk and a full store: a clear error, nothing that was
 * acknowledged is lost, reading and deleting go on, and writing does once
 * there is room. */
#include "tests/crash/kit.h"
#include "tests/lib/scratch.h"
#include <sys/mount.h>
#include <sys/stat.h>

static const char *mnt, *store;

static int setup(void **state) {
    scratch_make(state);
    mnt = scratch_path("mnt");
    store = scratch_path("mnt/s");
    return mkdir(mnt, 0700);
}

static int teardown(void **state) {
    umount2(mnt, MNT_DETACH);
    return scratch_remove(state);
}

/* ---- rows -----------------------------------------------------------------
 */

static ecrdt_slice value_of(int i, size_t size) {
    static char v[1 << 20];
    memset(v, 'a' + i % 26, size);
    return (ecrdt_slice){v, size};
}

static const char *key_of(int i) {
    static char b[16];
    snprintf(b, sizeof b, "k%06d", i);
    return b;
}

static int put(ecrdt_store *s, int i, size_t size) {
    ecrdt_txn *t = ecrdt_write(s);
    int64_t n;
    if (ecrdt_counter_add(t, "b", ECRDT_STR("puts"), 1, &n) == 0)
        ecrdt_reg_set(t, "b", ecrdt_str(key_of(i)), value_of(i, size));
    return ecrdt_commit(t);
}

static int del(ecrdt_store *s, int i) {
    ecrdt_txn *t = ecrdt_write(s);
    int rc = ecrdt_reg_del(t, "b", ecrdt_str(key_of(i)));
    int done = ecrdt_commit(t);
    return done < 0 ? done : rc;
}

static void check_rows(ecrdt_store *s, int from, int to, size_t size) {
    ecrdt_txn *t = ecrdt_read(s);
    ecrdt_slice v;
    for (int i = from; i < to; i++) {
        assert_int_equal(ecrdt_reg_get(t, "b", ecrdt_str(key_of(i)), &v, NULL),
                         1);
        assert_slice_equal(v, value_of(i, size));
    }
    ecrdt_abort(t);
}

static int64_t puts_of(ecrdt_store *s) {
    ecrdt_txn *t = ecrdt_read(s);
    int64_t n = -1;
    assert_true(ecrdt_counter_get(t, "b", ECRDT_STR("puts"), &n) >= 0);
    ecrdt_abort(t);
    return n;
}

/* Fills it; the error has a sentence; then deletes half and goes on. */
static void fill_and_go_on(ecrdt_store *s, size_t size, const char *says) {
    int n = 0, rc, more = 0;
    while ((rc = put(s, n, size)) == 0)
        n++;
    assert_code(ECRDT_EFULL, rc);
    kit_says(says);
    kit_says("delete data");
    check_rows(s, 0, n, size);
    assert_int_equal(puts_of(s), n);
    for (int i = 0; i < n / 2; i++)
        assert_int_equal(del(s, i), 1);
    check_rows(s, n / 2, n, size);
    while (more < n && (rc = put(s, n + more, size)) == 0)
        more++;
    printf("# %d rows of %zu bytes, %d more after %d deletes\n", n, size, more,
           n / 2);
    assert_true(more > n / 8 || size < 3000);
    check_rows(s, n / 2, n + more, size);
    assert_int_equal(puts_of(s), n + more);
    assert_ok(ecrdt_verify(s, crash_print, NULL));
}

static const size_t sizes[] = {500, 10000, 150000};

static void full_disk(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        if (mount("none", mnt, "tmpfs", 0, "size=4m"))
            skip();
        ecrdt_store *s = assert_handle(crash_open(store, 0));
        fill_and_go_on(s, sizes[i], "disk is full");
        assert_ok(ecrdt_close(s));
        s = assert_handle(crash_open(store, 0));
        assert_ok(ecrdt_verify(s, crash_print, NULL));
        assert_ok(ecrdt_close(s));
        assert_int_equal(umount(mnt), 0);
    }
}

static void full_store(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ecrdt_options o = crash_options(ECRDT_EPHEMERAL);
        o.max_bytes = 4 << 20;
        ecrdt_store *s = assert_handle(ecrdt_open(store, &o));
        fill_and_go_on(s, sizes[i], "max_bytes");
        assert_in_range(crash_stats(s).bytes_used, 3 << 20, 5 << 20);
        assert_int_equal(crash_stats(s).bytes_max, 4 << 20);
        assert_ok(ecrdt_close(s));
        o.max_bytes = 16 << 20; /* a larger limit, and it goes on */
        s = assert_handle(ecrdt_open(store, &o));
        for (int k = 0; k < 8; k++)
            assert_ok(put(s, k, 200000));
        assert_ok(ecrdt_close(s));
        unlink(path_join(store, "data.mdb"));
    }
}

/* Others fill the disk and free it: it recovers by itself. */
static void disk_filled_by_others(void **state) {
    (void)state;
    if (mount("none", mnt, "tmpfs", 0, "size=8m"))
        skip();
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    int n = 0, rc;
    for (; n < 50; n++)
        assert_ok(put(s, n, 5000));
    kit_fill_disk(mnt);
    while ((rc = put(s, n, 5000)) == 0)
        n++;
    assert_code(ECRDT_EFULL, rc);
    kit_says("disk is full");
    check_rows(s, 0, n, 5000);
    for (int i = 0; i < n; i++)
        assert_int_equal(del(s, i), 1);
    assert_int_equal(unlink(path_join(mnt, "hog")), 0);
    for (int i = 0; i < 400; i++)
        assert_ok(put(s, i, 5000));
    check_rows(s, 0, 400, 5000);
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    assert_ok(ecrdt_close(s));
}

/* Tombs that lie in more pages than the reserve has are dropped all the same,
 * and only that makes room of many small values. */
static void tombs_go_on_a_full_disk(void **state) {
    (void)state;
    ecrdt_gc_report r;
    int n = 0, rc;
    if (mount("none", mnt, "tmpfs", 0, "size=4m"))
        skip();
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    while ((rc = put(s, n, 1000)) == 0)
        n++;
    assert_code(ECRDT_EFULL, rc);
    for (int from = 0; from < 8; from++) /* each in another page */
        for (int i = from; i < n; i += 8)
            assert_int_equal(del(s, i), 1);
    assert_code(ECRDT_EFULL, put(s, n, 1000));
    assert_ok(ecrdt_gc(s, 0, 0, &r));
    assert_int_equal(r.tombstones, n);
    for (int i = 0; i < n / 2; i++)
        assert_ok(put(s, i, 1000));
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    assert_ok(ecrdt_close(s));
}

/* A transaction that does not fit is refused as a whole. */
static void too_large_a_transaction(void **state) {
    (void)state;
    if (mount("none", mnt, "tmpfs", 0, "size=4m"))
        skip();
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    assert_ok(put(s, 0, 1000));
    for (int round = 0; round < 20; round++) {
        ecrdt_txn *t = ecrdt_write(s);
        for (int i = 1; i < 100; i++)
            ecrdt_reg_set(t, "b", ecrdt_str(key_of(i)), value_of(i, 100000));
        assert_code(ECRDT_EFULL, ecrdt_commit(t));
    }
    check_rows(s, 0, 1, 1000);
    assert_true(crash_has(s, key_of(1), NULL));
    assert_int_equal(puts_of(s), 1);
    for (int i = 1; i < 20; i++)
        assert_ok(put(s, i, 1000));
    assert_ok(ecrdt_close(s));
}

#define with_disk(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        with_disk(full_disk),
        with_disk(full_store),
        with_disk(disk_filled_by_others),
        with_disk(tombs_go_on_a_full_disk),
        with_disk(too_large_a_transaction),
    };
    return TEST_RUN(tests);
}

/* test_alloc.c: a whole life of a store, in which the n-th allocation fails,
 * for n = 1, 2, ... until none does: each failing call says ENOMEM with a
 * sentence, nothing leaks, and what is left opens and is sound. */
#include "tests/crash/scratch.h"

enum { MOST = 20000 };

/* ---- the scenario ---------------------------------------------------------
 */

static const char *failed; /* the first call that failed */

/* A step of it; false once something failed, which must be the memory. */
static bool step(bool ok, const char *call) {
    if (ok)
        return true;
    if (ecrdt_errcode() != ECRDT_ENOMEM || !strstr(ecrdt_errmsg(), "memory"))
        fail_msg("%s: %s: %s", call, ecrdt_strerror(ecrdt_errcode()),
                 ecrdt_errmsg());
    failed = call;
    return false;
}
#define STEP(cond)                                                             \
    if (!step((cond), #cond))                                                  \
    return false

static ecrdt_slice large(void) {
    static char v[40000];
    memset(v, 'x', sizeof v);
    return (ecrdt_slice){v, sizeof v};
}

static bool write_in(ecrdt_txn *t, const char *key) {
    ecrdt_slice k = ecrdt_str(key);
    int64_t n;
    const ecrdt_op ops[] = {{ECRDT_OP_REG_SET, "b", k, ECRDT_STR("batch"), 0},
                            {ECRDT_OP_SET_ADD, "c", k, ECRDT_STR("batch"), 0},
                            {ECRDT_OP_COUNTER_ADD, "c", k, {NULL, 0}, 7}};
    STEP(ecrdt_reg_set(t, "b", k, large()) >= 0);
    STEP(ecrdt_set_add(t, "b", k, ECRDT_STR("one")) >= 0);
    STEP(ecrdt_set_add(t, "b", k, ECRDT_STR("two")) >= 0);
    STEP(ecrdt_set_remove(t, "b", k, ECRDT_STR("one")) >= 0);
    STEP(ecrdt_counter_add(t, "b", k, 5, &n) >= 0);
    STEP(ecrdt_apply(t, ops, 3) >= 0);
    STEP(ecrdt_reg_del(t, "b", ECRDT_STR("old")) >= 0);
    STEP(ecrdt_counter_reset(t, "c", ECRDT_STR("old")) >= 0);
    STEP(ecrdt_set_clear(t, "c", ECRDT_STR("old")) >= 0);
    return true;
}

static bool walk(ecrdt_iter *it) {
    ecrdt_entry e;
    int rc;
    if (!step(it != NULL, "iterator"))
        return false;
    while ((rc = ecrdt_next(it, &e)) == 1)
        continue;
    ecrdt_iter_close(it);
    return step(rc == 0, "ecrdt_next()");
}

static bool read_in(ecrdt_txn *t, const char *key) {
    ecrdt_slice k = ecrdt_str(key), v;
    ecrdt_stamp who;
    uint64_t size;
    int64_t n;
    STEP(ecrdt_reg_get(t, "b", k, &v, &who) >= 0);
    STEP(ecrdt_set_has(t, "b", k, ECRDT_STR("two")) >= 0);
    STEP(ecrdt_set_size(t, "b", k, &size) >= 0);
    STEP(ecrdt_counter_get(t, "b", k, &n) >= 0);
    return walk(ecrdt_reg_siblings(t, "b", k)) &&
           walk(ecrdt_keys(t, "b", ECRDT_STR(""), ECRDT_ANY)) &&
           walk(ecrdt_elems(t, "b", k, ECRDT_STR("")));
}

static bool write_and_read(ecrdt_store *s) {
    ecrdt_txn *t;
    STEP((t = ecrdt_write(s)) != NULL);
    if (!write_in(t, "k")) {
        ecrdt_abort(t);
        return false;
    }
    STEP(ecrdt_commit(t) == 0);
    STEP((t = ecrdt_auto(s)) != NULL);
    bool ok = write_in(t, "auto") && read_in(t, "auto");
    ecrdt_abort(t);
    if (!ok)
        return false;
    STEP((t = ecrdt_read(s)) != NULL);
    ok = read_in(t, "k");
    ecrdt_abort(t);
    return ok;
}

static bool whole_store(ecrdt_store *s) {
    ecrdt_stats st = {.size = sizeof st};
    uint8_t digest[16];
    ecrdt_node id;
    STEP(ecrdt_node_id(s, &id) == 0);
    STEP(ecrdt_digest(s, "b", digest) == 0);
    STEP(ecrdt_settled(s, "b") >= 0);
    STEP(ecrdt_buckets(s, crash_ignore, NULL) == 0);
    STEP(ecrdt_flush(s) == 0);
    STEP(ecrdt_stat_read(s, &st) == 0);
    STEP(ecrdt_verify(s, crash_ignore, NULL) == 0);
    return true;
}

/* Another store takes over what this one has. */
static bool exchange(ecrdt_store *a, ecrdt_store *b) {
    static struct crash_bytes summary, delta;
    ecrdt_import_report r;
    summary.len = delta.len = 0;
    STEP(ecrdt_summary(b, crash_keep, &summary) == 0);
    STEP(ecrdt_export(a, slice_of(summary.data, summary.len), 0, crash_keep,
                      &delta) >= 0);
    STEP(ecrdt_import(b, slice_of(delta.data, delta.len), &r) == 0);
    return true;
}

static bool scenario(void) {
    ecrdt_store *s = crash_open(store, ECRDT_EPHEMERAL);
    if (!step(s != NULL, "ecrdt_open()"))
        return false;
    bool ok =
        write_and_read(s) && step(ecrdt_backup(s, copy) == 0, "ecrdt_backup()");
    ecrdt_store *other = ok ? crash_open(copy, 0) : NULL;
    ok = ok && step(other != NULL, "ecrdt_open() of the copy") &&
         write_and_read(other) && exchange(other, s) && exchange(s, other);
    if (other)
        assert_ok(ecrdt_close(other));
    assert_ok(ecrdt_close(s));
    return ok;
}

static void clean(void) {
    static const char *const names[] = {"data.mdb", "lock.mdb", "lock.ecrdt",
                                        "guard",    "wake",     "boot"};
    for (int i = 0; i < 6; i++) {
        unlink(path_join(store, names[i]));
        unlink(path_join(copy, names[i]));
    }
    rmdir(path_join(store, "new"));
    rmdir(path_join(copy, "new"));
    rmdir(copy);
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    unsigned long n, tried = 0;
    for (n = 1; n < MOST; n++) {
        failed = NULL;
        fault_alloc_at(n);
        bool ok = scenario(), hit = fault_alloc_hit();
        fault_alloc_at(0);
        if (!hit) {
            assert_true(ok);
            break;
        }
        tried++;
        if (fault_alloc_live())
            fail_msg("allocation %lu failed in %s: %ld blocks leak", n,
                     failed ? failed : "(nothing)", fault_alloc_live());
        ecrdt_store *s = assert_handle(crash_open(store, 0));
        if (n % 8 == 0)
            assert_ok(ecrdt_verify(s, crash_print, NULL));
        assert_ok(ecrdt_close(s));
        clean();
    }
    printf("# %lu allocations failed, one after the other\n", tried);
    assert_in_range(n, 100, MOST - 1);
}

static void questions(void **state) {
    (void)state;
    ecrdt_store *s = assert_handle(crash_open(store, ECRDT_EPHEMERAL));
    assert_true(write_and_read(s));
    unsigned long n;
    for (n = 1; n < MOST; n++) {
        fault_alloc_at(n);
        bool ok = whole_store(s), hit = fault_alloc_hit();
        fault_alloc_at(0);
        if (!hit) {
            assert_true(ok);
            break;
        }
    }
    assert_in_range(n, 2, MOST - 1);
    assert_ok(ecrdt_close(s));
    assert_int_equal(fault_alloc_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_store(questions),
        with_store(each_allocation_may_fail),
    };
    fault_alloc_install();
    return TEST_RUN(tests);
}

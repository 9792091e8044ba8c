/* test_txn.c: transactions: isolation, all or nothing, sticky errors beside
 * caller's errors, and the handles that must not be used. */
#include "crdt/replica.h"
#include "lib/alloc.h"
#include "tests/crdt/kit.h"
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_snapshot_does_not_move(void **state) {
    (void)state;
    slice v;
    kit_set(0, "k", "old");
    ecrdt_txn *r = kit_read(0);
    assert_code(1, ecrdt_reg_get(r, KIT_B, slice_str("k"), &v, NULL));
    kit_set(0, "k", "new");
    kit_add(0, "s", "e");
    assert_slice_equal(v, slice_str("old")); /* borrowed until it ends */
    assert_code(1, ecrdt_reg_get(r, KIT_B, slice_str("k"), &v, NULL));
    assert_slice_equal(v, slice_str("old"));
    assert_code(0, ecrdt_set_has(r, KIT_B, slice_str("s"), slice_str("e")));
    assert_ok(ecrdt_commit(r)); /* ends a read one too */
    kit_expect(0, "k", "new");
}

static void an_abort_changes_nothing(void **state) {
    (void)state;
    uint8_t before[16], after[16];
    kit_set(0, "k", "v");
    kit_digest(0, before);
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"), slice_str("w")));
    assert_code(1, ecrdt_set_add(t, "other", slice_str("s"), slice_str("e")));
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("c"), 5, NULL));
    ecrdt_abort(t);
    kit_digest(0, after);
    assert_memory_equal(before, after, 16);
    assert_int_equal(kit_seq(0), 1);
    kit_expect(0, "k", "v");
    assert_int_equal(kit_value(0, "c"), 0);
    kit_sound(0);
}

/* A write transaction reads what it wrote. */
static void own_writes_are_read(void **state) {
    (void)state;
    slice v, k = slice_str("k");
    int64_t now;
    uint64_t n;
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, k, slice_str("v")));
    assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
    assert_slice_equal(v, slice_str("v"));
    assert_code(1, ecrdt_set_add(t, KIT_B, k, k));
    assert_ok(ecrdt_set_size(t, KIT_B, k, &n));
    assert_int_equal(n, 1);
    assert_ok(ecrdt_counter_add(t, KIT_B, k, 3, NULL));
    assert_code(1, ecrdt_counter_get(t, KIT_B, k, &now));
    assert_int_equal(now, 3);
    assert_ok(ecrdt_commit(t));
}

static void a_reader_refuses_writes(void **state) {
    (void)state;
    slice k = slice_str("k");
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_read(0);
    ecrdt_op op = {ECRDT_OP_REG_SET, KIT_B, k, k, 0};
    assert_code(ECRDT_ERDONLY, ecrdt_reg_set(t, KIT_B, k, k));
    assert_true(strstr(ecrdt_errmsg(), "ecrdt_write()") != NULL);
    assert_code(ECRDT_ERDONLY, ecrdt_reg_del(t, KIT_B, k));
    assert_code(ECRDT_ERDONLY, ecrdt_set_add(t, KIT_B, k, k));
    assert_code(ECRDT_ERDONLY, ecrdt_set_remove(t, KIT_B, k, k));
    assert_code(ECRDT_ERDONLY, ecrdt_set_clear(t, KIT_B, k));
    assert_code(ECRDT_ERDONLY, ecrdt_counter_add(t, KIT_B, k, 1, NULL));
    assert_code(ECRDT_ERDONLY, ecrdt_counter_reset(t, KIT_B, k));
    assert_code(ECRDT_ERDONLY, ecrdt_apply(t, &op, 1));
    slice v;
    assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL)); /* still good */
    ecrdt_abort(t);
}

static void callers_errors_leave_it_good(void **state) {
    (void)state;
    slice k = slice_str("k"), v;
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, k, slice_str("v")));
    assert_code(ECRDT_EINVAL, ecrdt_reg_set(t, KIT_B, slice_str(""), k));
    assert_code(ECRDT_EINVAL, ecrdt_reg_set(t, NULL, k, k));
    assert_code(ECRDT_EINVAL, ecrdt_reg_set(t, KIT_B, slice_of(NULL, 3), k));
    assert_code(ECRDT_EINVAL, ecrdt_reg_get(t, KIT_B, k, NULL, NULL));
    assert_code(ECRDT_ETOOBIG, ecrdt_reg_set(t, KIT_B, kit_fill(1025, 'k'), k));
    assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
    assert_ok(ecrdt_commit(t));
    kit_expect(0, "k", "v");
}

/* The store's errors stick: each later call fails, and so does the commit. */
static void the_stores_errors_stick(void **state) {
    (void)state;
    slice k = slice_str("k");
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, k, slice_str("w")));
    assert_code(ECRDT_ECORRUPT, txn_corrupt(t, "nothing really"));
    assert_code(ECRDT_ECORRUPT, ecrdt_reg_set(t, KIT_B, k, k));
    assert_true(strstr(ecrdt_errmsg(), "abort it") != NULL);
    assert_code(ECRDT_ECORRUPT, ecrdt_counter_add(t, KIT_B, k, 1, NULL));
    assert_null(ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_ANY));
    assert_code(ECRDT_ECORRUPT, ecrdt_commit(t));
    kit_expect(0, "k", "v");
}

/* Whatever allocation fails: ENOMEM, nothing happened, and the store goes
 * on. */
static void each_allocation_may_fail(void **state) {
    (void)state;
    kit_set(0, "k", "before");
    for (unsigned long n = 1;; n++) {
        slice k = slice_str("k");
        fault_alloc_at(n);
        ecrdt_txn *t = ecrdt_write(kit(0));
        int rc = t ? 0 : ecrdt_errcode();
        if (!rc)
            rc = ecrdt_reg_set(t, KIT_B, k, slice_str("after"));
        if (!rc)
            rc = ecrdt_counter_add(t, KIT_B, k, 1, NULL);
        if (rc >= 0)
            rc = ecrdt_set_add(t, KIT_B, kit_fill(300, 'k'), k);
        int done = t ? ecrdt_commit(t) : rc;
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        if (!hit) {
            assert_ok(done);
            break;
        }
        assert_int_equal(done, ECRDT_ENOMEM);
        kit_expect(0, "k", "before");
        assert_int_equal(kit_seq(0), 1);
        assert_in_range(n, 1, 200);
    }
    kit_expect(0, "k", "after");
    kit_sound(0);
}

/* ---- handles
 * ------------------------------------------------------------------ */

static ecrdt_iter *no_iter(ecrdt_txn *t) {
    return ecrdt_elems(t, KIT_B, slice_str("k"), slice_of(NULL, 0));
}

/* A chain of calls on NULL keeps the first error for its end. */
static void null_handles_keep_the_first_error(void **state) {
    (void)state;
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = ECRDT_NOCREATE;
    ecrdt_store *s = ecrdt_open(kit_path(7), &o);
    assert_null(s);
    assert_int_equal(ecrdt_errcode(), ECRDT_ENOENT);
    char why[256];
    snprintf(why, sizeof why, "%s", ecrdt_errmsg());
    ecrdt_txn *t = ecrdt_write(s);
    assert_null(t);
    slice k = slice_str("k"), v;
    assert_true(ecrdt_reg_set(t, KIT_B, k, k) < 0);
    assert_true(ecrdt_reg_get(t, KIT_B, k, &v, NULL) < 0);
    assert_null(no_iter(t));
    ecrdt_entry row;
    assert_true(ecrdt_next(NULL, &row) < 0);
    assert_true(ecrdt_seek(NULL, k) < 0);
    ecrdt_iter_close(NULL);
    ecrdt_abort(NULL);
    assert_int_equal(ecrdt_commit(t), ECRDT_ENOENT);
    assert_int_equal(ecrdt_close(s), ECRDT_ENOENT);
    assert_string_equal(ecrdt_errmsg(), why);
}

static void *fresh_thread(void *arg) {
    (void)arg;
    assert_int_equal(ecrdt_errcode(), 0);
    assert_string_equal(ecrdt_errmsg(), "");
    assert_code(ECRDT_EINVAL, ecrdt_reg_del(NULL, KIT_B, slice_str("k")));
    assert_true(strlen(ecrdt_errmsg()) > 10);
    assert_null(ecrdt_read(NULL));
    assert_null(ecrdt_auto(NULL));
    assert_code(ECRDT_EINVAL, ecrdt_commit(NULL));
    assert_code(ECRDT_EINVAL, ecrdt_flush(NULL));
    assert_code(ECRDT_EINVAL, ecrdt_settled(NULL, KIT_B));
    return NULL;
}

static void null_without_an_error_is_einval(void **state) {
    (void)state;
    pthread_t p; /* errors are per thread: a fresh one has none */
    assert_int_equal(pthread_create(&p, NULL, fresh_thread, NULL), 0);
    assert_int_equal(pthread_join(p, NULL), 0);
}

static int in_child(int (*fn)(ecrdt_txn *t), ecrdt_txn *t) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn(t));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int use_after_fork(ecrdt_txn *t) {
    slice k = slice_str("k"), v;
    if (ecrdt_reg_get(t, KIT_B, k, &v, NULL) != ECRDT_EFORK)
        return 1;
    if (ecrdt_reg_set(t, KIT_B, k, k) != ECRDT_EFORK)
        return 2;
    if (!strstr(ecrdt_errmsg(), "fork"))
        return 3;
    if (ecrdt_read(kit(0)) || ecrdt_errcode() != ECRDT_EFORK)
        return 4;
    if (ecrdt_commit(t) != ECRDT_EFORK)
        return 5;
    ecrdt_close(kit(0));
    kit_open(0, 0); /* the child may open it for itself */
    kit_set(0, "child", "v");
    kit_close(0);
    return 0;
}

static void a_store_does_not_cross_fork(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_read(0);
    assert_int_equal(in_child(use_after_fork, t), 0);
    ecrdt_abort(t);
    kit_expect(0, "child", "v"); /* and the parent goes on */
    kit_set(0, "k", "w");
    kit_sound(0);
}

/* ---- for replication
 * ------------------------------------------------------------ */

static void a_busy_writer_is_named(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0), *other;
    assert_code(ECRDT_EBUSY, replica_begin(kit(0), true, 0, &other));
    assert_null(other);
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_true(strstr(ecrdt_errmsg(), pid) != NULL);
    assert_ok(replica_begin(kit(0), false, 0, &other)); /* readers go on */
    ecrdt_abort(other);
    ecrdt_abort(t);
    assert_ok(replica_begin(kit(0), true, 0, &other));
    ecrdt_abort(other);
}

static void commits_are_numbered(void **state) {
    (void)state;
    uint64_t before = replica_txn_id(kit(0));
    kit_set(0, "k", "v");
    assert_int_equal(replica_txn_id(kit(0)), before + 1);
    ecrdt_txn *t = kit_read(0);
    assert_int_equal(replica_snapshot_id(t), before + 1);
    kit_set(0, "k", "w");
    assert_int_equal(replica_snapshot_id(t), before + 1);
    ecrdt_abort(t);
    assert_int_equal(replica_txn_id(kit(0)), before + 2);
    assert_int_equal(replica_waiters(kit(0)), 0);
}

static int list_peer(void *ctx, slice name, slice value) {
    struct buf *b = ctx;
    buf_put(b, name.data, name.len);
    buf_put(b, "=", 1);
    buf_put(b, value.data, value.len);
    buf_put(b, ",", 1);
    return 0;
}

static void peers_are_kept(void **state) {
    (void)state;
    struct buf b = {0};
    ecrdt_txn *t = kit_write(0);
    assert_ok(replica_peer_put(t, slice_str("b"), slice_str("2")));
    assert_ok(replica_peer_put(t, slice_str("a"), slice_str("1")));
    assert_ok(replica_peer_put(t, slice_str("c"), slice_str("3")));
    assert_ok(replica_peer_put(t, slice_str("c"), slice_of(NULL, 0)));
    assert_ok(replica_peer_put(t, slice_str("none"), slice_of(NULL, 0)));
    assert_ok(replica_peer_put(t, kit_fill(256, 'p'), slice_str("x")));
    assert_code(ECRDT_EINVAL,
                replica_peer_put(t, kit_fill(257, 'p'), slice_str("x")));
    assert_code(ECRDT_EINVAL,
                replica_peer_put(t, slice_of("", 0), slice_str("x")));
    assert_ok(replica_peer_put(t, kit_fill(256, 'p'), slice_of(NULL, 0)));
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    assert_ok(replica_each_peer(t, list_peer, &b));
    ecrdt_abort(t);
    assert_slice_equal(buf_slice(&b), slice_str("a=1,b=2,"));
    buf_free(&b);
}

static void absent_buckets_have_a_zero_digest(void **state) {
    (void)state;
    uint8_t d[16], zero[16] = {0};
    memset(d, 0xaa, 16);
    ecrdt_txn *t = kit_read(0);
    assert_ok(replica_digest(t, "none", d));
    ecrdt_abort(t);
    assert_memory_equal(d, zero, 16);
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        kit_test(null_handles_keep_the_first_error), /* before other errors */
        kit_test(null_without_an_error_is_einval),
        kit_test(a_snapshot_does_not_move),
        kit_test(an_abort_changes_nothing),
        kit_test(own_writes_are_read),
        kit_test(a_reader_refuses_writes),
        kit_test(callers_errors_leave_it_good),
        kit_test(the_stores_errors_stick),
        kit_test(each_allocation_may_fail),
        kit_test(a_store_does_not_cross_fork),
        kit_test(a_busy_writer_is_named),
        kit_test(commits_are_numbered),
        kit_test(peers_are_kept),
        kit_test(absent_buckets_have_a_zero_digest),
    };
    return TEST_RUN(tests);
}

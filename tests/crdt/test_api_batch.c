/* test_api_batch.c: many operations in one call, all or none. */
#include "tests/crdt/kit.h"

#define OP(code, k, v, n)                                                      \
    (ecrdt_op) {                                                               \
        ECRDT_OP_##code, KIT_B, slice_str(k), slice_str(v), n                  \
    }

static void every_operation_works(void **state) {
    (void)state;
    const ecrdt_op ops[] = {
        OP(REG_SET, "r", "one", 0),    OP(REG_SET, "r2", "two", 0),
        OP(REG_DEL, "r2", "", 0),      OP(SET_ADD, "s", "a", 0),
        OP(SET_ADD, "s", "b", 0),      OP(SET_REMOVE, "s", "a", 0),
        OP(SET_ADD, "gone", "x", 0),   OP(SET_CLEAR, "gone", "", 0),
        OP(COUNTER_ADD, "c", "", 7),   OP(COUNTER_ADD, "c", "", -2),
        OP(COUNTER_ADD, "d", "", 9),   OP(COUNTER_RESET, "d", "", 0),
        OP(COUNTER_ADD, "d", "", 100),
    };
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_apply(t, ops, sizeof ops / sizeof *ops));
    assert_ok(ecrdt_commit(t));
    kit_expect(0, "r", "one");
    kit_expect(0, "r2", NULL);
    assert_int_equal(kit_value(0, "c"), 5);
    assert_int_equal(kit_value(0, "d"), 100);
    t = kit_read(0);
    uint64_t n;
    assert_ok(ecrdt_set_size(t, KIT_B, slice_str("s"), &n));
    assert_int_equal(n, 1);
    assert_ok(ecrdt_set_size(t, KIT_B, slice_str("gone"), &n));
    assert_int_equal(n, 0);
    ecrdt_abort(t);
    assert_int_equal(kit_seq(0), 7); /* one event for each item */
    kit_sound(0);
}

static void an_empty_batch_is_fine(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_apply(t, NULL, 0));
    assert_code(ECRDT_EINVAL, ecrdt_apply(t, NULL, 1));
    assert_code(ECRDT_ETOOBIG,
                ecrdt_apply(t, (const ecrdt_op *)t, ECRDT_MAX_BATCH + 1));
    assert_ok(ecrdt_commit(t));
}

static int count_bucket(void *ctx, const void *name, size_t len) {
    (void)name, (void)len;
    ++*(int *)ctx;
    return 0;
}

/* As with single calls, what only takes away makes no bucket. */
static void taking_away_makes_no_bucket(void **state) {
    (void)state;
    int n = 0;
    const ecrdt_op away[] = {
        OP(REG_DEL, "k", "", 0), OP(SET_REMOVE, "s", "a", 0),
        OP(SET_CLEAR, "s", "", 0), OP(COUNTER_RESET, "c", "", 0)};
    const ecrdt_op both[] = {OP(COUNTER_RESET, "c", "", 0),
                             OP(REG_DEL, "k", "", 0),
                             OP(COUNTER_ADD, "c", "", 3)};
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_apply(t, away, sizeof away / sizeof *away));
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_buckets(kit(0), count_bucket, &n));
    assert_int_equal(n, 0);
    t = kit_write(0);
    assert_ok(ecrdt_apply(t, both, sizeof both / sizeof *both));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_value(0, "c"), 3);
    ecrdt_op op = away[0];
    op.bucket = ""; /* a bad name is one all the same */
    t = kit_write(0);
    assert_code(ECRDT_EINVAL, ecrdt_apply(t, &op, 1));
    ecrdt_abort(t);
    kit_sound(0);
}

static void full_batches_are_taken(void **state) {
    (void)state;
    ecrdt_op *ops = calloc(ECRDT_MAX_BATCH, sizeof *ops);
    assert_non_null(ops);
    for (size_t i = 0; i < ECRDT_MAX_BATCH; i++)
        ops[i] = OP(COUNTER_ADD, "c", "", 1);
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_apply(t, ops, ECRDT_MAX_BATCH));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_value(0, "c"), ECRDT_MAX_BATCH);
    assert_int_equal(kit_seq(0), 1);
    free(ops);
}

/* One bad operation anywhere: nothing is done, the error names it, and the
 * transaction is still good. */
static void all_or_none(void **state) {
    (void)state;
    const struct {
        ecrdt_op op;
        int code;
    } bad[] = {
        {{(ecrdt_opcode)99, KIT_B, slice_str("k"), slice_str(""), 0},
         ECRDT_EINVAL},
        {{(ecrdt_opcode)0, KIT_B, slice_str("k"), slice_str(""), 0},
         ECRDT_EINVAL},
        {{ECRDT_OP_REG_SET, KIT_B, slice_str(""), slice_str(""), 0},
         ECRDT_EINVAL},
        {{ECRDT_OP_REG_SET, NULL, slice_str("k"), slice_str(""), 0},
         ECRDT_EINVAL},
        {{ECRDT_OP_REG_SET, KIT_B, kit_fill(1025, 'k'), slice_str(""), 0},
         ECRDT_ETOOBIG},
        {{ECRDT_OP_REG_SET, KIT_B, slice_str("k"),
          kit_fill(ECRDT_MAX_VALUE + 1, 'v'), 0},
         ECRDT_ETOOBIG},
        {{ECRDT_OP_SET_ADD, KIT_B, slice_str("k"),
          kit_fill(ECRDT_MAX_ELEM + 1, 'v'), 0},
         ECRDT_ETOOBIG},
        {{ECRDT_OP_COUNTER_ADD, KIT_B, slice_str("c"), slice_str(""),
          INT64_MAX},
         ECRDT_ERANGE},
    };
    kit_set(0, "k", "before");
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (size_t at = 0; at < 3; at++) {
            char name[32];
            ecrdt_op ops[3] = {OP(COUNTER_ADD, "c", "", 1),
                               OP(REG_SET, "k", "after", 0),
                               OP(SET_ADD, "s", "e", 0)};
            if (bad[b].code == ECRDT_ERANGE && at == 0)
                ops[1] = OP(COUNTER_ADD, "c", "", 1); /* then this one fails */
            ops[at] = bad[b].op;
            ecrdt_txn *t = kit_write(0);
            assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("c"), 1, NULL));
            assert_code(bad[b].code, ecrdt_apply(t, ops, 3));
            snprintf(name, sizeof name, "operation %zu of 3", at);
            assert_true(strstr(ecrdt_errmsg(), name) != NULL);
            slice v;
            assert_code(1, ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, NULL));
            assert_slice_equal(v, slice_str("before"));
            assert_code(
                0, ecrdt_set_has(t, KIT_B, slice_str("s"), slice_str("e")));
            int64_t now;
            assert_code(1, ecrdt_counter_get(t, KIT_B, slice_str("c"), &now));
            assert_int_equal(now, 3 * (int64_t)b + (int64_t)at + 1);
            assert_ok(ecrdt_commit(t));
        }
    kit_sound(0);
}

static int run(const ecrdt_op *ops, size_t n) {
    ecrdt_txn *t = kit_write(0);
    int rc = ecrdt_apply(t, ops, n);
    assert_ok(ecrdt_commit(t));
    return rc;
}

/* The value is followed through the batch: resets and the way there and back
 * count, at both ends. */
static void counters_are_planned(void **state) {
    (void)state;
    ecrdt_op fine[] = {OP(COUNTER_ADD, "c", "", INT64_MAX),
                       OP(COUNTER_ADD, "c", "", -1),
                       OP(COUNTER_ADD, "c", "", 1)};
    assert_ok(run(fine, 3));
    assert_true(kit_value(0, "c") == INT64_MAX);
    ecrdt_op over[] = {OP(COUNTER_ADD, "c", "", -1),
                       OP(COUNTER_ADD, "c", "", 1),
                       OP(COUNTER_ADD, "c", "", 1)};
    assert_code(ECRDT_ERANGE, run(over, 3));
    assert_true(kit_value(0, "c") == INT64_MAX);
    ecrdt_op reset[] = {OP(COUNTER_RESET, "c", "", 0),
                        OP(COUNTER_ADD, "c", "", INT64_MIN),
                        OP(COUNTER_ADD, "c", "", 5)};
    assert_ok(run(reset, 3));
    assert_true(kit_value(0, "c") == INT64_MIN + 5);
    ecrdt_op under[] = {OP(COUNTER_ADD, "c", "", -6)};
    assert_code(ECRDT_ERANGE, run(under, 1));
    assert_true(kit_value(0, "c") == INT64_MIN + 5);
    kit_sound(0);
}

/* The entry's totals have their own end, 2^64: a batch that would pass it is
 * refused before its first change too, and the transaction stays good. */
static void totals_are_planned(void **state) {
    (void)state;
    ecrdt_op ops[7];
    ops[0] = OP(REG_SET, "k", "v", 0);
    for (size_t i = 1; i < 7; i++)
        ops[i] = OP(COUNTER_ADD, "c", "", i % 2 ? INT64_MAX : -INT64_MAX);
    ecrdt_txn *t = kit_write(0);
    assert_code(ECRDT_ERANGE, ecrdt_apply(t, ops, 7));
    slice v;
    assert_code(0, ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, NULL));
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"), slice_str("w")));
    assert_ok(ecrdt_commit(t));
    kit_expect(0, "k", "w");
    assert_int_equal(kit_value(0, "c"), 0);
}

/* What a transaction may hold is checked first, keys included. */
static void sizes_are_planned(void **state) {
    (void)state;
    enum { N = 64 };
    ecrdt_op ops[N];
    char key[N][16];
    for (int i = 0; i < N; i++) {
        snprintf(key[i], sizeof key[i], "k%d", i);
        ops[i] = (ecrdt_op){ECRDT_OP_REG_SET, KIT_B, slice_str(key[i]),
                            kit_fill(ECRDT_MAX_VALUE, 'v'), 0};
    }
    ecrdt_txn *t = kit_write(0);
    assert_code(ECRDT_ETOOBIG, ecrdt_apply(t, ops, N));
    slice v;
    assert_code(0, ecrdt_reg_get(t, KIT_B, slice_str("k0"), &v, NULL));
    assert_ok(ecrdt_apply(t, ops, N / 2)); /* still good */
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), N / 2);
}

static int count_name(void *ctx, const void *name, size_t len) {
    (void)name, (void)len;
    ++*(int *)ctx;
    return 0;
}

/* A refused batch leaves no empty bucket behind. */
static void a_refused_batch_makes_no_bucket(void **state) {
    (void)state;
    int n = 0;
    ecrdt_op ops[] = {
        {ECRDT_OP_REG_SET, "new", slice_str("k"), slice_str("v"), 0},
        OP(REG_SET, "", "", 0)};
    assert_code(ECRDT_EINVAL, run(ops, 2));
    assert_ok(ecrdt_buckets(kit(0), count_name, &n));
    assert_int_equal(n, 0);
}

/* In an auto handle a batch is one transaction. */
static void a_batch_on_an_auto_handle(void **state) {
    (void)state;
    ecrdt_op ops[] = {OP(REG_SET, "a", "v", 0), OP(REG_SET, "b", "v", 0),
                      OP(REG_SET, "", "v", 0)};
    ecrdt_txn *a = assert_handle(ecrdt_auto(kit(0)));
    uint64_t id = replica_txn_id(kit(0));
    assert_code(ECRDT_EINVAL, ecrdt_apply(a, ops, 3));
    assert_int_equal(replica_txn_id(kit(0)), id);
    assert_ok(ecrdt_apply(a, ops, 2));
    assert_int_equal(replica_txn_id(kit(0)), id + 1);
    ecrdt_abort(a);
    kit_expect(0, "b", "v");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(every_operation_works),
        kit_test(an_empty_batch_is_fine),
        kit_test(taking_away_makes_no_bucket),
        kit_test(full_batches_are_taken),
        kit_test(all_or_none),
        kit_test(counters_are_planned),
        kit_test(totals_are_planned),
        kit_test(sizes_are_planned),
        kit_test(a_refused_batch_makes_no_bucket),
        kit_test(a_batch_on_an_auto_handle),
    };
    return TEST_RUN(tests);
}

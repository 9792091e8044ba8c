/* test_counter.c: counters: sums, their range, resets, coalescing. */
#include "crdt/counter.h"
#include "tests/crdt/kit.h"

static void reset(size_t i, const char *key) {
    ecrdt_txn *t = kit_write(i);
    assert_ok(ecrdt_counter_reset(t, KIT_B, slice_str(key)));
    assert_ok(ecrdt_commit(t));
}

static int get(size_t i, const char *key, int64_t *v) {
    ecrdt_txn *t = kit_read(i);
    int rc = ecrdt_counter_get(t, KIT_B, slice_str(key), v);
    ecrdt_abort(t);
    return rc;
}

static int add(size_t i, const char *key, int64_t by, int64_t *now) {
    ecrdt_txn *t = kit_write(i);
    int rc = ecrdt_counter_add(t, KIT_B, slice_str(key), by, now);
    assert_ok(ecrdt_commit(t));
    return rc;
}

static void adds_are_summed(void **state) {
    (void)state;
    int64_t now = 7;
    assert_code(0, get(0, "c", &now));
    assert_int_equal(now, 0);
    assert_ok(add(0, "c", 5, &now));
    assert_int_equal(now, 5);
    assert_ok(add(0, "c", -8, &now));
    assert_int_equal(now, -3);
    assert_ok(add(0, "c", 3, NULL));
    assert_code(1, get(0, "c", &now)); /* at 0 it still exists */
    assert_int_equal(now, 0);
    assert_ok(add(0, "z", 0, &now)); /* an add of 0 makes it exist */
    assert_code(1, get(0, "z", &now));
    kit_sound(0);
}

static void each_store_counts_once(void **state) {
    (void)state;
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < 3; i++) {
            kit_count(i, "c", (int64_t)(i + 1));
            kit_pull((i + 1) % 3, i);
            kit_pull((i + 1) % 3, i);
        }
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++)
            if (k != i)
                kit_pull(i, k);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(kit_value(i, "c"), 5 * (1 + 2 + 3));
        kit_sound(i);
    }
}

static void many_adds_are_one_event(void **state) {
    (void)state;
    int64_t now;
    ecrdt_txn *t = kit_write(0);
    for (int i = 1; i <= 1000; i++) {
        assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("c"), 1, &now));
        assert_int_equal(now, i);
        if (i % 100 == 0) {
            assert_code(1, ecrdt_counter_get(t, KIT_B, slice_str("c"), &now));
            assert_int_equal(now, i);
        }
    }
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("d"), -1, &now));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), 2);
    assert_int_equal(kit_value(0, "c"), 1000);
    kit_pull(1, 0);
    assert_int_equal(kit_value(1, "c"), 1000);
    kit_sound(1);
}

/* Iterators flush what waits; later adds fall into the same event. */
static void reading_in_between_makes_no_events(void **state) {
    (void)state;
    ecrdt_entry row;
    ecrdt_txn *t = kit_write(0);
    for (int i = 1; i <= 3; i++) {
        assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("c"), 10, NULL));
        ecrdt_iter *it = assert_handle(
            ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_COUNTER));
        assert_code(1, ecrdt_next(it, &row));
        assert_int_equal(row.num, 10 * i);
        ecrdt_iter_close(it);
    }
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), 1);
    assert_int_equal(kit_value(0, "c"), 30);
}

static void a_reset_takes_exactly_what_was_seen(void **state) {
    (void)state;
    kit_count(0, "c", 10);
    kit_pull(1, 0);
    kit_count(1, "c", 100);
    kit_count(2, "c", 1000); /* seen by nobody */
    kit_pull(0, 1);
    kit_count(1, "c", 7); /* concurrent with the reset */
    reset(0, "c");
    assert_int_equal(kit_value(0, "c"), 0);
    uint64_t seq = kit_seq(0);
    reset(0, "c"); /* nothing left: no event */
    reset(0, "absent");
    assert_int_equal(kit_seq(0), seq);
    kit_count(0, "c", 1); /* later */
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < 3; i++)
            for (size_t k = 0; k < 3; k++)
                if (i != k)
                    kit_pull(i, k);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(kit_value(i, "c"), 7 + 1000 + 1);
        kit_sound(i);
    }
}

static void concurrent_resets_take_once(void **state) {
    (void)state;
    kit_count(0, "c", 10);
    kit_pull(1, 0);
    reset(0, "c");
    reset(1, "c");
    kit_count(1, "c", 3);
    kit_pull(0, 1);
    kit_pull(1, 0);
    assert_int_equal(kit_value(0, "c"), 3);
    assert_int_equal(kit_value(1, "c"), 3);
    kit_same_digest(0, 1);
}

static void a_reset_within_a_transaction(void **state) {
    (void)state;
    int64_t now;
    slice k = slice_str("c");
    kit_count(0, "c", 5);
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_counter_add(t, KIT_B, k, 10, NULL));
    assert_ok(ecrdt_counter_reset(t, KIT_B, k));
    assert_code(1, ecrdt_counter_get(t, KIT_B, k, &now));
    assert_int_equal(now, 0);
    assert_ok(ecrdt_counter_add(t, KIT_B, k, 3, &now));
    assert_int_equal(now, 3);
    assert_ok(ecrdt_counter_add(t, KIT_B, k, -1, &now));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_value(0, "c"), 2);
    assert_int_equal(kit_seq(0), 2);
    kit_sound(0);
}

/* ---- the range
 * ---------------------------------------------------------------- */

static void both_ends_can_be_reached_not_passed(void **state) {
    (void)state;
    int64_t now;
    assert_ok(add(0, "max", INT64_MAX, &now));
    assert_true(now == INT64_MAX);
    assert_code(ECRDT_ERANGE, add(0, "max", 1, &now));
    assert_code(ECRDT_ERANGE, add(0, "max", INT64_MAX, &now));
    assert_code(1, get(0, "max", &now));
    assert_true(now == INT64_MAX);
    assert_ok(add(0, "min", INT64_MIN, &now));
    assert_true(now == INT64_MIN);
    assert_code(ECRDT_ERANGE, add(0, "min", -1, &now));
    assert_code(ECRDT_ERANGE, add(0, "min", INT64_MIN, &now));
    assert_ok(add(0, "min", INT64_MAX, &now));
    assert_int_equal(now, -1);
    assert_ok(add(0, "max", INT64_MIN, &now));
    assert_int_equal(now, -1);
    kit_sound(0);
}

/* A refused add changes nothing and leaves the transaction good. */
static void a_refused_add_leaves_the_transaction_good(void **state) {
    (void)state;
    int64_t now = 42;
    slice k = slice_str("c");
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_counter_add(t, KIT_B, k, INT64_MAX - 1, NULL));
    assert_code(ECRDT_ERANGE, ecrdt_counter_add(t, KIT_B, k, 2, &now));
    assert_true(strstr(ecrdt_errmsg(), "int64") != NULL);
    assert_ok(ecrdt_counter_add(t, KIT_B, k, 1, &now));
    assert_true(now == INT64_MAX);
    assert_ok(ecrdt_commit(t));
    assert_true(kit_value(0, "c") == INT64_MAX);
}

/* Concurrent adds may leave the range: the nearest end, and it says so. */
static void concurrent_adds_saturate_the_view(void **state) {
    (void)state;
    int64_t now;
    kit_count(0, "c", INT64_MAX);
    kit_count(1, "c", INT64_MAX);
    kit_count(0, "d", INT64_MIN);
    kit_count(1, "d", INT64_MIN);
    kit_pull(0, 1);
    assert_code(ECRDT_ERANGE, get(0, "c", &now));
    assert_true(now == INT64_MAX);
    assert_code(ECRDT_ERANGE, get(0, "d", &now));
    assert_true(now == INT64_MIN);
    assert_code(ECRDT_ERANGE, add(0, "c", 1, &now));
    assert_code(ECRDT_ERANGE, add(0, "c", -1, &now)); /* still outside */
    kit_sound(0);
    ecrdt_txn *t = kit_read(0);
    ecrdt_iter *it =
        assert_handle(ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_COUNTER));
    ecrdt_entry row;
    assert_code(1, ecrdt_next(it, &row));
    assert_true(row.num == INT64_MAX);
    assert_code(1, ecrdt_next(it, &row));
    assert_true(row.num == INT64_MIN);
    ecrdt_abort(t);
    reset(0, "c");
    assert_code(1, get(0, "c", &now));
    assert_int_equal(now, 0);
    assert_ok(add(0, "c", -1, &now));
    assert_int_equal(now, -1);
}

/* An entry's totals only grow. When they would pass 2^64 the add is refused,
 * though the value stays in range; never a wrap. */
static void totals_do_not_wrap(void **state) {
    (void)state;
    int64_t now, want = 0;
    int rc = 0, n = 0;
    for (; n < 10 && rc == 0; n++) {
        int64_t by = n % 2 ? -INT64_MAX : INT64_MAX;
        rc = add(0, "c", by, &now);
        if (rc == 0) {
            want += by;
            assert_true(now == want);
        }
        assert_true(kit_value(0, "c") == want);
    }
    assert_int_equal(rc, ECRDT_ERANGE);
    assert_int_equal(n, 5); /* the third +MAX */
    reset(0, "c");
    assert_int_equal(kit_value(0, "c"), 0);
    kit_sound(0);
}

static void long_keys_count_too(void **state) {
    (void)state;
    static const size_t lens[] = {1, 256, 257, 1024};
    for (size_t i = 0; i < 4; i++) {
        int64_t now;
        slice k = kit_fill(lens[i], 'k');
        ecrdt_txn *t = kit_write(0);
        assert_ok(ecrdt_counter_add(t, KIT_B, k, 3, &now));
        assert_ok(ecrdt_commit(t));
        kit_pull(1, 0);
        t = kit_write(1);
        assert_ok(ecrdt_counter_add(t, KIT_B, k, 4, &now));
        assert_int_equal(now, 7);
        assert_ok(ecrdt_counter_reset(t, KIT_B, k));
        assert_ok(ecrdt_counter_add(t, KIT_B, k, 9, &now));
        assert_ok(ecrdt_commit(t));
        kit_pull(0, 1);
        t = kit_read(0);
        assert_code(1, ecrdt_counter_get(t, KIT_B, k, &now));
        assert_int_equal(now, 9);
        ecrdt_abort(t);
    }
    kit_sound(0);
    kit_sound(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(adds_are_summed),
        kit_test(each_store_counts_once),
        kit_test(many_adds_are_one_event),
        kit_test(reading_in_between_makes_no_events),
        kit_test(a_reset_takes_exactly_what_was_seen),
        kit_test(concurrent_resets_take_once),
        kit_test(a_reset_within_a_transaction),
        kit_test(both_ends_can_be_reached_not_passed),
        kit_test(a_refused_add_leaves_the_transaction_good),
        kit_test(concurrent_adds_saturate_the_view),
        kit_test(totals_do_not_wrap),
        kit_test(long_keys_count_too),
    };
    return TEST_RUN(tests);
}

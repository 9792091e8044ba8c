/* test_api_data.c: the public calls on registers, sets and counters: limits,
 * results and errors of each. */
#include "tests/crdt/kit.h"

static void limits_hold_at_and_one_past(void **state) {
    (void)state;
    static const size_t keys[] = {1, 256, 257, 1024};
    slice v, long_key = kit_fill(1025, 'k'), none = slice_of(NULL, 0);
    int64_t now;
    uint64_t n;
    ecrdt_txn *t = kit_write(0);
    for (size_t i = 0; i < 4; i++) {
        slice k = kit_fill(keys[i], 'k');
        assert_ok(ecrdt_reg_set(t, KIT_B, k, kit_fill(i, 'v')));
        assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
        assert_int_equal(v.len, i);
    }
    slice bad[] = {long_key, none, slice_of("", 0)};
    for (size_t i = 0; i < 3; i++) {
        int want = i ? ECRDT_EINVAL : ECRDT_ETOOBIG;
        slice k = bad[i], x = slice_str("x");
        assert_code(want, ecrdt_reg_set(t, KIT_B, k, x));
        assert_code(want, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
        assert_code(want, ecrdt_reg_del(t, KIT_B, k));
        assert_code(want, ecrdt_set_add(t, KIT_B, k, x));
        assert_code(want, ecrdt_set_remove(t, KIT_B, k, x));
        assert_code(want, ecrdt_set_has(t, KIT_B, k, x));
        assert_code(want, ecrdt_set_size(t, KIT_B, k, &n));
        assert_code(want, ecrdt_set_clear(t, KIT_B, k));
        assert_code(want, ecrdt_counter_add(t, KIT_B, k, 1, &now));
        assert_code(want, ecrdt_counter_get(t, KIT_B, k, &now));
        assert_code(want, ecrdt_counter_reset(t, KIT_B, k));
        assert_null(ecrdt_reg_siblings(t, KIT_B, k));
        assert_int_equal(ecrdt_errcode(), want);
        assert_null(ecrdt_elems(t, KIT_B, k, none));
        assert_int_equal(ecrdt_errcode(), want);
    }
    assert_ok(ecrdt_commit(t));
    kit_pull(1, 0);
    kit_same_digest(0, 1);
    kit_sound(0);
}

/* Keys that share their first 192 bytes, or all but the last byte. */
static void hashed_keys_are_told_apart(void **state) {
    (void)state;
    uint8_t key[1024];
    slice v;
    memset(key, 'k', sizeof key);
    ecrdt_txn *t = kit_write(0);
    for (uint8_t i = 0; i < 20; i++) {
        key[i < 10 ? 1023 : 192] = i;
        assert_ok(
            ecrdt_reg_set(t, KIT_B, slice_of(key, 1024), slice_of(&i, 1)));
    }
    memset(key, 'k', sizeof key);
    for (size_t len = 250; len < 265; len++)
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_of(key, len),
                                slice_of(key, len - 200)));
    assert_ok(ecrdt_commit(t));
    kit_pull(1, 0);
    t = kit_read(1);
    for (size_t len = 250; len < 265; len++) {
        assert_code(1, ecrdt_reg_get(t, KIT_B, slice_of(key, len), &v, NULL));
        assert_int_equal(v.len, len - 200);
    }
    for (uint8_t i = 0; i < 10; i++) {
        key[1023] = i;
        assert_code(1, ecrdt_reg_get(t, KIT_B, slice_of(key, 1024), &v, NULL));
        assert_slice_equal(v, slice_of(&i, 1));
    }
    ecrdt_abort(t);
}

static void values_up_to_1_mib(void **state) {
    (void)state;
    slice v, k = slice_str("k");
    slice most = kit_fill(ECRDT_MAX_VALUE, 'v');
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, k, most));
    assert_code(ECRDT_ETOOBIG,
                ecrdt_reg_set(t, KIT_B, k, kit_fill(ECRDT_MAX_VALUE + 1, 'w')));
    assert_true(strstr(ecrdt_errmsg(), "1048577") != NULL);
    assert_ok(ecrdt_commit(t));
    kit_pull(1, 0);
    t = kit_read(1);
    assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
    assert_slice_equal(v, most);
    ecrdt_abort(t);
}

static void elements_up_to_64_kib(void **state) {
    (void)state;
    slice k = slice_str("k");
    ecrdt_txn *t = kit_write(0);
    for (size_t i = 0; i < 5; i++) {
        static const size_t lens[] = {0, 160, 161, 65535, 65536};
        slice e = kit_fill(lens[i], 'e');
        assert_code(0, ecrdt_set_has(t, KIT_B, k, e));
        assert_code(1, ecrdt_set_add(t, KIT_B, k, e));
        assert_code(1, ecrdt_set_has(t, KIT_B, k, e));
    }
    slice past = kit_fill(65537, 'e');
    assert_code(ECRDT_ETOOBIG, ecrdt_set_add(t, KIT_B, k, past));
    assert_code(ECRDT_ETOOBIG, ecrdt_set_remove(t, KIT_B, k, past));
    assert_code(ECRDT_ETOOBIG, ecrdt_set_has(t, KIT_B, k, past));
    assert_ok(ecrdt_commit(t));
    kit_sound(0);
}

/* Slices are copied before the call returns. */
static void arguments_are_copied(void **state) {
    (void)state;
    char key[] = "key", value[] = "value";
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str(value)));
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str(key), 1, NULL));
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    assert_ok(ecrdt_commit(t));
    kit_expect(0, "key", "value");
    assert_int_equal(kit_value(0, "key"), 1);
}

/* A value that was read may be written back, to itself and elsewhere. */
static void borrowed_values_may_be_written(void **state) {
    (void)state;
    slice v, k = slice_str("k");
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, k, kit_fill(3000, 'v')));
    assert_ok(ecrdt_commit(t));
    t = kit_write(0);
    assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("copy"), v));
    assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
    assert_ok(ecrdt_reg_set(t, KIT_B, k, slice_of(v.data, v.len - 1)));
    assert_code(1, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
    assert_slice_equal(v, kit_fill(2999, 'v'));
    assert_code(1, ecrdt_reg_get(t, KIT_B, slice_str("copy"), &v, NULL));
    assert_slice_equal(v, kit_fill(3000, 'v'));
    assert_ok(ecrdt_commit(t));
    kit_sound(0);
}

static void missing_places_are_refused(void **state) {
    (void)state;
    slice k = slice_str("k");
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_read(0);
    assert_code(ECRDT_EINVAL, ecrdt_reg_get(t, KIT_B, k, NULL, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_set_size(t, KIT_B, k, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_counter_get(t, KIT_B, k, NULL));
    assert_true(strstr(ecrdt_errmsg(), "ecrdt_counter_get()") != NULL);
    ecrdt_abort(t);
}

/* Register, set and counter of one key are three things. */
static void types_of_a_key_are_apart(void **state) {
    (void)state;
    slice k = slice_str("k"), v;
    int64_t now;
    uint64_t n;
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, k, slice_str("v")));
    assert_code(1, ecrdt_set_add(t, KIT_B, k, slice_str("e")));
    assert_ok(ecrdt_counter_add(t, KIT_B, k, 3, NULL));
    assert_code(1, ecrdt_reg_del(t, KIT_B, k));
    assert_ok(ecrdt_set_size(t, KIT_B, k, &n));
    assert_int_equal(n, 1);
    assert_ok(ecrdt_set_clear(t, KIT_B, k));
    assert_code(1, ecrdt_counter_get(t, KIT_B, k, &now));
    assert_int_equal(now, 3);
    assert_ok(ecrdt_counter_reset(t, KIT_B, k));
    assert_code(0, ecrdt_reg_get(t, KIT_B, k, &v, NULL));
    assert_ok(ecrdt_commit(t));
    kit_sound(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(limits_hold_at_and_one_past),
        kit_test(hashed_keys_are_told_apart),
        kit_test(values_up_to_1_mib),
        kit_test(elements_up_to_64_kib),
        kit_test(arguments_are_copied),
        kit_test(borrowed_values_may_be_written),
        kit_test(missing_places_are_refused),
        kit_test(types_of_a_key_are_apart),
    };
    return TEST_RUN(tests);
}

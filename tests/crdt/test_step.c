/* test_step.c: the frame of a call: limits of arguments, auto handles and how
 * long they keep what they handed out. */
#include "crdt/step.h"
#include "tests/crdt/kit.h"

static void arguments_have_limits(void **state) {
    (void)state;
    assert_ok(check_key(kit_fill(1, 'k')));
    assert_ok(check_key(kit_fill(256, 'k')));
    assert_ok(check_key(kit_fill(257, 'k')));
    assert_ok(check_key(kit_fill(1024, 'k')));
    assert_code(ECRDT_ETOOBIG, check_key(kit_fill(1025, 'k')));
    assert_code(ECRDT_EINVAL, check_key(kit_fill(0, 'k')));
    assert_string_equal(ecrdt_errmsg(),
                        "a key has at least 1 byte, this one is empty");
    assert_code(ECRDT_EINVAL, check_key(slice_of(NULL, 1)));
    assert_ok(check_value(slice_of(NULL, 0)));
    assert_ok(check_value(kit_fill(ECRDT_MAX_VALUE, 'v')));
    assert_code(ECRDT_ETOOBIG, check_value(kit_fill(ECRDT_MAX_VALUE + 1, 'v')));
    assert_code(ECRDT_EINVAL, check_value(slice_of(NULL, 5)));
    assert_string_equal(ecrdt_errmsg(), "a value of 5 bytes was given as NULL: "
                                        "its slice needs a pointer to them");
    assert_code(ECRDT_ETOOBIG, check_value(slice_of(NULL, SIZE_MAX)));
    assert_ok(check_elem(slice_of(NULL, 0)));
    assert_ok(check_elem(kit_fill(ECRDT_MAX_ELEM, 'e')));
    assert_code(ECRDT_ETOOBIG, check_elem(kit_fill(ECRDT_MAX_ELEM + 1, 'e')));
    assert_ok(check_out(&(int){0}, "f()"));
    assert_code(ECRDT_EINVAL, check_out(NULL, "f()"));
    assert_true(strstr(ecrdt_errmsg(), "f()") != NULL);
}

static void each_auto_call_is_a_transaction(void **state) {
    (void)state;
    slice k = slice_str("k"), v;
    int64_t now;
    ecrdt_txn *a = assert_handle(ecrdt_auto(kit(0)));
    assert_code(0, ecrdt_reg_get(a, KIT_B, k, &v, NULL));
    assert_ok(ecrdt_reg_set(a, KIT_B, k, slice_str("one")));
    kit_expect(0, "k", "one"); /* committed already */
    assert_ok(ecrdt_counter_add(a, KIT_B, k, 5, &now));
    assert_int_equal(now, 5);
    assert_int_equal(kit_value(0, "k"), 5);
    assert_code(1, ecrdt_set_add(a, KIT_B, k, k));
    kit_set(0, "k", "two"); /* no snapshot, no lock is held between */
    assert_code(1, ecrdt_reg_get(a, KIT_B, k, &v, NULL));
    assert_slice_equal(v, slice_str("two"));
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(0), &st));
    assert_int_equal(st.oldest_reader_pid, 0);
    assert_code(1, ecrdt_reg_del(a, KIT_B, k));
    assert_code(0, ecrdt_reg_del(a, KIT_B, k));
    assert_ok(ecrdt_commit(a));
    kit_expect(0, "k", NULL);
    kit_sound(0);
}

/* What was handed out stays good until the next call on the handle, whatever
 * others write meanwhile. */
static void slices_live_until_the_next_call(void **state) {
    (void)state;
    slice v, big = kit_fill(100000, 'x');
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"), big));
    assert_ok(ecrdt_commit(t));
    ecrdt_txn *a = assert_handle(ecrdt_auto(kit(0)));
    assert_code(1, ecrdt_reg_get(a, KIT_B, slice_str("k"), &v, NULL));
    for (int i = 0; i < 20; i++) {
        kit_set(0, "k", "other");
        kit_del(0, "k");
    }
    assert_slice_equal(v, big);
    ecrdt_abort(a);
}

static void errors_leave_an_auto_handle_good(void **state) {
    (void)state;
    slice k = slice_str("k");
    ecrdt_txn *a = assert_handle(ecrdt_auto(kit(0)));
    assert_code(ECRDT_EINVAL, ecrdt_reg_set(a, KIT_B, slice_str(""), k));
    assert_code(ECRDT_EINVAL, ecrdt_reg_set(a, "", k, k));
    assert_ok(ecrdt_counter_add(a, KIT_B, k, INT64_MAX, NULL));
    assert_code(ECRDT_ERANGE, ecrdt_counter_add(a, KIT_B, k, 1, NULL));
    ecrdt_txn *w = kit_write(0); /* the lock was given back each time */
    ecrdt_abort(w);
    assert_ok(ecrdt_reg_set(a, KIT_B, k, k));
    ecrdt_abort(a);
    kit_expect(0, "k", "k");
}

/* A writer that holds the lock does not stop an auto reader. */
static void auto_reads_do_not_wait(void **state) {
    (void)state;
    slice v;
    kit_set(0, "k", "v");
    ecrdt_txn *w = kit_write(0);
    ecrdt_txn *a = assert_handle(ecrdt_auto(kit(0)));
    assert_code(1, ecrdt_reg_get(a, KIT_B, slice_str("k"), &v, NULL));
    ecrdt_abort(w);
    ecrdt_abort(a);
}

static void a_store_with_an_auto_handle_stays_open(void **state) {
    (void)state;
    ecrdt_txn *a = assert_handle(ecrdt_auto(kit(0)));
    assert_code(ECRDT_EBUSY, ecrdt_close(kit(0)));
    ecrdt_abort(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_have_limits),
        kit_test(each_auto_call_is_a_transaction),
        kit_test(slices_live_until_the_next_call),
        kit_test(errors_leave_an_auto_handle_good),
        kit_test(auto_reads_do_not_wait),
        kit_test(a_store_with_an_auto_handle_stays_open),
    };
    return TEST_RUN(tests);
}

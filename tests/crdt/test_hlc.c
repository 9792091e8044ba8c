/* test_hlc.c: the hybrid logical clock at its limits. */
#include "crdt/hlc.h"
#include "tests/support/test.h"

static const uint64_t now = 1700000000000;

static void time_goes_forward(void **state) {
    (void)state;
    assert_true(hlc_tick(0, now) == hlc_make(now, 0));
    assert_true(hlc_tick(hlc_make(now - 1, 7), now) == hlc_make(now, 0));
    assert_true(hlc_tick(hlc_make(now, 0), now) == hlc_make(now, 1));
    assert_true(hlc_tick(hlc_make(now + 5, 3), now) == hlc_make(now + 5, 4));
    assert_int_equal(hlc_ms(hlc_make(now, 9)), now);
    assert_int_equal(hlc_count(hlc_make(now, 9)), 9);
}

static void a_full_count_carries(void **state) {
    (void)state;
    assert_true(hlc_tick(hlc_make(now, 0xffff), now) == hlc_make(now + 1, 0));
    assert_int_equal(hlc_count(hlc_make(now, 0x10000)), 0); /* cut, not added */
    assert_int_equal(hlc_ms(hlc_make(now, 0x10000)), now);
}

static void a_last_60_s_ahead_still_binds(void **state) {
    (void)state;
    uint64_t at = hlc_make(now + HLC_MAX_AHEAD_MS, 0xfffe);
    assert_true(hlc_tick(at, now) == at + 1);
    uint64_t past = hlc_make(now + HLC_MAX_AHEAD_MS + 1, 0);
    assert_true(hlc_tick(past, now) == hlc_make(now, 0));
    /* The count at the limit carries past it; the next tick falls back. */
    at = hlc_tick(hlc_make(now + HLC_MAX_AHEAD_MS, 0xffff), now);
    assert_true(at == hlc_make(now + HLC_MAX_AHEAD_MS + 1, 0));
    assert_true(hlc_tick(at, now) == hlc_make(now, 0));
}

static void a_remote_clock_counts_up_to_60_s_ahead(void **state) {
    (void)state;
    uint64_t last = hlc_make(now, 0);
    uint64_t at = hlc_make(now + HLC_MAX_AHEAD_MS, 0xffff);
    uint64_t past = hlc_make(now + HLC_MAX_AHEAD_MS + 1, 0);
    assert_true(hlc_merge(last, at, now) == at);
    assert_true(hlc_merge(last, past, now) == last);
    assert_true(hlc_merge(last, UINT64_MAX, now) == last);
    assert_true(hlc_merge(last, last - 1, now) == last);
    assert_true(hlc_merge(last, last, now) == last);
    assert_true(hlc_merge(0, 0, now) == 0);
}

static void the_ends_of_time_do_not_wrap(void **state) {
    (void)state;
    uint64_t last_ms = (UINT64_C(1) << 48) - 1;
    assert_true(hlc_tick(0, 0) == 0 || hlc_tick(0, 0) == 1);
    assert_int_equal(hlc_ms(hlc_make(last_ms, 0)), last_ms);
    assert_true(hlc_tick(hlc_make(last_ms, 0), now) == hlc_make(now, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_goes_forward),
        cmocka_unit_test(a_full_count_carries),
        cmocka_unit_test(a_last_60_s_ahead_still_binds),
        cmocka_unit_test(a_remote_clock_counts_up_to_60_s_ahead),
        cmocka_unit_test(the_ends_of_time_do_not_wrap),
    };
    return TEST_RUN(tests);
}

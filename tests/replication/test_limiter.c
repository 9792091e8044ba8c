/* test_limiter.c: bursts pass, floods do not, addresses are apart. */
#include "replication/limiter.h"
#include "tests/support/test.h"

static struct limiter l;

static int reset(void **state) {
    (void)state;
    l = (struct limiter){0};
    return 0;
}

static int taken(const char *address, uint64_t now, int tries) {
    int n = 0;
    for (int i = 0; i < tries; i++)
        n += limiter_take(&l, address, now);
    return n;
}

static void a_burst_then_the_rate(void **state) {
    (void)state;
    assert_int_equal(taken("10.0.0.1:5", 1000, 100), LIMITER_BURST);
    assert_int_equal(taken("10.0.0.1:6", 1500, 100), LIMITER_RATE / 2);
    assert_int_equal(taken("10.0.0.1:7", 2500, 100), LIMITER_RATE);
    assert_int_equal(taken("10.0.0.1:8", 999999, 100), LIMITER_BURST);
}

static void addresses_are_apart(void **state) {
    (void)state;
    assert_int_equal(taken("10.0.0.1:5", 1000, 100), LIMITER_BURST);
    assert_int_equal(taken("[::1]:5", 1000, 100), LIMITER_BURST);
    assert_int_equal(taken("[::1]:6", 1000, 100), 0);
}

static void the_oldest_address_is_forgotten(void **state) {
    (void)state;
    assert_int_equal(taken("first:1", 1000, 100), LIMITER_BURST);
    for (int i = 0; i < LIMITER_ADDRESSES; i++) {
        char a[32];
        snprintf(a, sizeof a, "10.0.%d.%d:1", i / 256, i % 256);
        assert_int_equal(taken(a, 1001 + (uint64_t)i, 1), 1);
    }
    assert_int_equal(taken("first:1", 2000, 100), LIMITER_BURST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_burst_then_the_rate, reset),
        cmocka_unit_test_setup(addresses_are_apart, reset),
        cmocka_unit_test_setup(the_oldest_address_is_forgotten, reset),
    };
    return TEST_RUN(tests);
}

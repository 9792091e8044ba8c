/* test_log.c: repeats of a kind are counted instead of written. */
#include "replication/relay/log.h"
#include "tests/support/test.h"

static void repeats_are_counted(void **state) {
    struct log_limit l = {0};
    const char *line = "msg=\"refused\" key=1";
    uint64_t n;
    (void)state;
    assert_true(log_limit_pass(&l, line, 1000, &n));
    assert_true(log_limit_pass(&l, "msg=\"refused\" key=2", 1001, &n));
    for (int i = 0; i < 50; i++)
        assert_false(log_limit_pass(&l, line, 1002, &n));
    assert_true(log_limit_pass(&l, line, 1000 + RELAY_LOG_INTERVAL_MS, &n));
    assert_int_equal(n, 50);
    assert_true(log_limit_pass(&l, line, 1001 + RELAY_LOG_INTERVAL_MS, &n));
    assert_false(log_limit_pass(&l, line, 1002 + RELAY_LOG_INTERVAL_MS, &n));
    log_limit_renew(&l);
    assert_true(log_limit_pass(&l, line, 1003 + RELAY_LOG_INTERVAL_MS, &n));
    assert_int_equal(n, 1);
    assert_false(log_limit_pass(&l, line, 1004 + RELAY_LOG_INTERVAL_MS, &n));
    assert_int_equal(n, 0);
}

static void kinds_are_apart(void **state) {
    struct log_limit l = {0};
    uint64_t n;
    (void)state;
    for (int i = 0; i < 3; i++)
        log_limit_pass(&l, "msg=\"link down\" peer=\"a\"", 1000, &n);
    assert_false(log_limit_pass(&l, "msg=\"link down\" peer=\"a\"", 1000, &n));
    assert_true(log_limit_pass(&l, "msg=\"link down\" peer=\"b\"", 1000, &n));
    assert_true(log_limit_pass(&l, "msg=\"link up\" peer=\"a\"", 1000, &n));
    for (int i = 0; i < 3; i++)
        log_limit_pass(&l, "msg=\"x\" peer=\"\\\"c\"", 1000, &n);
    assert_true(log_limit_pass(&l, "msg=\"x\" peer=\"\\\"d\"", 1000, &n));
    assert_true(log_limit_pass(&l, "no message at all", 1000, &n));
}

static void answers_to_signals_are_written(void **state) {
    static const char *const lines[] = {
        "msg=\"kept the old configuration\" error=\"e\"",
        "msg=\"read the configuration\" peers=1", "msg=\"relay state\"",
        "msg=\"peer state\" peer=\"a\""};
    struct log_limit l = {0};
    uint64_t n;
    (void)state;
    for (int i = 0; i < 40; i++)
        assert_true(log_limit_pass(&l, lines[i % 4], 1000, &n));
    assert_int_equal(n, 0);
}

static void old_kinds_give_way(void **state) {
    struct log_limit l = {0};
    uint64_t n;
    (void)state;
    for (uint64_t i = 0; i < RELAY_LOG_KEYS + 1; i++) {
        char line[64];
        snprintf(line, sizeof line, "msg=\"%d\"", (int)i);
        for (int k = 0; k < 3; k++)
            log_limit_pass(&l, line, 1000 + i, &n);
    }
    assert_true(log_limit_pass(&l, "msg=\"0\"", 1100, &n)); /* forgotten */
    assert_false(log_limit_pass(&l, "msg=\"64\"", 1100, &n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_are_counted),
        cmocka_unit_test(kinds_are_apart),
        cmocka_unit_test(answers_to_signals_are_written),
        cmocka_unit_test(old_kinds_give_way),
    };
    return TEST_RUN(tests);
}

/* test_args.c: where options may stand, what operands mean, what is refused. */
#include "cli/cli.h"
#include "tests/cli/run.h"

static void options_stand_before_or_after(void **state) {
    (void)state;
    expect(0, "", "% init >/dev/null && % set b k v");
    expect(0, "v\n", "% get b k");
    expect(0, "76\n", "% get --hex b 6b");
    sh("% --json get b k");
    assert_string_equal(json_text(0, "value"), "v");
    sh("% get b k --json");
    assert_string_equal(json_text(0, "value"), "v");
    sh("EDGECRDT_STORE=/nowhere % get b k --json");
    assert_int_equal(code, 0);
    sh("EDGECRDT_STORE=store @ get --json b k");
    assert_string_equal(json_text(0, "value"), "v");
    expect(0, "v\n", "@ get -s store b k");
}

static void needed_operands_are_literal(void **state) {
    (void)state;
    expect(0, "", "% set b --json --hex");
    expect(0, "--hex\n", "% get b --json");
    expect(0, "", "% set -- b k -x");
    expect_error(64, "too many", "% set -- b k -x --json");
    sh("% set b k -- --json");
    assert_int_equal(json_lines(), 1);
    expect(0, "--\n", "% get b k");
    expect(0, "-5\n", "% incr b n -5");
    sh("% incr b n -5 --json");
    assert_int_equal(json_number(0, "value"), -10);
    expect(0, "2\n", "% sadd b s a -- --json");
    expect(0, "--json\na\n", "% smembers b s");
    expect(0, "--json\n", "% smembers b s -- --j");
    sh("% -- sadd b s a c --json"); /* a "--" before the verb ends nothing */
    assert_int_equal(json_number(0, "added"), 1);
}

static void dash_reads_standard_input(void **state) {
    (void)state;
    expect(0, "", "printf 'a\\000b\\n' | % set b in -");
    expect(0, "6100620a\n", "% get --hex b 696e");
    expect(0, "1\n", "printf 'x\\ny' | % sadd b lines -");
    expect(0, "x\\x0ay\n", "% smembers b lines");
    expect_error(65, "value", "head -c 1048577 /dev/zero | % set b big -");
    expect(0, "", "head -c 1048576 /dev/zero | % set b big -");
    expect(0, "1048576\n", "% get --raw b big | wc -c");
}

static void hex_is_strict(void **state) {
    (void)state;
    expect(0, "", "% set --hex b 00ff 0AbC");
    expect(0, "0abc\n", "% get --hex b 00Ff");
    expect_error(64, "hex digits", "% get --hex b 0");
    expect_error(64, "hex digits", "% get --hex b 0g");
    expect_error(64, "hex digits", "% set --hex b 00 zz");
}

static void wrong_calls_name_the_fix(void **state) {
    (void)state;
    expect_error(64, "help", "% nonsense");
    expect_error(64, "--nonsense", "% get --nonsense b k");
    expect_error(64, "edgecrdt -s DIR get", "% get b");
    expect_error(64, "one operand too many", "% get b k more");
    expect_error(64, "not an option of get", "% get --limits b k");
    expect_error(64, "wants a value", "@ -s");
    expect_error(64, "EDGECRDT_STORE", "@ get b k");
    expect_error(64, "EDGECRDT_STORE", "EDGECRDT_STORE= @ get b k");
    expect_error(64, "whole number", "% incr b n 1.5");
    expect_error(64, "whole number", "% incr b n 9223372036854775808");
    expect_error(64, "500M", "@ -s new init --max-bytes 0");
    expect_error(64, "500M", "@ -s new init --max-bytes 9999999T");
    expect_error(64, "choose one", "@ -s new init --relaxed --full");
    expect_error(64, "seconds", "% sync --timeout 0 x");
    expect_error(64, "register, set or counter", "% keys --type map b");
    expect_error(66, "init", "@ -s nowhere get b k");
    sh("@");
    assert_int_equal(code, 64);
}

static void times_and_sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0},           {"0s", 0},       {"5ms", 5},
                {"90s", 90000},     {"15m", 900000}, {"12h", 43200000},
                {"30d", 2592000000}};
    static const char *const bad[] = {
        "", "5", "s", "-5s", "5 s", "5x", "1.5s", " 5s", "99999999999999d"};
    uint64_t v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[32];
        assert_true(args_duration(good[i].text, &v));
        assert_int_equal(v, good[i].ms);
        out_duration(text, v);
        if (v)
            assert_string_equal(text, good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(args_duration(bad[i], &v));
    assert_true(args_size("4M", &v));
    assert_int_equal(v, 4 << 20);
    assert_false(args_size("0", &v));
    assert_false(args_size("5 ", &v)); /* a blank is no unit */
}

static void numbers_are_strict(void **state) {
    (void)state;
    int64_t v;
    assert_true(args_int64("-9223372036854775808", &v) && v == INT64_MIN);
    assert_true(args_int64("+7", &v) && v == 7);
    assert_true(args_int64("0", &v) && v == 0);
    const char *const bad[] = {"", "-", "+", " 1", "1 ", "0x1", "--1", "1e3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(args_int64(bad[i], &v));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_before_or_after),
        cmocka_unit_test(needed_operands_are_literal),
        cmocka_unit_test(dash_reads_standard_input),
        cmocka_unit_test(hex_is_strict),
        cmocka_unit_test(wrong_calls_name_the_fix),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(times_and_sizes),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

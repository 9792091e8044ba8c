/* test_verbs_data.c: registers and counters from the command line. */
#include "tests/cli/run.h"

static void registers(void **state) {
    (void)state;
    expect(0, "", "% init >/dev/null");
    expect(1, "", "% get b k");
    expect(1, "", "% del b k");
    expect(1, "", "% siblings b k");
    assert_string_equal(err, "");
    expect(0, "", "% set b k v1 && % set b k 'v 2'");
    expect(0, "v 2\n", "% get b k");
    expect(0, "v 2", "% get --raw b k");
    expect(0, "", "% set b empty ''");
    expect(0, "\n", "% get b empty");
    sh("% siblings --json b k");
    assert_int_equal(json_lines(), 1);
    assert_string_equal(json_text(0, "value"), "v 2");
    assert_int_equal(json_number(0, "read"), 1);
    expect(0, "", "% del b k");
    expect(1, "", "% get b k");
}

static void counters(void **state) {
    (void)state;
    expect(1, "", "% count b c");
    expect(1, "", "% reset b c");
    expect(0, "1\n", "% incr b c");
    expect(0, "42\n", "% incr b c 41");
    expect(0, "40\n", "% incr b c -2");
    expect(0, "40\n", "% count b c");
    sh("% count --json b c");
    assert_int_equal(json_number(0, "value"), 40);
    expect_error(65, "int64", "% incr b c 9223372036854775807");
    expect(0, "40\n", "% count b c");
    expect(0, "", "% reset b c");
    sh("% count b c");
    assert_true(code == 1 || !strcmp(out, "0\n"));
}

static void json_of_writes(void **state) {
    (void)state;
    sh("% set --json b j v");
    assert_int_equal(json_number(0, "set"), 1);
    sh("% del --json b j");
    assert_int_equal(json_number(0, "deleted"), 1);
    sh("% del --json b j");
    assert_int_equal(code, 1);
    assert_int_equal(json_number(0, "deleted"), 0);
    sh("% incr --json b j 3");
    assert_int_equal(json_number(0, "value"), 3);
    sh("% reset --json b j");
    assert_int_equal(json_number(0, "reset"), 1);
}

static void limits_are_told(void **state) {
    (void)state;
    expect_error(64, "bucket", "% set '' k v");
    expect_error(64, "bucket",
                 "% set $(head -c 65 /dev/zero | "
                 "tr '\\0' b) k v");
    expect(0, "", "% set $(head -c 64 /dev/zero | tr '\\0' b) k v");
    expect_error(65, "1024",
                 "% set b $(head -c 1025 /dev/zero | "
                 "tr '\\0' k) v");
    expect(0, "", "% set b $(head -c 1024 /dev/zero | tr '\\0' k) v");
}

static void concurrent_values_are_siblings(void **state) {
    (void)state;
    sh("@ -s two init >/dev/null && % set c k here && @ -s two set c k there "
       "&& @ -s two export | % import");
    assert_int_equal(code, 0);
    sh("% siblings --json c k");
    assert_int_equal(json_lines(), 2);
    assert_int_equal(json_number(0, "read"), 1);
    assert_int_equal(json_number(1, "read"), 0);
    assert_string_equal(json_text(0, "value"), "there");
    assert_string_equal(json_text(1, "value"), "here");
    expect(0, "there\n", "% get c k");
    sh("% set c k settled && % siblings c k | wc -l");
    assert_int_equal(atoi(out), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers),
        cmocka_unit_test(counters),
        cmocka_unit_test(json_of_writes),
        cmocka_unit_test(limits_are_told),
        cmocka_unit_test(concurrent_values_are_siblings),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

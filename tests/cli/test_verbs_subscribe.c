/* test_verbs_subscribe.c: what the store holds: listed, changed, compared. */
#include "tests/cli/run.h"

static void without_words_all_is_held(void **state) {
    (void)state;
    sh("% init");
    expect(0, "(others)\tall\n", "% subscribe");
}

static void prefixes_of_a_bucket(void **state) {
    (void)state;
    expect(0, "", "% subscribe b user/ org/ user/1");
    expect(0, "", "% subscribe c");
    expect(0, "", "% unsubscribe d");
    expect(0, "", "% unsubscribe --others");
    expect(0,
           "b\tprefixes\torg/\tuser/\nc\tall\nd\tnothing\n"
           "(others)\tnothing\n",
           "% subscribe");
    sh("% subscribe --json");
    assert_int_equal(json_lines(), 4);
    assert_string_equal(json_text(0, "bucket"), "b");
    assert_string_equal(json_text(0, "holds"), "prefixes");
    assert_non_null(strstr(out, "\"prefixes\":[\"org/\",\"user/\"]"));
    assert_non_null(strstr(out, "\"leaving\":false"));
    expect(0, "", "% subscribe --hex b ff00 61");
    sh("% subscribe");
    assert_non_null(strstr(out, "b\tprefixes\ta\t\\xff\\x00\n"));
}

static void what_is_left_is_told(void **state) {
    (void)state;
    sh("% set b user/1 v && % set b org/1 v");
    sh("% subscribe b user/");
    assert_int_equal(code, 1);
    assert_non_null(strstr(err, "meets a core"));
    sh("% subscribe --json");
    assert_non_null(strstr(out, "\"leaving\":true"));
    expect(0, "v\n", "% get b org/1"); /* nothing is lost */
    expect(0, "", "% subscribe b");
}

static void digests_of_prefixes(void **state) {
    (void)state;
    sh("% digest b user/ && % digest b x");
    assert_int_equal(code, 0);
    char *line = strchr(out, '\n');
    assert_non_null(line);
    assert_memory_not_equal(out, line + 1, 34);
    assert_string_equal(line + 1, "b\t00000000000000000000000000000000\n");
    sh("a=$(% digest b user/) && b=$(% digest --hex b 757365722f) && "
       "[ \"$a\" = \"$b\" ]");
    assert_int_equal(code, 0);
}

static void wrong_calls(void **state) {
    (void)state;
    expect_error(64, "one of both", "% unsubscribe");
    expect_error(64, "one of both", "% unsubscribe b --others");
    expect_error(64, "one of both", "% subscribe b --others");
    expect_error(64, "prefix of 0 bytes", "% subscribe b ''");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_words_all_is_held),
        cmocka_unit_test(prefixes_of_a_bucket),
        cmocka_unit_test(what_is_left_is_told),
        cmocka_unit_test(digests_of_prefixes),
        cmocka_unit_test(wrong_calls),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

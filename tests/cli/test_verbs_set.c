/* test_verbs_set.c: OR-sets from the command line. */
#include "tests/cli/run.h"

static void adds_and_removes(void **state) {
    (void)state;
    expect(0, "", "% init >/dev/null");
    expect(1, "", "% smembers b s");
    expect(1, "0\n", "% scard b s");
    expect(1, "", "% sismember b s x");
    expect(0, "3\n", "% sadd b s x y z");
    expect(0, "1\n", "% sadd b s x w");
    expect(0, "w\nx\ny\nz\n", "% smembers b s");
    expect(0, "4\n", "% scard b s");
    expect(0, "", "% sismember b s x");
    expect(0, "2\n", "% srem b s x y nothing");
    expect(1, "0\n", "% srem b s x");
    expect(0, "w\nz\n", "% smembers b s");
    expect(0, "2\n", "% sclear b s");
    expect(1, "0\n", "% sclear b s");
    expect(1, "", "% smembers b s");
}

static void members_by_prefix(void **state) {
    (void)state;
    expect(0, "4\n", "% sadd b p a ab abc b");
    expect(0, "ab\nabc\n", "% smembers b p ab");
    expect(1, "", "% smembers b p x");
    expect(0, "1\n", "% sadd b p ''");
    expect(0, "\na\nab\nabc\nb\n", "% smembers b p");
}

static void json_rows(void **state) {
    (void)state;
    sh("% sadd --json b j one");
    assert_int_equal(json_number(0, "added"), 1);
    sh("% smembers --json b j");
    assert_string_equal(json_text(0, "element"), "one");
    assert_string_equal(json_text(0, "bucket"), "b");
    assert_string_equal(json_text(0, "key"), "j");
    sh("% sismember --json b j one");
    assert_int_equal(json_number(0, "member"), 1);
    sh("% sismember --json b j two");
    assert_int_equal(code, 1);
    assert_int_equal(json_number(0, "member"), 0);
    sh("% scard --json b j");
    assert_int_equal(json_number(0, "size"), 1);
    sh("% srem --json b j one");
    assert_int_equal(json_number(0, "removed"), 1);
    sh("% sclear --json b j");
    assert_int_equal(json_number(0, "removed"), 0);
}

/* All elements of a call or none. */
static void too_large_an_element_changes_nothing(void **state) {
    (void)state;
    expect(0, "", "head -c 65537 /dev/zero >big; : ");
    expect_error(65, "65536", "% sadd b t first - <big");
    expect(1, "", "% smembers b t");
    expect(0, "2\n", "head -c 65536 big | % sadd b t first -");
}

static void add_wins(void **state) {
    (void)state;
    sh("% sadd w s x && @ -s two init >/dev/null && % export | @ -s two "
       "import && % srem w s x && @ -s two sadd w s x && @ -s two export | % "
       "import");
    assert_int_equal(code, 0);
    expect(0, "", "% sismember w s x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_and_removes),
        cmocka_unit_test(members_by_prefix),
        cmocka_unit_test(json_rows),
        cmocka_unit_test(too_large_an_element_changes_nothing),
        cmocka_unit_test(add_wins),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

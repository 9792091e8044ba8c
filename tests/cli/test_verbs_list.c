/* test_verbs_list.c: buckets, keys, dump and digest. */
#include "tests/cli/run.h"

static void an_empty_store(void **state) {
    (void)state;
    expect(0, "", "% init >/dev/null");
    expect(0, "", "% buckets");
    expect(1, "", "% keys b");
    expect(0, "", "% dump");
    expect(0, "", "% digest");
    expect(0, "none\t00000000000000000000000000000000\n", "% digest none");
}

static void fill(void) {
    sh("% set z r v && % sadd a s e1 e2 && % incr a c 7 && % set a r 1234 && "
       "% set a s both");
    assert_int_equal(code, 0);
}

static void keys_in_order(void **state) {
    (void)state;
    fill();
    expect(0, "a\nz\n", "% buckets");
    sh("% --json buckets");
    assert_int_equal(json_lines(), 2);
    expect(0, "c\nr\ns\ns\n", "% keys a");
    expect(0, "s\n", "% keys --type set a");
    expect(0, "s\ns\n", "% keys a s");
    expect(0, "counter\t7\tc\nset\t2\ts\n",
           "% keys --long --type counter --type set a");
    expect(0, "register\t4\tr\nregister\t4\ts\n",
           "% keys --long --type register a");
    sh("% keys --json a c");
    assert_int_equal(json_number(0, "value"), 7);
    assert_string_equal(json_text(0, "type"), "counter");
    expect(1, "", "% keys a nothing");
}

static void dump_has_every_live_item(void **state) {
    (void)state;
    sh("% dump");
    assert_int_equal(code, 0);
    assert_memory_equal(out, "a\tcounter\tc\t7\t-\t-\n", 18);
    assert_non_null(strstr(out, "a\tset\ts\te1\t-\t-\na\tset\ts\te2\t-\t-\n"));
    assert_non_null(strstr(out, "a\tregister\tr\t1234\t"));
    assert_non_null(strstr(out, "z\tregister\tr\tv\t"));
    sh("% dump --json");
    assert_int_equal(json_lines(), 6);
    sh("% dump --json | grep '\"key\":\"r\"' | grep '\"bucket\":\"z\"'");
    assert_string_equal(json_text(0, "value"), "v");
    assert_int_equal(strlen(json_text(0, "by")), 32);
    sh("% dump --msgpack | wc -c");
    assert_true(atoi(out) > 200);
    sh("% dump --msgpack --out packed && % dump --msgpack | cmp - packed");
    assert_int_equal(code, 0);
    expect_error(64, "choose one", "% dump --json --msgpack");
    expect_error(64, "--msgpack", "% dump --out x");
}

static void digests_tell_content(void **state) {
    (void)state;
    sh("% digest");
    assert_int_equal(out_len, 2 * (2 + 32 + 1));
    char *one = strdup(out);
    sh("@ -s two init >/dev/null && % export | @ -s two import >/dev/null && "
       "@ -s two digest");
    assert_string_equal(out, one);
    sh("@ -s two incr a c >/dev/null; @ -s two digest");
    assert_string_not_equal(out, one);
    sh("% digest --json a");
    assert_int_equal(strlen(json_text(0, "digest")), 32);
    assert_int_equal(json_number(0, "settled"), 1);
    free(one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_store),
        cmocka_unit_test(keys_in_order),
        cmocka_unit_test(dump_has_every_live_item),
        cmocka_unit_test(digests_tell_content),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

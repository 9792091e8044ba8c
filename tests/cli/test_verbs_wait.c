/* test_verbs_wait.c: --receipt of the verbs that write, and wait. */
#include "tests/cli/run.h"

static void every_write_has_a_receipt(void **state) {
    static const char *const verbs[] = {
        "set --receipt b k v", "del --receipt b k",      "incr --receipt b n",
        "reset --receipt b n", "sadd --receipt b s x y", "srem --receipt b s x",
        "sclear --receipt b s"};
    (void)state;
    sh("% init");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        char command[200];
        snprintf(command, sizeof command, "%% %s", verbs[i]);
        sh(command);
        assert_int_equal(code, 0);
        assert_true(out_len >= 97 && out[out_len - 1] == '\n');
        assert_int_equal(strspn(out + out_len - 97, "0123456789abcdef"), 96);
        snprintf(command, sizeof command, "%% wait %.96s", out + out_len - 97);
        expect(0, "", command);
        snprintf(command, sizeof command, "%% --json %s", verbs[i]);
        sh(command);
        assert_non_null(strstr(out, "\"receipt\":\""));
    }
    expect(0, "", "% set b k v"); /* nobody asked */
}

static void waiting_says_what_is_missing(void **state) {
    (void)state;
    sh("R=$(% set --receipt b k v) && @ -s other init && "
       "@ -s other wait --timeout 0.05 $R");
    assert_int_equal(code, 1);
    assert_non_null(strstr(err, "not here after 50 ms"));
    sh("R=$(% set --receipt b k v) && % wait --core --timeout 0.05 $R");
    assert_int_equal(code, 1);
    assert_non_null(strstr(err, "not known to be at a core"));
    sh("R=$(% set --receipt b k v) && % --json wait --peers 2 --timeout 0.05 "
       "$R");
    assert_int_equal(code, 1);
    assert_string_equal(out, "{\"fulfilled\":false}\n");
    sh("R=$(% set --receipt b k v) && % --json wait --here $R");
    assert_string_equal(out, "{\"fulfilled\":true}\n");
}

static void the_call_is_checked(void **state) {
    (void)state;
    expect_error(64, "a receipt is 96 hex digits", "% wait abc");
    expect_error(64, "a receipt is 96 hex digits",
                 "% wait $(printf '%%096d' 0 | tr 0 g)");
    expect_error(64, "not a receipt", "% wait $(printf '%%096d' 0)");
    expect_error(64, "a number of peers", "% wait --peers 0 x");
    expect_error(64, "a number of peers", "% wait --peers many x");
    expect_error(64, "not an option of get", "% get --receipt b k");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_write_has_a_receipt),
        cmocka_unit_test(waiting_says_what_is_missing),
        cmocka_unit_test(the_call_is_checked),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

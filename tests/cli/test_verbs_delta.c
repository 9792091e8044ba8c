/* test_verbs_delta.c: summary, export and import. */
#include "tests/cli/run.h"

static void two_stores_converge(void **state) {
    (void)state;
    sh("% init >/dev/null && @ -s two init >/dev/null && % set b k v && "
       "@ -s two sadd b s x >/dev/null");
    assert_int_equal(code, 0);
    sh("@ -s two summary | % export --summary - | @ -s two import");
    assert_int_equal(code, 0);
    assert_non_null(strstr(out, "applied                1\n"));
    sh("% summary --out sum && @ -s two export --since sum --out delta && "
       "% import --json delta");
    assert_int_equal(json_number(0, "applied"), 1);
    assert_int_equal(json_number(0, "refused"), 0);
    sh("% import --json delta");
    assert_int_equal(code, 0);
    assert_int_equal(json_number(0, "applied"), 0);
    assert_int_equal(json_number(0, "known"), 1);
    sh("% digest >d1 && @ -s two digest | cmp - d1");
    assert_int_equal(code, 0);
}

static void nothing_new_is_small(void **state) {
    (void)state;
    sh("% summary | % export --summary - | wc -c");
    assert_true(atoi(out) < 300);
    sh("% summary | % export --summary - | % import --json");
    assert_int_equal(code, 0);
    assert_int_equal(json_number(0, "applied"), 0);
}

static void json_carries_hex(void **state) {
    (void)state;
    sh("% summary --json");
    json_t *j = json_line(0);
    const json_t *v = json_object_get(json_object_get(j, "summary"), "hex");
    assert_true(strlen(json_string_value(v)) > 10);
    json_decref(j);
    sh("% export --json");
    assert_int_equal(code, 0);
    assert_int_equal(json_number(0, "more"), 0);
    assert_true(json_number(0, "bytes") > 10);
}

/* Small pieces until nothing remains. */
static void large_exports_go_in_pieces(void **state) {
    (void)state;
    sh("for i in 1 2 3 4 5 6 7 8; do head -c 3000 /dev/urandom | "
       "% set big k$i -; done; @ -s three init >/dev/null; n=0; more=1; "
       "while [ $more = 1 ] && [ $n -lt 100 ]; do @ -s three summary "
       "--out s$n; % export --summary s$n --max-bytes 4K --out p$n 2>e$n; "
       "more=$?; @ -s three import p$n >/dev/null || exit 9; n=$((n + 1)); "
       "done; echo $n $more; grep -c 'more remains' e0");
    assert_int_equal(code, 0);
    assert_true(atoi(out) >= 4);
    assert_non_null(strstr(out, " 0\n1\n"));
    sh("% digest >d1 && @ -s three digest | cmp - d1");
    assert_int_equal(code, 0);
}

static void bad_input_is_refused(void **state) {
    (void)state;
    expect_error(65, "", "echo nonsense | % import");
    expect_error(66, "nowhere", "% import nowhere");
    expect_error(66, "nowhere", "% export --summary nowhere");
    expect_error(65, "is empty", "% export --summary /dev/null");
    sh("echo nonsense | % export --summary -");
    assert_true(code == 64 || code == 65);
    sh("% export --out whole && head -c 100 whole | % import");
    assert_int_equal(code, 65);
    sh("% verify");
    assert_int_equal(code, 0);
}

static void what_is_not_held_is_named(void **state) {
    (void)state;
    sh("% set far k v && % export --out far && @ -s part init >/dev/null && "
       "@ -s part unsubscribe far >/dev/null && "
       "@ -s part import --json far 2>&1");
    assert_int_equal(code, 0);
    assert_non_null(strstr(out, "outside of what this store holds"));
    sh("@ -s part import --json far 2>/dev/null");
    assert_int_equal(json_number(0, "applied"), 0);
    assert_int_equal(json_number(0, "foreign"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_stores_converge),
        cmocka_unit_test(nothing_new_is_small),
        cmocka_unit_test(json_carries_hex),
        cmocka_unit_test(large_exports_go_in_pieces),
        cmocka_unit_test(what_is_not_held_is_named),
        cmocka_unit_test(bad_input_is_refused),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

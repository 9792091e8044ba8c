/* test_verbs_gc.c: gc, setting, retire and fold. */
#include "tests/cli/run.h"

static void markers_go(void **state) {
    (void)state;
    sh("% init && % set b k v && % set b l v && % del b k && % del b l");
    assert_int_equal(code, 0);
    sh("% gc --json");
    assert_int_equal(code, 0);
    assert_int_equal(json_number(0, "tombstones"), 0);
    sh("% gc --retention 0 --json");
    assert_int_equal(json_number(0, "tombstones"), 2);
    assert_int_equal(json_number(0, "more"), 0);
    assert_true(json_number(0, "bytes") > 100);
    sh("% stat --json");
    assert_int_equal(json_number(0, "tombstones"), 0);
    assert_int_equal(json_number(0, "gc_tombstones"), 2);
    assert_int_equal(json_number(0, "floor_lag_ms"), 0);
    assert_true(json_number(0, "reclaimable_bytes") > 0);
    sh("% stat");
    assert_non_null(strstr(out, "  kept for             30d\n"));
    assert_non_null(strstr(out, "  dropped so far       2\n"));
    sh("% gc");
    assert_non_null(strstr(out, "tombstones dropped     0\n"));
    expect_error(64, "--retention wants a time", "% gc --retention soon");
    expect_error(64, "--budget wants a time", "% gc --budget 5x");
    expect_error(64, "not an option", "% get --budget 5s b k");
}

static void settings(void **state) {
    (void)state;
    expect(0, "gc-retention           30d\nlog-cap                4.0 MiB\n",
           "% setting");
    expect(0, "gc-retention           90s\n", "% setting gc-retention 90s");
    expect(0, "gc-retention           90s\n", "% setting gc-retention");
    expect(0, "log-cap                64.0 KiB\n", "% setting log-cap 64K");
    sh("% setting --json");
    assert_int_equal(json_lines(), 2);
    assert_int_equal(json_number(0, "value"), 90000);
    assert_string_equal(json_text(1, "name"), "log-cap");
    assert_string_equal(json_text(1, "unit"), "bytes");
    expect_error(65, "log-cap is 4096 to", "% setting log-cap 1");
    expect_error(64, "wants a size", "% setting log-cap much");
    expect_error(64, "wants a time", "% setting gc-retention 5");
    expect_error(64, "no setting \"retention\"", "% setting retention 5s");
}

static void a_store_retires_and_is_folded(void **state) {
    (void)state;
    sh("@ -s o init && % incr b n 2 && @ -s o incr b n 5");
    sh("@ -s o retire --json");
    assert_int_equal(code, 0);
    char *was = strdup(json_text(0, "retired"));
    assert_string_not_equal(was, json_text(0, "node"));
    free(was);
    sh("@ -s o export | % import");
    expect_error(64, "is not the heir", "% fold");
    sh("% fold --claim --json");
    assert_int_equal(json_number(0, "entries"), 1);
    assert_int_equal(json_number(0, "removed"), 0);
    expect(0, "7\n", "% count b n");
    expect(0, "entries folded         0\nof them, removed       0\n",
           "% fold --all");
    sh("% setting gc-retention 0s");
    expect(0, "entries folded         1\nof them, removed       1\n", "% fold");
    expect(0, "7\n", "% count b n");
    expect_error(64, "is the heir", "% retire");
    expect(0, "sound\n", "% verify");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markers_go),
        cmocka_unit_test(settings),
        cmocka_unit_test(a_store_retires_and_is_folded),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

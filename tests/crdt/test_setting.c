/* test_setting.c: settings of a store: defaults, bounds, and that other
 * handles go by them. */
#include "crdt/setting.h"
#include "crdt/dotlog.h"
#include "crdt/gc.h"
#include "tests/crdt/kit.h"

static uint64_t get(size_t i, enum ecrdt_setting which) {
    uint64_t v;
    assert_ok(ecrdt_setting_get(kit(i), which, &v));
    return v;
}

static void defaults_and_changes(void **state) {
    (void)state;
    assert_int_equal(get(0, ECRDT_GC_RETENTION_MS), GC_RETENTION_MS);
    assert_int_equal(get(0, ECRDT_LOG_CAP_BYTES), DOTLOG_CAP_BYTES);
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_GC_RETENTION_MS, 1000));
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_LOG_CAP_BYTES, 1 << 20));
    kit_close(0);
    kit_open(0, 0);
    assert_int_equal(get(0, ECRDT_GC_RETENTION_MS), 1000);
    assert_int_equal(get(0, ECRDT_LOG_CAP_BYTES), 1 << 20);
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_GC_RETENTION_MS, 0));
    assert_int_equal(get(0, ECRDT_GC_RETENTION_MS), 0);
    assert_int_equal(get(1, ECRDT_GC_RETENTION_MS), GC_RETENTION_MS);
    kit_sound(0);
}

static void what_is_out_of_bounds(void **state) {
    (void)state;
    uint64_t v;
    assert_code(ECRDT_ERANGE,
                ecrdt_setting_set(kit(0), ECRDT_LOG_CAP_BYTES, 4095));
    assert_non_null(strstr(ecrdt_errmsg(), "log-cap is 4096 to"));
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_LOG_CAP_BYTES, 4096));
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_LOG_CAP_BYTES, DOTLOG_CAP_MAX));
    assert_code(ECRDT_ERANGE, ecrdt_setting_set(kit(0), ECRDT_LOG_CAP_BYTES,
                                                DOTLOG_CAP_MAX + 1u));
    assert_code(ECRDT_ERANGE,
                ecrdt_setting_set(kit(0), ECRDT_GC_RETENTION_MS, UINT64_MAX));
    assert_code(ECRDT_EINVAL, ecrdt_setting_set(kit(0), 0, 1));
    assert_code(ECRDT_EINVAL, ecrdt_setting_get(kit(0), 99, &v));
    assert_code(ECRDT_EINVAL,
                ecrdt_setting_get(kit(0), ECRDT_LOG_CAP_BYTES, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_setting_get(NULL, ECRDT_LOG_CAP_BYTES, &v));
}

static void names(void **state) {
    (void)state;
    assert_string_equal(setting_name(ECRDT_GC_RETENTION_MS), "gc-retention");
    assert_string_equal(setting_name(ECRDT_LOG_CAP_BYTES), "log-cap");
    assert_null(setting_name(0));
    assert_null(setting_name(ECRDT_LOG_CAP_BYTES + 1));
}

static uint64_t log_bytes(size_t i) {
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(i), &st));
    return st.log_bytes;
}

static void put_many(int n) {
    char key[16];
    for (int k = 0; k < n; k++) {
        snprintf(key, sizeof key, "%06d", k);
        kit_set(0, key, "v");
    }
}

/* A smaller cap trims the log with the next record that closes. */
static void the_log_keeps_to_its_cap(void **state) {
    (void)state;
    put_many(1000);
    assert_true(log_bytes(0) > 3 * 4096);
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_LOG_CAP_BYTES, 4096));
    put_many(DOTLOG_RECORD_ENTRIES);
    assert_true(log_bytes(0) <= 4096 + DOTLOG_RECORD_BYTES);
    kit_sound(0);
    kit_pull(1, 0);
    kit_same_digest(0, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(defaults_and_changes),
        kit_test(what_is_out_of_bounds),
        kit_test(names),
        kit_test(the_log_keeps_to_its_cap),
    };
    return TEST_RUN(tests);
}

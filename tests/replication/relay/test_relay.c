/* test_relay.c: exit statuses of checks and of failed starts; a running relay
 * is what tests/net/operator.sh is about. */
#include "replication/relay/relay.h"
#include "tests/support/test.h"
#include <sys/stat.h>
#include <unistd.h>

static char *dir;

static int setup(void **state) {
    uint8_t seed[32] = {1};
    (void)state;
    dir = tmpdir_make();
    assert_ok(identity_create(path_join(dir, "key"), seed));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tmpdir_remove(dir);
    return 0;
}

/* A configuration in dir with one more line. */
static const char *conf(const char *key, const char *line) {
    static char path[512];
    char text[2048];
    snprintf(path, sizeof path, "%s", path_join(dir, "conf"));
    int n = snprintf(text, sizeof text,
                     "store = \"%s/store\"\nkey_file = \"%s/%s\"\n%s\n", dir,
                     dir, key, line);
    file_write(path, text, (size_t)n);
    return path;
}

static void checks_change_nothing(void **state) {
    (void)state;
    assert_int_equal(relay_check(conf("key", "")), RELAY_OK);
    assert_int_equal(access(path_join(dir, "store"), F_OK), -1);
    assert_int_equal(relay_check(conf("key", "nonsense")), RELAY_CONFIG);
    assert_int_equal(relay_check(conf("none", "")), RELAY_CONFIG);
    assert_int_equal(relay_check("/nonexistent"), RELAY_CONFIG);
    chmod(path_join(dir, "key"), 0644);
    assert_int_equal(relay_check(conf("key", "")), RELAY_NOPERM);
}

static void failed_starts_have_their_status(void **state) {
    (void)state;
    assert_int_equal(relay_run(conf("key", "role = \"x\"")), RELAY_CONFIG);
    assert_int_equal(relay_run(conf("key", "listen = {\"203.0.113.9:1\"}")),
                     RELAY_UNAVAILABLE);
    tmpdir_remove(dir);
    dir = tmpdir_make();
    uint8_t seed[32] = {1};
    assert_ok(identity_create(path_join(dir, "key"), seed));
    file_write(path_join(dir, "store"), "no folder", 9);
    assert_int_equal(relay_run(conf("key", "")), RELAY_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(checks_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_starts_have_their_status, setup,
                                        teardown),
    };
    return TEST_RUN(tests);
}

/* test_verbs_net.c: node keys, and the errors of sync; what sync does over a
 * wire is in tests/net. */
#include "tests/cli/run.h"

static void keys_are_made_and_read(void **state) {
    (void)state;
    sh("umask 022; @ key gen --out k1");
    assert_int_equal(code, 0);
    assert_int_equal(strncmp(out, "ed25519:", 8), 0);
    assert_int_equal(out_len, 8 + 43 + 1);
    char *pub = strdup(out);
    expect(0, pub, "@ key pub < k1");
    expect(0, pub, "@ key pub k1");
    expect(0, pub, "cat k1 | @ key pub");
    expect(0, "-rw-------\n", "ls -l k1 | cut -c 1-10");
    expect_error(73, "exists", "@ key gen --out k1");
    expect(0, pub, "@ key pub k1");
    sh("@ key gen --json --out k2");
    assert_string_equal(json_text(0, "file"), "k2");
    assert_string_not_equal(json_text(0, "key"), pub);
    free(pub);
}

/* A shell's redirection does not make a secret readable. */
static void a_redirected_key_is_private(void **state) {
    (void)state;
    sh("umask 022; @ key gen > k3 && @ key pub k3");
    assert_int_equal(code, 0);
    sh("@ key gen | @ key pub");
    assert_int_equal(code, 0);
    assert_int_equal(out_len, 8 + 43 + 1);
    expect_error(64, "--out", "@ key gen --json");
}

static void bad_keys_are_refused(void **state) {
    (void)state;
    expect_error(65, "key gen", "echo nonsense | @ key pub");
    expect_error(65, "key gen", "@ key pub");
    expect_error(66, "nowhere", "@ key pub nowhere");
    expect_error(64, "usage: edgecrdt key gen", "@ key");
    expect_error(64, "chmod 600", "chmod 644 k3 && @ key pub k3");
    expect_error(64, "gen or pub", "@ key sign");
    expect_error(64, "operand", "@ key");
}

static void sync_needs_a_key_and_a_peer(void **state) {
    (void)state;
    sh("% init");
    expect_error(64, "key gen", "% sync ed25519:x@@localhost");
    expect_error(64, "operand", "% sync");
    expect_error(64, "", "% sync --key k1 nonsense");
    expect_error(66, "nowhere",
                 "% sync --key nowhere "
                 "$(@ key pub k1)@@127.0.0.1:1");
    sh("% sync --timeout 1 --key k1 $(@ key gen --out k4)@@127.0.0.1:1");
    assert_true(code == 1 || code >= 74);
    assert_non_null(strstr(err, "edgecrdt: "));
    assert_non_null(strstr(err, "127.0.0.1"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_made_and_read),
        cmocka_unit_test(a_redirected_key_is_private),
        cmocka_unit_test(bad_keys_are_refused),
        cmocka_unit_test(sync_needs_a_key_and_a_peer),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

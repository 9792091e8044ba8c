/* test_help.c: the list of verbs, their pages, the exit codes, the version. */
#include "cli/cli.h"
#include "tests/cli/run.h"

/* No line of a help text is wider than a terminal. */
static void assert_narrow(void) {
    for (const char *p = out; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        if (strcspn(p, "\n") > 80)
            print_error("over 80 columns: %.*s\n", (int)strcspn(p, "\n"), p);
        assert_true(strcspn(p, "\n") <= 80);
    }
}

static void the_list_names_every_verb(void **state) {
    (void)state;
    sh("@ help");
    assert_int_equal(code, 0);
    assert_narrow();
    for (const struct verb *v = verbs; v->name; v++)
        if (v->run) {
            char text[64];
            snprintf(text, sizeof text, "\n  %s ", v->name);
            assert_non_null(strstr(out, text));
        }
    char *list = strdup(out);
    expect(0, list, "@ --help");
    expect(0, list, "@ -h");
    free(list);
}

static void every_verb_has_a_page(void **state) {
    (void)state;
    for (const struct verb *v = verbs; v->name; v++) {
        char command[64], usage[64];
        if (!v->run)
            continue;
        snprintf(command, sizeof command, "@ help %s", v->name);
        sh(command);
        assert_int_equal(code, 0);
        snprintf(usage, sizeof usage, "usage: edgecrdt %s%s",
                 v->use == USE_NONE ? "" : "-s DIR ", v->name);
        assert_non_null(strstr(out, usage));
        assert_narrow();
        char *page = strdup(out);
        snprintf(command, sizeof command, "@ %s --help", v->name);
        expect(0, page, command);
        free(page);
    }
    expect_error(64, "no page", "@ help nonsense");
    expect_error(64, "no page", "@ help ' '");
}

static void exit_codes_are_listed(void **state) {
    (void)state;
    sh("@ help exit");
    assert_int_equal(code, 0);
    assert_narrow();
    const char *const codes[] = {" 0 ",  " 1 ",  " 64 ", " 65 ",
                                 " 66 ", " 70 ", " 71 ", " 73 ",
                                 " 74 ", " 75 ", " 76 ", " 77 "};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_non_null(strstr(out, codes[i]));
}

static void version_is_the_librarys(void **state) {
    (void)state;
    char want[64];
    snprintf(want, sizeof want, "edgecrdt %s\n", ecrdt_version());
    expect(0, want, "@ --version");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_names_every_verb),
        cmocka_unit_test(every_verb_has_a_page),
        cmocka_unit_test(exit_codes_are_listed),
        cmocka_unit_test(version_is_the_librarys),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

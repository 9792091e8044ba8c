/* test_verbs.c: the table of verbs is whole, and no two rows share a name. */
#include "cli/cli.h"
#include "tests/cli/run.h"

static void rows_are_whole(void **state) {
    (void)state;
    int n = 0;
    for (const struct verb *v = verbs; v->name; v++) {
        if (!v->run)
            continue;
        n++;
        assert_true(*v->name && *v->summary);
        assert_true(strcmp(v->name, "help") == 0 || *v->help);
        assert_int_equal(strspn(v->operands, "wd|+"), strlen(v->operands));
        assert_true(strlen(v->help) == 0 ||
                    v->help[strlen(v->help) - 1] == '\n');
        assert_ptr_equal(verb_find(v->name), v);
        for (const struct verb *o = verbs; o < v; o++)
            assert_string_not_equal(o->name, v->name);
    }
    assert_true(n >= 30);
}

/* What the issue asks for. */
static void nothing_is_missing(void **state) {
    (void)state;
    static const char *const want[] = {
        "init",     "resize",    "buckets", "get",    "set",     "del",
        "siblings", "incr",      "count",   "reset",  "sadd",    "srem",
        "smembers", "sismember", "scard",   "sclear", "keys",    "dump",
        "export",   "import",    "summary", "backup", "restore", "verify",
        "digest",   "stat",      "key",     "peers",  "sync"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_non_null(verb_find(want[i]));
    assert_null(verb_find(" "));
    assert_null(verb_find(""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(nothing_is_missing),
    };
    return TEST_RUN(tests);
}

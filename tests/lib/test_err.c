/* test_err.c: the table of codes, the thread's last error, the NULL rule. */
#include "lib/err.h"
#include "tests/support/test.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>

#define ROW(name, value, text) {"ECRDT_" #name ": " text, value},
static const struct {
    const char *want;
    int code;
} table[] = {ECRDT_ERRORS(ROW)};
enum { ROWS = sizeof table / sizeof *table };

static void table_is_sound(void **state) {
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(table[i].code, -i); /* no gap, no double */
        const char *text = ecrdt_strerror(table[i].code);
        assert_string_equal(text, table[i].want);
        assert_null(strpbrk(text, "\n%"));
        assert_int_not_equal(text[strlen(text) - 1], '.');
    }
}

static void unknown_codes_have_a_text(void **state) {
    (void)state;
    const int codes[] = {1, -ROWS, -1000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_string_equal(ecrdt_strerror(codes[i]), "ECRDT_?: no such code");
}

static void nothing_failed_yet(void **state) {
    (void)state; /* runs first */
    assert_int_equal(ecrdt_errcode(), ECRDT_OK);
    assert_string_equal(ecrdt_errmsg(), "");
}

static void last_error_stays(void **state) {
    (void)state;
    assert_int_equal(err_set(ECRDT_EIO, "cannot read %s: %d", "x", 7),
                     ECRDT_EIO);
    assert_int_equal(ecrdt_errcode(), ECRDT_EIO);
    assert_string_equal(ecrdt_errmsg(), "cannot read x: 7");
    assert_int_equal(err_set(ECRDT_EFULL, "full"), ECRDT_EFULL);
    assert_int_equal(ecrdt_errcode(), ECRDT_EFULL);
    assert_string_equal(ecrdt_errmsg(), "full");
}

static void sentence_may_hold_the_one_before(void **state) {
    (void)state;
    err_set(ECRDT_EIO, "inner");
    err_set(ECRDT_EIO, "outer: %s", ecrdt_errmsg());
    assert_string_equal(ecrdt_errmsg(), "outer: inner");
}

static void long_sentence_is_cut(void **state) {
    (void)state;
    char text[2 * ERR_SENTENCE];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(ECRDT_EINVAL, "%s", text);
    assert_int_equal(strlen(ecrdt_errmsg()), ERR_SENTENCE - 1);
    text[ERR_SENTENCE - 1] = 0;
    assert_string_equal(ecrdt_errmsg(), text);
    err_set(ECRDT_EINVAL, "%s", text); /* exactly as long as fits */
    assert_string_equal(ecrdt_errmsg(), text);
}

static void success_is_no_error(void) {
    err_set(ECRDT_OK, "fine");
}

static void success_cannot_be_set(void **state) {
    (void)state;
    assert_true(aborts(success_is_no_error));
}

/* A chain of calls on NULL reports what went wrong first. */
static void *null_chain(void *failed) {
    *(int *)failed = 0;
    if (err_null("ecrdt_auto()") != ECRDT_EINVAL ||
        !strstr(ecrdt_errmsg(), "ecrdt_auto()"))
        *(int *)failed = 1;
    if (err_null("ecrdt_commit()") != ECRDT_EINVAL ||
        !strstr(ecrdt_errmsg(), "ecrdt_auto()"))
        *(int *)failed = 2;
    err_set(ECRDT_ECORRUPT, "cannot open");
    if (err_null("ecrdt_auto()") != ECRDT_ECORRUPT ||
        ecrdt_errcode() != ECRDT_ECORRUPT ||
        strcmp(ecrdt_errmsg(), "cannot open") != 0)
        *(int *)failed = 3;
    return NULL;
}

static void null_keeps_the_first_error(void **state) {
    (void)state; /* in a thread of its own: there nothing failed yet */
    pthread_t thread;
    int failed;
    assert_int_equal(pthread_create(&thread, NULL, null_chain, &failed), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(failed, 0);
}

static void threads_have_their_own(void **state) {
    (void)state;
    err_set(ECRDT_ERANGE, "mine");
    null_keeps_the_first_error(state);
    assert_int_equal(ecrdt_errcode(), ECRDT_ERANGE);
    assert_string_equal(ecrdt_errmsg(), "mine");
}

static void errno_becomes_a_code(void **state) {
    (void)state;
    static const struct {
        int errnum, code;
        const char *remedy;
    } rows[] = {
        {ENOSPC, ECRDT_EFULL, "; free space there"},
        {EDQUOT, ECRDT_EFULL, "; free space there"},
        {ENOMEM, ECRDT_ENOMEM, ""},
        {ENOENT, ECRDT_ENOENT, ""},
        {EROFS, ECRDT_ERDONLY,
         "; mount it for writing, or open the store with ECRDT_RDONLY"},
        {EIO, ECRDT_EIO, ""},
        {EACCES, ECRDT_EIO,
         "; whoever runs this needs the right to it, as its owner or by its "
         "group"},
        {EMFILE, ECRDT_EIO, "; raise the limit on open files"},
        {ENAMETOOLONG, ECRDT_EINVAL, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(err_errno(rows[i].errnum, "cannot open", "a/b"),
                         rows[i].code);
        char want[256];
        snprintf(want, sizeof want, "cannot open a/b: %s%s",
                 strerror(rows[i].errnum), rows[i].remedy);
        assert_string_equal(ecrdt_errmsg(), want);
    }
}

static void out_of_memory_names_the_size(void **state) {
    (void)state;
    assert_int_equal(err_nomem(12345), ECRDT_ENOMEM);
    assert_non_null(strstr(ecrdt_errmsg(), "12345 bytes"));
}

static void version_is_the_header_s(void **state) {
    (void)state;
    char want[64];
    snprintf(want, sizeof want, "%d.%d.%d", ECRDT_VERSION_MAJOR,
             ECRDT_VERSION_MINOR, ECRDT_VERSION_PATCH);
    assert_string_equal(ecrdt_version(), want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_failed_yet),
        cmocka_unit_test(table_is_sound),
        cmocka_unit_test(unknown_codes_have_a_text),
        cmocka_unit_test(last_error_stays),
        cmocka_unit_test(sentence_may_hold_the_one_before),
        cmocka_unit_test(long_sentence_is_cut),
        cmocka_unit_test(success_cannot_be_set),
        cmocka_unit_test(null_keeps_the_first_error),
        cmocka_unit_test(threads_have_their_own),
        cmocka_unit_test(errno_becomes_a_code),
        cmocka_unit_test(out_of_memory_names_the_size),
        cmocka_unit_test(version_is_the_header_s),
    };
    return TEST_RUN(tests);
}

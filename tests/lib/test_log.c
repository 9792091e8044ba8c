/* test_log.c: levels, the sink, and text made safe for logfmt. */
#include "lib/log.h"
#include "tests/support/test.h"
#include <string.h>

static struct {
    int calls, level;
    char line[LOG_LINE];
} got;

static void catch (int level, const char *logfmt, void *ctx) {
    assert_ptr_equal(ctx, &got);
    got.calls++;
    got.level = level;
    snprintf(got.line, sizeof got.line, "%s", logfmt);
}

static void silent_by_default(void **state) {
    (void)state; /* runs first */
    assert_false(log_wants(ECRDT_LOG_ERROR));
    log_line(ECRDT_LOG_ERROR, "msg=lost");
}

static void levels_are_kept(void **state) {
    (void)state;
    for (int max = ECRDT_LOG_ERROR; max <= ECRDT_LOG_DEBUG; max++) {
        ecrdt_set_log(catch, &got, max);
        for (int level = ECRDT_LOG_ERROR; level <= ECRDT_LOG_DEBUG; level++) {
            got.calls = 0;
            log_line(level, "msg=hello n=%d", level);
            assert_int_equal(got.calls, level <= max);
            assert_int_equal(log_wants(level), level <= max);
        }
    }
    assert_int_equal(got.level, ECRDT_LOG_DEBUG);
    assert_string_equal(got.line, "msg=hello n=3");
}

static void null_is_silence_again(void **state) {
    (void)state;
    ecrdt_set_log(catch, &got, ECRDT_LOG_DEBUG);
    ecrdt_set_log(NULL, NULL, ECRDT_LOG_DEBUG);
    got.calls = 0;
    log_line(ECRDT_LOG_ERROR, "msg=lost");
    assert_int_equal(got.calls, 0);
    assert_false(log_wants(ECRDT_LOG_ERROR));
}

static void long_line_is_cut(void **state) {
    (void)state;
    char text[2 * LOG_LINE];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    ecrdt_set_log(catch, &got, ECRDT_LOG_INFO);
    log_line(ECRDT_LOG_INFO, "%s", text);
    assert_int_equal(strlen(got.line), LOG_LINE - 1);
}

/* Wherever it is cut: text in quotes has its end, and no half escape. */
static void a_cut_quote_is_closed(void **state) {
    char pad[LOG_LINE];
    (void)state;
    ecrdt_set_log(catch, &got, ECRDT_LOG_INFO);
    for (size_t n = LOG_LINE - 12; n < LOG_LINE; n++) {
        memset(pad, 'x', n);
        pad[n] = 0;
        log_line(ECRDT_LOG_INFO, "%s=\"%s\"", pad, log_text("\"\"\"\"").s);
        size_t quotes = 0;
        for (const char *p = got.line; *p; p++)
            if (*p == '\\')
                assert_int_equal(*++p, '"');
            else
                quotes += *p == '"';
        assert_int_equal(quotes, n + 2 < LOG_LINE - 1 ? 2 : 0);
    }
}

static void text_is_escaped_in_place(void **state) {
    char text[2 * LOG_TEXT];
    (void)state;
    ecrdt_set_log(catch, &got, ECRDT_LOG_INFO);
    log_line(ECRDT_LOG_INFO, "msg=\"x\" peer=\"%s\" bucket=\"%s\"",
             log_text("a\" level=error b=\"").s, log_text("c\\\n").s);
    assert_string_equal(got.line, "msg=\"x\" peer=\"a\\\" level=error b=\\\"\" "
                                  "bucket=\"c\\\\\\x0a\"");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_in_range(strlen(log_text(text).s), LOG_TEXT - 6, LOG_TEXT - 1);
}

static void a_line_is_one_line(void **state) {
    (void)state;
    ecrdt_set_log(catch, &got, ECRDT_LOG_INFO);
    log_line(ECRDT_LOG_INFO, "msg=\"x\" bucket=\"%s\"", "a\nlevel=error \x7f");
    assert_string_equal(got.line, "msg=\"x\" bucket=\"a?level=error ?\"");
    log_error(ECRDT_LOG_INFO, "e", "msg=\"x\" bucket=\"%s\"", "a\n");
    assert_string_equal(got.line, "msg=\"x\" bucket=\"a?\" error=\"e\"");
}

static void errors_are_escaped(void **state) {
    char text[2 * LOG_LINE];
    (void)state;
    ecrdt_set_log(catch, &got, ECRDT_LOG_INFO);
    log_error(ECRDT_LOG_WARN, "not \"b\"\nmsg=\"x\"", "msg=\"no\" n=%d", 7);
    assert_int_equal(got.level, ECRDT_LOG_WARN);
    assert_string_equal(
        got.line, "msg=\"no\" n=7 error=\"not \\\"b\\\"\\x0amsg=\\\"x\\\"\"");
    memset(text, '"', sizeof text - 1);
    text[sizeof text - 1] = 0;
    log_error(ECRDT_LOG_INFO, text, "%s", text);
    size_t n = strlen(got.line);
    assert_in_range(n, LOG_LINE - 10, LOG_LINE - 1);
    assert_string_equal(got.line + n - 3, "\\\"\"");
    got.calls = 0;
    log_error(ECRDT_LOG_DEBUG, "e", "msg=\"no\"");
    assert_int_equal(got.calls, 0);
}

static void quotes_are_escaped(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"say \"hi\"", "say \\\"hi\\\""},
        {"a\\b", "a\\\\b"},
        {"two\nlines\t\x7f", "two\\x0alines\\x09\\x7f"},
        {"\xc3\xbc", "\xc3\xbc"}, /* UTF-8 passes */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[64];
        assert_ptr_equal(log_quote(out, sizeof out, rows[i].text), out);
        assert_string_equal(out, rows[i].want);
    }
}

/* Whatever the room: ends in a NUL, never past it, no half escape. */
static void quote_is_cut_to_fit(void **state) {
    (void)state;
    static const char text[] = "a\"\n\\b\x01\"\"\n";
    char whole[64];
    log_quote(whole, sizeof whole, text);
    for (size_t size = 1; size <= sizeof whole; size++) {
        char *out = malloc(size);
        assert_non_null(out);
        size_t n = strlen(log_quote(out, size, text));
        assert_true(n < size);
        assert_memory_equal(out, whole, n);
        size_t slashes = 0;
        while (slashes < n && out[n - 1 - slashes] == '\\')
            slashes++;
        assert_int_equal(slashes % 2, 0);
        free(out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent_by_default),
        cmocka_unit_test(levels_are_kept),
        cmocka_unit_test(null_is_silence_again),
        cmocka_unit_test(long_line_is_cut),
        cmocka_unit_test(a_cut_quote_is_closed),
        cmocka_unit_test(text_is_escaped_in_place),
        cmocka_unit_test(a_line_is_one_line),
        cmocka_unit_test(errors_are_escaped),
        cmocka_unit_test(quotes_are_escaped),
        cmocka_unit_test(quote_is_cut_to_fit),
    };
    return TEST_RUN(tests);
}

/* test_out.c: rows for people and as JSON, binary data, failing outputs. */
#include "cli/cli.h"
#include "tests/cli/run.h"

static void small_formats(void **state) {
    (void)state;
    char text[64];
    out_hex(text, (const uint8_t *)"\x00\xab\xff", 3);
    assert_string_equal(text, "00abff");
    out_time(text, 0);
    assert_string_equal(text, "-");
    out_time(text, 1700000000123);
    assert_string_equal(text, "2023-11-14T22:13:20.123Z");
    out_time(text, UINT64_MAX / 2);
    assert_true(strlen(text) < 32);
    out_size(text, 1023);
    assert_string_equal(text, "1023 bytes");
    out_size(text, 1536);
    assert_string_equal(text, "1.5 KiB");
    out_size(text, (uint64_t)64 << 30);
    assert_string_equal(text, "64.0 GiB");
}

static void people_see_no_control_characters(void **state) {
    (void)state;
    expect(0, "1\n",
           "% init >/dev/null; "
           "printf '\\033[1m\\ttab\\\\\\303\\251\\377' | "
           "% sadd b s -");
    expect(0, "\\x1b[1m\\x09tab\\x5c\303\251\\xff\n", "% smembers b s");
    expect(0, "\033[1m\ttab\\\303\251\377\n", "% smembers --raw b s");
    expect(0, "1b5b316d097461625cc3a9ff\n", "% smembers --hex b 73");
}

/* Sequences that only look like UTF-8. */
static void broken_utf8_is_escaped(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *shown;
    } cases[] = {
        {"\\300\\200", "\\xc0\\x80"},                     /* overlong */
        {"\\340\\200\\200", "\\xe0\\x80\\x80"},           /* overlong */
        {"\\355\\240\\200", "\\xed\\xa0\\x80"},           /* surrogate */
        {"\\364\\220\\200\\200", "\\xf4\\x90\\x80\\x80"}, /* too high */
        {"\\342\\202", "\\xe2\\x82"},                     /* cut off */
        {"\\302\\233", "\\xc2\\x9b"},                     /* C1 control */
        {"\\342\\202\\254", "\342\202\254"},              /* a euro sign */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[256], shown[64];
        snprintf(command, sizeof command,
                 "printf '%s' | %% sadd u k%zu - >k && %% smembers u k%zu",
                 cases[i].bytes, i, i);
        snprintf(shown, sizeof shown, "%s\n", cases[i].shown);
        expect(0, shown, command);
    }
}

static void json_tells_text_from_bytes(void **state) {
    (void)state;
    sh("% set b text 'a\"b' && printf '\\377\\000' | % set b bin - && "
       "% --json dump");
    assert_int_equal(code, 0);
    assert_true(json_lines() > 2);
    sh("% get --json b bin");
    json_t *j = json_line(0);
    const json_t *v = json_object_get(j, "value");
    assert_string_equal(json_string_value(json_object_get(v, "hex")), "ff00");
    json_decref(j);
    sh("% get --json b text");
    assert_string_equal(json_text(0, "value"), "a\"b");
    assert_int_equal(strlen(json_text(0, "by")), 32);
    assert_true(json_number(0, "wall_ms") > 1700000000000);
    (void)json_number(0, "logical");
}

static void a_full_output_is_an_error(void **state) {
    (void)state;
    sh("% get b text >/dev/full");
    assert_int_equal(code, 74);
    assert_non_null(strstr(err, "cannot write"));
    sh("% export --out nowhere/file");
    assert_int_equal(code, 73);
    sh("touch there && % export --out there");
    assert_int_equal(code, 73);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_formats),
        cmocka_unit_test(people_see_no_control_characters),
        cmocka_unit_test(broken_utf8_is_escaped),
        cmocka_unit_test(json_tells_text_from_bytes),
        cmocka_unit_test(a_full_output_is_an_error),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

/* test_subscription.c: what is held, as a value: canonical, strict, bounded. */
#include "crdt/subscription.h"
#include "tests/support/test.h"

static const slice abc[] = {{"c/", sizeof "c/" - 1},
                            {"a/", sizeof "a/" - 1},
                            {"a/b", sizeof "a/b" - 1},
                            {"c/", sizeof "c/" - 1}};

static void prefixes_are_sorted_and_needed(void **state) {
    struct held h = {0};
    slice p;
    size_t at = 0;
    (void)state;
    assert_ok(held_set(&h, abc, 4));
    assert_int_equal(held_next(&h, &at, &p), 1);
    assert_slice_equal(p, ECRDT_STR("a/"));
    assert_int_equal(held_next(&h, &at, &p), 1);
    assert_slice_equal(p, ECRDT_STR("c/"));
    assert_int_equal(held_next(&h, &at, &p), 0);
    held_free(&h);
}

static void limits(void **state) {
    static char many[SUBSCRIPTION_PREFIXES + 1][8];
    static slice list[SUBSCRIPTION_PREFIXES + 1];
    static char text[SUBSCRIPTION_PREFIX + 1];
    struct held h = {0};
    (void)state;
    for (int i = 0; i <= SUBSCRIPTION_PREFIXES; i++) {
        snprintf(many[i], sizeof many[i], "%05d", i);
        list[i] = slice_str(many[i]);
    }
    assert_ok(held_set(&h, list, SUBSCRIPTION_PREFIXES));
    assert_code(ECRDT_ETOOBIG, held_set(&h, list, SUBSCRIPTION_PREFIXES + 1));
    memset(text, 'x', sizeof text);
    list[0] = slice_of(text, SUBSCRIPTION_PREFIX);
    assert_ok(held_set(&h, list, 1));
    list[0].len++;
    assert_code(ECRDT_ETOOBIG, held_set(&h, list, 1));
    list[0].len = 0;
    assert_code(ECRDT_EINVAL, held_set(&h, list, 1));
    held_free(&h);
}

static void make(struct subscription *s) {
    *s = (struct subscription){.others = false};
    assert_ok(held_set(subscription_add(s, ECRDT_STR("a")), abc, 4));
    subscription_add(s, ECRDT_STR("b"))->kind = HELD_ALL;
    subscription_add(s, ECRDT_STR("c c"))->kind = HELD_NONE;
}

static int decode(const struct buf *b, struct subscription *s) {
    struct unpack u;
    *s = (struct subscription){0};
    unpack_init(&u, buf_slice(b));
    int rc = subscription_decode(&u, s);
    return rc < 0 ? rc : unpack_end(&u);
}

static void bytes_and_back(void **state) {
    struct subscription s, got;
    struct buf b = {0}, again = {0};
    (void)state;
    make(&s);
    subscription_encode(&b, &s);
    assert_ok(decode(&b, &got));
    assert_true(subscription_eq(&s, &got));
    subscription_encode(&again, &got);
    assert_slice_equal(buf_slice(&again), buf_slice(&b));
    subscription_free(&got);
    for (size_t n = 0; n < b.len; n++) {
        struct buf cut = {.data = b.data, .len = n};
        assert_code(ECRDT_ECORRUPT, decode(&cut, &got));
        subscription_free(&got);
    }
    struct rng r = rng_seed();
    for (int i = 0; i < 20000; i++) { /* any damage fails, or reads the same */
        size_t at = (size_t)rng_below(&r, b.len);
        uint8_t was = b.data[at];
        b.data[at] = (uint8_t)rng_below(&r, 256);
        if (decode(&b, &got) == 0) {
            buf_clear(&again);
            subscription_encode(&again, &got);
            assert_slice_equal(buf_slice(&again), buf_slice(&b));
        }
        subscription_free(&got);
        b.data[at] = was;
    }
    subscription_free(&s);
    buf_free(&b);
    buf_free(&again);
}

static void disorder_is_refused(void **state) {
    static const char *const bad[] = {
        "\x93\xc2\xc4\x01"
        "a",            /* no value */
        "\x92\xc2\xc0", /* an even array */
        "\x95\xc2\xc4\x01"
        "b\xc0\xc4\x01"
        "a\xc0", /* falling names */
        "\x93\xc2\xc4\x01"
        "a\x92\xc4\x01"
        "b\xc4\x01"
        "a",
        "\x93\xc2\xc4\x01"
        "a\x92\xc4\x01"
        "a\xc4\x02"
        "ab",
        "\x93\xc2\xc4\x00\xc0", /* no name */
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct subscription s;
        struct buf b = {0};
        buf_put(&b, bad[i], strlen(bad[i]) + (i == 5 ? 2 : 0));
        assert_code(ECRDT_ECORRUPT, decode(&b, &s));
        subscription_free(&s);
        buf_free(&b);
    }
}

static void in_words(void **state) {
    struct subscription s;
    char out[64], small[12];
    (void)state;
    make(&s);
    subscription_text(out, sizeof out, &s);
    assert_string_equal(out, "a: a/ c/, b: all, c\\x20c: nothing, others: "
                             "nothing");
    subscription_text(small, sizeof small, &s);
    assert_string_equal(small, "a: a/ c/...");
    assert_false(subscription_whole(&s));
    subscription_free(&s);
    subscription_init(&s);
    assert_true(subscription_whole(&s));
    subscription_text(out, sizeof out, &s);
    assert_string_equal(out, "everything");
}

static void spans_of_a_bucket(void **state) {
    struct subscription s;
    struct spans sp = {0};
    (void)state;
    make(&s);
    assert_ok(subscription_spans(&s, "a", &sp));
    assert_int_equal(spans_count(&sp), 2);
    spans_free(&sp);
    assert_ok(subscription_spans(&s, "b", &sp));
    assert_false(sp.some);
    assert_ok(subscription_spans(&s, "zz", &sp));
    assert_int_equal(spans_count(&sp), 0);
    spans_free(&sp);
    subscription_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_sorted_and_needed),
        cmocka_unit_test(limits),
        cmocka_unit_test(bytes_and_back),
        cmocka_unit_test(disorder_is_refused),
        cmocka_unit_test(in_words),
        cmocka_unit_test(spans_of_a_bucket),
    };
    return TEST_RUN(tests);
}

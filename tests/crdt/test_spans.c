/* test_spans.c: stretches of item ids against the ids of random keys. */
#include "crdt/spans.h"
#include "crdt/keys.h"
#include "tests/support/test.h"

enum { KEYS = 400 };
static struct item_key keys[KEYS];
static uint8_t text[KEYS][300];
static size_t len[KEYS];

static int make_keys(void **state) {
    static const size_t lens[] = {1, 2, 3, 7, 8, 9, 16, 17, 200, 300};
    static const uint8_t bytes[] = {1, 'a', 'b', 0xfe, 0xff};
    struct rng r = rng_seed();
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        len[i] = lens[rng_below(&r, 10)];
        for (size_t k = 0; k < len[i]; k++)
            text[i][k] = bytes[rng_below(&r, 5)];
        item_key_make(&keys[i], 0, slice_of(text[i], len[i]), TAG_REGISTER);
    }
    return 0;
}

static void a_prefix_takes_its_keys_and_no_other(void **state) {
    struct rng r = rng_seed();
    (void)state;
    for (int i = 0; i < 2000; i++) {
        size_t k = (size_t)rng_below(&r, KEYS);
        size_t n = 1 + (size_t)rng_below(&r, len[k] < 192 ? len[k] : 192);
        slice prefix = slice_of(text[k], n);
        struct spans sp = {0}, rest = {0};
        assert_ok(spans_add_prefix(&sp, prefix));
        assert_ok(spans_rest(&rest, &sp));
        for (size_t j = 0; j < KEYS; j++) {
            slice id = item_key_id(&keys[j]);
            bool in = slice_starts(slice_of(text[j], len[j]), prefix);
            assert_true(spans_have(&sp, id) == in);
            assert_true(spans_have(&rest, id) == !in);
        }
        spans_free(&sp);
        spans_free(&rest);
    }
}

static void neighbours_are_joined(void **state) {
    struct spans sp = {0}, rest = {0};
    slice lo, hi;
    (void)state;
    assert_ok(spans_add_prefix(&sp, ECRDT_STR("a")));
    assert_ok(spans_add_prefix(&sp, ECRDT_STR("b")));
    assert_ok(spans_add_prefix(&sp, ECRDT_STR("x\xff")));
    assert_ok(spans_add_prefix(&sp, ECRDT_STR("\xff\xff")));
    assert_int_equal(spans_count(&sp), 3);
    spans_at(&sp, 0, &lo, &hi);
    assert_slice_equal(lo, ECRDT_STR("a"));
    assert_slice_equal(hi, ECRDT_STR("c"));
    spans_at(&sp, 1, &lo, &hi);
    assert_slice_equal(hi, ECRDT_STR("y"));
    spans_at(&sp, 2, &lo, &hi);
    assert_int_equal(hi.len, 0);
    assert_ok(spans_rest(&rest, &sp));
    assert_int_equal(spans_count(&rest), 3);
    assert_true(spans_cover(&sp, ECRDT_STR("a"), ECRDT_STR("c")));
    assert_false(spans_cover(&sp, ECRDT_STR("a"), ECRDT_STR("d")));
    assert_false(spans_cover(&sp, ECRDT_STR("a"), slice_of(NULL, 0)));
    assert_true(spans_cover(&sp, ECRDT_STR("\xff\xff"), slice_of(NULL, 0)));
    spans_free(&sp);
    spans_free(&rest);
}

static void everything_and_nothing(void **state) {
    struct spans all = {0}, none = {0}, rest = {0};
    slice no = slice_of(NULL, 0);
    (void)state;
    assert_int_equal(spans_count(NULL), 1);
    assert_true(spans_have(&all, no) && spans_cover(NULL, no, no));
    assert_ok(spans_rest(&none, &all));
    assert_int_equal(spans_count(&none), 0);
    assert_false(spans_have(&none, no) || spans_cover(&none, no, no));
    assert_ok(spans_rest(&rest, &none));
    assert_int_equal(spans_count(&rest), 1);
    assert_true(spans_cover(&rest, no, no));
    spans_free(&rest);
    spans_free(&none);
}

static void what_both_have(void **state) {
    struct spans a = {0}, b = {0}, all = {0}, both = {0}, same = {0};
    slice lo, hi;
    (void)state;
    assert_ok(spans_add(&a, ECRDT_STR("b"), ECRDT_STR("f")));
    assert_ok(spans_add(&a, ECRDT_STR("k"), slice_of(NULL, 0)));
    assert_ok(spans_add(&b, ECRDT_STR("a"), ECRDT_STR("c")));
    assert_ok(spans_add(&b, ECRDT_STR("d"), ECRDT_STR("k")));
    assert_ok(spans_add(&b, ECRDT_STR("m"), slice_of(NULL, 0)));
    assert_ok(spans_common(&both, &a, &b));
    assert_int_equal(spans_count(&both), 3);
    spans_at(&both, 1, &lo, &hi);
    assert_slice_equal(lo, ECRDT_STR("d"));
    assert_slice_equal(hi, ECRDT_STR("f"));
    spans_at(&both, 2, &lo, &hi);
    assert_slice_equal(lo, ECRDT_STR("m"));
    assert_int_equal(hi.len, 0);
    assert_ok(spans_common(&same, &all, &a));
    assert_int_equal(spans_count(&same), 2);
    assert_true(spans_cover(&same, ECRDT_STR("k"), slice_of(NULL, 0)));
    assert_false(spans_have(&same, ECRDT_STR("g")));
    spans_free(&a);
    spans_free(&b);
    spans_free(&both);
    spans_free(&same);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_prefix_takes_its_keys_and_no_other, make_keys),
        cmocka_unit_test(neighbours_are_joined),
        cmocka_unit_test(everything_and_nothing),
        cmocka_unit_test(what_both_have),
    };
    return TEST_RUN(tests);
}

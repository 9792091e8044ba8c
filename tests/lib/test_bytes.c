/* test_bytes.c: slices, big-endian numbers, varints and checked sums. */
#include "tests/support/test.h"
#include <string.h>

static int sign(int c) {
    return (c > 0) - (c < 0);
}

static void slices_compare(void **state) {
    (void)state;
    static const char *const order[] = {"", "a", "ab", "abc", "b", "ba"};
    enum { N = sizeof order / sizeof *order };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            slice a = slice_str(order[i]), b = slice_str(order[j]);
            assert_int_equal(sign(slice_cmp(a, b)), sign(i - j));
            assert_int_equal(slice_eq(a, b), i == j);
        }
    assert_true(slice_cmp(slice_of("\xff", 1), slice_of("\x01", 1)) > 0);
    assert_true(slice_cmp(slice_of("a\0b", 3), slice_of("a\0a", 3)) > 0);
    assert_true(slice_cmp(slice_of("a\0", 2), slice_of("a", 1)) > 0);
}

static void slices_without_data(void **state) {
    (void)state;
    slice none = {NULL, 0}, empty = slice_str(""), a = slice_str("a");
    assert_true(slice_eq(none, empty));
    assert_int_equal(slice_cmp(none, empty), 0);
    assert_true(slice_cmp(none, a) < 0);
    assert_true(slice_starts(none, none));
    assert_true(slice_starts(a, none));
    assert_false(slice_starts(none, a));
}

static void slices_start(void **state) {
    (void)state;
    slice abc = slice_str("abc");
    assert_true(slice_starts(abc, slice_str("")));
    assert_true(slice_starts(abc, slice_str("ab")));
    assert_true(slice_starts(abc, abc));
    assert_false(slice_starts(abc, slice_str("abcd")));
    assert_false(slice_starts(abc, slice_str("b")));
    assert_int_equal(slice_shared(abc, slice_str("")), 0);
    assert_int_equal(slice_shared(abc, slice_str("xbc")), 0);
    assert_int_equal(slice_shared(abc, slice_str("abx")), 2);
    assert_int_equal(slice_shared(abc, abc), 3);
    assert_int_equal(slice_shared(slice_str("abcd"), abc), 3);
}

static void numbers_are_big_endian(void **state) {
    (void)state;
    static const uint8_t raw[] = {0, 0xf1, 0xe2, 3, 4, 5, 6, 7, 8};
    const uint8_t *odd = raw + 1; /* unaligned on purpose */
    assert_int_equal(load16(odd), 0xf1e2);
    assert_int_equal(load32(odd), 0xf1e20304);
    assert_int_equal(load64(odd), 0xf1e2030405060708);
    uint8_t out[sizeof raw] = {0};
    store16(out + 1, 0xf1e2);
    assert_memory_equal(out, raw, 3);
    store32(out + 1, 0xf1e20304);
    assert_memory_equal(out, raw, 5);
    store64(out + 1, 0xf1e2030405060708);
    assert_memory_equal(out, raw, 9);
}

/* The value in an exactly sized block, so that sanitizers see one byte too
 * far; bytes used as varint_get() has them. */
static size_t get(const uint8_t *p, size_t n, uint64_t *v) {
    uint8_t *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    memcpy(exact, p, n);
    size_t used = varint_get(exact, exact + n, v);
    free(exact);
    return used;
}

static void varint_survives(uint64_t v, size_t size) {
    uint8_t b[VARINT_MAX + 1];
    memset(b, 0x55, sizeof b);
    size_t n = varint_put(b, v);
    if (size)
        assert_int_equal(n, size);
    assert_in_range(n, 1, VARINT_MAX);
    assert_int_equal(b[n], 0x55);
    uint64_t back = ~v;
    assert_int_equal(get(b, sizeof b, &back), n);
    assert_true(back == v);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(get(b, cut, &back), 0);
}

static void varints_round_trip(void **state) {
    (void)state;
    for (unsigned bits = 1; bits < 64; bits++) {
        uint64_t v = (uint64_t)1 << bits;
        varint_survives(v - 1, (bits + 6) / 7);
        varint_survives(v, bits / 7 + 1);
    }
    varint_survives(0, 1);
    varint_survives(UINT64_MAX, VARINT_MAX);
    struct rng r = rng_seed();
    for (int i = 0; i < 10000; i++)
        varint_survives(rng_magnitude(&r), 0);
}

static void varints_have_one_form(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        size_t used;
        uint64_t v;
    } forms[] = {
        {"00", 1, 0},
        {"8000", 0, 0}, /* 0 in two bytes */
        {"7f", 1, 127},
        {"ff00", 0, 0}, /* 127 in two bytes */
        {"8001", 2, 128},
        {"808000", 0, 0},
        {"ffffffffffffffffff01", 10, UINT64_MAX},
        {"80808080808080808001", 10, (uint64_t)1 << 63},
        {"ffffffffffffffffff02", 0, 0},   /* 65 bits */
        {"80808080808080808000", 0, 0},   /* a tenth byte for nothing */
        {"ffffffffffffffffff8100", 0, 0}, /* eleven bytes */
        {"80808080808080808080", 0, 0},   /* no end */
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        uint8_t b[16];
        uint64_t v = 0;
        size_t n = hex_decode(b, sizeof b, forms[i].hex);
        assert_int_equal(get(b, n, &v), forms[i].used);
        if (forms[i].used)
            assert_true(v == forms[i].v);
    }
}

static void sums_are_checked(void **state) {
    (void)state;
    uint64_t sum = UINT64_MAX - 5;
    assert_true(add_u64(&sum, 5));
    assert_true(sum == UINT64_MAX);
    assert_false(add_u64(&sum, 1));
    size_t r = 0;
    assert_true(mul_size(SIZE_MAX / 3, 3, &r));
    assert_true(r == SIZE_MAX / 3 * 3);
    assert_false(mul_size(SIZE_MAX / 3 + 1, 3, &r));
    assert_true(mul_size(0, SIZE_MAX, &r));
    assert_int_equal(r, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare),
        cmocka_unit_test(slices_without_data),
        cmocka_unit_test(slices_start),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(varints_round_trip),
        cmocka_unit_test(varints_have_one_form),
        cmocka_unit_test(sums_are_checked),
    };
    return TEST_RUN(tests);
}

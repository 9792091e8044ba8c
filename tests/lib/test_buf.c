/* test_buf.c: growth, consumption and the sticky error of byte buffers. */
#include "lib/buf.h"
#include "tests/support/test.h"
#include <string.h>

static void bytes_are_appended(void **state) {
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_slice(&b).len, 0);
    buf_put(&b, "hello", 5);
    buf_put(&b, NULL, 0);
    buf_put(&b, ", world", 7);
    assert_slice_equal(buf_slice(&b), slice_str("hello, world"));
    uint8_t *p = buf_extend(&b, 2);
    assert_ptr_equal(p, b.data + 12);
    memcpy(p, "!\0", 2);
    assert_slice_equal(buf_slice(&b), slice_of("hello, world!\0", 14));
    buf_free(&b);
    assert_null(b.data);
    assert_int_equal(fault_alloc_live(), 0);
}

static void room_for_nothing_is_no_failure(void **state) {
    (void)state;
    struct buf b = {0};
    assert_non_null(buf_extend(&b, 0));
    assert_int_equal(b.len, 0);
    assert_int_equal(b.err, 0);
    buf_free(&b);
}

static void consumes_from_the_front(void **state) {
    (void)state;
    struct buf b = {0};
    buf_consume(&b, 0);
    buf_put(&b, "abcdef", 6);
    buf_consume(&b, 0);
    assert_slice_equal(buf_slice(&b), slice_str("abcdef"));
    buf_consume(&b, 2);
    assert_slice_equal(buf_slice(&b), slice_str("cdef"));
    buf_put(&b, "g", 1);
    buf_consume(&b, 4);
    assert_slice_equal(buf_slice(&b), slice_str("g"));
    buf_consume(&b, 1);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void consume_too_much(void) {
    struct buf b = {0};
    buf_put(&b, "abc", 3);
    buf_consume(&b, 4);
}

static void consuming_too_much_aborts(void **state) {
    (void)state;
    assert_true(aborts(consume_too_much));
}

static void failure_sticks(void **state) {
    (void)state;
    struct buf b = {0};
    buf_put(&b, "kept", 4);
    fault_alloc_at(1);
    assert_null(buf_extend(&b, 1000));
    assert_int_equal(b.err, ECRDT_ENOMEM);
    assert_int_equal(ecrdt_errcode(), ECRDT_ENOMEM);
    buf_put(&b, "x", 1); /* there would be room */
    assert_null(buf_extend(&b, 1));
    assert_slice_equal(buf_slice(&b), slice_str("kept"));
    buf_clear(&b);
    assert_int_equal(b.err, 0);
    buf_put(&b, "new", 3);
    assert_slice_equal(buf_slice(&b), slice_str("new"));
    buf_free(&b);
    assert_int_equal(fault_alloc_live(), 0);
}

static void sizes_do_not_wrap(void **state) {
    (void)state;
    struct buf b = {0};
    buf_put(&b, "abc", 3);
    assert_null(buf_extend(&b, SIZE_MAX - 2)); /* + 3 would be 0 */
    assert_int_equal(b.err, ECRDT_ENOMEM);
    assert_int_equal(b.len, 3);
    buf_free(&b);
}

static void clear_keeps_the_memory(void **state) {
    (void)state;
    struct buf b = {0};
    buf_extend(&b, 10000);
    uint8_t *data = b.data;
    buf_clear(&b);
    assert_ptr_equal(buf_extend(&b, 10000), data);
    buf_free(&b);
}

/* Random appends and consumes against a plain array. */
static void agrees_with_an_array(void **state) {
    (void)state;
    static uint8_t ref[1 << 16];
    size_t len = 0;
    struct buf b = {0};
    struct rng r = rng_seed();
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_below(&r, 200);
        if (rng_below(&r, 2) && len + n <= sizeof ref) {
            rng_bytes(&r, ref + len, n);
            buf_put(&b, ref + len, n);
            len += n;
        } else {
            n = n < len ? n : len;
            memmove(ref, ref + n, len - n);
            buf_consume(&b, n);
            len -= n;
        }
        assert_slice_equal(buf_slice(&b), slice_of(ref, len));
    }
    buf_free(&b);
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_appended),
        cmocka_unit_test(room_for_nothing_is_no_failure),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(consuming_too_much_aborts),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(agrees_with_an_array),
    };
    return TEST_RUN(tests);
}

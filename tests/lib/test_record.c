/* test_record.c: every flipped bit of a record is noticed; sizes are judged
 * before a byte is read. */
#include "lib/record.h"
#include "tests/support/test.h"

static void sealed_record_opens(void **state) {
    (void)state;
    for (size_t n = 0; n < 200; n++) {
        struct buf v = {0};
        slice got;
        for (size_t i = 0; i < n; i++)
            buf_put(&v, &(uint8_t){(uint8_t)i}, 1);
        assert_ok(record_seal(&v, slice_str("key")));
        assert_int_equal(v.len, n + RECORD_CHECKSUM);
        assert_true(record_open(slice_str("key"), buf_slice(&v), 4096, &got));
        assert_int_equal(got.len, n);
        assert_false(record_open(slice_str("kez"), buf_slice(&v), 4096, &got));
        buf_free(&v);
    }
}

static void each_flipped_bit_is_noticed(void **state) {
    (void)state;
    struct buf v = {0};
    slice got;
    buf_put(&v, "some value of some length", 25);
    assert_ok(record_seal(&v, slice_str("key")));
    for (size_t bit = 0; bit < v.len * 8; bit++) {
        v.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(record_open(slice_str("key"), buf_slice(&v), 4096, &got));
        v.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < v.len; n++)
        assert_false(
            record_open(slice_str("key"), slice_of(v.data, n), 4096, &got));
    buf_free(&v);
}

/* What lies before a value larger than a page is an overflow page's header;
 * if it is not, the size is damaged and reading on could leave the map. */
static void size_past_its_pages_is_refused(void **state) {
    (void)state;
    enum { PAGE = 512, N = 1000 };
    struct buf v = {0};
    struct {
        uint64_t number;
        uint16_t pad, flags;
        uint32_t pages;
        uint8_t data[N + RECORD_CHECKSUM];
    } run = {.number = 7, .flags = 4, .pages = 2};
    slice got;
    memset(buf_extend(&v, N), 'x', N);
    assert_ok(record_seal(&v, slice_str("key")));
    memcpy(run.data, v.data, v.len);
    slice stored = slice_of(run.data, sizeof run.data);
    assert_true(record_open(slice_str("key"), stored, PAGE, &got));
    run.flags = 4 | 16; /* dirty */
    assert_true(record_open(slice_str("key"), stored, PAGE, &got));
    run.pages = 1;
    assert_false(record_open(slice_str("key"), stored, PAGE, &got));
    run.pages = 2;
    run.flags = 2;
    assert_false(record_open(slice_str("key"), stored, PAGE, &got));
    run.flags = 4;
    run.number = UINT64_MAX;
    assert_false(record_open(slice_str("key"), stored, PAGE, &got));
    run.number = 7;
    stored.len = (size_t)1 << 40; /* refused without a look at it */
    assert_false(record_open(slice_str("key"), stored, PAGE, &got));
    buf_free(&v);
}

static void no_memory_is_told(void **state) {
    (void)state;
    struct buf v = {0};
    buf_put(&v, "12345678", 8);
    fault_alloc_at(1);
    assert_code(ECRDT_ENOMEM, record_seal(&v, slice_str("key")));
    fault_alloc_at(0);
    buf_free(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_record_opens),
        cmocka_unit_test(each_flipped_bit_is_noticed),
        cmocka_unit_test(size_past_its_pages_is_refused),
        cmocka_unit_test(no_memory_is_told),
    };
    fault_alloc_install();
    return TEST_RUN(tests);
}

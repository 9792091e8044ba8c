/* test_pack.c: canonical msgpack out, strict msgpack in, by hand-made rows. */
#include "tests/support/packed.h"
#include "tests/support/test.h"
#include <string.h>

static void assert_hex(struct buf *b, const char *hex) {
    struct buf want = packed_from_hex(hex);
    assert_int_equal(b->err, 0);
    assert_slice_equal(buf_slice(b), buf_slice(&want));
    buf_free(&want);
    buf_clear(b);
}

static void (*const askers[])(struct unpack *) = {
    packed_ask_nil, packed_ask_bool, packed_ask_uint, packed_ask_bin,
    packed_ask_array};

/* ---- the writer ---- */

static void each_size_has_its_form(void **state) {
    (void)state;
    static const struct {
        uint64_t v;
        const char *hex;
    } uints[] =
        {
            {0, "00"},
            {0x7f, "7f"},
            {0x80, "cc 80"},
            {0xff, "cc ff"},
            {0x100, "cd 0100"},
            {0xffff, "cd ffff"},
            {0x10000, "ce 00010000"},
            {0xffffffff, "ce ffffffff"},
            {0x100000000, "cf 0000000100000000"},
            {UINT64_MAX, "cf ffffffffffffffff"},
        },
      bins[] =
          {
              {0, "c4 00"},           {255, "c4 ff"},
              {256, "c5 0100"},       {65535, "c5 ffff"},
              {65536, "c6 00010000"}, {UINT32_MAX, "c6 ffffffff"},
          },
      arrays[] = {
          {0, "90"},
          {15, "9f"},
          {16, "dc 0010"},
          {65535, "dc ffff"},
          {65536, "dd 00010000"},
          {UINT32_MAX, "dd ffffffff"},
      };
    struct buf b = {0};
    for (size_t i = 0; i < sizeof uints / sizeof *uints; i++) {
        pack_uint(&b, uints[i].v);
        assert_hex(&b, uints[i].hex);
    }
    for (size_t i = 0; i < sizeof bins / sizeof *bins; i++) {
        pack_bin_header(&b, (size_t)bins[i].v);
        assert_hex(&b, bins[i].hex);
    }
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        pack_array(&b, (uint32_t)arrays[i].v);
        assert_hex(&b, arrays[i].hex);
    }
    pack_nil(&b);
    pack_bool(&b, false);
    pack_bool(&b, true);
    pack_bin(&b, slice_str("ab"));
    pack_bin(&b, slice_of(NULL, 0));
    assert_hex(&b, "c0 c2 c3 c4026162 c400");
    buf_free(&b);
}

static void past_4_gib_is_refused(void **state) {
    (void)state;
    struct buf b = {0};
    pack_bin_header(&b, (size_t)UINT32_MAX + 1);
    assert_int_equal(b.err, ECRDT_ETOOBIG);
    assert_int_equal(ecrdt_errcode(), ECRDT_ETOOBIG);
    pack_nil(&b); /* sticks */
    assert_int_equal(b.len, 0);
    buf_free(&b);
    fault_alloc_at(1); /* an earlier failure is kept */
    pack_nil(&b);
    fault_alloc_at(0);
    pack_bin_header(&b, SIZE_MAX);
    assert_int_equal(b.err, ECRDT_ENOMEM);
    buf_free(&b);
}

static void late_array_equals_early_one(void **state) {
    (void)state;
    static const uint32_t lengths[] = {0, 1, 15, 16, 17, 65535, 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct buf early = {0}, late = {0};
        pack_uint(&early, 7);
        pack_uint(&late, 7);
        pack_array(&early, lengths[i]);
        size_t place = pack_array_begin(&late);
        for (uint32_t k = 0; k < lengths[i]; k++) {
            pack_uint(&early, k);
            pack_uint(&late, k);
        }
        pack_array_end(&late, place, lengths[i]);
        pack_nil(&early);
        pack_nil(&late);
        assert_int_equal(late.err, 0);
        assert_slice_equal(buf_slice(&late), buf_slice(&early));
        buf_free(&early);
        buf_free(&late);
    }
}

static void late_arrays_nest(void **state) {
    (void)state;
    struct buf b = {0};
    size_t outer = pack_array_begin(&b);
    pack_bool(&b, true);
    size_t inner = pack_array_begin(&b);
    pack_uint(&b, 1);
    pack_array_end(&b, inner, 1);
    pack_array_end(&b, outer, 2);
    assert_hex(&b, "92 c3 91 01");
    buf_free(&b);
}

static void end_before_begin(void) {
    struct buf b = {0};
    pack_array_end(&b, 0, 0);
}
static void leave_outside(void) {
    struct unpack u;
    unpack_init(&u, slice_str(""));
    unpack_leave(&u);
}

static void unpaired_calls_abort(void **state) {
    (void)state;
    assert_true(aborts(end_before_begin));
    assert_true(aborts(leave_outside));
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct buf b = {0};
        fault_alloc_at(n);
        packed_message(&b);
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        assert_int_equal(b.err, hit ? ECRDT_ENOMEM : 0);
        if (!hit)
            assert_true(packed_canonical(buf_slice(&b)));
        buf_free(&b);
        assert_int_equal(fault_alloc_live(), 0);
        if (!hit)
            break;
        assert_in_range(n, 1, 10);
    }
}

/* ---- the reader ---- */

static void longer_forms_are_refused(void **state) {
    (void)state;
    static const char *const forms[] = {
        "cc 00",                                  /* 0 in 1 + 1 bytes */
        "cc 7f",                                  /* 127 */
        "cd 00ff",                                /* 255 in 1 + 2 */
        "cd 0000",                                /* */
        "ce 0000ffff",                            /* 65535 in 1 + 4 */
        "ce 00000000",                            /* */
        "cf 00000000ffffffff",                    /* 2^32 - 1 in 1 + 8 */
        "cf 0000000000000000",                    /* */
        "c5 0000",                                /* empty in 1 + 2 */
        "c6 00000000",                            /* empty in 1 + 4 */
        "dc 0000",                                /* no element in 1 + 2 */
        "dc 000f 000000000000000000000000000000", /* 15 */
        "dd 00000000",                            /* */
        "dd 00000010 00000000000000000000000000000000", /* 16 in 1 + 4 */
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct buf b = packed_from_hex(forms[i]), shorter = {0};
        assert_true(packed_reference(&shorter, buf_slice(&b)));
        assert_true(shorter.len < b.len); /* it is a longer form */
        assert_false(packed_canonical(buf_slice(&b)));
        assert_true(packed_canonical(buf_slice(&shorter)));
        buf_free(&b);
        buf_free(&shorter);
    }
}

/* One byte fewer than each longer form needs, in blocks too large to write
 * down as hex. */
static void large_blobs_take_their_form(void **state) {
    (void)state;
    static const struct {
        uint8_t tag;
        size_t width, len;
        bool ok;
    } rows[] = {
        {0xc4, 1, 255, true},   {0xc5, 2, 255, false},   {0xc5, 2, 256, true},
        {0xc5, 2, 65535, true}, {0xc6, 4, 65535, false}, {0xc6, 4, 65536, true},
        {0xc6, 4, 256, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        buf_put(&b, &rows[i].tag, 1);
        uint8_t len[4];
        store32(len, (uint32_t)rows[i].len);
        buf_put(&b, len + 4 - rows[i].width, rows[i].width);
        memset(buf_extend(&b, rows[i].len), 0xaa, rows[i].len);
        assert_int_equal(packed_canonical(buf_slice(&b)), rows[i].ok);
        buf_free(&b);
    }
}

/* Every first byte: exactly one reader takes it, or none. */
static void tags_outside_the_subset_are_refused(void **state) {
    (void)state;
    for (unsigned tag = 0; tag < 256; tag++) {
        uint8_t raw[32] = {(uint8_t)tag};
        memset(raw + 1, tag == 0xc4 ? 1 : 0, sizeof raw - 1);
        bool wide = tag == 0xcc || tag == 0xcd || tag == 0xce || tag == 0xcf ||
                    tag == 0xc5 || tag == 0xc6 || tag == 0xdc || tag == 0xdd;
        bool inside = tag < 0x80 || (tag & 0xf0) == 0x90 || tag == 0xc0 ||
                      tag == 0xc2 || tag == 0xc3 || tag == 0xc4;
        int takers = 0;
        for (size_t i = 0; i < sizeof askers / sizeof *askers; i++)
            takers += packed_accepts(askers[i], slice_of(raw, sizeof raw));
        assert_int_equal(takers, inside && !wide);
    }
}

static void a_cut_message_is_refused(void **state) {
    (void)state;
    struct buf b = {0};
    packed_message(&b);
    assert_true(packed_canonical(buf_slice(&b)));
    for (size_t n = 0; n < b.len; n++)
        assert_false(packed_canonical(slice_of(b.data, n)));
    pack_nil(&b); /* one byte too many */
    assert_false(packed_canonical(buf_slice(&b)));
    buf_free(&b);
}

/* Each value cut at each byte, asked for by its own reader. */
static void a_cut_value_is_refused(void **state) {
    (void)state;
    static const char *const whole[] = {
        "c3",           "00",          "cc 80",
        "cd 0100",      "ce 00010000", "cf 0000000100000000",
        "c4 03 616263", "91 00",
    };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct buf b = packed_from_hex(whole[i]);
        for (size_t n = 0; n < b.len; n++) {
            assert_false(packed_canonical(slice_of(b.data, n)));
            for (size_t k = 0; k < sizeof askers / sizeof *askers; k++)
                assert_false(packed_accepts(askers[k], slice_of(b.data, n)));
        }
        buf_free(&b);
    }
    assert_false(packed_canonical(slice_of(NULL, 0)));
}

static void failure_sticks(void **state) {
    (void)state;
    static const uint8_t raw[] = {0xc1, 0x01, 0xc3, 0xc4, 0x00, 0x90, 0xc0};
    struct unpack u;
    unpack_init(&u, slice_of(raw, sizeof raw));
    assert_int_equal(unpack_uint(&u), 0);
    assert_int_equal(u.err, ECRDT_ECORRUPT);
    assert_int_equal(unpack_uint(&u), 0);
    assert_false(unpack_bool(&u));
    assert_false(unpack_nil(&u));
    assert_int_equal(unpack_bin(&u, 9).len, 0);
    assert_null(unpack_bin_exact(&u, 0));
    assert_int_equal(unpack_array(&u, 9), 0);
    unpack_leave(&u);
    assert_int_equal(unpack_end(&u), ECRDT_ECORRUPT);
}

static struct unpack reader(struct buf *b) {
    struct unpack u;
    unpack_init(&u, buf_slice(b));
    return u;
}

static void limits_hold_at_and_one_past(void **state) {
    (void)state;
    struct buf b = {0};
    struct unpack u;
    pack_uint(&b, 1000);
    u = reader(&b), assert_int_equal(unpack_uint_max(&u, 1000), 1000);
    assert_int_equal(unpack_end(&u), 0);
    u = reader(&b), assert_int_equal(unpack_uint_max(&u, 999), 0);
    assert_int_equal(unpack_end(&u), ECRDT_ECORRUPT);
    buf_clear(&b);
    pack_bin(&b, slice_str("abc"));
    u = reader(&b), assert_slice_equal(unpack_bin(&u, 3), slice_str("abc"));
    assert_int_equal(unpack_end(&u), 0);
    u = reader(&b), assert_int_equal(unpack_bin(&u, 2).len, 0);
    assert_int_equal(unpack_end(&u), ECRDT_ECORRUPT);
    u = reader(&b), assert_memory_equal(unpack_bin_exact(&u, 3), "abc", 3);
    u = reader(&b), assert_null(unpack_bin_exact(&u, 2));
    u = reader(&b), assert_null(unpack_bin_exact(&u, 4));
    buf_clear(&b);
    pack_array(&b, 2);
    pack_nil(&b);
    pack_nil(&b);
    u = reader(&b), assert_int_equal(unpack_array(&u, 2), 2);
    u = reader(&b), assert_int_equal(unpack_array(&u, 1), 0);
    assert_int_equal(u.err, ECRDT_ECORRUPT);
    u = reader(&b), unpack_array_exact(&u, 2), assert_int_equal(u.err, 0);
    u = reader(&b), unpack_array_exact(&u, 1), assert_int_not_equal(u.err, 0);
    u = reader(&b), unpack_array_exact(&u, 3), assert_int_not_equal(u.err, 0);
    buf_free(&b);
}

static void counts_are_checked_against_the_bytes_left(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        bool ok;
    } rows[] = {
        {"92 00 00", true},        {"93 00 00", false},
        {"dc 0010 00", false},     {"dd ffffffff 00", false},
        {"c4 02 00 00", true},     {"c4 03 00 00", false},
        {"c6 ffffffff 00", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = packed_from_hex(rows[i].hex);
        assert_int_equal(packed_accepts(b.data[0] == 0xc4 || b.data[0] == 0xc6
                                            ? packed_ask_bin
                                            : packed_ask_array,
                                        buf_slice(&b)),
                         rows[i].ok);
        buf_free(&b);
    }
}

static void depth_is_bounded(void **state) {
    (void)state;
    struct buf b = {0};
    for (int depth = 1; depth <= PACK_DEPTH; depth++)
        pack_array(&b, 1);
    size_t inner = b.len;
    pack_nil(&b);
    assert_true(packed_canonical(buf_slice(&b)));
    b.len = inner;
    pack_array(&b, 0); /* one level more */
    assert_false(packed_canonical(buf_slice(&b)));
    buf_clear(&b);
    pack_array(&b, 100); /* side by side is not deep */
    for (int i = 0; i < 100; i++)
        pack_array(&b, 0);
    assert_true(packed_canonical(buf_slice(&b)));
    buf_free(&b);
}

static void nil_is_an_option(void **state) {
    (void)state;
    static const uint8_t raw[] = {0xc0, 0x05, 0xc0};
    struct unpack u;
    unpack_init(&u, slice_of(raw, sizeof raw));
    assert_true(unpack_nil(&u));
    assert_false(unpack_nil(&u)); /* consumes nothing, fails nothing */
    assert_int_equal(unpack_uint(&u), 5);
    assert_int_equal(unpack_end(&u), ECRDT_ECORRUPT); /* a nil is left */
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_size_has_its_form),
        cmocka_unit_test(past_4_gib_is_refused),
        cmocka_unit_test(late_array_equals_early_one),
        cmocka_unit_test(late_arrays_nest),
        cmocka_unit_test(unpaired_calls_abort),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(longer_forms_are_refused),
        cmocka_unit_test(large_blobs_take_their_form),
        cmocka_unit_test(tags_outside_the_subset_are_refused),
        cmocka_unit_test(a_cut_message_is_refused),
        cmocka_unit_test(a_cut_value_is_refused),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(limits_hold_at_and_one_past),
        cmocka_unit_test(counts_are_checked_against_the_bytes_left),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(nil_is_an_option),
    };
    return TEST_RUN(tests);
}

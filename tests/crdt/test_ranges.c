/* test_ranges.c: range clocks: cuts, joins and comparisons against clocks
 * looked up point by point, and the codec of a bucket's clock. */
#include "crdt/ranges.h"
#include "crdt/spans.h"
#include "tests/support/test.h"

static struct rng rng;
enum { POINTS = 16 };

static const uint8_t *origin(size_t i) {
    static uint8_t id[4][ORIGIN_SIZE];
    id[i][0] = (uint8_t)(i + 1);
    return id[i];
}

/* Ids 0 to 15 as one byte each; bounds lie on them. */
static slice point(size_t i) {
    static const uint8_t b[POINTS] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15,
                                      0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
                                      0x1c, 0x1d, 0x1e, 0x1f};
    return slice_of(b + i, 1);
}

static const struct vv *at(const struct ranges *rs, size_t i) {
    static const struct vv none;
    return rs->n ? &rs->r[ranges_find(rs, point(i))].clk : &none;
}

static void random_ranges(struct ranges *rs, uint64_t seqs) {
    assert_ok(ranges_init(rs));
    for (uint64_t n = rng_below(&rng, 5); n > 0; n--) {
        size_t where;
        assert_ok(ranges_cut(rs, point(rng_below(&rng, POINTS)), 7, &where));
        assert_true(where > 0);
    }
    for (size_t i = 0; i < rs->n; i++)
        for (int k = 0; k < 2; k++)
            assert_ok(vv_raise(&rs->r[i].clk, origin(rng_below(&rng, 4)),
                               rng_below(&rng, seqs), 1));
}

static void no_range_is_one_empty_range(void **state) {
    (void)state;
    struct ranges none = {0}, one = {0};
    assert_ok(ranges_init(&one));
    assert_int_equal(one.n, 1);
    assert_ok(ranges_init(&one)); /* again: nothing */
    assert_int_equal(one.n, 1);
    assert_null(ranges_hi(&one, 0));
    assert_true(ranges_le(&none, &one) && ranges_le(&one, &none));
    assert_ok(vv_raise(&one.r[0].clk, origin(0), 3, 0));
    assert_true(ranges_le(&none, &one));
    assert_false(ranges_le(&one, &none));
    assert_int_equal(ranges_missing(&one, &none), 3);
    assert_int_equal(ranges_missing(&none, &one), 0);
    assert_int_equal(ranges_least(&one, origin(0)), 3);
    assert_int_equal(ranges_least(&one, origin(1)), 0);
    assert_int_equal(ranges_least(&none, origin(0)), 0);
    ranges_free(&one);
}

static void cuts_are_found_again(void **state) {
    (void)state;
    struct ranges rs = {0};
    size_t where;
    assert_ok(ranges_init(&rs));
    rs.r[0].no = 9;
    assert_ok(vv_raise(&rs.r[0].clk, origin(0), 5, 55));
    assert_ok(ranges_cut(&rs, point(4), 3, &where));
    assert_int_equal(where, 1);
    assert_int_equal(rs.n, 2);
    assert_int_equal(rs.r[0].no, 3); /* the left part is the new one */
    assert_int_equal(rs.r[1].no, 9);
    assert_true(vv_eq(&rs.r[0].clk, &rs.r[1].clk));
    assert_ok(ranges_cut(&rs, point(4), 8, &where)); /* exists */
    assert_int_equal(rs.n, 2);
    assert_int_equal(where, 1);
    assert_ok(ranges_cut(&rs, slice_of(NULL, 0), 8, &where)); /* lowest bound */
    assert_int_equal(rs.n, 2);
    assert_int_equal(where, 0);
    assert_int_equal(ranges_find(&rs, point(3)), 0);
    assert_int_equal(ranges_find(&rs, point(4)), 1);
    assert_int_equal(ranges_find(&rs, slice_of(NULL, 0)), 0);
    assert_slice_equal(item_id_slice(ranges_hi(&rs, 0)), point(4));
    ranges_join_equal(&rs);
    assert_int_equal(rs.n, 1);
    assert_int_equal(rs.r[0].no, 3); /* the lower number */
    ranges_free(&rs);
}

/* Joining never changes the clock of a point, and leaves no equal pair. */
static void joins_keep_every_clock(void **state) {
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct ranges rs = {0}, copy = {0};
        random_ranges(&rs, 2);
        assert_ok(ranges_copy(&copy, &rs));
        assert_true(ranges_eq(&copy, &rs));
        ranges_join_equal(&rs);
        for (size_t i = 0; i < POINTS; i++)
            assert_true(vv_eq(at(&rs, i), at(&copy, i)));
        for (size_t i = 1; i < rs.n; i++)
            assert_false(vv_eq(&rs.r[i - 1].clk, &rs.r[i].clk));
        assert_true(ranges_le(&rs, &copy) && ranges_le(&copy, &rs));
        ranges_free(&rs);
        ranges_free(&copy);
    }
}

static void order_and_missing_agree_with_points(void **state) {
    (void)state;
    for (int round = 0; round < 1000; round++) {
        struct ranges a = {0}, b = {0};
        random_ranges(&a, 3);
        random_ranges(&b, 4);
        /* Every bound lies on a point, so points see every overlap, but the
         * lowest one, before point 0. */
        bool le = vv_le(&a.r[0].clk, &b.r[0].clk);
        uint64_t most = vv_missing(&a.r[0].clk, &b.r[0].clk);
        for (size_t i = 0; i < POINTS; i++) {
            uint64_t n = vv_missing(at(&a, i), at(&b, i));
            le = le && vv_le(at(&a, i), at(&b, i));
            most = n > most ? n : most;
        }
        assert_int_equal(ranges_le(&a, &b), le);
        assert_int_equal(ranges_missing(&a, &b), most);
        ranges_free(&a);
        ranges_free(&b);
    }
}

/* The same within random stretches whose bounds lie on points. */
static void within_stretches_only_those_count(void **state) {
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct ranges a = {0}, b = {0};
        struct spans in = {.some = true};
        random_ranges(&a, 3);
        random_ranges(&b, 4);
        for (size_t i = 0; i + 1 < POINTS; i++)
            if (rng_below(&rng, 3) == 0)
                assert_ok(spans_add(&in, point(i), point(i + 1)));
        bool le = true, one = true;
        uint64_t most = 0;
        const struct vv *first = NULL;
        for (size_t i = 0; i < POINTS; i++) {
            if (!spans_have(&in, point(i)))
                continue;
            uint64_t n = vv_missing(at(&a, i), at(&b, i));
            first = first ? first : at(&a, i);
            one = one && vv_eq(first, at(&a, i));
            le = le && vv_le(at(&a, i), at(&b, i));
            most = n > most ? n : most;
        }
        assert_int_equal(ranges_le_in(&a, &b, &in), le);
        assert_int_equal(ranges_missing_in(&a, &b, &in), most);
        assert_int_equal(ranges_settled(&a, &in), one);
        struct ranges cut = {0};
        assert_ok(ranges_copy(&cut, &a));
        assert_ok(ranges_cut_at(&cut, &in));
        assert_true(ranges_le(&a, &cut) && ranges_le(&cut, &a));
        for (size_t i = 0; i < cut.n; i++) { /* wholly in or out */
            const struct item_id *hi = ranges_hi(&cut, i);
            slice lo = item_id_slice(&cut.r[i].lo);
            slice end = hi ? item_id_slice(hi) : slice_of(NULL, 0);
            assert_true(spans_have(&in, lo) == spans_cover(&in, lo, end));
        }
        ranges_free(&a);
        ranges_free(&b);
        ranges_free(&cut);
        spans_free(&in);
    }
}

static int decode(slice s, slice *name, struct ranges *rs, struct vv *floor) {
    struct unpack u;
    unpack_init(&u, s);
    int rc = clock_decode(&u, name, rs, floor);
    return rc < 0 ? rc : unpack_end(&u);
}

static void the_codec_round_trips(void **state) {
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct ranges a = {0}, b = {0};
        struct vv floor = {0}, f2 = {0};
        struct buf out = {0};
        slice name;
        random_ranges(&a, 5);
        assert_ok(vv_raise(&floor, origin(1), rng_below(&rng, 3), 0));
        clock_encode(&out, slice_str("bucket"), &a, &floor);
        assert_ok(decode(buf_slice(&out), &name, &b, &f2));
        assert_slice_equal(name, slice_str("bucket"));
        assert_true(ranges_eq(&a, &b));
        assert_true(vv_eq(&floor, &f2));
        ranges_free(&b);
        vv_free(&f2);
        for (size_t n = 0; n < out.len; n++) {
            assert_code(ECRDT_ECORRUPT,
                        decode(slice_of(out.data, n), &name, &b, &f2));
            ranges_free(&b);
            vv_free(&f2);
        }
        ranges_free(&a);
        vv_free(&floor);
        buf_free(&out);
    }
}

/* One message of n ranges whose lows are given. */
static int decode_lows(slice name, const slice *lo, uint32_t n) {
    struct buf out = {0};
    struct ranges rs = {0};
    struct vv none = {0};
    slice got;
    pack_array(&out, 3);
    pack_bin(&out, name);
    vv_encode(&out, &none);
    pack_array(&out, 2 * n);
    for (uint32_t i = 0; i < n; i++) {
        pack_bin(&out, lo[i]);
        vv_encode(&out, &none);
    }
    int rc = decode(buf_slice(&out), &got, &rs, &none);
    ranges_free(&rs);
    buf_free(&out);
    return rc;
}

static void the_decoder_is_strict(void **state) {
    (void)state;
    static const char longest[ITEM_ID_MAX + 1] = {1};
    slice b = slice_str("b");
    slice good[] = {{NULL, 0}, slice_str("a"), slice_str("ab"), slice_str("b")};
    assert_ok(decode_lows(b, good, 4));
    assert_code(ECRDT_ECORRUPT, decode_lows(b, good, 0));
    assert_code(ECRDT_ECORRUPT, decode_lows(slice_str(""), good, 4));
    assert_code(ECRDT_ECORRUPT, decode_lows(b, good + 1, 3));
    good[3] = good[2];
    assert_code(ECRDT_ECORRUPT, decode_lows(b, good, 4));
    good[3] = slice_str("aa");
    assert_code(ECRDT_ECORRUPT, decode_lows(b, good, 4));
    good[1] = slice_of(longest, ITEM_ID_MAX);
    assert_ok(decode_lows(b, good, 2));
    good[1] = slice_of(longest, ITEM_ID_MAX + 1);
    assert_code(ECRDT_ECORRUPT, decode_lows(b, good, 2));
    char name[ECRDT_MAX_BUCKET_NAME + 1];
    memset(name, 'n', sizeof name);
    assert_ok(decode_lows(slice_of(name, ECRDT_MAX_BUCKET_NAME), good, 1));
    assert_code(ECRDT_ECORRUPT,
                decode_lows(slice_of(name, sizeof name), good, 1));
}

static void ranges_are_counted(void **state) {
    (void)state;
    static uint8_t bytes[RANGES_MAX + 1][2];
    static slice lo[RANGES_MAX + 1];
    for (size_t i = 1; i <= RANGES_MAX; i++) {
        store16(bytes[i], (uint16_t)i);
        lo[i] = slice_of(bytes[i], 2);
    }
    assert_ok(decode_lows(slice_str("b"), lo, RANGES_MAX));
    assert_code(ECRDT_ECORRUPT,
                decode_lows(slice_str("b"), lo, RANGES_MAX + 1));
}

int main(void) {
    rng = rng_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_range_is_one_empty_range),
        cmocka_unit_test(cuts_are_found_again),
        cmocka_unit_test(joins_keep_every_clock),
        cmocka_unit_test(order_and_missing_agree_with_points),
        cmocka_unit_test(within_stretches_only_those_count),
        cmocka_unit_test(the_codec_round_trips),
        cmocka_unit_test(the_decoder_is_strict),
        cmocka_unit_test(ranges_are_counted),
    };
    return TEST_RUN(tests);
}

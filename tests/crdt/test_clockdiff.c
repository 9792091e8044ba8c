/* test_clockdiff.c: the difference of two clocks turns one into the other,
 * is small, and nothing else is taken for one. */
#include "crdt/clockdiff.h"
#include "lib/alloc.h"
#include "tests/support/test.h"

static void origin_of(uint8_t out[ORIGIN_SIZE], uint64_t i) {
    struct rng r = {.s = i * 2 + 1};
    rng_u64(&r);
    rng_bytes(&r, out, ORIGIN_SIZE);
}

/* n of 4n origins with small numbers. */
static void some(struct rng *r, struct vv *v, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        uint8_t o[ORIGIN_SIZE];
        origin_of(o, rng_below(r, 4 * n));
        assert_ok(vv_raise(v, o, 1 + rng_below(r, 3), rng_below(r, 3)));
        if (rng_below(r, 6) == 0) { /* two branches */
            struct head e[2] = {{.seq = 4 + rng_below(r, 3), .h = 1},
                                {.seq = 1 + rng_below(r, 4), .h = 2}};
            memcpy(e[0].origin, o, ORIGIN_SIZE);
            memcpy(e[1].origin, o, ORIGIN_SIZE);
            assert_ok(vv_set_heads(v, o, e, 2));
        }
    }
}

static void vectors_turn_into_each_other(void **state) {
    struct rng r = rng_seed();
    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct vv a = {0}, b = {0}, back = {0};
        struct buf out = {0};
        struct unpack u;
        some(&r, &a, rng_below(&r, 12));
        if (rng_below(&r, 2))
            assert_ok(vv_copy(&b, &a));
        some(&r, &b, rng_below(&r, 6));
        vv_diff_encode(&out, &a, &b);
        unpack_init(&u, buf_slice(&out));
        assert_ok(vv_diff_decode(&u, &a, &back));
        assert_ok(unpack_end(&u));
        assert_true(vv_eq(&b, &back));
        vv_free(&a);
        vv_free(&b);
        vv_free(&back);
        buf_free(&out);
    }
}

static void a_state(struct rng *r, struct clock_state *s) {
    static const char *const cuts[] = {"b", "d", "f", "h"};
    some(r, &s->floor, rng_below(r, 4));
    for (unsigned i = 0; i < 4; i++) {
        size_t at;
        if (rng_below(r, 3) == 0)
            assert_ok(ranges_cut(&s->ranges, slice_str(cuts[i]), 0, &at));
    }
    for (size_t i = 0; i < s->ranges.n; i++)
        some(r, &s->ranges.r[i].clk, rng_below(r, 6));
}

static void clocks_turn_into_each_other(void **state) {
    struct rng r = rng_seed();
    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct clock_state *a = clock_state_new(), *b = clock_state_new();
        struct clock_state *back = NULL;
        struct buf out = {0};
        struct unpack u;
        a_state(&r, a);
        if (rng_below(&r, 2)) {
            assert_ok(ranges_copy(&b->ranges, &a->ranges));
            some(&r, &b->ranges.r[b->ranges.n - 1].clk, 2);
        } else {
            a_state(&r, b);
        }
        clock_diff_encode(&out, a, b);
        unpack_init(&u, buf_slice(&out));
        assert_ok(clock_diff_decode(&u, a, &back));
        assert_ok(unpack_end(&u));
        assert_true(clock_state_eq(b, back));
        for (size_t n = 0; n < out.len; n++) {
            struct clock_state *none;
            unpack_init(&u, slice_of(out.data, n));
            assert_code(ECRDT_ECORRUPT, clock_diff_decode(&u, a, &none));
            assert_null(none);
        }
        clock_state_unref(a);
        clock_state_unref(b);
        clock_state_unref(back);
        buf_free(&out);
    }
}

static void one_change_among_many_is_small(void **state) {
    struct rng r = {.s = 5};
    struct vv a = {0}, b = {0};
    struct buf out = {0};
    (void)state;
    some(&r, &a, 10000);
    assert_ok(vv_copy(&b, &a));
    size_t at = b.n / 2;
    while (vv_group(&b, at) > 1 ||
           !memcmp(b.e[at - 1].origin, b.e[at].origin, ORIGIN_SIZE))
        at++; /* one without branches */
    b.e[at].seq++;
    vv_diff_encode(&out, &a, &b);
    assert_in_range(out.len, 1, 24);
    vv_free(&a);
    vv_free(&b);
    buf_free(&out);
}

/* Changes behind the end, of what is new, without a number, with one for
 * what is gone, and vectors that hold what from has. */
static void malformed_ones_are_refused(void **state) {
    static const char *const bad[] = {
        "9293 02 01 c4080000000000000001 90",
        "9293 00 00 c4080000000000000001 90",
        "9293 00 01 c0 90",
        "9292 00 01 90",
        "92 96 01 00c0 00 00c0 90",
        "9290 93 c41001010101010101010101010101010101 05 c4080000000000000001",
        "9293 00 cf8000000000000000 c4080000000000000001 90",
        "9190",
        "90"};
    struct vv from = {0};
    uint8_t o[ORIGIN_SIZE];
    (void)state;
    for (int i = 1; i <= 2; i++) {
        memset(o, i, sizeof o);
        assert_ok(vv_raise(&from, o, 3, 3));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t bytes[64];
        struct vv to = {0};
        struct unpack u;
        size_t n = hex_decode(bytes, sizeof bytes, bad[i]);
        unpack_init(&u, slice_of(bytes, n));
        vv_diff_decode(&u, &from, &to);
        assert_code(ECRDT_ECORRUPT, unpack_end(&u));
        vv_free(&to);
    }
    vv_free(&from);
}

/* An origin with branches goes whole: none of them is changed, or stays, by
 * itself, for greatest first would not hold. */
static void branches_go_together(void **state) {
    static const struct {
        const char *diff;
        bool fits;
    } all[] = {
        {"9293 00 09 c4080000000000000001 90", true}, /* the one before */
        {"9293 03 09 c4080000000000000001 90", true}, /* ... behind */
        {"9293 01 09 c4080000000000000001 90", false},
        {"9293 02 01 c4080000000000000001 90", false},
        {"9293 01 00 c0 90", false},
        {"9293 02 00 c0 90", false},
        {"9296 01 00c0 00 00c0 90", true},
        {"9296 01 00c0 01 00c0 90", false},
        {"9296 02 00c0 00 00c0 90", false},
    };
    struct vv from = {0};
    (void)state;
    for (uint8_t i = 1; i <= 3; i++) {
        struct head e[2] = {{{i}, 3, 3}, {{i}, 2, 2}};
        assert_ok(vv_set_heads(&from, e[0].origin, e, i == 2 ? 2 : 1));
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        uint8_t bytes[64];
        struct vv to = {0};
        struct unpack u;
        size_t n = hex_decode(bytes, sizeof bytes, all[i].diff);
        unpack_init(&u, slice_of(bytes, n));
        vv_diff_decode(&u, &from, &to);
        assert_code(all[i].fits ? ECRDT_OK : ECRDT_ECORRUPT, unpack_end(&u));
        vv_free(&to);
    }
    vv_free(&from);
}

/* Few bytes cannot make much memory: cuts without end repeat a large clock. */
static void many_cuts_are_bounded(void **state) {
    struct clock_state *from = clock_state_new(), *to;
    struct rng r = {.s = 7};
    struct buf out = {0};
    struct unpack u;
    (void)state;
    some(&r, &from->ranges.r[0].clk, 2000);
    pack_array(&out, 3);
    vv_diff_encode(&out, &from->floor, &from->floor);
    pack_bool(&out, true);
    pack_array(&out, 2 * RANGES_MAX);
    for (uint32_t i = 0; i < RANGES_MAX; i++) {
        uint8_t lo[4];
        store32(lo, i);
        pack_bin(&out, slice_of(lo, i ? 4 : 0));
        vv_diff_encode(&out, &from->ranges.r[0].clk, &from->ranges.r[0].clk);
    }
    unpack_init(&u, buf_slice(&out));
    assert_code(ECRDT_ECORRUPT, clock_diff_decode(&u, from, &to));
    clock_state_unref(from);
    buf_free(&out);
}

static void origins_are_places_or_whole(void **state) {
    struct rng r = {.s = 9};
    struct vv v = {0};
    uint8_t o[ORIGIN_SIZE], got[ORIGIN_SIZE];
    (void)state;
    some(&r, &v, 3000);
    for (size_t i = 0; i <= v.n; i++) {
        struct buf out = {0};
        struct unpack u;
        memset(o, 0xff, sizeof o); /* not in v */
        if (i < v.n)
            memcpy(o, v.e[i].origin, sizeof o);
        vv_origin_encode(&out, &v, o);
        assert_true(out.len <= (i < v.n ? 4u : 18u));
        unpack_init(&u, buf_slice(&out));
        vv_origin_decode(&u, &v, got);
        assert_ok(unpack_end(&u));
        assert_memory_equal(o, got, sizeof o);
        unpack_init(&u, buf_slice(&out)); /* a place that is not there */
        vv_origin_decode(&u, &(struct vv){0}, got);
        assert_code(i < v.n ? ECRDT_ECORRUPT : 0, unpack_end(&u));
        buf_clear(&out);
        pack_bin(&out, slice_of(o, sizeof o)); /* whole, beside a place */
        unpack_init(&u, buf_slice(&out));
        vv_origin_decode(&u, &v, got);
        assert_code(i < v.n ? ECRDT_ECORRUPT : 0, unpack_end(&u));
        buf_free(&out);
    }
    vv_free(&v);
}

static void states_are_shared(void **state) {
    struct clock_state *s = clock_state_new();
    (void)state;
    assert_ptr_equal(clock_state_ref(s), s);
    clock_state_unref(s);
    assert_int_equal(s->refs, 1);
    assert_true(clock_state_bytes(s) >= sizeof *s);
    clock_state_unref(s);
    clock_state_unref(NULL);
    assert_null(clock_state_ref(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_turn_into_each_other),
        cmocka_unit_test(clocks_turn_into_each_other),
        cmocka_unit_test(one_change_among_many_is_small),
        cmocka_unit_test(malformed_ones_are_refused),
        cmocka_unit_test(branches_go_together),
        cmocka_unit_test(many_cuts_are_bounded),
        cmocka_unit_test(origins_are_places_or_whole),
        cmocka_unit_test(states_are_shared),
    };
    return TEST_RUN(tests);
}

/* test_clock_fp.c: two sides compare their clocks: each ends with the other's,
 * in few turns, and noise does no more than fail. */
#include "lib/alloc.h"
#include "lib/crypto.h"
#include "replication/clock_fp.h"
#include "tests/support/test.h"

static const uint8_t nonce[CLOCK_FP_NONCE] = {1, 2, 3};

static void put(struct vv *v, uint64_t i, uint64_t seq) {
    uint8_t o[ORIGIN_SIZE];
    struct rng r = {.s = i * 2 + 1};
    rng_u64(&r);
    rng_bytes(&r, o, sizeof o);
    assert_ok(vv_raise(v, o, seq, seq));
}

/* Lets a and b talk; the turns it took, and the bytes. */
static unsigned compare(struct clock_state *a, struct clock_state *b,
                        size_t *bytes) {
    struct clock_fp *side[2] = {clock_fp_new(a, nonce), clock_fp_new(b, nonce)};
    struct buf say = {0}, answer = {0};
    unsigned turns = 0;
    int rc = 1;
    clock_fp_first(side[0], &say);
    assert_in_range(say.len, 1, CLOCK_FP_FIRST);
    for (*bytes = say.len; rc; turns++) {
        struct unpack u;
        unpack_init(&u, buf_slice(&say));
        buf_clear(&answer);
        rc = clock_fp_answer(side[(turns + 1) % 2], &u, &answer);
        assert_true(rc >= 0 && turns < CLOCK_FP_TURNS);
        assert_ok(unpack_end(&u));
        *bytes += rc ? answer.len : 0;
        struct buf t = say;
        say = answer;
        answer = t;
        if (rc == 2) { /* the last word is heard, and not answered */
            unpack_init(&u, buf_slice(&say));
            buf_clear(&answer);
            assert_int_equal(clock_fp_answer(side[turns % 2], &u, &answer), 0);
            rc = 0;
        }
    }
    assert_true(clock_state_eq(side[0]->theirs, b));
    assert_true(clock_state_eq(side[1]->theirs, a));
    clock_fp_free(side[0]);
    clock_fp_free(side[1]);
    buf_free(&say);
    buf_free(&answer);
    return turns;
}

static void any_two_clocks_are_told(void **state) {
    struct rng r = rng_seed();
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct clock_state *s[2] = {clock_state_new(), clock_state_new()};
        uint64_t n = rng_magnitude(&r) % 3000, d = rng_below(&r, 40);
        size_t bytes;
        for (int k = 0; k < 2; k++) {
            uint64_t none = rng_below(&r, 10) ? 0 : n;
            for (uint64_t j = none; j < n; j++)
                put(&s[k]->ranges.r[0].clk, j, 5);
            for (uint64_t j = 0; j < d; j++) {
                put(&s[k]->ranges.r[0].clk, rng_below(&r, 2 * n + 2),
                    6 + rng_below(&r, 3));
                if (j % 4 == 0)
                    put(&s[k]->floor, rng_below(&r, 50), 1);
            }
        }
        compare(s[0], s[1], &bytes);
        clock_state_unref(s[0]);
        clock_state_unref(s[1]);
    }
}

static void ten_of_ten_thousand_are_cheap(void **state) {
    struct clock_state *a = clock_state_new(), *b = clock_state_new();
    size_t bytes;
    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        put(&a->ranges.r[0].clk, i, 5);
        put(&b->ranges.r[0].clk, i, i % 1000 == 7 ? 6 : 5);
    }
    unsigned turns = compare(a, b, &bytes);
    print_message("# 10 of 10,000: %zu bytes, %u messages\n", bytes, turns);
    assert_in_range(bytes, 1, 16000);
    assert_in_range(turns, 1, 5);
    turns = compare(a, a, &bytes);
    assert_int_equal(turns, 1); /* an empty answer */
    clock_state_unref(a);
    clock_state_unref(b);
}

static void only_large_settled_clocks_are_worth_it(void **state) {
    struct clock_state *s = clock_state_new();
    size_t at;
    (void)state;
    for (uint64_t i = 0; i < CLOCK_FP_MIN; i++)
        put(&s->ranges.r[0].clk, i, 5);
    assert_false(clock_fp_worth(s));
    put(&s->floor, 1, 1);
    assert_true(clock_fp_worth(s));
    assert_ok(ranges_cut(&s->ranges, slice_str("x"), 0, &at));
    assert_false(clock_fp_worth(s));
    clock_state_unref(s);
}

static int hear(struct clock_fp *f, slice s) {
    struct buf out = {0};
    struct unpack u;
    unpack_init(&u, s);
    int rc = clock_fp_answer(f, &u, &out);
    if (rc >= 0 && unpack_end(&u))
        rc = ECRDT_EPEER;
    buf_free(&out);
    return rc;
}

/* Places out of order or one in the other, entries of another place, digits
 * that are none, ids without end; then noise. */
static void malformed_words_are_refused(void **state) {
    static const char *const bad[] = {
        "92 9400c4010302 90 9400c4010302 90",
        "92 9400c4010302 90 9400c4010202 90",
        "92 9400c4010302 90 9400c402030302 90",
        "92 9401c40002 90 9400c40002 90",
        "91 9400c4011002 90",
        "91 9402c40002 90",
        "91 9400c4000390",
        "91 9400c4010302 93c410 40000000000000000000000000000000 01"
        "c4080000000000000000",
        "91 9300c40002",
        "c0"};
    struct clock_state *s = clock_state_new();
    struct rng r = rng_seed();
    (void)state;
    for (uint64_t i = 0; i < 500; i++)
        put(&s->ranges.r[0].clk, i, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct clock_fp *f = clock_fp_new(s, nonce);
        uint8_t bytes[128];
        size_t n = hex_decode(bytes, sizeof bytes, bad[i]);
        assert_code(ECRDT_EPEER, hear(f, slice_of(bytes, n)));
        clock_fp_free(f);
    }
    struct buf first = {0};
    struct clock_fp *f = clock_fp_new(s, nonce);
    clock_fp_first(f, &first);
    for (int i = 0; i < 2000; i++) {
        struct clock_fp *g = clock_fp_new(s, nonce);
        size_t at = (size_t)rng_below(&r, first.len);
        uint8_t was = first.data[at];
        first.data[at] = (uint8_t)rng_u64(&r);
        hear(g, buf_slice(&first));
        first.data[at] = was;
        clock_fp_free(g);
    }
    clock_fp_free(f);
    buf_free(&first);
    clock_state_unref(s);
}

static void an_exchange_ends(void **state) {
    static const uint8_t ask[] = {0x91, 0x94, 0, 0xc4, 1, 3, 1, 0x90};
    struct clock_state *s = clock_state_new();
    struct clock_fp *f = clock_fp_new(s, nonce);
    int rc = 0;
    unsigned n = 0;
    (void)state;
    for (; rc >= 0; n++)
        rc = hear(f, slice_of(ask, sizeof ask));
    assert_int_equal(rc, ECRDT_EPEER);
    assert_int_equal(n, CLOCK_FP_TURNS + 1);
    clock_fp_free(f);
    clock_state_unref(s);
}

/* The same clocks have other fingerprints on another link. */
static void fingerprints_belong_to_a_link(void **state) {
    static const uint8_t other[CLOCK_FP_NONCE] = {9};
    struct clock_state *s = clock_state_new();
    struct buf a = {0}, b = {0};
    (void)state;
    put(&s->ranges.r[0].clk, 1, 1);
    struct clock_fp *f = clock_fp_new(s, nonce), *g = clock_fp_new(s, other);
    clock_fp_first(f, &a);
    clock_fp_first(g, &b);
    assert_int_equal(a.len, b.len);
    assert_memory_not_equal(a.data, b.data, a.len);
    clock_fp_free(f);
    clock_fp_free(g);
    buf_free(&a);
    buf_free(&b);
    clock_state_unref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_two_clocks_are_told),
        cmocka_unit_test(ten_of_ten_thousand_are_cheap),
        cmocka_unit_test(only_large_settled_clocks_are_worth_it),
        cmocka_unit_test(malformed_words_are_refused),
        cmocka_unit_test(an_exchange_ends),
        cmocka_unit_test(fingerprints_belong_to_a_link),
    };
    if (crypto_init() < 0)
        return 1;
    return TEST_RUN(tests);
}

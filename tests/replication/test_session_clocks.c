/* test_session_clocks.c: how two nodes learn each other's clocks, small and
 * large, and what that costs. */
#include "tests/replication/world.h"

/* Both know of n origins; d of them differ, half at each side. */
static uint64_t connect_cost(uint32_t n, uint32_t d) {
    struct world w;
    world_open(&w, 2);
    for (size_t i = 0; i < 2; i++)
        world_origins(&w, i, "b", 0, n, 1);
    if (d) {
        world_origins(&w, 0, "b", 0, d / 2, 2);
        world_origins(&w, 1, "b", n, n + d - d / 2, 1);
    }
    world_connect(&w, 0, 1);
    world_settle(&w, 2000);
    world_assert_equal(&w, "b", 0, 1);
    uint64_t bytes = w.moved;
    world_close(&w);
    return bytes;
}

static void large_clocks_cost_their_difference(void **state) {
    (void)state;
    uint64_t ten = connect_cost(10000, 10), none = connect_cost(10000, 0);
    uint64_t few = connect_cost(200, 10);
    print_message("# 10,000 origins: %llu bytes for 10 that differ, %llu for "
                  "none; 200 origins: %llu\n",
                  (unsigned long long)ten, (unsigned long long)none,
                  (unsigned long long)few);
    assert_true(ten <= 20000);
    assert_true(none <= 12000);
    assert_true(few <= 20000);
}

/* Whatever is large and small on the two sides, and who dials. */
static void all_sizes_meet(void **state) {
    static const uint32_t sizes[] = {0, 1, 255, 257, 600, 3000};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    (void)state;
    for (unsigned i = 0; i < SIZES; i++)
        for (unsigned k = 0; k < SIZES; k++) {
            struct world w;
            world_open(&w, 2);
            world_set(&w, 0, "c", "k", "v");
            if (sizes[i])
                world_origins(&w, 0, "b", 0, sizes[i], 1);
            if (sizes[k]) /* some in common */
                world_origins(&w, 1, "b", 100, 100 + sizes[k], 2);
            world_connect(&w, 0, 1);
            world_settle(&w, 5000);
            world_assert_equal(&w, "c", 0, 1);
            if (sizes[i] || sizes[k])
                world_assert_equal(&w, "b", 0, 1);
            world_close(&w);
        }
}

/* A clock that moves while it is compared is told by difference behind. */
static void writes_during_the_comparison_arrive(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    for (size_t i = 0; i < 2; i++)
        world_origins(&w, i, "b", (uint32_t)i, 2000, 1);
    world_connect(&w, 0, 1);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        world_set(&w, i & 1, "b", key, "x");
        world_turn(&w);
        w.now += i % 3 == 0;
    }
    world_settle(&w, 2000);
    world_assert_equal(&w, "b", 0, 1);
    world_close(&w);
}

static void say(struct world *w, struct puppet *p, const void *bytes,
                size_t n) {
    struct buf b = {0};
    message_fp_header(&b, "b");
    buf_put(&b, bytes, n);
    puppet_send(w, p, MESSAGE_CLOCK_FP, buf_slice(&b));
    buf_free(&b);
}

/* A peer that compares out of turn, without end or in noise is refused. */
static void hostile_comparisons_are_refused(void **state) {
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        struct world w;
        struct puppet p;
        world_open(&w, 2);
        world_origins(&w, 1, "b", 0, 400, 1);
        puppet_open(&w, &p, 0, 1);
        if (mode == 0) { /* no array */
            world_run(&w, 5);
            say(&w, &p, "\xc3", 1);
        } else if (mode == 1) { /* too much at first */
            static uint8_t big[CLOCK_FP_FIRST + 1] = {0x90};
            say(&w, &p, big, sizeof big);
        } else if (mode == 2) { /* twice before the answer */
            say(&w, &p, "\x90", 1);
            say(&w, &p, "\x90", 1);
        } else { /* for ever: asks for an empty place again and again */
            static const uint8_t ask[] = {0x91, 0x94, 0, 0xc4, 1, 3, 1, 0x90};
            for (int i = 0; i < 2 * CLOCK_FP_TURNS; i++) {
                say(&w, &p, ask, sizeof ask);
                world_run(&w, 1);
            }
        }
        world_run(&w, 5);
        if (mode < 3)
            assert_int_equal(p.other->s->bye, BYE_PROTOCOL);
        else /* an answer ends the exchange: the rest is not heard */
            assert_true(p.other->s->state <= SESSION_LIVE);
        puppet_close(&w, &p);
        world_close(&w);
    }
}

/* Differences of clocks that are none, or without end: refused, bounded. */
static void hostile_differences_are_refused(void **state) {
    static const char *const bad[] = {
        "950000c40162c0",
        "950000c40162c000",
        "950001c40162c3c0",
        "950010c40162c0c0",                            /* a flag that is none */
        "950500c40162c0c0",                            /* acks the unsent */
        "950000c400c0c0",                              /* no name */
        "950000c40162 93 9290 90 c2 92 05 9290 90 c0", /* a range not there */
        "950000c40162 93 9293 00 05 c408ffffffffffffffff 90 c2 90 c0"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct world w;
        struct puppet p;
        uint8_t bytes[128];
        world_open(&w, 2);
        puppet_open(&w, &p, 0, 1);
        puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
        size_t n = hex_decode(bytes, sizeof bytes, bad[i]);
        puppet_send(&w, &p, MESSAGE_CLOCK_DIFF, slice_of(bytes, n));
        assert_int_equal(p.other->s->bye, BYE_PROTOCOL);
        puppet_close(&w, &p);
        world_close(&w);
    }
}

/* A peer that invents origins without end: its link is closed, and what was
 * kept of it stays within the bound. */
static void invented_origins_are_bounded(void **state) {
    struct world w;
    struct puppet p;
    struct clock_state *said = clock_state_new();
    uint64_t invented = 0;
    (void)state;
    world_open(&w, 2);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    while (p.other->s->state == SESSION_LIVE) {
        struct clock_state *next = clock_state_new();
        struct buf b = {0};
        assert_ok(ranges_copy(&next->ranges, &said->ranges));
        for (int i = 0; i < 50000; i++) {
            uint8_t o[ORIGIN_SIZE] = {0};
            store64(o, ++invented);
            assert_ok(vv_raise(&next->ranges.r[0].clk, o, INT64_MAX, 1));
        }
        message_diff_encode(&b, 0, 0, "b", said, next, false);
        puppet_send(&w, &p, MESSAGE_CLOCK_DIFF, buf_slice(&b));
        assert_true(p.other->s->mirrors.bytes <= MIRRORS_MAX_BYTES);
        clock_state_unref(said);
        said = next;
        buf_free(&b);
        assert_true(invented < 2000000);
    }
    assert_true(invented > VV_MAX_ENTRIES);
    assert_int_equal(p.other->s->bye, BYE_PROTOCOL);
    clock_state_unref(said);
    puppet_close(&w, &p);
    world_close(&w);
}

/* Chunks that wait each keep the clock they came with: they are counted, and
 * reading stops. */
static void waiting_clocks_are_counted(void **state) {
    struct world w;
    struct puppet p;
    struct clock_state *said = clock_state_new();
    struct session *s;
    int n = 0;
    (void)state;
    world_open(&w, 2);
    puppet_open(&w, &p, 0, 1);
    s = p.other->s;
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    for (uint64_t i = 1; i <= 20000; i++) {
        uint8_t o[ORIGIN_SIZE] = {0};
        store64(o, i);
        assert_ok(vv_raise(&said->ranges.r[0].clk, o, 1, 1));
    }
    struct clock_state *from = clock_state_new();
    for (; session_wants_read(s) && n < 1000; n++) {
        struct buf word = {0}, b = {0};
        message_diff_encode(&word, 0, 0, "b", from, said, false);
        message_chunk_encode(&b, "b", false, buf_slice(&word), slice_str("x"));
        puppet_send(&w, &p, MESSAGE_CHUNK, buf_slice(&b));
        clock_state_unref(from);
        from = clock_state_new();
        assert_ok(ranges_copy(&from->ranges, &said->ranges));
        said->ranges.r[0].clk.e[n].seq++;
        buf_free(&word);
        buf_free(&b);
    }
    assert_in_range(n, 5, 20); /* of 640 KB each */
    clock_state_unref(from);
    clock_state_unref(said);
    puppet_close(&w, &p);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_clocks_cost_their_difference),
        cmocka_unit_test(all_sizes_meet),
        cmocka_unit_test(writes_during_the_comparison_arrive),
        cmocka_unit_test(hostile_comparisons_are_refused),
        cmocka_unit_test(hostile_differences_are_refused),
        cmocka_unit_test(invented_origins_are_bounded),
        cmocka_unit_test(waiting_clocks_are_counted),
    };
    return TEST_RUN(tests);
}

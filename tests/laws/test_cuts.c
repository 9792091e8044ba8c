/* test_cuts.c: the cap on cuts, 3 here: real stores whose builder is compiled
 * with it stand at it and past it, and still all sessions end. */
#define CHUNK_MAX_CUTS 3
#include "crdt/chunk_build.c"
#include "tests/crdt/forge.h"

enum { STORES = 4, KEYS = 40, ITEMS = 4 };
static uint64_t ran_on; /* chunks that went past their budget */

static size_t cuts(size_t i) {
    struct ranges rs = {0};
    kit_clock(i, &rs);
    size_t n = rs.n;
    ranges_free(&rs);
    return n;
}

/* At most n chunks for store to; 1 if there was one. */
static int push(size_t to, size_t from, unsigned n) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, ITEMS};
    struct chunk_built built;
    struct ranges peer = {0};
    struct buf out = {0};
    int rc = 0, any = 0;
    for (kit_clock(to, &peer); n > 0; n--, any = 1) {
        ecrdt_txn *t = kit_expose(from);
        buf_clear(&out);
        rc = chunk_build(t, KIT_B, &peer, &budget, NULL, &out, &built);
        ecrdt_abort(t);
        assert_true(rc >= 0);
        if (rc == 0)
            break;
        ran_on += built.items > budget.max_items;
        struct chunk_report r = kit_apply(to, buf_slice(&out));
        assert_int_equal(r.ahead + r.refused, 0); /* a cap refuses nothing */
    }
    ranges_free(&peer);
    buf_free(&out);
    return any;
}

static void write_some(size_t i, struct rng *r, int n) {
    for (; n > 0; n--) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%03d", (int)rng_below(r, KEYS));
        snprintf(value, sizeof value, "%d-%zu", n, i);
        kit_set(i, key, value);
    }
}

/* Whoever meets sends one chunk, in random order: it must end in time. */
static void settle(struct rng *r, size_t n) {
    for (int quiet = 0, step = 0; quiet < 200; step++) {
        size_t a = rng_below(r, n), b = rng_below(r, n);
        assert_true(step < 20000);
        quiet = a != b && push(a, b, 1) ? 0 : quiet + 1;
    }
    for (size_t i = 0; i < n; i++) {
        kit_same_digest(0, i);
        kit_sound(i);
        assert_code(1, ecrdt_settled(kit(i), KIT_B));
    }
}

/* Gives store i a cut at each eighth key: of one origin for each stretch,
 * what it wrote there is superseded. */
static void make_cuts(size_t i) {
    struct chunk c;
    forge_begin(&c);
    for (int k = 0; k < KEYS; k += 8) {
        char lo[16], hi[16];
        snprintf(lo, sizeof lo, "k%03d", k);
        snprintf(hi, sizeof hi, "k%03d", k + 8);
        struct chunk_part *p = forge_part(&c);
        forge_bounds(p, forge_id(lo), forge_id(hi));
        assert_ok(vv_raise(&p->clk, forge_origin((uint8_t)(k + 1)), 1, 1));
    }
    assert_int_equal(forge_apply(i, &c).refused, 0);
    assert_in_range(cuts(i), CHUNK_MAX_CUTS + 1, 8);
}

/* They wrote nothing else. */
static void end_cuts(size_t i) {
    struct chunk c;
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    for (int k = 0; k < KEYS; k += 8)
        assert_ok(vv_raise(&p->clk, forge_origin((uint8_t)(k + 1)), 1, 1));
    assert_int_equal(forge_apply(i, &c).refused, 0);
}

/* One has cuts past the cap, the other none: each of them first. */
static void many_cuts_meet_none(void **state) {
    for (size_t first = 0; first < 2; first++) {
        struct rng r = {.s = 7};
        char key[16];
        for (int i = 0; i < KEYS; i++) {
            snprintf(key, sizeof key, "k%03d", i);
            kit_set(0, key, "v");
            kit_set(1, key, "w");
        }
        kit_set(1, "own", "v");
        make_cuts(1);
        assert_int_equal(cuts(0), 1);
        ran_on = 0;
        for (unsigned n = 1; n < 4; n++) { /* broken off twice */
            push(first, 1 - first, n);
            push(1 - first, first, n);
        }
        push(first, 1 - first, 1000);
        push(1 - first, first, 1000);
        print_message("# %llu chunks ran on\n", (unsigned long long)ran_on);
        assert_true(ran_on > 0);
        kit_same_digest(0, 1);
        end_cuts(first);
        settle(&r, STORES);
        kit_expect(0, "own", "v");
        assert_int_equal(kit_teardown(state), 0);
        kit_setup(state);
    }
}

/* All write, and single chunks go anywhere: the most cuts that came of it. */
static void any_order_ends(void **state) {
    size_t most = 0;
    ran_on = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng r = {.s = seed};
        for (int step = 0; step < 120; step++) {
            size_t a = rng_below(&r, STORES), b = rng_below(&r, STORES);
            if (rng_below(&r, 3) == 0)
                write_some(a, &r, 1 + (int)rng_below(&r, 6));
            else if (a != b)
                push(a, b, 1);
            most = cuts(a) > most ? cuts(a) : most;
        }
        settle(&r, STORES);
        assert_int_equal(kit_teardown(state), 0);
        kit_setup(state);
    }
    print_message("# at most %zu ranges, %llu chunks ran on\n", most,
                  (unsigned long long)ran_on);
    assert_true(most >= CHUNK_MAX_CUTS && ran_on > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(many_cuts_meet_none),
        kit_test(any_order_ends),
    };
    return TEST_RUN(tests);
}

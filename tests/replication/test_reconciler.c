/* test_reconciler.c: scans in slices: live pushes go on, a link may end in
 * the middle, a held writer lock is waited out. */
#include "crdt/clocks.h"
#include "tests/replication/world.h"

enum { ITEMS = 60000 };
static struct world w;

static void raise_floor(size_t i) {
    ecrdt_txn *t;
    struct bucket *bk;
    assert_ok(replica_begin(w.node[i].s, true, 1000, &t));
    assert_code(1, txn_bucket(t, "b", false, &bk));
    assert_ok(clocks_load(t, bk));
    assert_ok(clocks_raise_all(t, bk, CLOCK_FLOOR, &bk->rs.r[0].clk));
    assert_ok(ecrdt_commit(t));
}

/* Node 1 was in sync with node 0 once, and is below its floor now. */
static struct world_link *below(size_t nodes) {
    world_open(&w, nodes);
    world_fill(&w, 0, "b", "k", ITEMS, 8);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 200000);
    world_cut(&w, l);
    world_set(&w, 0, "b", "k000007", "changed");
    raise_floor(0);
    return world_connect(&w, 0, 1);
}

static bool scanning(size_t i) {
    return w.node[i].g.reconciler.txn != NULL;
}

/* Turns, one in a millisecond, until node i scans, or no longer does. */
static void until(size_t i, bool wanted) {
    for (int n = 0; scanning(i) != wanted; n++, w.now++) {
        assert_true(n < 20000);
        world_turn(&w);
    }
}

static bool has(size_t i, const char *bucket, const char *key) {
    slice v;
    ecrdt_txn *t = assert_handle(ecrdt_auto(w.node[i].s));
    int rc = ecrdt_reg_get(t, bucket, ecrdt_str(key), &v, NULL);
    ecrdt_abort(t);
    return rc == 1;
}

static void live_pushes_go_on_during_a_scan(void **state) {
    (void)state;
    below(3);
    world_connect(&w, 0, 2);
    until(0, true);
    world_set(&w, 0, "live", "k", "v");
    for (int n = 0; n < 12 && !has(1, "live", "k"); n++, w.now++)
        world_turn(&w);
    assert_true(has(1, "live", "k")); /* over the very link that talks */
    world_settle(&w, 20000);
    world_assert_equal(&w, "b", 0, 1);
    world_close(&w);
}

static void a_link_may_end_in_the_middle(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world_link *l = below(2);
        until(i, true);
        world_cut(&w, l);
        assert_false(scanning(0) || scanning(1));
        world_connect(&w, 0, 1);
        world_settle(&w, 20000);
        world_assert_equal(&w, "b", 0, 1);
        world_close(&w);
    }
}

/* The link ends after so many turns of a repair; another peer goes on. */
static bool broken_after(unsigned turns) {
    world_open(&w, 3);
    world_fill(&w, 0, "b", "k", 3000, 8);
    for (size_t i = 1; i < 3; i++)
        world_connect(&w, 0, i);
    world_settle(&w, 200000);
    for (size_t i = 0; i < 2; i++)
        world_cut(&w, &w.link[i]);
    world_fill(&w, 0, "b", "k0010", 90, 9);
    world_set(&w, 1, "b", "k000007", "mine");
    world_settle(&w, (world_connect(&w, 0, 2), 20000));
    world_cut(&w, &w.link[2]);
    raise_floor(0);
    raise_floor(2);
    struct world_link *l = world_connect(&w, 0, 1);
    for (unsigned n = 0; n < turns && !world_in_sync(&w); n++, w.now++)
        world_turn(&w);
    bool done = world_in_sync(&w);
    world_cut(&w, l);
    assert_ok(ecrdt_verify(w.node[1].s, NULL, NULL));
    world_set(&w, 1, "b", "between", "v");
    world_settle(&w, (world_connect(&w, 2, 1), 20000));
    world_assert_equal(&w, "b", 1, 2);
    assert_code(1, ecrdt_settled(w.node[1].s, "b"));
    world_settle(&w, (world_connect(&w, 0, 1), 20000));
    world_assert_equal(&w, "b", 0, 1);
    assert_ok(ecrdt_verify(w.node[1].s, NULL, NULL));
    world_close(&w);
    return done;
}

static void broken_after_every_turn(void **state) {
    unsigned n = 1;
    (void)state;
    while (!broken_after(n))
        n++;
    print_message("# %u turns\n", n);
    assert_in_range(n, 4, 1000);
}

/* Writers never wait for a comparison, nor it for them. */
static void a_held_lock_is_waited_out(void **state) {
    (void)state;
    struct world_link *l = below(2);
    until(1, true);
    ecrdt_txn *t = assert_handle(ecrdt_write(w.node[1].s));
    until(1, false);
    world_run(&w, 100);
    size_t waiting = l->end[1].s->n_raises + l->end[0].s->n_raises;
    assert_true(waiting > 0 || !world_in_sync(&w));
    ecrdt_abort(t);
    world_settle(&w, 20000);
    world_assert_equal(&w, "b", 0, 1);
    assert_true(l->end[0].s->stats.fps_out > 0);
    world_close(&w);
}

/* Both are below the other's floor, and write all the time. */
static void two_that_write_meanwhile_end_equal(void **state) {
    (void)state;
    below(2);
    world_set(&w, 1, "b", "k000009", "there");
    raise_floor(1);
    for (int n = 0; n < 60; n++) {
        char k[16];
        snprintf(k, sizeof k, "new%03d", n);
        world_set(&w, (size_t)(n & 1), "b", k, "v");
        for (int i = 0; i < 3; i++, w.now++)
            world_turn(&w);
    }
    world_settle(&w, 60000);
    world_assert_equal(&w, "b", 0, 1);
    assert_ok(ecrdt_verify(w.node[0].s, NULL, NULL));
    assert_ok(ecrdt_verify(w.node[1].s, NULL, NULL));
    world_close(&w);
}

/* Each of three is below the floors of both others; links break on the way
 * and talks go on with whoever is there. */
static void three_below_each_others_floor(void **state) {
    (void)state;
    world_open(&w, 3);
    world_fill(&w, 0, "b", "k", 5000, 8);
    for (size_t i = 0; i < 3; i++)
        world_connect(&w, i, (i + 1) % 3);
    world_settle(&w, 200000);
    for (size_t i = 0; i < 3; i++)
        world_cut(&w, &w.link[i]);
    for (size_t i = 0; i < 3; i++) {
        world_fill(&w, i, "b", i == 0 ? "k00" : i == 1 ? "k01" : "k02", 60, 9);
        raise_floor(i);
    }
    for (int round = 0; round < 12; round++) {
        struct world_link *l =
            world_connect(&w, (size_t)round % 3, (size_t)(round + 1) % 3);
        world_run(&w, rng_below(&w.rng, 12));
        world_cut(&w, l);
    }
    for (size_t i = 0; i < 3; i++)
        world_connect(&w, i, (i + 1) % 3);
    world_settle(&w, 60000);
    world_assert_equal(&w, "b", 0, 1);
    world_assert_equal(&w, "b", 1, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(ecrdt_verify(w.node[i].s, NULL, NULL));
        assert_code(1, ecrdt_settled(w.node[i].s, "b"));
    }
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_pushes_go_on_during_a_scan),
        cmocka_unit_test(a_link_may_end_in_the_middle),
        cmocka_unit_test(broken_after_every_turn),
        cmocka_unit_test(a_held_lock_is_waited_out),
        cmocka_unit_test(two_that_write_meanwhile_end_equal),
        cmocka_unit_test(three_below_each_others_floor),
    };
    return TEST_RUN(tests);
}

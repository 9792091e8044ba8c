/* test_gc.c: what a pass drops and what it leaves: the retention by the own
 * time of arrival, the cores' clocks, the floor, short transactions. */
#include "crdt/gc.h"
#include "crdt/clocks.h"
#include "tests/crdt/kit.h"
#include "tests/support/wall.h"

enum { DAY = 24 * 3600 * 1000 };

static struct gc_policy after(uint64_t retention_ms) {
    return (struct gc_policy){.retention_ms = retention_ms};
}

/* A whole pass over store i; how many steps it took. */
static unsigned pass(size_t i, struct gc_policy p, struct gc *g) {
    unsigned steps = 1;
    int rc;
    assert_ok(gc_begin(g, kit(i), &p));
    while ((rc = gc_step(g, 1000)) == 1)
        steps++;
    assert_ok(rc);
    gc_end(g);
    kit_sound(i);
    return steps;
}

static uint64_t dropped(size_t i, struct gc_policy p) {
    struct gc g;
    pass(i, p, &g);
    return g.dropped;
}

static uint64_t tombs(size_t i) {
    ecrdt_txn *t = kit_read(i);
    uint64_t n = kit_bucket(t)->head.tombs;
    ecrdt_abort(t);
    return n;
}

/* The floor of store i at the origin of store of. */
static uint64_t floor_at(size_t i, size_t of) {
    struct vv floor = {0};
    struct ranges rs = {0};
    ecrdt_node id;
    assert_ok(ecrdt_node_id(kit(of), &id));
    ecrdt_txn *t = kit_read(i);
    assert_ok(replica_clock(t, KIT_B, &rs, &floor));
    ecrdt_abort(t);
    uint64_t seq = vv_seq(&floor, id.b);
    ranges_free(&rs);
    vv_free(&floor);
    return seq;
}

static void make_tombs(size_t i, const char *key, unsigned n) {
    char elem[16];
    ecrdt_txn *t = kit_write(i);
    for (unsigned k = 0; k < n; k++) {
        snprintf(elem, sizeof elem, "%06u", k);
        assert_code(1,
                    ecrdt_set_add(t, KIT_B, slice_str(key), slice_str(elem)));
    }
    assert_ok(ecrdt_commit(t));
    t = kit_write(i);
    assert_ok(ecrdt_set_clear(t, KIT_B, slice_str(key)));
    assert_ok(ecrdt_commit(t));
}

static void what_is_old_enough_goes(void **state) {
    (void)state;
    uint8_t before[16], behind[16];
    kit_set(0, "stays", "v");
    kit_set(0, "a", "v");
    kit_set(0, "b", "v");
    kit_del(0, "a"); /* 4 */
    wall_now += DAY;
    kit_del(0, "b"); /* 5 */
    kit_digest(0, before);
    wall_now += DAY - 1;
    assert_int_equal(dropped(0, after(2 * DAY)), 0);
    assert_int_equal(floor_at(0, 0), 0);
    wall_now += 1;
    assert_int_equal(dropped(0, after(2 * DAY)), 1);
    assert_int_equal(floor_at(0, 0), 4);
    assert_int_equal(tombs(0), 1);
    assert_int_equal(dropped(0, after(UINT64_MAX)), 0); /* for ever */
    assert_int_equal(dropped(0, after(0)), 1);
    assert_int_equal(floor_at(0, 0), 5);
    assert_int_equal(tombs(0), 0);
    kit_digest(0, behind);
    assert_memory_equal(before, behind, 16);
    kit_expect(0, "stays", "v");
    kit_expect(0, "a", NULL);
}

/* The time of arrival here counts, not that of the delete. */
static void a_late_tomb_stays_as_long(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    kit_pull(1, 0);
    kit_del(0, "k");
    wall_now += 40 * (uint64_t)DAY;
    kit_pull(1, 0);
    assert_int_equal(dropped(0, after(GC_RETENTION_MS)), 1);
    assert_int_equal(dropped(1, after(GC_RETENTION_MS)), 0);
    assert_int_equal(floor_at(1, 0), 0);
    wall_now += GC_RETENTION_MS;
    assert_int_equal(dropped(1, after(GC_RETENTION_MS)), 1);
    assert_int_equal(floor_at(1, 0), 2);
}

/* A tomb beside a value goes alone; the value stays. */
static void a_tomb_beside_a_value(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    kit_pull(1, 0);
    kit_del(0, "k");
    kit_set(1, "k", "w");
    kit_pull(1, 0);
    assert_int_equal(tombs(1), 1);
    assert_int_equal(dropped(1, after(0)), 1);
    kit_expect(1, "k", "w");
    assert_int_equal(tombs(1), 0);
}

static bool below(void *ctx, const char *bucket, slice id,
                  const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    const uint64_t *limit = ctx;
    ecrdt_node me;
    assert_string_equal(bucket, KIT_B);
    assert_true(id.len > 1);
    assert_ok(ecrdt_node_id(kit(0), &me));
    assert_memory_equal(me.b, origin, ORIGIN_SIZE);
    return seq <= *limit;
}

static void what_a_core_lacks_is_held(void **state) {
    (void)state;
    uint64_t limit = 25;
    struct gc_policy p = {.covered = below, .ctx = &limit};
    struct gc g;
    make_tombs(0, "s", 20); /* tombs 21 to 40 */
    wall_now += 1;
    pass(0, p, &g);
    assert_int_equal(g.dropped, 5);
    assert_int_equal(g.held, 15);
    assert_int_equal(floor_at(0, 0), 25);
    limit = 0;
    assert_int_equal(dropped(0, p), 0);
    assert_int_equal(floor_at(0, 0), 25);
    limit = 40;
    assert_int_equal(dropped(0, p), 15);
    assert_int_equal(tombs(0), 0);
}

/* More tombs than one transaction takes, in two buckets. */
static void a_pass_goes_on_where_it_stopped(void **state) {
    (void)state;
    struct gc g;
    make_tombs(0, "s", 2 * GC_BATCH + 10);
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, "zz", slice_str("k"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
    t = kit_write(0);
    assert_code(1, ecrdt_reg_del(t, "zz", slice_str("k")));
    assert_ok(ecrdt_commit(t));
    uint64_t txns = replica_txn_id(kit(0));
    assert_true(pass(0, after(0), &g) >= 3);
    assert_int_equal(g.dropped, 2 * GC_BATCH + 11);
    assert_true(g.bytes > 45 * g.dropped && g.bytes < 300 * g.dropped);
    assert_true(replica_txn_id(kit(0)) - txns >= 3);
    struct gc_total all;
    t = kit_read(0);
    assert_code(1, gc_total_read(t, &all));
    ecrdt_abort(t);
    assert_int_equal(all.dropped, g.dropped);
    assert_int_equal(all.bytes, g.bytes);
    assert_int_equal(all.last_ms, wall_now);
}

/* Nothing due: nothing is written. */
static void an_idle_pass_writes_nothing(void **state) {
    (void)state;
    make_tombs(0, "s", 3);
    uint64_t txns = replica_txn_id(kit(0));
    assert_int_equal(dropped(0, after(DAY)), 0);
    assert_int_equal(replica_txn_id(kit(0)), txns);
}

/* A writer between the look and the drop: the tomb it superseded is left. */
static bool write_meanwhile(void *ctx, const char *bucket, slice id,
                            const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    (void)bucket;
    (void)id;
    (void)origin;
    (void)seq;
    unsigned *calls = ctx;
    if (!(*calls)++)
        kit_set(0, "a", "again");
    return true;
}

static void a_tomb_superseded_meanwhile(void **state) {
    (void)state;
    unsigned calls = 0;
    struct gc_policy p = {.covered = write_meanwhile, .ctx = &calls};
    kit_set(0, "a", "v");
    kit_set(0, "b", "v");
    kit_del(0, "a");
    kit_del(0, "b");
    assert_int_equal(dropped(0, p), 1);
    kit_expect(0, "a", "again");
    assert_int_equal(tombs(0), 0);
}

/* Held by another, the lock is not waited for; the next step does it. */
static void a_busy_lock_loses_nothing(void **state) {
    (void)state;
    struct gc_policy p = after(0);
    struct gc g;
    make_tombs(0, "s", 3);
    assert_ok(gc_begin(&g, kit(0), &p));
    ecrdt_txn *t = kit_write(0);
    assert_code(ECRDT_EBUSY, gc_step(&g, 0));
    ecrdt_abort(t);
    assert_int_equal(g.dropped, 0);
    assert_ok(gc_step(&g, 0));
    assert_int_equal(g.dropped, 3);
    gc_end(&g);
    kit_sound(0);
}

/* Ten years ahead and back: tombs of that time do not lie here for ten years;
 * they are dated anew by the first pass that sees the right time. */
static void a_clock_ten_years_ahead(void **state) {
    (void)state;
    const uint64_t years = UINT64_C(3652) * DAY;
    kit_set(0, "k", "v");
    kit_set(0, "l", "v");
    kit_del(0, "l");
    wall_now += years;
    kit_del(0, "k");
    wall_now -= years;
    assert_int_equal(dropped(0, after(GC_RETENTION_MS)), 0);
    wall_now += GC_RETENTION_MS;
    assert_int_equal(dropped(0, after(GC_RETENTION_MS)), 2);
    assert_int_equal(tombs(0), 0);
    kit_set(0, "k", "w");
    kit_expect(0, "k", "w");
    kit_sound(0);
}

/* GC under a clock that is ahead drops early, which only costs bytes. */
static void gc_under_a_clock_ahead(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    kit_set(0, "m", "old");
    kit_pull(1, 0);
    kit_del(0, "k");
    wall_now += UINT64_C(3652) * DAY;
    assert_int_equal(dropped(0, after(GC_RETENTION_MS)), 1);
    wall_now -= UINT64_C(3652) * DAY;
    kit_set(1, "m", "offline");
    kit_pull(1, 0);
    kit_pull(0, 1);
    kit_expect(1, "k", NULL);
    kit_expect(0, "m", "offline");
    kit_same_digest(0, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(what_is_old_enough_goes),
        kit_test(a_late_tomb_stays_as_long),
        kit_test(a_tomb_beside_a_value),
        kit_test(what_a_core_lacks_is_held),
        kit_test(a_pass_goes_on_where_it_stopped),
        kit_test(an_idle_pass_writes_nothing),
        kit_test(a_tomb_superseded_meanwhile),
        kit_test(a_busy_lock_loses_nothing),
        kit_test(a_clock_ten_years_ahead),
        kit_test(gc_under_a_clock_ahead),
    };
    return TEST_RUN(tests);
}

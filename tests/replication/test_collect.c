/* test_collect.c: passes in steps: the interval, the budget, the lock that is
 * held, what the cores lack. */
#include "replication/collect.h"
#include "tests/crdt/kit.h"

static void make_tombs(unsigned n) {
    char elem[16];
    ecrdt_txn *t = kit_write(0);
    for (unsigned i = 0; i < n; i++) {
        snprintf(elem, sizeof elem, "%06u", i);
        assert_code(1,
                    ecrdt_set_add(t, KIT_B, slice_str("s"), slice_str(elem)));
    }
    assert_ok(ecrdt_commit(t));
    t = kit_write(0);
    assert_ok(ecrdt_set_clear(t, KIT_B, slice_str("s")));
    assert_ok(ecrdt_commit(t));
}

static uint64_t tombs(void) {
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(0), &st));
    return st.tombstones;
}

static struct collect begin(uint64_t interval_ms, uint64_t budget_ms) {
    struct collect c;
    struct collect_conf conf = {interval_ms, budget_ms};
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_GC_RETENTION_MS, 0));
    collect_init(&c, kit(0), &conf, 1000);
    return c;
}

static const struct gc_policy none;

static void one_pass_each_interval(void **state) {
    (void)state;
    struct collect c = begin(5000, 500);
    make_tombs(10);
    assert_int_equal(collect_run(&c, &none, 1000), 6000);
    assert_int_equal(collect_run(&c, &none, 5999), 6000);
    assert_int_equal(tombs(), 10);
    assert_int_equal(collect_run(&c, &none, 6000), 11000);
    assert_int_equal(tombs(), 0);
    make_tombs(10);
    assert_int_equal(collect_run(&c, &none, 7000), 11000);
    assert_int_equal(tombs(), 10);
    assert_int_equal(collect_run(&c, &none, 11500), 16500);
    assert_int_equal(tombs(), 0);
    collect_free(&c);
}

static void the_retention_is_the_stores(void **state) {
    (void)state;
    struct collect c = begin(1, 500);
    make_tombs(10);
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_GC_RETENTION_MS, 3600000));
    collect_run(&c, &none, 2000);
    assert_int_equal(tombs(), 10);
    collect_free(&c);
}

/* Steps in a row until the pass is over or the budget spent, then a rest. */
static void steps_and_budget(void **state) {
    (void)state;
    struct collect c = begin(1000, 100000);
    make_tombs(3 * GC_BATCH);
    uint64_t now = 2000;
    unsigned steps = 0;
    for (uint64_t at; (at = collect_run(&c, &none, now)) < now + 500; steps++) {
        assert_int_equal(at, now + COLLECT_PAUSE_MS);
        now = at;
    }
    assert_true(steps >= 2);
    assert_int_equal(tombs(), 0);
    collect_free(&c);
    c = begin(1000, 1);
    make_tombs(3 * GC_BATCH);
    c.spent_ms = 1; /* this step is the last of the interval */
    c.from_ms = 1999;
    assert_int_equal(collect_run(&c, &none, 2000), 2999);
    assert_true(tombs() > 0);
    for (now = 3000; tombs(); now += 1000)
        collect_run(&c, &none, now);
    assert_true(now > 4000);
    collect_free(&c);
}

static void no_budget_no_collection(void **state) {
    (void)state;
    struct collect c = begin(1, 0);
    make_tombs(1);
    assert_int_equal(collect_run(&c, &none, 5000), UINT64_MAX);
    assert_int_equal(tombs(), 1);
    struct collect_conf on = {1000, 10};
    collect_configure(&c, &on);
    assert_true(collect_run(&c, &none, 5000) <= 6000);
    assert_int_equal(tombs(), 0);
    collect_free(&c);
}

static void a_held_lock_is_not_waited_for(void **state) {
    (void)state;
    struct collect c = begin(1000, 500);
    make_tombs(5);
    ecrdt_txn *t = kit_write(0);
    uint64_t began = now_ms();
    assert_int_equal(collect_run(&c, &none, 3000), 3000 + COLLECT_BUSY_MS);
    assert_true(now_ms() - began < 1000);
    ecrdt_abort(t);
    collect_run(&c, &none, 3000 + COLLECT_BUSY_MS);
    assert_int_equal(tombs(), 0);
    collect_free(&c);
}

static bool nobody(void *ctx, const char *bucket, slice id,
                   const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    (void)bucket;
    (void)id;
    (void)origin;
    (void)seq;
    ++*(unsigned *)ctx;
    return false;
}

static void what_cores_lack_stays(void **state) {
    (void)state;
    unsigned asked = 0;
    struct gc_policy held = {.covered = nobody, .ctx = &asked};
    struct collect c = begin(1000, 500);
    make_tombs(5);
    collect_run(&c, &held, 3000);
    assert_int_equal(asked, 5);
    assert_int_equal(tombs(), 5);
    collect_run(&c, &none, 4000);
    assert_int_equal(tombs(), 0);
    collect_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(one_pass_each_interval),
        kit_test(the_retention_is_the_stores),
        kit_test(steps_and_budget),
        kit_test(no_budget_no_collection),
        kit_test(a_held_lock_is_not_waited_for),
        kit_test(what_cores_lack_stays),
    };
    return TEST_RUN(tests);
}

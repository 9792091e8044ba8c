/* test_api_gc.c: ecrdt_gc() and what the statistics say before and behind. */
#include "crdt/gc.h"
#include "tests/crdt/kit.h"
#include "tests/support/wall.h"
#include <pthread.h>

static ecrdt_stats stats(size_t i) {
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(i), &st));
    return st;
}

static void make_tombs(size_t i, unsigned n) {
    char elem[16];
    for (unsigned done = 0; done < n;) {
        ecrdt_txn *t = kit_write(i);
        for (unsigned k = 0; k < 1000 && done < n; k++, done++) {
            snprintf(elem, sizeof elem, "%06u", done);
            assert_code(
                1, ecrdt_set_add(t, KIT_B, slice_str("s"), slice_str(elem)));
        }
        assert_ok(ecrdt_commit(t));
    }
    ecrdt_txn *t = kit_write(i);
    assert_ok(ecrdt_set_clear(t, KIT_B, slice_str("s")));
    assert_ok(ecrdt_commit(t));
}

static void figures_before_and_behind(void **state) {
    (void)state;
    ecrdt_gc_report r;
    make_tombs(0, 3000);
    assert_int_equal(stats(0).oldest_tombstone_ms, 0);
    wall_now += GC_RETENTION_MS + 7;
    ecrdt_stats was = stats(0);
    assert_int_equal(was.tombstones, 3000);
    assert_int_equal(was.oldest_tombstone_ms, GC_RETENTION_MS + 7);
    assert_int_equal(was.floor_lag_ms, 7);
    assert_int_equal(was.gc_wall_ms, 0);
    assert_int_equal(was.gc_retention_ms, GC_RETENTION_MS);
    assert_ok(ecrdt_gc(kit(0), -1, 0, &r));
    assert_int_equal(r.tombstones, 3000);
    assert_int_equal(r.more, 0);
    ecrdt_stats is = stats(0);
    assert_int_equal(is.tombstones, 0);
    assert_int_equal(is.oldest_tombstone_ms, 0);
    assert_int_equal(is.floor_lag_ms, 0);
    assert_int_equal(is.gc_tombstones, 3000);
    assert_int_equal(is.gc_bytes, r.bytes);
    assert_int_equal(is.gc_wall_ms, wall_now);
    assert_true(is.bytes_used <= was.bytes_used + (1 << 20));
    assert_true(r.reclaimable_bytes > r.bytes / 2);
    kit_sound(0);
}

/* What is reclaimable is used again: the same once more needs no new room. */
static void dead_bytes_are_used_again(void **state) {
    (void)state;
    assert_ok(ecrdt_setting_set(kit(0), ECRDT_LOG_CAP_BYTES, 65536));
    make_tombs(0, 20000);
    assert_ok(ecrdt_gc(kit(0), 0, 0, NULL));
    uint64_t used = stats(0).bytes_used;
    for (int i = 0; i < 3; i++) {
        make_tombs(0, 20000);
        assert_ok(ecrdt_gc(kit(0), 0, 0, NULL));
    }
    assert_true(stats(0).bytes_used < used + used / 3);
    kit_sound(0);
}

static void the_budget_ends_it(void **state) {
    (void)state;
    ecrdt_gc_report r;
    make_tombs(0, 20000);
    uint64_t all = 0, began = now_ms();
    assert_code(1, ecrdt_gc(kit(0), 0, 1, &r));
    assert_int_equal(r.more, 1);
    assert_true(now_ms() - began < 1000);
    for (all = r.tombstones; r.more; all += r.tombstones) {
        assert_true(r.tombstones < 20000);
        assert_true(ecrdt_gc(kit(0), 0, 1, &r) >= 0);
    }
    assert_int_equal(all, 20000);
}

static void *write_some(void *ctx) {
    uint64_t *worst = ctx;
    for (int i = 0; i < 200; i++) {
        uint64_t began = now_ms();
        kit_count(0, "c", 1);
        if (now_ms() - began > *worst)
            *worst = now_ms() - began;
    }
    return NULL;
}

/* A local writer beside it gets its turn between two short transactions. */
static void it_gives_way(void **state) {
    (void)state;
    pthread_t writer;
    uint64_t worst = 0;
    make_tombs(0, 30000);
    assert_int_equal(pthread_create(&writer, NULL, write_some, &worst), 0);
    assert_ok(ecrdt_gc(kit(0), 0, 0, NULL));
    pthread_join(writer, NULL);
    assert_int_equal(kit_value(0, "c"), 200);
    assert_true(worst < 1000);
    assert_int_equal(stats(0).tombstones, 0);
}

static void arguments(void **state) {
    (void)state;
    assert_code(ECRDT_EINVAL, ecrdt_gc(NULL, 0, 0, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_gc(kit(0), -2, 0, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_gc(kit(0), INT64_MIN, 0, NULL));
    kit_set(0, "k", "v");
    kit_close(0);
    kit_open(0, ECRDT_RDONLY);
    assert_ok(ecrdt_gc(kit(0), 0, 0, NULL)); /* nothing to do */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(figures_before_and_behind),
        kit_test(dead_bytes_are_used_again),
        kit_test(the_budget_ends_it),
        kit_test(it_gives_way),
        kit_test(arguments),
    };
    return TEST_RUN(tests);
}

/* test_floor.c: real stores below each other's floors: what was deleted and
 * forgotten does not come back, what was written offline stays. */
#include "crdt/gc.h"
#include "tests/crdt/kit.h"
#include "tests/support/wall.h"

enum { KEYS = 12 };

static const char *key_of(char range, int i) {
    static char ring[8][16];
    static unsigned at;
    char *key = ring[at++ % 8];
    snprintf(key, 16, "%c%03d", range, i);
    return key;
}

static void put_range(size_t s, char range, const char *value) {
    for (int i = 0; i < KEYS; i++)
        kit_set(s, key_of(range, i), value);
}

static void del_range(size_t s, char range) {
    for (int i = 0; i < KEYS; i++)
        kit_del(s, key_of(range, i));
}

static void expect_range(size_t s, char range, const char *value) {
    for (int i = 0; i < KEYS; i++)
        kit_expect(s, key_of(range, i), value);
}

static uint64_t collect(size_t s) {
    ecrdt_gc_report r;
    wall_now += 1000;
    assert_ok(ecrdt_gc(kit(s), 0, 0, &r));
    kit_sound(s);
    return r.tombstones;
}

/* At most n chunks of some items from store from to store to; what came. */
static unsigned chunks(size_t to, size_t from, uint32_t items, unsigned n) {
    struct ranges peer = {0};
    struct buf out = {0};
    unsigned done = 0;
    kit_clock(to, &peer);
    while (done < n && kit_build(from, &peer, items, &out)) {
        struct chunk_report r = kit_apply(to, buf_slice(&out));
        assert_int_equal(r.ahead + r.refused, 0);
        done++;
    }
    ranges_free(&peer);
    buf_free(&out);
    return done;
}

static void meet(size_t n) {
    for (int round = 0; round < 3; round++)
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++)
                if (a != b)
                    kit_pull(a, b);
    for (size_t i = 0; i < n; i++) {
        kit_same_digest(0, i);
        kit_sound(i);
        assert_code(1, ecrdt_settled(kit(i), KIT_B));
    }
}

/* A year away: the deletes and their tombs are gone; its own writes are not. */
static void back_after_a_year(void **state) {
    (void)state;
    put_range(0, 'a', "old");
    put_range(0, 'b', "old");
    kit_add(0, "s", "x");
    kit_pull(1, 0);
    kit_pull(2, 0);
    del_range(0, 'a');
    ecrdt_txn *t = kit_write(0);
    assert_code(1, ecrdt_set_remove(t, KIT_B, slice_str("s"), slice_str("x")));
    assert_ok(ecrdt_commit(t));
    kit_pull(1, 0);
    wall_now += UINT64_C(365) * 24 * 3600 * 1000;
    assert_int_equal(collect(0), KEYS + 1);
    assert_int_equal(collect(1), KEYS + 1);
    put_range(2, 'c', "offline");
    kit_set(2, key_of('b', 1), "offline");
    kit_add(2, "s", "y");
    kit_count(2, "n", 3);
    kit_pull(2, 1);
    expect_range(2, 'a', NULL);
    kit_pull(0, 2);
    kit_pull(1, 2);
    meet(3);
    for (size_t i = 0; i < 3; i++) {
        uint64_t size;
        expect_range(i, 'a', NULL);
        expect_range(i, 'c', "offline");
        kit_expect(i, key_of('b', 1), "offline");
        kit_expect(i, key_of('b', 2), "old");
        assert_int_equal(kit_value(i, "n"), 3);
        t = kit_read(i);
        assert_ok(ecrdt_set_size(t, KIT_B, slice_str("s"), &size));
        assert_int_equal(size, 1);
        ecrdt_abort(t);
    }
}

/* Its delete meets a write that is concurrent with it, and below the floor. */
static void an_offline_delete_below_the_floor(void **state) {
    (void)state;
    put_range(0, 'a', "old");
    kit_pull(1, 0);
    del_range(0, 'a');
    collect(0);
    kit_set(0, key_of('a', 0), "again");
    kit_del(1, key_of('a', 0)); /* of "old" alone */
    kit_set(1, key_of('a', 1), "mine");
    meet(2);
    kit_expect(1, key_of('a', 0), "again");
    kit_expect(0, key_of('a', 1), "mine");
    kit_expect(0, key_of('a', 2), NULL);
}

static void one_side_alone(void **state) {
    (void)state;
    put_range(0, 'a', "old");
    kit_pull(1, 0);
    del_range(0, 'a');
    kit_pull(1, 0);
    assert_int_equal(collect(0), KEYS); /* store 1 keeps its tombs */
    kit_set(1, "k", "v");
    meet(2);
    expect_range(0, 'a', NULL);
    assert_int_equal(collect(1), KEYS);
    kit_set(0, "k", "w");
    meet(2);
    expect_range(1, 'a', NULL);
    kit_expect(1, "k", "w");
}

/* Three stores, each below another's floor in some range, after syncs that
 * broke off at different places. */
static void three_below_each_other(void **state) {
    (void)state;
    for (unsigned cut = 0; cut < 3 * KEYS; cut += 5) {
        for (char range = 'a'; range <= 'c'; range++)
            put_range(0, range, "old");
        meet(3);
        for (size_t i = 0; i < 3; i++) {
            del_range(i, (char)('a' + i));
            put_range(i, (char)('p' + i), "new");
            assert_int_equal(collect(i), KEYS);
        }
        for (size_t i = 0; i < 3; i++)
            chunks(i, (i + 1) % 3, 1, cut + (unsigned)i);
        for (size_t i = 0; i < 3; i++) {
            kit_set(i, key_of((char)('a' + (i + 1) % 3), 2), "late");
            kit_del(i, key_of((char)('a' + (i + 1) % 3), 2));
            collect(i);
            chunks(i, (i + 2) % 3, 2, cut / 2);
        }
        meet(3);
        for (size_t i = 0; i < 3; i++)
            for (char r = 'a'; r <= 'c'; r++) {
                expect_range(i, r, NULL);
                expect_range(i, (char)(r - 'a' + 'p'), "new");
            }
    }
}

/* The complete chunks end after the n-th; another peer goes on. */
static unsigned broken_after(unsigned n) {
    put_range(0, 'a', "old");
    put_range(0, 'b', "old");
    kit_pull(1, 0);
    kit_pull(2, 0);
    del_range(0, 'a');
    kit_set(0, key_of('b', 3), "new");
    kit_pull(1, 0);
    kit_set(1, "only-1", "v");
    kit_set(2, "only-2", "v");
    assert_int_equal(collect(0), KEYS);
    assert_int_equal(collect(1), KEYS);
    unsigned came = chunks(2, 0, 2, n);
    kit_sound(2);
    kit_set(2, key_of('a', 5), "between"); /* above what it holds then */
    chunks(2, 1, 3, 1000);
    meet(3);
    for (int i = 0; i < KEYS; i++)
        kit_expect(2, key_of('a', i), i == 5 ? "between" : NULL);
    kit_expect(2, key_of('b', 3), "new");
    kit_expect(2, "only-1", "v");
    kit_expect(1, "only-2", "v");
    return came;
}

static void broken_after_every_chunk(void **state) {
    unsigned n = 0;
    while (broken_after(n) == n) { /* 0, 1, ... until all came */
        assert_int_equal(kit_teardown(state), 0);
        kit_setup(state);
        n++;
    }
    assert_true(n > KEYS / 2);
}

/* Both ends collect and delete between the chunks of one sync. */
static void collection_during_a_sync(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    for (char range = 'a'; range <= 'c'; range++)
        put_range(0, range, "old");
    kit_pull(1, 0);
    put_range(1, 'd', "mine");
    del_range(0, 'b');
    collect(0);
    kit_clock(1, &peer);
    for (int i = 0; kit_build(0, &peer, 1, &out); i++) {
        if (i < KEYS) {
            kit_del(0, key_of(i % 2 ? 'a' : 'c', i));
            collect(0);
            kit_del(1, key_of('d', i));
        }
        kit_apply(1, buf_slice(&out)); /* was built before that */
        collect(1);
        kit_clock(1, &peer);
    }
    ranges_free(&peer);
    buf_free(&out);
    meet(2);
    for (size_t s = 0; s < 2; s++)
        for (int i = 0; i < KEYS; i++) {
            kit_expect(s, key_of('a', i), i % 2 ? NULL : "old");
            kit_expect(s, key_of('b', i), NULL);
            kit_expect(s, key_of('c', i), i % 2 ? "old" : NULL);
        }
}

/* A store that was filled by one that had forgotten passes the floor on. */
static void the_floor_is_handed_on(void **state) {
    (void)state;
    put_range(0, 'a', "old");
    kit_pull(1, 0);
    del_range(0, 'a');
    collect(0);
    kit_pull(2, 0);
    kit_set(1, "k", "v");
    kit_pull(1, 2); /* from the one that never saw a tomb */
    expect_range(1, 'a', NULL);
    meet(3);
    kit_expect(0, "k", "v");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(back_after_a_year),
        kit_test(an_offline_delete_below_the_floor),
        kit_test(one_side_alone),
        kit_test(three_below_each_other),
        kit_test(broken_after_every_chunk),
        kit_test(collection_during_a_sync),
        kit_test(the_floor_is_handed_on),
    };
    return TEST_RUN(tests);
}

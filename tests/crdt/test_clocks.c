/* test_clocks.c: range clocks, floor and log bound on disk. */
#include "crdt/clocks.h"
#include "tests/crdt/kit.h"

static const uint8_t *origin(uint8_t i) {
    static uint8_t id[256][ORIGIN_SIZE];
    id[i][0] = i;
    id[i][15] = 1;
    return id[i];
}

static uint64_t clock_records(size_t i) {
    uint64_t n;
    ecrdt_txn *t = kit_read(i);
    assert_ok(db_count(t->db, DB_CLOCKS, &n));
    ecrdt_abort(t);
    return n;
}

static void an_absent_bucket_has_an_empty_clock(void **state) {
    (void)state;
    struct ranges rs = {0};
    kit_clock(0, &rs);
    assert_int_equal(rs.n, 1);
    assert_int_equal(rs.r[0].clk.n, 0);
    ranges_free(&rs);
}

/* This store's own entry is in every range, and lives in the head alone. */
static void the_own_entry_is_in_every_range(void **state) {
    (void)state;
    struct ranges rs = {0}, peer = {0};
    struct buf out = {0};
    ecrdt_node me;
    for (int i = 0; i < 5; i++) {
        char key[2] = {(char)('a' + i)};
        kit_set(1, key, "x");
    }
    kit_set(0, "c", "mine");
    assert_int_equal(clock_records(0), 0);
    assert_int_equal(kit_build(1, &peer, 2, &out), 1);
    kit_apply(0, buf_slice(&out));
    kit_clock(0, &rs);
    assert_int_equal(rs.n, 2);
    assert_ok(ecrdt_node_id(kit(0), &me));
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(vv_seq(&rs.r[i].clk, me.b), 1);
    assert_int_equal(rs.r[0].clk.n, 2);
    assert_int_equal(rs.r[1].clk.n, 1);
    assert_int_equal(clock_records(0), 2); /* and one of L: it was a bulk */
    assert_code(0, ecrdt_settled(kit(0), KIT_B));
    kit_set(0, "z", "more");
    ranges_free(&peer);
    kit_clock(0, &rs);
    for (size_t i = 0; i < rs.n; i++)
        assert_int_equal(vv_seq(&rs.r[i].clk, me.b), 2);
    kit_pull(0, 1);
    kit_clock(0, &rs);
    assert_int_equal(rs.n, 1);
    assert_code(1, ecrdt_settled(kit(0), KIT_B));
    assert_int_equal(clock_records(0), 2);
    ranges_free(&rs);
    ranges_free(&peer);
    buf_free(&out);
}

/* Sessions that stop and go on leave no records behind when all is settled;
 * a fresh process reads what was written. */
static void cuts_leave_nothing_behind(void **state) {
    (void)state;
    struct ranges rs = {0}, again = {0};
    struct buf out = {0};
    for (size_t from = 1; from <= 3; from++)
        for (int i = 0; i < 30; i++) {
            char key[24];
            snprintf(key, sizeof key, "%d.%zu", i, from);
            kit_set(from, key, "x");
        }
    for (int round = 0; round < 12; round++) {
        struct ranges peer = {0};
        size_t from = 1 + (size_t)round % 3;
        kit_clock(0, &peer);
        for (int n = 0; n < 4; n++)
            if (kit_build(from, &peer, 1 + (uint32_t)n, &out))
                kit_apply(0, buf_slice(&out));
        ranges_free(&peer);
        kit_clock(0, &rs);
        kit_close(0);
        kit_clock(0, &again); /* opens it anew */
        assert_true(ranges_eq(&rs, &again));
        kit_sound(0);
    }
    for (size_t from = 1; from <= 3; from++)
        kit_pull(0, from);
    kit_clock(0, &rs);
    assert_int_equal(rs.n, 1);
    /* one for each origin, one for each of L */
    struct vv bound = {0};
    ecrdt_txn *t = kit_read(0);
    assert_ok(clocks_vector(t, kit_bucket(t), CLOCK_LOG, &bound));
    ecrdt_abort(t);
    assert_int_equal(clock_records(0), rs.r[0].clk.n + bound.n);
    ranges_free(&rs);
    ranges_free(&again);
    vv_free(&bound);
    buf_free(&out);
}

static void vectors_are_maxima(void **state) {
    (void)state;
    static const enum clock_vector both[] = {CLOCK_LOG, CLOCK_FLOOR};
    kit_set(0, "k", "v");
    for (size_t i = 0; i < 2; i++) {
        struct vv v = {0}, by = {0};
        ecrdt_txn *t = kit_write(0);
        struct bucket *bk = kit_bucket(t);
        assert_ok(clocks_vector(t, bk, both[i], &v));
        assert_int_equal(v.n, 0);
        assert_ok(clocks_raise(t, bk, both[i], origin(3), 7));
        assert_ok(clocks_raise(t, bk, both[i], origin(3), 6));
        assert_ok(clocks_raise(t, bk, both[i], origin(1), 2));
        assert_ok(vv_raise(&by, origin(1), 9, 0));
        assert_ok(vv_raise(&by, origin(3), 1, 0));
        assert_ok(vv_raise(&by, origin(5), 1, 0));
        assert_ok(clocks_raise_all(t, bk, both[i], &by));
        assert_ok(ecrdt_commit(t));
        t = kit_read(0);
        assert_ok(clocks_vector(t, kit_bucket(t), both[i], &v));
        ecrdt_abort(t);
        assert_int_equal(v.n, 3);
        assert_int_equal(vv_seq(&v, origin(1)), 9);
        assert_int_equal(vv_seq(&v, origin(3)), 7);
        assert_int_equal(vv_seq(&v, origin(5)), 1);
        vv_free(&v);
        vv_free(&by);
    }
    struct ranges rs = {0};
    struct vv floor = {0};
    ecrdt_txn *t = kit_read(0);
    assert_ok(replica_clock(t, KIT_B, &rs, &floor));
    ecrdt_abort(t);
    assert_int_equal(floor.n, 3);
    assert_int_equal(rs.r[0].clk.n, 1); /* they are no range's clock */
    ranges_free(&rs);
    vv_free(&floor);
}

/* Many origins: only what changed is written again, all is read. */
static void many_origins(void **state) {
    (void)state;
    enum { N = 200 };
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk;
    assert_code(1, txn_bucket(t, KIT_B, true, &bk));
    assert_ok(clocks_load(t, bk));
    for (int i = 1; i <= N; i++)
        assert_ok(vv_raise(&bk->rs.r[0].clk, origin((uint8_t)i), (uint64_t)i,
                           (uint64_t)i * 3));
    bk->ranges_dirty = true;
    assert_ok(ecrdt_commit(t));
    struct ranges rs = {0};
    kit_clock(0, &rs);
    assert_int_equal(rs.r[0].clk.n, N);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(rs.r[0].clk.e[i].seq, rs.r[0].clk.e[i].origin[0]);
        assert_int_equal(rs.r[0].clk.e[i].h, 3 * rs.r[0].clk.e[i].seq);
    }
    ranges_free(&rs);
}

/* Buckets do not read each other's clocks. */
static void buckets_have_clocks_of_their_own(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < 3; i++) {
        struct bucket *bk;
        char name[2] = {(char)('a' + i)};
        assert_code(1, txn_bucket(t, name, true, &bk));
        assert_ok(clocks_load(t, bk));
        assert_ok(vv_raise(&bk->rs.r[0].clk, origin((uint8_t)i),
                           10 + (uint64_t)i, 0));
        bk->ranges_dirty = true;
        assert_ok(clocks_raise(t, bk, CLOCK_FLOOR, origin(9), 1 + (uint64_t)i));
    }
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i)};
        struct ranges rs = {0};
        struct vv floor = {0};
        assert_ok(replica_clock(t, name, &rs, &floor));
        assert_int_equal(rs.r[0].clk.n, 1);
        assert_int_equal(rs.r[0].clk.e[0].seq, 10 + i);
        assert_int_equal(vv_seq(&floor, origin(9)), 1 + i);
        ranges_free(&rs);
        vv_free(&floor);
    }
    ecrdt_abort(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(an_absent_bucket_has_an_empty_clock),
        kit_test(the_own_entry_is_in_every_range),
        kit_test(cuts_leave_nothing_behind),
        kit_test(vectors_are_maxima),
        kit_test(many_origins),
        kit_test(buckets_have_clocks_of_their_own),
    };
    return TEST_RUN(tests);
}

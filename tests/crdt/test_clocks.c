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

/* ---- records as we never write them ---- */

/* Stores a value of so many bytes for (number, origin 1), under a key of
 * key_len bytes. */
static void put_raw(ecrdt_txn *t, uint32_t no, size_t key_len, size_t len) {
    struct buf value = {0};
    uint8_t key[4 + 4 + ORIGIN_SIZE] = {0};
    store32(key, kit_bucket(t)->id);
    store32(key + 4, no);
    memcpy(key + 8, origin(1), ORIGIN_SIZE);
    if (len)
        memset(buf_extend(&value, len), 1, len);
    assert_ok(db_put(t->db, DB_CLOCKS, slice_of(key, key_len), &value));
    buf_free(&value);
}

static void a_damaged_clock_is_an_error(void **state) {
    static const struct {
        size_t key, value;
    } rows[] = {{24, 0}, {24, 8}, {24, 24}, {24, 17 * 16}, {23, 16}};
    (void)state;
    kit_set(0, "a", "x");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vv v = {0};
        uint64_t least;
        ecrdt_txn *t = kit_write(0);
        put_raw(t, 0, rows[i].key, rows[i].value);
        if (rows[i].value < 16)
            assert_code(ECRDT_ECORRUPT,
                        clocks_least(t, kit_bucket(t), origin(1), &least));
        assert_code(ECRDT_ECORRUPT, clocks_load(t, kit_bucket(t)));
        ecrdt_abort(t);
        t = kit_write(0);
        put_raw(t, CLOCK_FLOOR, rows[i].key, rows[i].value);
        if (rows[i].key == 24)
            assert_code(
                ECRDT_ECORRUPT,
                clocks_raise(t, kit_bucket(t), CLOCK_FLOOR, origin(1), 3));
        assert_code(ECRDT_ECORRUPT,
                    clocks_vector(t, kit_bucket(t), CLOCK_FLOOR, &v));
        ecrdt_abort(t);
        vv_free(&v);
    }
    kit_sound(0);
}

static void damaged_cuts_are_an_error(void **state) {
    static const uint8_t far_off[6] = {0, 0, 0, 1, 0, 9},
                         too_long[6 + 600] = {0, 0, 0, 1, 2, 88};
    const slice rows[] = {slice_of("abc", 3), slice_of(far_off, 6),
                          slice_of(too_long, sizeof too_long)};
    (void)state;
    kit_set(0, "a", "x");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t least;
        ecrdt_txn *t = kit_write(0);
        struct bucket *bk = kit_bucket(t);
        buf_put(&bk->head.cuts, rows[i].data, rows[i].len);
        assert_code(ECRDT_ECORRUPT, clocks_least(t, bk, origin(1), &least));
        assert_code(ECRDT_ECORRUPT, clocks_load(t, bk));
        ecrdt_abort(t);
    }
}

static void an_unknown_author_is_an_error(void **state) {
    uint64_t least;
    (void)state;
    kit_set(0, "a", "x");
    for (int i = 0; i < 3; i++) {
        ecrdt_txn *t = kit_write(0);
        struct bucket *bk = kit_bucket(t);
        bk->head.me = 12345;
        assert_code(ECRDT_ECORRUPT,
                    i == 0   ? clocks_load(t, bk)
                    : i == 1 ? clocks_save(t, bk)
                             : clocks_least(t, bk, origin(1), &least));
        ecrdt_abort(t);
    }
}

/* A transaction that failed stays failed: nothing more is written. */
static void a_failed_transaction_stays_failed(void **state) {
    struct vv v = {0};
    size_t at;
    (void)state;
    kit_set(0, "a", "x");
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk = kit_bucket(t);
    assert_ok(clocks_load(t, bk));
    assert_ok(ranges_cut(&bk->was, slice_str("m"), 77, &at));
    assert_ok(vv_raise(&bk->was.r[at - 1].clk, origin(3), 1, 1));
    assert_ok(vv_raise(&v, origin(2), 1, 1));
    db_stick(t->db, ECRDT_EIO);
    assert_code(ECRDT_EIO, clocks_save(t, bk)); /* drops the range */
    assert_ok(vv_raise(&bk->rs.r[0].clk, origin(2), 1, 1));
    assert_code(ECRDT_EIO, clocks_save(t, bk)); /* puts the entry */
    assert_code(ECRDT_EIO, clocks_raise_all(t, bk, CLOCK_FLOOR, &v));
    assert_code(ECRDT_EIO, ecrdt_commit(t));
    vv_free(&v);
    kit_sound(0);
}

/* Without its head record a bucket has no clock. */
static void a_damaged_head_is_an_error(void **state) {
    struct ranges rs = {0};
    struct vv v = {0};
    struct buf value = {0};
    struct bucket *bk;
    uint64_t least;
    uint8_t head[5] = {DB_HEAD_PREFIX};
    (void)state;
    kit_set(0, "a", "x");
    ecrdt_txn *t = kit_write(0);
    store32(head + 1, kit_bucket(t)->id);
    buf_put(&value, "?", 1);
    assert_ok(db_put(t->db, DB_HEADS, slice_of(head, 5), &value));
    assert_ok(ecrdt_commit(t));
    for (int i = 0; i < 3; i++) {
        t = kit_read(0);
        assert_code(1, txn_bucket(t, KIT_B, false, &bk));
        assert_code(ECRDT_ECORRUPT, i == 0 ? clocks_load(t, bk)
                                    : i == 1
                                        ? clocks_least(t, bk, origin(1), &least)
                                        : replica_clock(t, KIT_B, &rs, &v));
        ecrdt_abort(t);
    }
    buf_free(&value);
}

/* Memory runs out at the n-th allocation of a load, for every n. */
static void every_allocation_of_a_load_may_fail(void **state) {
    unsigned long n = 0;
    int rc;
    (void)state;
    kit_set(1, "a", "x");
    kit_set(1, "z", "x");
    kit_set(0, "b", "x");
    kit_try_by(0, 1, 1);
    do {
        struct ranges rs = {0};
        struct vv v = {0};
        ecrdt_txn *t = kit_write(0);
        struct bucket *bk = kit_bucket(t);
        uint64_t least;
        fault_alloc_at(++n);
        rc = clocks_least(t, bk, origin(1), &least);
        rc = rc < 0 ? rc : replica_clock(t, KIT_B, &rs, &v);
        rc = rc < 0 ? rc : clocks_save(t, bk);
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        assert_code(hit ? ECRDT_ENOMEM : ECRDT_OK, rc);
        ecrdt_abort(t);
        ranges_free(&rs);
        vv_free(&v);
    } while (rc < 0);
    assert_true(n > 5);
    kit_sound(0);
}

/* Numbers of ranges come round, past those in use and those with a meaning. */
static void range_numbers_come_round(void **state) {
    (void)state;
    kit_set(0, "a", "x");
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk = kit_bucket(t);
    size_t at;
    assert_ok(clocks_load(t, bk));
    assert_ok(ranges_cut(&bk->rs, slice_str("m"), 1, &at));
    assert_ok(ranges_cut(&bk->was, slice_str("n"), 2, &at));
    bk->head.range_next = CLOCK_FLOOR;
    assert_int_equal(clocks_new_no(bk), 3);
    bk->head.range_next = CLOCK_FLOOR - 1;
    assert_int_equal(clocks_new_no(bk), CLOCK_FLOOR - 1);
    assert_int_equal(clocks_new_no(bk), 3);
    bk->head.range_next = UINT32_MAX;
    assert_int_equal(clocks_new_no(bk), 3);
    ecrdt_abort(t);
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        kit_test(a_damaged_head_is_an_error),
        kit_test(every_allocation_of_a_load_may_fail),
        kit_test(a_damaged_clock_is_an_error),
        kit_test(damaged_cuts_are_an_error),
        kit_test(an_unknown_author_is_an_error),
        kit_test(a_failed_transaction_stays_failed),
        kit_test(range_numbers_come_round),
        kit_test(an_absent_bucket_has_an_empty_clock),
        kit_test(the_own_entry_is_in_every_range),
        kit_test(cuts_leave_nothing_behind),
        kit_test(vectors_are_maxima),
        kit_test(many_origins),
        kit_test(buckets_have_clocks_of_their_own),
    };
    return TEST_RUN(tests);
}

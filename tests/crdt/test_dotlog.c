/* test_dotlog.c: the dots log: order of arrival, roll-over, the cap, and that
 * a walk of it lists what a scan lists. */
#include "crdt/dotlog.h"
#include "crdt/clocks.h"
#include "tests/crdt/kit.h"

struct walk {
    uint64_t n, first, last, seq;
    bool gap;
    uint64_t stop_after;
};

static int note(void *ctx, const struct dotlog_entry *e) {
    struct walk *w = ctx;
    w->gap = w->gap || (w->n && e->arrival != w->last + 1);
    if (!w->n++)
        w->first = e->arrival;
    w->last = e->arrival;
    w->seq = e->seq;
    return w->n == w->stop_after ? 77 : 0;
}

static struct walk walk(size_t i, uint64_t from) {
    struct walk w = {0};
    ecrdt_txn *t = kit_read(i);
    assert_ok(dotlog_each(t, kit_bucket(t), from, note, &w));
    ecrdt_abort(t);
    assert_false(w.gap);
    return w;
}

static void put(size_t i, int first, int n) {
    ecrdt_txn *t = kit_write(i);
    char key[16];
    for (int k = first; k < first + n; k++) {
        snprintf(key, sizeof key, "%06d", k);
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str("v")));
    }
    assert_ok(ecrdt_commit(t));
}

static uint64_t records(size_t i) {
    uint64_t n;
    ecrdt_txn *t = kit_read(i);
    assert_ok(db_count(t->db, DB_LOG, &n));
    ecrdt_abort(t);
    return n;
}

static void records_close_at_40(void **state) {
    (void)state;
    put(0, 0, DOTLOG_RECORD_ENTRIES);
    assert_int_equal(records(0), 0); /* all in the head */
    put(0, 100, 1);
    assert_int_equal(records(0), 1);
    for (int i = 0; i < 200; i++)
        put(0, 1000 + i, 1);
    assert_int_equal(records(0), 241 / 40);
    struct walk w = walk(0, 0);
    assert_int_equal(w.n, 241);
    assert_int_equal(w.first, 0);
    assert_int_equal(w.seq, 241);
}

static void a_walk_begins_where_told(void **state) {
    (void)state;
    put(0, 0, 205);
    for (uint64_t from = 0; from <= 206; from++) {
        struct walk w = walk(0, from);
        assert_int_equal(w.n, from < 205 ? 205 - from : 0);
        if (w.n)
            assert_int_equal(w.first, from);
    }
    assert_int_equal(walk(0, UINT64_MAX).n, 0);
    struct walk w = {.stop_after = 50};
    ecrdt_txn *t = kit_read(0);
    assert_code(77, dotlog_each(t, kit_bucket(t), 3, note, &w));
    assert_int_equal(w.n, 50);
    w = (struct walk){.stop_after = 204}; /* in the open record */
    assert_code(77, dotlog_each(t, kit_bucket(t), 0, note, &w));
    ecrdt_abort(t);
}

/* Long ids close a record by its bytes. */
static void records_have_a_limit_of_bytes(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < 30; i++)
        assert_code(1, ecrdt_set_add(t, KIT_B, kit_fill(1024, 'k'),
                                     kit_fill(200 + (size_t)i, 'e')));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(records(0), 14); /* two ids of 445 bytes in each */
    assert_int_equal(walk(0, 0).n, 30);
    t = kit_read(0);
    struct db_cursor *c;
    slice key, rec;
    assert_ok(db_cursor_open(t->db, DB_LOG, &c));
    while (db_cursor_next(c, &key, &rec) == 1)
        assert_true(rec.len <= DOTLOG_RECORD_BYTES);
    db_cursor_close(c);
    ecrdt_abort(t);
}

/* Two buckets do not mix. */
static void buckets_have_logs_of_their_own(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_ok(ecrdt_reg_set(t, "a", slice_str(key), slice_str("")));
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str("")));
        assert_ok(ecrdt_reg_set(t, "c", slice_str(key), slice_str("")));
    }
    assert_ok(ecrdt_commit(t));
    assert_int_equal(walk(0, 0).n, 100);
    assert_int_equal(walk(0, 99).n, 1);
    assert_int_equal(walk(0, 100).n, 0);
}

static uint64_t bound(size_t i) {
    struct vv v = {0};
    ecrdt_node me;
    assert_ok(ecrdt_node_id(kit(i), &me));
    ecrdt_txn *t = kit_read(i);
    assert_ok(clocks_vector(t, kit_bucket(t), CLOCK_LOG, &v));
    ecrdt_abort(t);
    uint64_t seq = vv_seq(&v, me.b);
    vv_free(&v);
    return seq;
}

/* Chunks for a peer that stands at have, with and without a usable log. */
static void assert_same_listing(size_t i, uint64_t have) {
    struct ranges peer[2] = {{0}, {0}};
    struct buf out[2] = {{0}, {0}};
    struct chunk_budget budget = {CHUNK_MAX_BYTES, 60000};
    struct chunk_built built;
    ecrdt_node me;
    assert_ok(ecrdt_node_id(kit(i), &me));
    for (int scan = 0; scan < 2; scan++) {
        assert_ok(ranges_init(&peer[scan]));
        assert_ok(vv_raise(&peer[scan].r[0].clk, me.b, have, 0));
        ecrdt_txn *t = kit_write(i); /* aborted: only this build sees it */
        if (scan)
            assert_ok(
                clocks_raise(t, kit_bucket(t), CLOCK_LOG, me.b, INT64_MAX));
        assert_code(1, chunk_build(t, KIT_B, &peer[scan], &budget, NULL,
                                   &out[scan], &built));
        ecrdt_abort(t);
    }
    assert_slice_equal(buf_slice(&out[0]), buf_slice(&out[1]));
    for (int scan = 0; scan < 2; scan++) {
        ranges_free(&peer[scan]);
        buf_free(&out[scan]);
    }
}

static void the_log_lists_what_a_scan_lists(void **state) {
    (void)state;
    put(0, 0, 300);
    put(0, 100, 150); /* some are superseded */
    put(0, 50, 60);
    for (uint64_t have = 1; have < 510; have += 13)
        assert_same_listing(0, have);
}

/* Past the cap the oldest record goes and L tells; what it told is then
 * found by a scan, what is younger still by the log. */
static void past_the_cap_l_is_raised(void **state) {
    (void)state;
    enum { PER_TXN = 500 };
    slice key = kit_fill(1024, 'k');
    uint8_t elem[200] = {0};
    uint64_t n = 0, closed = 0;
    put(0, 0, 1);
    while (bound(0) == 0) {
        ecrdt_txn *t = kit_write(0);
        for (int i = 0; i < PER_TXN; i++) {
            store64(elem, n++ % 5000);
            assert_true(ecrdt_set_add(t, KIT_B, key, slice_of(elem, 200)) >= 0);
        }
        assert_true(kit_bucket(t)->head.log_bytes <= DOTLOG_CAP_BYTES);
        closed = kit_bucket(t)->head.log_bytes;
        assert_ok(ecrdt_commit(t));
        assert_true(n < 20000);
    }
    assert_true(closed > DOTLOG_CAP_BYTES - DOTLOG_CAP_BYTES / 64 -
                             2 * DOTLOG_RECORD_BYTES);
    uint64_t l = bound(0);
    struct walk w = walk(0, 0);
    assert_int_equal(w.first, l); /* entry i is seq i + 1 */
    assert_int_equal(w.last, n);
    assert_same_listing(0, 1);
    assert_same_listing(0, l - 1);
    assert_same_listing(0, l);
    assert_same_listing(0, n - 3);
    kit_pull(1, 0);
    kit_same_digest(0, 1);
    kit_sound(0);
    kit_sound(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(records_close_at_40),
        kit_test(a_walk_begins_where_told),
        kit_test(records_have_a_limit_of_bytes),
        kit_test(buckets_have_logs_of_their_own),
        kit_test(the_log_lists_what_a_scan_lists),
        kit_test(past_the_cap_l_is_raised),
    };
    return TEST_RUN(tests);
}

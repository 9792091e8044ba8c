/* test_chunk_apply.c: the join at the receiver: what is new, known, ahead or
 * refused, and that nothing half-way happens. */
#include "crdt/clocks.h"
#include "tests/crdt/forge.h"

static uint64_t gen(size_t i) {
    ecrdt_txn *t = kit_read(i);
    struct bucket *bk = kit_bucket(t);
    uint64_t g = bk ? bk->head.gen : 0;
    ecrdt_abort(t);
    return g;
}

static void counts_say_what_happened(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    kit_set(0, "a", "v");
    kit_set(0, "b", "v");
    assert_int_equal(kit_build(0, &peer, 10, &out), 1);
    struct chunk_report r = kit_apply(1, buf_slice(&out));
    assert_int_equal(r.applied, 2);
    assert_int_equal(r.events, 2);
    assert_int_equal(r.known + r.ahead + r.refused, 0);
    assert_string_equal(r.bucket, KIT_B);
    uint64_t g = gen(1);
    r = kit_apply(1, buf_slice(&out)); /* a repeat */
    assert_int_equal(r.known, 2);
    assert_int_equal(r.applied + r.events + r.ahead + r.refused, 0);
    assert_int_equal(gen(1), g); /* changes nothing at all */
    kit_set(0, "a", "w");
    assert_int_equal(kit_build(0, &peer, 10, &out), 1);
    r = kit_apply(2, buf_slice(&out)); /* builds on what 2 has not */
    assert_int_equal(r.ahead, 1);
    assert_int_equal(r.applied + r.known + r.events, 0);
    assert_int_equal(gen(2), 0);
    kit_expect(2, "a", NULL);
    r = kit_apply(1, buf_slice(&out));
    assert_int_equal(r.applied, 1);
    assert_int_equal(gen(1), g + 1);
    kit_sound(1);
    ranges_free(&peer);
    buf_free(&out);
}

static uint32_t next_range(size_t i, uint32_t set) {
    ecrdt_txn *t = kit_write(i);
    struct bucket *bk = kit_bucket(t);
    if (set) {
        bk->head.range_next = set;
        bk->head_dirty = true;
    }
    uint32_t no = bk->head.range_next;
    assert_ok(ecrdt_commit(t));
    return no;
}

/* A part that needs no cut uses up no number; the numbers of floor and log
 * bound are never a range's. */
static void range_numbers_are_not_used_up(void **state) {
    (void)state;
    struct ranges peer = {0}, rs = {0};
    struct buf out = {0};
    struct vv floor = {0};
    for (char k = 'a'; k < 'i'; k++) {
        kit_set(0, (char[]){k, 0}, "v");
        kit_pull(1, 0);
    }
    assert_int_equal(next_range(1, 0), 1);
    next_range(1, CLOCK_FLOOR - 1);
    kit_set(1, "z", "mine");
    for (char k = 'a'; k < 'i'; k++)
        kit_set(0, (char[]){k, 0}, "w");
    kit_clock(1, &peer);
    for (int i = 0; i < 3 && kit_build(0, &peer, 2, &out); i++) {
        kit_apply(1, buf_slice(&out));
        kit_clock(1, &rs);
        assert_int_equal(rs.n, 2);
        assert_true(rs.r[0].no < CLOCK_FLOOR && rs.r[0].no != rs.r[1].no);
        kit_sound(1);
    }
    ecrdt_txn *t = kit_read(1);
    assert_ok(clocks_vector(t, kit_bucket(t), CLOCK_FLOOR, &floor));
    ecrdt_abort(t);
    assert_int_equal(floor.n, 0);
    kit_pull(1, 0);
    kit_sound(1);
    ranges_free(&peer);
    ranges_free(&rs);
    buf_free(&out);
}

/* Reports add up over several chunks. */
static void reports_are_summed(void **state) {
    (void)state;
    struct chunk_report r = {.applied = 10, .known = 20};
    struct chunk c;
    struct buf out = {0};
    forge_put(&c, 1, 1, "k", "v");
    forge_end(&c, &out);
    ecrdt_txn *t = kit_write(0);
    assert_ok(chunk_apply(t, buf_slice(&out), &r));
    assert_ok(chunk_apply(t, buf_slice(&out), &r));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(r.applied, 11);
    assert_int_equal(r.known, 21);
    kit_expect(0, "k", "v");
    buf_free(&out);
}

static void malformed_chunks_change_nothing(void **state) {
    (void)state;
    struct chunk c;
    struct buf out = {0};
    struct chunk_report r = {0};
    forge_put(&c, 1, 1, "k", "v");
    forge_end(&c, &out);
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("mine"), slice_str("v")));
    assert_code(ECRDT_ECORRUPT,
                chunk_apply(t, slice_of(out.data, out.len - 1), &r));
    assert_code(ECRDT_ECORRUPT, chunk_apply(t, slice_of(NULL, 0), &r));
    out.data[1] = 9;
    assert_code(ECRDT_EVERSION, chunk_apply(t, buf_slice(&out), &r));
    assert_int_equal(r.applied + r.known + r.ahead + r.refused + r.events, 0);
    assert_ok(ecrdt_commit(t)); /* the transaction is still good */
    kit_expect(0, "mine", "v");
    kit_expect(0, "k", NULL);
    buf_free(&out);
}

/* One part fits, another does not: each for itself. */
static void parts_stand_alone(void **state) {
    (void)state;
    struct chunk c;
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    forge_bounds(p, slice_of(NULL, 0), forge_id("m"));
    assert_ok(vv_raise(&p->base, forge_origin(1), 1, 1)); /* unknown here */
    assert_ok(vv_raise(&p->clk, forge_origin(1), 3, 3));
    forge_item(&c, forge_id("a"));
    forge_event(&c, forge_origin(1), 2, "v");
    p = forge_part(&c);
    forge_bounds(p, forge_id("m"), slice_of(NULL, 0));
    assert_ok(vv_raise(&p->clk, forge_origin(1), 3, 3));
    forge_item(&c, forge_id("z"));
    forge_event(&c, forge_origin(1), 3, "v");
    struct chunk_report r = forge_apply(0, &c);
    assert_int_equal(r.ahead, 1);
    assert_int_equal(r.applied, 1);
    kit_expect(0, "a", NULL);
    kit_expect(0, "z", "v");
    struct ranges rs = {0};
    kit_clock(0, &rs);
    assert_int_equal(rs.n, 2);
    assert_int_equal(rs.r[0].clk.n, 0);
    assert_int_equal(vv_seq(&rs.r[1].clk, forge_origin(1)), 3);
    ranges_free(&rs);
    kit_sound(0);
}

/* ---- the join
 * ------------------------------------------------------------------ */

static void a_removal_needs_the_context(void **state) {
    (void)state;
    struct chunk c;
    kit_pull(0, 1); /* nothing */
    forge_put(&c, 1, 1, "k", "one");
    forge_apply(0, &c);
    kit_set(2, "k", "concurrent");
    kit_pull(0, 2);
    /* Origin 3 has seen 1's event and deleted; not 2's. */
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    assert_ok(vv_raise(&p->clk, forge_origin(1), 1, 1));
    assert_ok(vv_raise(&p->clk, forge_origin(3), 1, 1));
    forge_item(&c, forge_id("k"));
    forge_event(&c, forge_origin(3), 1, NULL);
    struct chunk_report r = forge_apply(0, &c);
    assert_int_equal(r.applied, 1);
    kit_expect(0, "k", "concurrent");
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(0), &st));
    assert_int_equal(st.tombstones, 1);
    kit_sound(0);
}

/* A sibling that is not <= base but <= the clock here was superseded here:
 * a stale base lists more, and brings nothing back. */
static void a_stale_base_brings_nothing_back(void **state) {
    (void)state;
    struct ranges none = {0};
    struct buf old = {0};
    kit_set(0, "k", "old");
    kit_set(0, "l", "old");
    assert_int_equal(kit_build(0, &none, 10, &old), 1);
    kit_pull(1, 0);
    kit_del(1, "k");
    kit_set(1, "l", "new");
    kit_apply(1, buf_slice(&old));
    kit_expect(1, "k", NULL);
    kit_expect(1, "l", "new");
    /* From a third store that lags, with something new beside. */
    kit_apply(2, buf_slice(&old));
    kit_set(2, "m", "more");
    struct ranges peer = {0};
    assert_int_equal(kit_build(2, &peer, 10, &old), 1);
    struct chunk_report r = kit_apply(1, buf_slice(&old));
    assert_int_equal(r.applied, 1);
    assert_int_equal(r.known, 2);
    kit_expect(1, "k", NULL);
    kit_expect(1, "l", "new");
    kit_expect(1, "m", "more");
    kit_sound(1);
    ranges_free(&none);
    ranges_free(&peer);
    buf_free(&old);
}

/* A complete part: what it does not list and its clock covers is gone. */
static void a_complete_part_removes_what_it_does_not_list(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 1, "a", "v");
    forge_item(&c, forge_id("b"));
    forge_event(&c, forge_origin(1), 1, "v");
    forge_item(&c, forge_id("c"));
    forge_event(&c, forge_origin(2), 5, "v");
    assert_ok(vv_raise(&c.parts[0].clk, forge_origin(2), 5, 5));
    assert_int_equal(forge_apply(0, &c).applied, 3);
    kit_set(0, "d", "mine");
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    p->complete = true;
    assert_ok(vv_raise(&c.floor, forge_origin(1), 9, 0));
    assert_ok(vv_raise(&p->clk, forge_origin(1), 9, 9));
    forge_item(&c, forge_id("b"));
    forge_event(&c, forge_origin(1), 1, "v");
    struct chunk_report r = forge_apply(0, &c);
    assert_int_equal(r.applied, 1);
    kit_expect(0, "a", NULL);
    kit_expect(0, "b", "v");
    kit_expect(0, "c", "v"); /* origin 2 is not covered */
    kit_expect(0, "d", "mine");
    struct ranges rs = {0};
    struct vv floor = {0};
    ecrdt_txn *t = kit_read(0);
    assert_ok(replica_clock(t, KIT_B, &rs, &floor));
    ecrdt_abort(t);
    assert_int_equal(vv_seq(&floor, forge_origin(1)), 9); /* inherited */
    ranges_free(&rs);
    vv_free(&floor);
    kit_sound(0);
}

static void a_delta_inherits_no_floor(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 1, "a", "v");
    assert_ok(vv_raise(&c.floor, forge_origin(1), 1, 0));
    forge_apply(0, &c);
    struct ranges rs = {0};
    struct vv floor = {0};
    ecrdt_txn *t = kit_read(0);
    assert_ok(replica_clock(t, KIT_B, &rs, &floor));
    ecrdt_abort(t);
    assert_int_equal(floor.n, 0);
    ranges_free(&rs);
    vv_free(&floor);
}

/* Of two siblings of one origin the higher number stays. */
static void one_sibling_of_an_origin(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 5, "k", "five");
    forge_apply(0, &c);
    forge_put(&c, 1, 7, "k", "seven"); /* its clock does not hide 5 ... */
    forge_apply(0, &c);
    kit_expect(0, "k", "seven");
    assert_int_equal(kit_siblings(0, "k"), 1);
    kit_sound(0);
}

/* Events in our own name that we never made are not taken. */
static void own_events_are_not_taken_from_others(void **state) {
    (void)state;
    struct chunk c;
    ecrdt_node me;
    kit_set(0, "k", "mine");
    assert_ok(ecrdt_node_id(kit(0), &me));
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    assert_ok(vv_raise(&p->clk, me.b, 1, 1));
    assert_ok(vv_raise(&p->clk, forge_origin(1), 1, 1));
    forge_item(&c, forge_id("x"));
    forge_event(&c, me.b, 1, "forged");
    struct chunk_report r = forge_apply(0, &c);
    assert_int_equal(r.applied, 0);
    assert_int_equal(r.events, 0);
    kit_expect(0, "x", NULL);
    kit_expect(0, "k", "mine");
    kit_sound(0);
}

/* ---- time
 * ------------------------------------------------------------------------ */

static uint64_t last_hlc(size_t i) {
    ecrdt_txn *t = kit_read(i);
    uint64_t hlc = kit_bucket(t)->head.hlc;
    ecrdt_abort(t);
    return hlc;
}

static void remote_time_counts_up_to_60_s(void **state) {
    (void)state;
    struct chunk c;
    uint64_t ahead = hlc_make(os_wall_ms() + 50000, 3);
    forge_put(&c, 1, 1, "a", "v");
    c.events[0].hlc = ahead;
    forge_apply(0, &c);
    assert_true(last_hlc(0) == ahead);
    kit_set(0, "a", "later"); /* reads after what it saw */
    assert_true(last_hlc(0) == ahead + 1);
    forge_put(&c, 1, 2, "b", "far");
    c.events[0].hlc = UINT64_MAX;
    assert_int_equal(forge_apply(0, &c).applied, 1); /* taken all the same */
    assert_true(last_hlc(0) == ahead + 1);
    kit_expect(0, "b", "far");
    kit_set(0, "b", "seen and overwritten");
    kit_expect(0, "b", "seen and overwritten");
    forge_put(&c, 2, 1, "b", "concurrent"); /* not in its context */
    c.events[0].hlc = UINT64_MAX;
    forge_apply(0, &c);
    kit_expect(0, "b", "concurrent");
}

/* ---- limits
 * ------------------------------------------------------------------------ */

static void cuts_are_bounded(void **state) {
    (void)state;
    struct chunk_report r = {0};
    struct ranges rs = {0};
    uint64_t seq = 0;
    for (uint32_t chunk = 0; chunk < 6; chunk++) {
        struct chunk c;
        forge_begin(&c);
        for (uint32_t i = 0; i < CHUNK_MAX_PARTS; i++) {
            uint8_t lo[4], hi[4];
            store32(lo, 0x10000000 + 2 * (chunk * CHUNK_MAX_PARTS + i));
            store32(hi, 0x10000000 + 2 * (chunk * CHUNK_MAX_PARTS + i) + 2);
            struct chunk_part *p = forge_part(&c);
            forge_bounds(p, slice_of(lo, 4), slice_of(hi, 4));
            assert_ok(vv_raise(&p->clk, forge_origin(1), ++seq, 1));
        }
        struct chunk_report one = forge_apply(0, &c);
        r.refused += one.refused;
    }
    assert_in_range(r.refused, 2048, 2052);
    assert_true(strstr(ecrdt_errmsg(), "4096") != NULL);
    kit_clock(0, &rs);
    assert_in_range(rs.n, RANGES_MAX - 2, RANGES_MAX);
    assert_code(0, ecrdt_settled(kit(0), KIT_B));
    kit_set(0, "k", "v"); /* and the store still works */
    kit_pull(1, 0);
    kit_expect(1, "k", "v");
    ranges_free(&rs);
}

enum { ABSURD = 1000 };

/* ABSURD new origins, each with an event on an item of the last part. */
static void add_absurd(struct chunk *c) {
    static struct item_key keys[ABSURD];
    static uint32_t count;
    for (uint32_t i = 0; i < ABSURD; i++) {
        char key[24];
        uint8_t origin[ORIGIN_SIZE] = "absurd";
        store32(origin + 12, ++count);
        snprintf(key, sizeof key, "absurd%08x", count);
        struct item_key *k = &keys[i];
        item_key_make(k, 0, slice_str(key), TAG_REGISTER);
        assert_ok(vv_raise(&c->parts[c->n_parts - 1].clk, origin, 1, 1));
        forge_item(c, item_key_id(k));
        forge_event(c, origin, 1, "v");
    }
}

/* A chunk that is refused leaves no bucket, no origin and no byte behind,
 * however often it comes. */
static void refused_chunks_leave_nothing(void **state) {
    (void)state;
    ecrdt_stats was = {.size = sizeof was}, is = {.size = sizeof is};
    kit_set(0, "k", "v");
    for (int i = 0; i < 2; i++) { /* with the bucket, and without */
        assert_ok(ecrdt_stat_read(kit((size_t)i), &was));
        for (int n = 0; n < 20; n++) {
            struct chunk c;
            forge_begin(&c);
            struct chunk_part *p = forge_part(&c);
            assert_ok(vv_raise(&p->base, forge_origin(1), 1, 1));
            assert_ok(vv_raise(&p->clk, forge_origin(1), 1, 1));
            add_absurd(&c);
            struct chunk_report r = forge_apply((size_t)i, &c);
            assert_int_equal(r.ahead, 1);
            assert_int_equal(r.applied, 0);
        }
        assert_ok(ecrdt_stat_read(kit((size_t)i), &is));
        assert_int_equal(is.buckets, was.buckets);
        assert_int_equal(is.origins, was.origins);
        assert_in_range(is.bytes_used, 1, was.bytes_used + (64 << 10));
        kit_sound((size_t)i);
    }
    kit_pull(1, 0); /* and the bucket can still be made */
    kit_expect(1, "k", "v");
    kit_sound(1);
}

/* Of a chunk with parts that fit and parts that do not, those origins get a
 * number of which something is placed. */
static void only_placed_origins_get_a_number(void **state) {
    (void)state;
    ecrdt_stats was = {.size = sizeof was}, is = {.size = sizeof is};
    struct chunk c;
    assert_ok(ecrdt_stat_read(kit(0), &was));
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    forge_bounds(p, slice_of(NULL, 0), forge_id("b"));
    assert_ok(vv_raise(&p->base, forge_origin(1), 1, 1));
    assert_ok(vv_raise(&p->clk, forge_origin(1), 1, 1));
    add_absurd(&c);
    p = forge_part(&c);
    forge_bounds(p, forge_id("m"), slice_of(NULL, 0));
    assert_ok(vv_raise(&p->clk, forge_origin(1), 3, 3));
    forge_item(&c, forge_id("z"));
    forge_event(&c, forge_origin(1), 3, "v");
    struct chunk_report r = forge_apply(0, &c);
    assert_int_equal(r.ahead, 1);
    assert_int_equal(r.applied, 1);
    assert_ok(ecrdt_stat_read(kit(0), &is));
    assert_int_equal(is.origins, was.origins + 1);
    assert_int_equal(is.buckets, 1);
    kit_sound(0);
}

/* A store that a chunk shows to be a copy takes a new incarnation in all its
 * buckets, though the chunk's own bucket is not made. */
static void a_copy_is_seen_by_a_bucket_it_lacks(void **state) {
    (void)state;
    struct chunk c;
    ecrdt_node me, now;
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, "other", slice_str("k"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_node_id(kit(0), &me));
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    assert_ok(vv_raise(&p->clk, me.b, 7, 7));
    struct chunk_report r = forge_apply(0, &c);
    assert_int_equal(r.ahead, 1);
    assert_ok(ecrdt_node_id(kit(0), &now));
    assert_memory_not_equal(&me, &now, sizeof me);
    t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, "other", slice_str("k"), slice_str("w")));
    assert_ok(ecrdt_commit(t));
    kit_set(0, "k", "v");
    kit_sound(0);
}

/* A receiver dies at any allocation: the commit fails, nothing happened. */
static void each_allocation_may_fail(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    kit_set(0, "a", "v");
    kit_add(0, "s", "e");
    kit_count(0, "c", 5);
    kit_set(1, "a", "w");
    assert_int_equal(kit_build(0, &peer, 10, &out), 1);
    for (unsigned long n = 1;; n++) {
        struct chunk_report r = {0};
        ecrdt_txn *t = kit_write(1);
        fault_alloc_at(n);
        int rc = chunk_apply(t, buf_slice(&out), &r);
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        if (hit) {
            assert_int_equal(rc, ECRDT_ENOMEM);
            ecrdt_abort(t);
            kit_sound(1);
        } else {
            assert_ok(rc);
            assert_ok(ecrdt_commit(t));
            break;
        }
        assert_in_range(n, 1, 300);
    }
    assert_int_equal(kit_value(1, "c"), 5);
    kit_sound(1);
    ranges_free(&peer);
    buf_free(&out);
}

int main(void) {
    fault_alloc_install();
    if (crypto_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        kit_test(counts_say_what_happened),
        kit_test(reports_are_summed),
        kit_test(range_numbers_are_not_used_up),
        kit_test(malformed_chunks_change_nothing),
        kit_test(parts_stand_alone),
        kit_test(a_removal_needs_the_context),
        kit_test(a_stale_base_brings_nothing_back),
        kit_test(a_complete_part_removes_what_it_does_not_list),
        kit_test(a_delta_inherits_no_floor),
        kit_test(one_sibling_of_an_origin),
        kit_test(own_events_are_not_taken_from_others),
        kit_test(remote_time_counts_up_to_60_s),
        kit_test(cuts_are_bounded),
        kit_test(refused_chunks_leave_nothing),
        kit_test(only_placed_origins_get_a_number),
        kit_test(a_copy_is_seen_by_a_bucket_it_lacks),
        kit_test(each_allocation_may_fail),
    };
    return TEST_RUN(tests);
}

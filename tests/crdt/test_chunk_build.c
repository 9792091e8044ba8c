/* test_chunk_build.c: what a chunk holds for which peer: budgets, cuts, the
 * log's tail, floors. */
#include "crdt/clocks.h"
#include "tests/crdt/forge.h"

static void put_many(size_t i, const char *format, int n) {
    ecrdt_txn *t = kit_write(i);
    for (int k = 0; k < n; k++) {
        char key[32];
        snprintf(key, sizeof key, format, k);
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str("v")));
    }
    assert_ok(ecrdt_commit(t));
}

/* The next chunk, decoded; it borrows from out. 1 or 0. */
static int next(size_t i, struct ranges *peer, struct chunk_budget budget,
                struct chunk_tail *tail, struct buf *out, struct chunk *c,
                struct chunk_built *built) {
    ecrdt_txn *t = kit_read(i);
    chunk_free(c);
    buf_clear(out);
    int rc = chunk_build(t, KIT_B, peer, &budget, tail, out, built);
    ecrdt_abort(t);
    assert_true(rc >= 0);
    if (rc) {
        assert_ok(chunk_decode(buf_slice(out), c));
        assert_int_equal(built->items, c->n_items);
    }
    return rc;
}

static const struct chunk_budget push = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};

static void nothing_is_no_chunk(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 0);
    kit_set(0, "k", "v");
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 1);
    assert_false(built.cut);
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 0);
    assert_int_equal(out.len, 0);
    struct ranges mine = {0};
    kit_clock(0, &mine);
    assert_true(ranges_eq(&mine, &peer)); /* what it will have */
    assert_ok(vv_raise(&peer.r[0].clk, forge_origin(5), 9, 9)); /* and more */
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 0);
    ranges_free(&peer);
    ranges_free(&mine);
    buf_free(&out);
}

/* A commit behind the snapshot is in neither the items nor the clock. */
static void clock_and_items_are_of_one_snapshot(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk_built built;
    kit_set(0, "early", "v");
    ecrdt_txn *t = kit_read(0);
    kit_set(0, "late", "v");
    assert_code(1, chunk_build(t, KIT_B, &peer, &push, NULL, &out, &built));
    ecrdt_abort(t);
    kit_apply(1, buf_slice(&out));
    kit_expect(1, "late", NULL);
    kit_pull(1, 0);
    kit_expect(1, "late", "v");
    ranges_free(&peer);
    buf_free(&out);
}

/* A clock that moved without a change of items still travels. */
static void a_clock_alone_is_a_chunk(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    kit_set(0, "k", "v1");
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 1);
    kit_set(0, "k", "v2");
    ecrdt_txn *t = kit_write(0); /* as GC of an item would leave it */
    struct bucket *bk = kit_bucket(t);
    struct item_key k;
    item_key_make(&k, bk->id, slice_str("k"), TAG_REGISTER);
    assert_code(1, db_del(t->db, DB_ITEMS, item_key_db(&k)));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 1);
    assert_int_equal(c.n_items, 0);
    assert_int_equal(c.n_parts, 1);
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 0);
    chunk_free(&c);
    ranges_free(&peer);
    buf_free(&out);
}

static void budgets_of_items(void **state) {
    (void)state;
    put_many(0, "%03d", 100);
    for (uint32_t most = 1; most <= 101; most += 20) {
        struct ranges peer = {0};
        struct buf out = {0};
        struct chunk c = {0};
        struct chunk_built built;
        struct chunk_budget b = {CHUNK_PUSH_BYTES, most};
        uint32_t items = 0, chunks = 0;
        while (next(0, &peer, b, NULL, &out, &c, &built)) {
            assert_in_range(built.items, 1, most);
            assert_int_equal(built.cut, c.bulk);
            items += built.items;
            chunks++;
            assert_int_equal(built.cut, items < 100);
            assert_int_equal(peer.n, built.cut ? 2 : 1);
        }
        assert_int_equal(items, 100);
        assert_int_equal(chunks, (100 + most - 1) / most);
        ranges_free(&peer);
        buf_free(&out);
    }
}

static void budgets_of_bytes(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    ecrdt_txn *t = kit_write(0);
    for (char k = 'a'; k < 'k'; k++)
        assert_ok(
            ecrdt_reg_set(t, KIT_B, slice_of(&k, 1),
                          kit_fill(k == 'e' ? ECRDT_MAX_VALUE : 1000, 'v')));
    assert_ok(ecrdt_commit(t));
    struct chunk_budget b = {2500, 1000};
    uint32_t items = 0;
    while (next(0, &peer, b, NULL, &out, &c, &built)) {
        assert_true(out.len < 2500 + 300 || built.items == 1); /* alone */
        items += built.items;
    }
    assert_int_equal(items, 10);
    ranges_free(&peer); /* the least budget of all still goes on */
    struct chunk_budget least = {1, 1};
    for (items = 0; next(0, &peer, least, NULL, &out, &c, &built); items++)
        assert_int_equal(built.items, 1);
    assert_int_equal(items, 10);
    ranges_free(&peer);
    buf_free(&out);
}

/* PROTOCOL 1: a range never cuts a key unless the key alone exceeds a
 * chunk; catch-ups are atomic per key. */
static void a_cut_falls_between_keys(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < 60; i++) { /* keys of 6 items each */
        char key[16], elem[16];
        snprintf(key, sizeof key, "k%d", 10 + i / 6);
        snprintf(elem, sizeof elem, "%d", i % 6);
        assert_code(1,
                    ecrdt_set_add(t, KIT_B, slice_str(key), slice_str(elem)));
    }
    assert_ok(ecrdt_commit(t));
    for (int scan = 0; scan < 2; scan++) {
        if (scan) { /* L past everything: the log is of no use */
            t = kit_write(0);
            ecrdt_node me;
            assert_ok(ecrdt_node_id(kit(0), &me));
            assert_ok(clocks_raise(t, kit_bucket(t), CLOCK_LOG, me.b, 60));
            assert_ok(ecrdt_commit(t));
        }
        struct chunk_budget b = {CHUNK_PUSH_BYTES, 20};
        uint32_t items = 0;
        while (next(0, &peer, b, NULL, &out, &c, &built)) {
            items += built.items;
            assert_int_equal(built.items % 6, 0);
        }
        assert_int_equal(items, 60);
        ranges_free(&peer);
        b.max_items = 4; /* each key alone exceeds it */
        for (items = 0; next(0, &peer, b, NULL, &out, &c, &built);) {
            assert_in_range(built.items, 1, 4);
            items += built.items;
        }
        assert_int_equal(items, 60);
        ranges_free(&peer);
    }
    buf_free(&out);
}

/* Past the cap no new cut is made: the chunk runs on to the next cut that the
 * peer has, and there its budget counts again (PROTOCOL 5). */
static void past_the_cap_on_cuts_a_chunk_ends_at_a_cut(void **state) {
    (void)state;
    enum { CUTS = CHUNK_MAX_CUTS + 44, EACH = 5 };
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    put_many(0, "%04d", CUTS * EACH);
    assert_ok(ranges_init(&peer));
    for (uint64_t i = 1; i < CUTS; i++) {
        char key[16];
        size_t at;
        snprintf(key, sizeof key, "%04d", (int)i * EACH);
        assert_ok(ranges_cut(&peer, forge_id(key), 0, &at));
        assert_ok(vv_raise(&peer.r[at].clk, forge_origin(7), i, i));
    }
    assert_int_equal(peer.n, CUTS);
    struct chunk_budget b = {CHUNK_PUSH_BYTES, 12};
    size_t before = peer.n;
    uint32_t items = 0;
    while (next(0, &peer, b, NULL, &out, &c, &built)) {
        assert_true(peer.n <= before);
        if (before > CHUNK_MAX_CUTS + 1)
            assert_in_range(built.items, 1, 12 + EACH);
        before = peer.n > CHUNK_MAX_CUTS ? peer.n : CHUNK_MAX_CUTS + 2;
        items += built.items;
    }
    assert_int_equal(items, CUTS * EACH);
    chunk_free(&c);
    ranges_free(&peer);
    buf_free(&out);
}

/* A peer past the cap on cuts, all of them below "b". */
static void cut_past_the_cap(struct ranges *peer) {
    assert_ok(ranges_init(peer));
    for (uint64_t i = 1; i < CHUNK_MAX_CUTS + 2; i++) {
        char key[16];
        size_t at;
        snprintf(key, sizeof key, "a%04d", (int)i);
        assert_ok(ranges_cut(peer, forge_id(key), 0, &at));
        assert_ok(vv_raise(&peer->r[at].clk, forge_origin(7), i, i));
    }
}

/* What runs on is taken by a receiver still: it does not decode more bytes. */
static void what_runs_on_keeps_to_the_limit_of_bytes(void **state) {
    enum { ITEMS = 65 };
    struct chunk_budget b = {CHUNK_BULK_BYTES, CHUNK_BULK_ITEMS};
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    uint32_t items = 0;
    (void)state;
    for (int i = 0; i < ITEMS; i++) {
        char key[8];
        snprintf(key, sizeof key, "b%02d", i);
        ecrdt_txn *t = kit_write(0);
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key),
                                kit_fill(ECRDT_MAX_VALUE, 'v')));
        assert_ok(ecrdt_commit(t));
    }
    cut_past_the_cap(&peer);
    while (next(0, &peer, b, NULL, &out, &c, &built)) {
        assert_in_range(out.len, 1, CHUNK_MAX_BYTES);
        items += built.items;
    }
    assert_int_equal(items, ITEMS);
    ranges_free(&peer);
    buf_free(&out);
}

enum { SIBLINGS = 8, STRETCH = CHUNK_MAX_EVENTS / SIBLINGS / 2 };

static slice numbered_id(struct item_key *k, int i) {
    char key[16];
    snprintf(key, sizeof key, "b%06d", i);
    item_key_make(k, 0, slice_str(key), TAG_REGISTER);
    return item_key_id(k);
}

/* Puts the registers of one stretch into store 0. */
static void put_siblings(int from, int to, int most) {
    struct item_key *keys = calloc((size_t)STRETCH, sizeof *keys), hi;
    struct chunk c;
    assert_non_null(keys);
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    forge_bounds(p, numbered_id(keys, from), numbered_id(&hi, to));
    for (uint8_t o = 1; o <= SIBLINGS; o++)
        assert_ok(
            vv_raise(&p->clk, forge_origin(o), (uint64_t)most, (uint64_t)most));
    for (int i = from; i < to; i++) {
        forge_item(&c, numbered_id(&keys[i - from], i));
        for (uint8_t o = 1; o <= SIBLINGS; o++)
            forge_event(&c, forge_origin(o), (uint64_t)i + 1, "v");
    }
    assert_int_equal(forge_apply(0, &c).applied, to - from);
    free(keys);
}

/* Nor more events. */
static void what_runs_on_keeps_to_the_limit_of_events(void **state) {
    enum { ITEMS = 2 * STRETCH + 1 };
    struct chunk_budget b = {CHUNK_BULK_BYTES, CHUNK_BULK_ITEMS};
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    uint32_t items = 0;
    size_t most = 0;
    (void)state;
    put_siblings(0, STRETCH, ITEMS);
    put_siblings(STRETCH, 2 * STRETCH, ITEMS);
    put_siblings(2 * STRETCH, ITEMS, ITEMS);
    cut_past_the_cap(&peer);
    while (next(0, &peer, b, NULL, &out, &c, &built)) {
        items += built.items;
        most = c.n_events > most ? c.n_events : most;
    }
    assert_int_equal(items, ITEMS);
    assert_int_equal(most, CHUNK_MAX_EVENTS);
    ranges_free(&peer);
    buf_free(&out);
}

/* What the peer knows goes without its payload, beside what it does not. */
static void known_payloads_stay_here(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    kit_set(0, "k", "known");
    kit_set(0, "other", "known");
    kit_clock(0, &peer);
    kit_set(1, "k", "new");
    kit_pull(0, 1);
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 1);
    assert_int_equal(c.n_items, 1);
    assert_int_equal(c.items[0].count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(!c.events[i].payload, c.events[i].len == 0);
    assert_true(!c.events[0].payload != !c.events[1].payload);
    chunk_free(&c);
    ranges_free(&peer);
    buf_free(&out);
}

/* Below the floor a peer gets everything, above it a delta. */
static void below_the_floor_a_part_is_complete(void **state) {
    (void)state;
    struct ranges peer = {0}, fresh = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    ecrdt_node me;
    kit_set(0, "a", "v");
    kit_clock(0, &peer);
    kit_set(0, "b", "v");
    kit_del(0, "b");
    kit_set(0, "c", "v");
    assert_ok(ecrdt_node_id(kit(0), &me));
    ecrdt_txn *t = kit_write(0);
    assert_ok(clocks_raise(t, kit_bucket(t), CLOCK_FLOOR, me.b, 3));
    assert_ok(ecrdt_commit(t));
    kit_clock(0, &fresh);
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 1);
    assert_true(c.parts[0].complete);
    assert_int_equal(c.n_items, 3);
    assert_int_equal(vv_seq(&c.floor, me.b), 3);
    kit_set(0, "d", "v");
    assert_int_equal(next(0, &fresh, push, NULL, &out, &c, &built), 1);
    assert_false(c.parts[0].complete);
    assert_int_equal(c.n_items, 1);
    chunk_free(&c);
    ranges_free(&peer);
    ranges_free(&fresh);
    buf_free(&out);
}

/* ---- the tail
 * ------------------------------------------------------------------ */

static void a_tail_skips_only_what_arrived(void **state) {
    (void)state;
    struct ranges peer = {0}, lost = {0};
    struct chunk_tail tail = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    put_many(0, "%d", 50);
    assert_int_equal(next(0, &peer, push, &tail, &out, &c, &built), 1);
    assert_int_equal(tail.arrival, 50);
    kit_set(0, "new", "v");
    assert_int_equal(next(0, &peer, push, &tail, &out, &c, &built), 1);
    assert_int_equal(c.n_items, 1);
    assert_int_equal(tail.arrival, 51);
    /* The pushes were lost: the peer has nothing, all goes again. */
    kit_set(0, "newer", "v");
    assert_int_equal(next(0, &lost, push, &tail, &out, &c, &built), 1);
    assert_int_equal(c.n_items, 52);
    chunk_free(&c);
    ranges_free(&peer);
    ranges_free(&lost);
    chunk_tail_free(&tail);
    buf_free(&out);
}

/* The sender had two clocks at its last push, which was lost. What it pushed
 * of one range says nothing about the other. */
static void a_tail_holds_for_its_own_range(void **state) {
    (void)state;
    struct ranges peer = {0}, half = {0};
    struct chunk_tail tail = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    size_t at;
    kit_set(1, "a", "v");
    kit_set(1, "z", "v");
    assert_ok(ranges_init(&half)); /* "z" comes over, "a" does not */
    assert_ok(ranges_cut(&half, forge_id("m"), 0, &at));
    assert_ok(vv_raise(&half.r[0].clk, forge_origin(7), 1, 1));
    assert_int_equal(kit_build(1, &half, 100, &out), 1);
    assert_int_equal(kit_apply(0, buf_slice(&out)).ahead, 1);
    assert_int_equal(next(0, &peer, push, &tail, &out, &c, &built), 1);
    assert_int_equal(c.n_items, 1);
    kit_pull(0, 1); /* the rest, logged behind the tail */
    ranges_free(&peer);
    assert_int_equal(next(0, &peer, push, &tail, &out, &c, &built), 1);
    assert_int_equal(c.n_items, 2);
    chunk_free(&c);
    ranges_free(&peer);
    ranges_free(&half);
    chunk_tail_free(&tail);
    buf_free(&out);
}

/* A stretch of one clock on both sides is a part of its own. */
static void parts_never_span_two_clocks(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    size_t at;
    put_many(0, "%02d", 40);
    assert_ok(ranges_init(&peer));
    for (int i = 1; i < 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "%02d", 10 * i);
        assert_ok(ranges_cut(&peer, forge_id(key), 0, &at));
        assert_ok(vv_raise(&peer.r[at].clk, forge_origin(1), (uint64_t)i, 1));
    }
    struct ranges mine = {0};
    kit_clock(0, &mine); /* and one range that lacks nothing */
    assert_ok(vv_join(&peer.r[2].clk, &mine.r[0].clk));
    assert_int_equal(next(0, &peer, push, NULL, &out, &c, &built), 1);
    assert_int_equal(c.n_parts, 3);
    assert_int_equal(c.n_items, 30);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(c.parts[i].count, 10);
    assert_slice_equal(item_id_slice(&c.parts[2].lo), forge_id("30"));
    assert_false(c.parts[2].bounded);
    chunk_free(&c);
    ranges_free(&peer);
    ranges_free(&mine);
    buf_free(&out);
}

/* A write to the sender between the chunks of a session is not lost. */
static void a_session_outlives_writes_at_the_sender(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    struct chunk c = {0};
    struct chunk_built built;
    struct chunk_budget b = {CHUNK_PUSH_BYTES, 7};
    put_many(0, "%03d", 100);
    for (int i = 0; next(0, &peer, b, NULL, &out, &c, &built); i++) {
        struct chunk_report r = kit_apply(1, buf_slice(&out));
        assert_int_equal(r.ahead + r.refused, 0);
        assert_true(peer.n <= 2); /* one moving cut */
        if (i < 30) {
            char key[8];
            snprintf(key, sizeof key, "%03d", i * 37 % 100);
            kit_set(0, key, "again");
        }
        assert_in_range(i, 0, 100);
    }
    kit_same_digest(0, 1);
    assert_code(1, ecrdt_settled(kit(1), KIT_B));
    chunk_free(&c);
    ranges_free(&peer);
    buf_free(&out);
}

int main(void) {
    if (crypto_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        kit_test(nothing_is_no_chunk),
        kit_test(clock_and_items_are_of_one_snapshot),
        kit_test(a_clock_alone_is_a_chunk),
        kit_test(budgets_of_items),
        kit_test(budgets_of_bytes),
        kit_test(a_cut_falls_between_keys),
        kit_test(past_the_cap_on_cuts_a_chunk_ends_at_a_cut),
        kit_test(what_runs_on_keeps_to_the_limit_of_bytes),
        kit_test(what_runs_on_keeps_to_the_limit_of_events),
        kit_test(known_payloads_stay_here),
        kit_test(below_the_floor_a_part_is_complete),
        kit_test(a_tail_skips_only_what_arrived),
        kit_test(a_tail_holds_for_its_own_range),
        kit_test(parts_never_span_two_clocks),
        kit_test(a_session_outlives_writes_at_the_sender),
    };
    return TEST_RUN(tests);
}

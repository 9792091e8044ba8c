/* test_forget.c: what is forgotten is gone with its clock, and comes back
 * from a peer as if it had never been here. */
#include "crdt/forget.h"
#include "crdt/clocks.h"
#include "tests/crdt/kit.h"

static void me(size_t i, ecrdt_node *out) {
    assert_ok(ecrdt_node_id(kit(i), out));
}

/* Two stores with registers, a set and a counter, all of it at both. */
static void fill(void) {
    for (char c = 'a'; c <= 'f'; c++) {
        char key[3] = {c, '1'};
        kit_set(0, key, "mine");
        key[1] = '2';
        kit_set(1, key, "yours");
    }
    kit_add(0, "cs", "e1");
    kit_add(1, "cs", "e2");
    kit_count(0, "cn", 5);
    kit_count(1, "cn", 7);
    kit_pull(0, 1);
    kit_pull(1, 0);
    kit_same_digest(0, 1);
}

static void forgotten_comes_back_from_a_peer(void **state) {
    (void)state;
    ecrdt_node before, after;
    uint64_t items;
    fill();
    kit_set(0, "c3", "before");
    kit_pull(1, 0);
    me(0, &before);
    assert_ok(ecrdt_forget(kit(0), KIT_B, slice_str("c"), &items));
    me(0, &after);
    assert_memory_not_equal(&before, &after, sizeof before);
    assert_int_equal(items, 7); /* c1 c2 c3, two elements, two entries */
    kit_sound(0);
    kit_expect(0, "c1", NULL);
    kit_expect(0, "b1", "mine");
    assert_int_equal(kit_value(0, "cn"), 0);
    assert_int_equal(ecrdt_settled(kit(0), KIT_B), 0);
    kit_set(0, "c4", "blind");
    kit_pull(0, 1);
    kit_pull(1, 0);
    kit_expect(0, "c1", "mine");
    kit_expect(0, "c3", "before");
    kit_expect(1, "c4", "blind");
    assert_int_equal(kit_value(0, "cn"), 12);
    assert_int_equal(ecrdt_settled(kit(0), KIT_B), 1);
    kit_same_digest(0, 1);
    kit_sound(0);
    kit_sound(1);
}

/* Without the new incarnation the store would claim to have its own events,
 * and nobody would send them: mutant sameinc. */
static void own_events_come_back(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    kit_pull(1, 0);
    assert_ok(ecrdt_forget(kit(0), KIT_B, slice_str(""), NULL));
    kit_expect(0, "k", NULL);
    kit_pull(0, 1);
    kit_expect(0, "k", "v");
    kit_same_digest(0, 1);
}

/* A piece at a time: after each the store is sound, and what is left of the
 * range is still there. */
static void in_pieces(void **state) {
    (void)state;
    fill();
    struct item_id at = {0};
    struct forgotten done = {0};
    ecrdt_node first, id;
    for (unsigned n = 0; !done.all; n++) {
        assert_true(n < 40);
        ecrdt_txn *t = kit_write(0);
        assert_ok(forget_range(t, kit_bucket(t), item_id_slice(&at),
                               slice_of(NULL, 0), 3, &done));
        assert_ok(ecrdt_commit(t));
        at = done.next;
        kit_sound(0);
        if (n == 0)
            me(0, &first);
        me(0, &id); /* one act, one incarnation */
        assert_memory_equal(&first, &id, sizeof id);
        kit_expect(0, "f2", done.all ? NULL : "yours");
    }
    kit_pull(0, 1);
    kit_same_digest(0, 1);
    kit_sound(0);
}

/* A chunk on its way for what was known then does not fit any more. */
static void a_chunk_in_flight_is_refused(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    fill();
    kit_clock(0, &peer);
    kit_set(1, "c2", "later");
    assert_int_equal(kit_build(1, &peer, 100, &out), 1);
    assert_ok(ecrdt_forget(kit(0), KIT_B, slice_str("c"), NULL));
    struct chunk_report r = kit_apply(0, buf_slice(&out));
    assert_true(r.ahead > 0);
    kit_expect(0, "c2", NULL);
    kit_pull(0, 1);
    kit_expect(0, "c2", "later");
    kit_same_digest(0, 1);
    ranges_free(&peer);
    buf_free(&out);
}

static int count_item(void *ctx, const struct item_key *k,
                      const struct item *it) {
    int *n = ctx;
    assert_true(k->k_len > 0 && it->n == 1);
    return ++*n == 2;
}

/* Looking changes nothing; forgetting alone keeps the incarnation. */
static void looking_and_dropping(void **state) {
    struct forgotten done;
    ecrdt_node was, is;
    int n = 0;
    (void)state;
    kit_set(0, "a", "1");
    kit_set(0, "b", "2");
    kit_set(0, "c", "3");
    assert_ok(ecrdt_node_id(kit(0), &was));
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk = kit_bucket(t);
    slice all = slice_of(NULL, 0);
    assert_code(1, forget_look(t, bk, all, all, count_item, &n));
    assert_int_equal(n, 2);
    assert_code(0, forget_look(t, bk, ECRDT_STR("c"), all, count_item, &n));
    assert_int_equal(n, 3);
    assert_code(0, forget_any(t, bk, ECRDT_STR("d"), all));
    assert_code(1, forget_any(t, bk, ECRDT_STR("b"), ECRDT_STR("d")));
    assert_ok(clocks_load(t, bk));
    assert_ok(forget_items(t, bk, ECRDT_STR("b"), ECRDT_STR("c"), 9, &done));
    assert_int_equal(done.items, 1);
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_node_id(kit(0), &is));
    assert_memory_equal(&was, &is, sizeof is);
    kit_expect(0, "b", NULL);
    kit_expect(0, "c", "3");
    assert_code(1, ecrdt_settled(kit(0), KIT_B)); /* its own entry is left */
    kit_sound(0);
}

static void arguments(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    uint64_t items = 9;
    assert_ok(ecrdt_forget(kit(0), "absent", slice_str("k"), &items));
    assert_int_equal(items, 0);
    assert_ok(ecrdt_forget(kit(0), KIT_B, kit_fill(192, 'k'), &items));
    assert_int_equal(items, 0);
    assert_code(ECRDT_ETOOBIG,
                ecrdt_forget(kit(0), KIT_B, kit_fill(193, 'k'), &items));
    assert_code(ECRDT_EINVAL, ecrdt_forget(kit(0), "", slice_str(""), NULL));
    uint8_t top[3] = {0xff, 0xff, 0xff}; /* no bound behind it */
    assert_ok(ecrdt_forget(kit(0), KIT_B, slice_of(top, 3), &items));
    assert_int_equal(items, 0);
    kit_expect(0, "k", "v");
}

/* The numbers of floor and log bound are never a range's. */
static void range_numbers_wrap_round(void **state) {
    (void)state;
    struct ranges rs = {0};
    fill();
    ecrdt_txn *t = kit_write(0);
    kit_bucket(t)->head.range_next = CLOCK_FLOOR - 1;
    kit_bucket(t)->head_dirty = true;
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_forget(kit(0), KIT_B, slice_str("c"), NULL));
    kit_clock(0, &rs);
    assert_int_equal(rs.n, 3);
    for (size_t i = 0; i < rs.n; i++)
        assert_true(rs.r[i].no < CLOCK_FLOOR);
    kit_sound(0);
    ranges_free(&rs);
    kit_pull(0, 1);
    kit_same_digest(0, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(forgotten_comes_back_from_a_peer),
        kit_test(own_events_come_back),
        kit_test(in_pieces),
        kit_test(a_chunk_in_flight_is_refused),
        kit_test(looking_and_dropping),
        kit_test(range_numbers_wrap_round),
        kit_test(arguments),
    };
    return TEST_RUN(tests);
}

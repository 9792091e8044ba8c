/* test_fork_send.c: who sends sees, or suspects, that the peer has another
 * branch, and sends what can be merged. */
#include "crdt/chunk_codec.h"
#include "crdt/clockdiff.h"
#include "crdt/spans.h"
#include "tests/crdt/twins.h"

/* A twin that holds a part wrote outside of it, where nobody sends anything
 * to it: it cannot see that the other branch went further. */
static void a_blind_branch_is_merged_too(void **state) {
    enum { CORE, TWIN, BLIND };
    slice part = slice_str("m");
    (void)state;
    kit(TWIN);
    twins_copy(TWIN, BLIND);
    kit_count(BLIND, "c", 3);
    assert_code(1, ecrdt_subscribe(kit(BLIND), KIT_B, &part, 1));
    kit_set(TWIN, "a", "1");
    kit_set(TWIN, "b", "2");
    kit_set(TWIN, "m", "3");
    kit_pull(CORE, TWIN);
    kit_try(BLIND, CORE); /* it sees what it is */
    kit_set(BLIND, "d", "4");
    for (int i = 0; i < 4; i++) {
        kit_try(BLIND, CORE);
        kit_try(CORE, BLIND);
    }
    assert_int_equal(kit_value(CORE, "c"), 3);
    kit_expect(CORE, "b", "2");
    assert_int_equal(kit_try(CORE, BLIND), 0); /* that was all */
    kit_sound(CORE);
    kit_sound(BLIND);
}

/* A twin that has merged two branches, and then holds a part, writes outside of
 * it; the peer is further on one of them there, and has not the other. */
static void a_blind_range_with_branches_goes_whole(void **state) {
    ecrdt_slice a = slice_str("a/");
    (void)state;
    kit_set(0, "a/k", "before");
    kit_pull(2, 0);
    twins_copy(0, 1);
    kit_set(0, "a/0", "left");
    kit_set(1, "a/1", "right");
    kit_pull(2, 1);
    for (int i = 0; i < 3; i++)
        kit_try(0, 2); /* merged here, and not told */
    kit_set(1, "a/2", "right");
    kit_pull(2, 1);
    assert_code(1, ecrdt_subscribe(kit(0), KIT_B, &a, 1));
    kit_set(0, "b/k", "blind");
    for (int i = 0; i < 5; i++) {
        kit_try(2, 0);
        kit_try(0, 2);
    }
    kit_expect(2, "b/k", "blind");
    kit_expect(2, "a/0", "left");
    kit_sound(2);
}

/* A floor has numbers, not branches: who has the other branch up to there
 * lacks the removal that this one dropped. */
static void a_floor_of_one_branch(void **state) {
    (void)state;
    ecrdt_gc_report dropped;
    kit_add(0, "s", "x");
    for (size_t i = 2; i < 5; i++)
        kit_pull(i, 0);
    twins_copy(0, 1);
    ecrdt_txn *t = kit_write(0);
    assert_code(1, ecrdt_set_remove(t, KIT_B, slice_str("s"), slice_str("x")));
    assert_ok(ecrdt_commit(t));
    kit_set(1, "k", "right");
    kit_set(1, "k", "right again");
    kit_pull(2, 0);
    kit_pull(3, 1);
    kit_pull(4, 1);
    assert_ok(ecrdt_gc(kit(2), 0, 0, &dropped));
    assert_int_equal(dropped.tombstones, 1);
    twins_meet(2, 3);
    twins_meet(2, 4); /* both branches are known to 2, one of them to 4 */
    t = kit_read(4);
    assert_code(0, ecrdt_set_has(t, KIT_B, slice_str("s"), slice_str("x")));
    ecrdt_abort(t);
}

/* A tomb of one branch is dropped where both are merged, and kept elsewhere.
 * Its dot is that of the other branch's write too, which it must not vouch for.
 */
static void a_dot_of_two_branches_names_no_event(void **state) {
    (void)state;
    ecrdt_gc_report dropped;
    kit_set(0, "k", "base");
    for (size_t i = 2; i < 5; i++)
        kit_pull(i, 0);
    twins_copy(0, 1);
    kit_del(0, "k");
    kit_pull(2, 0);
    kit_pull(3, 0);
    assert_ok(ecrdt_gc(kit(2), 0, 0, &dropped));
    assert_int_equal(dropped.tombstones, 1);
    kit_set(1, "k", "right");
    kit_pull(4, 1);
    for (int i = 0; i < 3; i++)
        kit_try(2, 4);
    kit_expect(2, "k", "right");
    kit_pull(3, 2);
    kit_pull(4, 3);
    assert_int_equal(kit_siblings(4, "k"), 1);
    kit_same_digest(3, 4);
    for (size_t i = 2; i < 5; i++)
        kit_sound(i);
}

/* Both merges restate one item, with one dot: nobody has seen it in between. */
static void two_merges_in_one_transaction(void **state) {
    struct ranges known = {0};
    struct buf chunk[2] = {{0}};
    struct chunk_report r = {0};
    (void)state;
    kit_set(0, "k", "base");
    kit_pull(2, 0);
    kit_pull(3, 0);
    twins_copy(0, 1);
    kit_set(1, "other", "right");
    kit_pull(3, 1);
    for (int i = 0; i < 2; i++) {
        if (i)
            kit_set(0, "k", "again");
        else
            kit_del(0, "k");
        kit_pull(2, 0);
        kit_clock(3, &known);
        assert_code(1, kit_build(2, &known, CHUNK_PUSH_ITEMS, &chunk[i]));
    }
    ecrdt_txn *t = kit_write(3);
    for (int i = 0; i < 2; i++) {
        assert_ok(chunk_apply(t, buf_slice(&chunk[i]), &r));
        buf_free(&chunk[i]);
    }
    assert_ok(ecrdt_commit(t));
    assert_int_equal(r.ahead + r.refused, 0);
    kit_expect(3, "k", "again");
    kit_expect(3, "other", "right");
    kit_sound(3);
    ranges_free(&known);
}

/* One chunk as a link would carry it: against the clock that it said. */
static struct chunk_report try_linked(size_t to, size_t from) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
    struct chunk_tail tail = {.linked = true};
    struct clock_state *said = clock_state_new();
    struct chunk_report r = {0};
    struct chunk_built built;
    struct ranges peer = {0};
    struct buf out = {0};
    assert_non_null(said);
    kit_clock(to, &peer);
    ecrdt_txn *t = kit_expose(from);
    assert_ok(replica_clock(t, KIT_B, &said->ranges, &said->floor));
    int any = chunk_build(t, KIT_B, &peer, &budget, &tail, &out, &built);
    ecrdt_abort(t);
    assert_true(any >= 0);
    if (any) {
        assert_ok(replica_begin(kit(to), true, 2000, &t));
        assert_ok(chunk_apply_linked(t, buf_slice(&out), KIT_B, said, &r));
        assert_ok(ecrdt_commit(t));
    }
    ranges_free(&peer);
    buf_free(&out);
    clock_state_unref(said);
    chunk_tail_free(&tail);
    return r;
}

/* Of two origins with two branches each side has the longer one of one: each
 * sees one fork alone, and would refuse the other's part for the other. */
static void two_forks_over_a_link(void **state) {
    (void)state;
    kit_set(0, "k", "before");
    kit_set(5, "l", "before");
    twins_copy(0, 1);
    twins_copy(5, 6);
    kit_set(0, "k", "left");
    kit_set(6, "l", "right");
    for (int i = 0; i < 3; i++) {
        kit_set(1, "m", "right");
        kit_set(5, "n", "left");
    }
    kit_pull(2, 0);
    kit_pull(2, 5);
    kit_pull(3, 1);
    kit_pull(3, 6);
    assert_int_equal(try_linked(3, 2).ahead, 0);
    assert_int_equal(try_linked(2, 3).ahead, 0);
    for (int i = 0; i < 10; i++) {
        try_linked(3, 2);
        try_linked(2, 3);
    }
    kit_same_digest(2, 3);
    kit_expect(3, "n", "left");
    kit_expect(2, "m", "right");
}

/* The next chunk from store 0 of at most so many items, for store 2 as far as
 * that said what it has, applied there: how many pairs it tells. */
static size_t tell_next(struct ranges *peer, uint32_t items,
                        struct chunk_built *built) {
    struct chunk_tail tail = {0};
    struct chunk_budget budget = {CHUNK_BULK_BYTES, items};
    struct ranges heard = {0};
    struct buf out = {0};
    struct chunk c = {0};
    kit_clock(2, &heard);
    tail.heard = &heard;
    ecrdt_txn *t = kit_expose(0);
    assert_code(1, chunk_build_within(t, KIT_B, NULL, peer, &budget, &tail,
                                      &out, built));
    ecrdt_abort(t);
    assert_ok(chunk_decode(buf_slice(&out), &c));
    size_t pairs = c.chains.pairs.len / sizeof(struct chain_pair);
    chunk_free(&c);
    kit_apply(2, buf_slice(&out));
    chunk_tail_free(&tail);
    ranges_free(&heard);
    buf_free(&out);
    return pairs;
}

static void write_exposed(size_t i, const char *prefix, int n) {
    char key[32];
    for (int k = 0; k < n; k++) {
        struct ranges rs = {0};
        snprintf(key, sizeof key, "%s%03d", prefix, k);
        kit_set(i, key, "v");
        kit_clock(i, &rs);
        ranges_free(&rs);
    }
}

/* A bulk tells a chain once, not with each of its chunks (mutant retell). */
static void what_came_before_is_not_told_again(void **state) {
    struct ranges peer = {0};
    struct chunk_built built;
    (void)state;
    kit(2);
    write_exposed(0, "k", 200);
    assert_in_range(tell_next(&peer, 50, &built), 150, 200);
    assert_false(built.alone);
    assert_in_range(tell_next(&peer, 50, &built), 0, 1);
    assert_true(built.alone);
    write_exposed(0, "a", 20);
    assert_in_range(tell_next(&peer, 50, &built), 20, 25);
    ranges_free(&peer);
    kit_pull(2, 0);
    kit_same_digest(0, 2);
    kit_sound(2);
}

/* Of the range that comes next, the receiver has another branch, from a third
 * store: what came with the chunk before shows it (mutant tellonce). */
static void another_branch_in_the_middle_of_a_bulk(void **state) {
    struct ranges peer = {0}, empty = {0};
    struct spans end = {0};
    struct chunk_budget budget = {CHUNK_BULK_BYTES, 100};
    struct chunk_built built;
    struct buf out = {0};
    (void)state;
    kit(2);
    write_exposed(0, "a", 30);
    twins_copy(0, 1);
    kit_set(1, "z", "right");
    kit_pull(3, 1);
    write_exposed(0, "k", 30);
    write_exposed(0, "zz", 30);
    tell_next(&peer, 20, &built);
    assert_true(built.cut);
    assert_ok(spans_add(&end, slice_str("z"), slice_of(NULL, 0)));
    ecrdt_txn *t = kit_expose(3);
    assert_code(1, chunk_build_within(t, KIT_B, &end, &empty, &budget, NULL,
                                      &out, &built));
    ecrdt_abort(t);
    kit_apply(2, buf_slice(&out));
    kit_expect(2, "z", "right");
    tell_next(&peer, 50, &built);
    assert_true(built.cut && built.alone);
    kit_expect(2, "z", "right");
    twins_meet(0, 2);
    kit_expect(0, "z", "right");
    kit_expect(2, "k029", "v");
    kit_sound(2);
    ranges_free(&peer);
    ranges_free(&empty);
    spans_free(&end);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(a_blind_branch_is_merged_too),
        kit_test(a_blind_range_with_branches_goes_whole),
        kit_test(a_floor_of_one_branch),
        kit_test(a_dot_of_two_branches_names_no_event),
        kit_test(two_merges_in_one_transaction),
        kit_test(two_forks_over_a_link),
        kit_test(what_came_before_is_not_told_again),
        kit_test(another_branch_in_the_middle_of_a_bulk),
    };
    return TEST_RUN(tests);
}

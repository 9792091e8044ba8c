/* test_fork.c: two stores write on with one identity: whoever meets sees it,
 * and the branches are merged without losing what either wrote. */
#include "crdt/clockdiff.h"
#include "crdt/fork.h"
#include "tests/crdt/forge.h"

/* Makes store to a copy of store from, identity and all, which no guard
 * sees. */
static void copy(size_t from, size_t to) {
    char cmd[600];
    kit_close(from);
    snprintf(cmd, sizeof cmd, "cp -a %s %s", kit_path(from), kit_path(to));
    assert_int_equal(system(cmd), 0);
    kit_twin(to);
}

static void me(size_t i, ecrdt_node *out) {
    assert_ok(ecrdt_node_id(kit(i), out));
}

/* Both ways, again and again, until neither lacks anything. */
static void meet(size_t a, size_t b) {
    for (int i = 0; i < 20; i++) {
        kit_try(a, b);
        kit_try(b, a);
    }
    kit_same_digest(a, b);
    struct ranges ra = {0}, rb = {0};
    kit_clock(a, &ra);
    kit_clock(b, &rb);
    assert_true(ranges_le(&ra, &rb) && ranges_le(&rb, &ra));
    ranges_free(&ra);
    ranges_free(&rb);
    kit_sound(a);
    kit_sound(b);
}

static void twins_that_meet_part(void **state) {
    (void)state;
    ecrdt_node a, b, was;
    kit_set(0, "k", "before");
    kit_pull(2, 0);
    me(0, &was);
    copy(0, 1);
    kit_set(0, "k", "left");
    kit_set(0, "l", "only left");
    kit_set(1, "k", "right");
    kit_set(1, "r", "only right");
    meet(0, 1);
    me(0, &a);
    me(1, &b);
    assert_memory_not_equal(&a, &was, sizeof a);
    assert_memory_not_equal(&b, &was, sizeof b);
    assert_memory_not_equal(&a, &b, sizeof a);
    for (size_t i = 0; i < 2; i++) {
        kit_expect(i, "l", "only left");
        kit_expect(i, "r", "only right");
    }
    meet(0, 2);
    kit_expect(2, "r", "only right");
}

/* Neither twin is there when their peers meet: of equal length, of different
 * lengths, and with pairs at different numbers. */
static uint64_t merges(size_t i) {
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(i), &st));
    return st.fork_merges;
}

static void peers_of_twins_merge(void **state) {
    (void)state;
    for (size_t left = 1; left < 5; left++)
        for (size_t right = 1; right < 5; right++) {
            char key[16];
            kit_set(0, "k", "before");
            kit_add(0, "s", "before");
            kit_pull(2, 0);
            kit_pull(3, 0);
            copy(0, 1);
            for (size_t i = 0; i < left; i++) {
                snprintf(key, sizeof key, "l%zu", i);
                kit_set(0, key, "left");
            }
            kit_set(0, "k", "left");
            kit_pull(2, 0);
            for (size_t i = 0; i < right; i++) {
                snprintf(key, sizeof key, "r%zu", i);
                kit_set(1, key, "right");
                kit_pull(3, 1);
            }
            kit_del(1, "k");
            kit_add(1, "s", "right");
            kit_pull(3, 1);
            assert_int_equal(merges(2) + merges(3), 0);
            meet(2, 3);
            assert_true(merges(2) + merges(3) > 0);
            kit_expect(2, "l0", "left");
            kit_expect(2, "r0", "right");
            kit_expect(2, "k", "left"); /* live before tomb */
            ecrdt_txn *t = kit_read(3);
            assert_code(
                1, ecrdt_set_has(t, KIT_B, slice_str("s"), slice_str("right")));
            ecrdt_abort(t);
            kit_set(2, "k", "after");
            kit_pull(3, 2); /* ordinary again */
            kit_expect(3, "k", "after");
            meet(2, 3);
            kit_teardown(NULL);
            kit_setup(NULL);
        }
}

/* A counter entry that both raised counts as far as the larger went. */
static void counters_merge_to_the_maximum(void **state) {
    (void)state;
    kit_count(0, "n", 10);
    kit_pull(2, 0);
    kit_pull(3, 0);
    copy(0, 1);
    kit_count(0, "n", 5);
    kit_count(1, "n", 7);
    kit_count(1, "m", -3);
    kit_pull(2, 0);
    kit_pull(3, 1);
    meet(2, 3);
    assert_int_equal(kit_value(2, "n"), 17);
    assert_int_equal(kit_value(3, "n"), 17);
    assert_int_equal(kit_value(2, "m"), -3);
    meet(0, 2);
    meet(1, 3);
    meet(0, 1);
    assert_int_equal(kit_value(0, "n"), 17);
}

/* A twin that holds a part wrote outside of it, where nobody sends anything
 * to it: it cannot see that the other branch went further. */
static void a_blind_branch_is_merged_too(void **state) {
    enum { CORE, TWIN, BLIND };
    slice part = slice_str("m");
    (void)state;
    kit(TWIN);
    copy(TWIN, BLIND);
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

/* A delta built without seeing the fork is not applied. */
static void a_delta_across_a_fork_is_refused(void **state) {
    (void)state;
    struct ranges before = {0};
    struct buf out = {0};
    kit_set(0, "k", "before");
    kit_pull(2, 0);
    kit_clock(2, &before);
    copy(0, 1);
    kit_set(0, "k", "left");
    kit_set(1, "k", "right");
    kit_set(1, "r", "right");
    kit_pull(2, 0);
    assert_int_equal(kit_build(1, &before, 100, &out), 1);
    struct chunk_report r = kit_apply(2, buf_slice(&out));
    assert_int_equal(r.applied, 0);
    assert_int_equal(r.ahead, 1);
    kit_expect(2, "k", "left");
    meet(2, 1);
    kit_expect(2, "r", "right");
    ranges_free(&before);
    buf_free(&out);
}

/* Store 2 has merged the branches of 0 and 1. What 0 built for it before does
 * not tell where the other branch's head lies; that it lies beside the one
 * they share does. */
static void a_merged_branch_is_no_lag(void **state) {
    (void)state;
    struct ranges before = {0};
    struct buf out = {0};
    kit(0);
    copy(0, 1);
    kit_set(1, "r", "right");
    kit_set(0, "k", "1");
    kit_set(0, "k", "2");
    kit_pull(2, 0);
    kit_clock(2, &before);
    kit_set(0, "l", "3");
    kit_set(0, "l", "4");
    meet(1, 2);
    assert_int_equal(kit_build(0, &before, 100, &out), 1);
    struct chunk_report r = kit_apply(2, buf_slice(&out));
    assert_int_equal(r.applied, 0);
    assert_int_equal(r.ahead, 1);
    meet(0, 2);
    for (size_t i = 0; i < 3; i += 2) {
        kit_expect(i, "r", "right");
        kit_expect(i, "l", "4");
    }
    ranges_free(&before);
    buf_free(&out);
}

/* Rolled back, and then counted past what was lost: numbers alone show
 * nothing. */
static void counted_past_a_rollback(void **state) {
    (void)state;
    kit_set(0, "a", "1");
    copy(0, 1);
    kit_set(0, "b", "lost and found");
    kit_pull(2, 0);
    kit_close(0); /* store 1 is what is left of it */
    for (char c = 'p'; c < 'z'; c++)
        kit_set(1, (char[2]){c}, "later");
    ecrdt_node was, now;
    me(1, &was);
    meet(1, 2);
    me(1, &now);
    assert_memory_not_equal(&was, &now, sizeof was);
    kit_expect(1, "b", "lost and found");
    kit_expect(2, "y", "later");
}

/* The merging store's own older sibling goes with the branches: never two
 * siblings of one origin (mutant keepown). */
static void an_own_sibling_is_superseded_too(void **state) {
    (void)state;
    kit_set(0, "x", "before");
    kit_pull(2, 0);
    kit_pull(3, 0);
    copy(0, 1);
    kit_set(0, "k", "left");
    kit_set(1, "k", "right");
    kit_set(2, "k", "third");
    kit_del(0, "k");
    kit_del(1, "k");
    kit_pull(2, 0);
    kit_pull(3, 1);
    meet(2, 3);
    kit_expect(2, "k", "third"); /* live before tomb: it counts too */
    ecrdt_txn *t = kit_read(2);
    ecrdt_iter *it =
        assert_handle(ecrdt_reg_siblings(t, KIT_B, slice_str("k")));
    ecrdt_entry row;
    assert_code(1, ecrdt_next(it, &row));
    assert_code(0, ecrdt_next(it, &row));
    ecrdt_abort(t);
}

/* In bulk, a few items at a time: each range is merged on its own. */
static void a_merge_in_many_chunks(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%02d", i);
        kit_set(0, key, "before");
    }
    kit_pull(2, 0);
    kit_pull(3, 0);
    copy(0, 1);
    for (int i = 0; i < 40; i += 2) {
        char key[8];
        snprintf(key, sizeof key, "k%02d", i);
        kit_set(0, key, "left");
        snprintf(key, sizeof key, "k%02d", i + 1);
        kit_set(1, key, "right");
    }
    kit_pull(2, 0);
    kit_pull(3, 1);
    for (int i = 0; i < 60; i++) {
        kit_try_by(2, 3, 3);
        kit_sound(2);
        if (i % 5 == 0)
            kit_try_by(3, 2, 2);
    }
    meet(2, 3);
    kit_expect(2, "k01", "right");
    kit_expect(3, "k00", "left");
    assert_int_equal(ecrdt_settled(kit(2), KIT_B), 1);
}

/* A floor has numbers, not branches: who has the other branch up to there
 * lacks the removal that this one dropped. */
static void a_floor_of_one_branch(void **state) {
    (void)state;
    ecrdt_gc_report dropped;
    kit_add(0, "s", "x");
    for (size_t i = 2; i < 5; i++)
        kit_pull(i, 0);
    copy(0, 1);
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
    meet(2, 3);
    meet(2, 4); /* both branches are known to 2, one of them to 4 */
    t = kit_read(4);
    assert_code(0, ecrdt_set_has(t, KIT_B, slice_str("s"), slice_str("x")));
    ecrdt_abort(t);
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
    copy(0, 1);
    copy(5, 6);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(twins_that_meet_part),
        kit_test(peers_of_twins_merge),
        kit_test(counters_merge_to_the_maximum),
        kit_test(a_blind_branch_is_merged_too),
        kit_test(a_delta_across_a_fork_is_refused),
        kit_test(a_merged_branch_is_no_lag),
        kit_test(counted_past_a_rollback),
        kit_test(an_own_sibling_is_superseded_too),
        kit_test(a_merge_in_many_chunks),
        kit_test(a_floor_of_one_branch),
        kit_test(two_forks_over_a_link),
    };
    return TEST_RUN(tests);
}

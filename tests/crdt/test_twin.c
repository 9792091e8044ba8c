/* test_twin.c: what a store does that is shown to have been rolled back, or to
 * have a copy. */
#include "crdt/held.h"
#include "tests/crdt/twins.h"

/* A peer tells of events of ours that we do not have: we were rolled back. */
static void own_events_from_the_future_renew(void **state) {
    (void)state;
    ecrdt_node old, now;
    kit_set(0, "k", "v1");
    assert_ok(ecrdt_backup(kit(0), kit_path(2))); /* a state of earlier */
    kit_set(0, "k", "v2");
    kit_pull(1, 0);
    twins_me(0, &old);
    /* Put the earlier state in our place, identity and all. */
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk = kit_bucket(t);
    bk->head.seq = bk->seq_before = 1;
    bk->head.h = bk->head.prev_h;
    bk->head.prev_seq = 0;
    bk->head_dirty = true;
    assert_ok(ecrdt_commit(t));
    struct ranges peer = {0};
    struct buf out = {0};
    assert_int_equal(kit_build(1, &peer, 10, &out), 1);
    struct chunk_report r = kit_apply(0, buf_slice(&out));
    assert_int_equal(r.ahead, 1);
    assert_int_equal(r.applied, 0);
    twins_me(0, &now);
    assert_memory_not_equal(&old, &now, sizeof old);
    kit_apply(0, buf_slice(&out)); /* fetched again: now it fits */
    kit_expect(0, "k", "v2");
    kit_set(0, "k", "v3");
    kit_pull(1, 0);
    kit_expect(1, "k", "v3");
    ranges_free(&peer);
    buf_free(&out);
}

static bool narrowing(size_t i) {
    struct held h = {0};
    ecrdt_txn *t = kit_read(i);
    assert_code(1, held_load(t, KIT_B, &h));
    bool yes = h.narrowing;
    ecrdt_abort(t);
    held_free(&h);
    return yes;
}

/* What a twin wrote outside of what it holds looks covered by the numbers of
 * the other: the twin that sees it narrows again there, and a keeper is asked.
 */
static void what_a_twin_wrote_outside_is_doubted(void **state) {
    ecrdt_slice a = slice_str("a/");
    (void)state;
    kit_set(0, "a/k", "v");
    assert_code(0, ecrdt_subscribe(kit(0), KIT_B, &a, 1));
    kit_pull(2, 0);
    twins_copy(0, 1);
    kit_set(0, "b/k", "left");
    kit_set(1, "b/k", "right");
    kit_set(1, "b/l", "right");
    kit_pull(2, 1);
    for (int i = 0; i < 3; i++) {
        kit_try(0, 2);
        kit_try(2, 0);
    }
    assert_true(narrowing(0));
    kit_expect(0, "b/k", "left");
}

/* So does one whose guard tells it that it is a copy, and a backup: of a
 * running store either may have a head that nobody knows. */
static void what_a_copy_had_outside_is_doubted(void **state) {
    char cmd[600];
    ecrdt_slice a = slice_str("a/");
    (void)state;
    kit_set(0, "a/k", "v");
    assert_code(0, ecrdt_subscribe(kit(0), KIT_B, &a, 1));
    kit_set(0, "b/k", "v");
    assert_false(narrowing(0));
    snprintf(cmd, sizeof cmd, "cp -a %s %s", kit_path(0), kit_path(1));
    assert_int_equal(system(cmd), 0);
    assert_ok(ecrdt_backup(kit(0), kit_path(2)));
    assert_false(narrowing(0));
    kit_set(1, "b/l", "v");
    assert_true(narrowing(1));
    assert_true(narrowing(2));
}

/* And one that takes a new incarnation for another reason: it will not see a
 * twin that it may have had. */
static void what_ends_unseen_is_doubted(void **state) {
    ecrdt_slice a = slice_str("a/");
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        kit_set(i, "a/k", "v");
        assert_code(0, ecrdt_subscribe(kit(i), KIT_B, &a, 1));
        kit_set(i, "b/k", "v");
        assert_false(narrowing(i));
    }
    assert_ok(ecrdt_forget(kit(0), KIT_B, a, NULL));
    assert_ok(ecrdt_retire(kit(1)));
    assert_true(narrowing(0));
    assert_true(narrowing(1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(own_events_from_the_future_renew),
        kit_test(what_a_twin_wrote_outside_is_doubted),
        kit_test(what_a_copy_had_outside_is_doubted),
        kit_test(what_ends_unseen_is_doubted),
    };
    return TEST_RUN(tests);
}

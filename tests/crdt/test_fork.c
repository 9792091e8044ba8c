/* test_fork.c: two stores write on with one identity: whoever meets sees it,
 * and the branches are merged without losing what either wrote. */
#include "crdt/clockdiff.h"
#include "crdt/fork.h"
#include "tests/crdt/forge.h"
#include "tests/crdt/twins.h"

static void twins_that_meet_part(void **state) {
    (void)state;
    ecrdt_node a, b, was;
    kit_set(0, "k", "before");
    kit_pull(2, 0);
    twins_me(0, &was);
    twins_copy(0, 1);
    kit_set(0, "k", "left");
    kit_set(0, "l", "only left");
    kit_set(1, "k", "right");
    kit_set(1, "r", "only right");
    twins_meet(0, 1);
    twins_me(0, &a);
    twins_me(1, &b);
    assert_memory_not_equal(&a, &was, sizeof a);
    assert_memory_not_equal(&b, &was, sizeof b);
    assert_memory_not_equal(&a, &b, sizeof a);
    for (size_t i = 0; i < 2; i++) {
        kit_expect(i, "l", "only left");
        kit_expect(i, "r", "only right");
    }
    twins_meet(0, 2);
    kit_expect(2, "r", "only right");
}

/* Neither twin is there when their peers meet: of equal length, of different
 * lengths, and with pairs at different numbers. */
static uint64_t merges(size_t i) {
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(i), &st));
    return st.fork_merges;
}

/* Numbers given to origins, this store's own among them. */
static uint64_t origins(size_t i) {
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(i), &st));
    return st.origins;
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
            twins_copy(0, 1);
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
            twins_meet(2, 3);
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
            twins_meet(2, 3);
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
    twins_copy(0, 1);
    kit_count(0, "n", 5);
    kit_count(1, "n", 7);
    kit_count(1, "m", -3);
    kit_pull(2, 0);
    kit_pull(3, 1);
    twins_meet(2, 3);
    assert_int_equal(kit_value(2, "n"), 17);
    assert_int_equal(kit_value(3, "n"), 17);
    assert_int_equal(kit_value(2, "m"), -3);
    twins_meet(0, 2);
    twins_meet(1, 3);
    twins_meet(0, 1);
    assert_int_equal(kit_value(0, "n"), 17);
}

/* A merged entry is not marked as one whose origin said goodbye: the other
 * branch did not, and may go on. A tomb in its place would have what was folded
 * counted again. */
static void a_goodbye_of_one_branch_is_none_of_both(void **state) {
    ecrdt_fold_report did;
    (void)state;
    kit_count(0, "n", 10);
    kit_pull(2, 0);
    kit_pull(3, 0);
    twins_copy(0, 1);
    kit_count(1, "n", 7);
    kit_pull(3, 1);
    kit_count(1, "n", 3);
    assert_ok(ecrdt_retire(kit(0)));
    kit_pull(2, 0);
    twins_meet(2, 3);
    assert_int_equal(kit_value(2, "n"), 17);
    assert_ok(ecrdt_fold(kit(2), ECRDT_FOLD_CLAIM, &did));
    assert_int_equal(kit_value(2, "n"), 17);
    twins_meet(2, 1); /* the copy counted on before it noticed */
    assert_int_equal(kit_value(2, "n"), 20);
}

/* A copy of which nobody knows, of a store that said goodbye and was folded
 * before the copy met anybody: what it counted before it was copied is in the
 * heir's entry, and is not counted again (mutant foldtomb). */
static void a_copy_that_turns_up_after_the_fold(void **state) {
    ecrdt_fold_report did;
    (void)state;
    kit_count(0, "n", 10);
    kit_pull(2, 0);
    twins_copy(0, 1);
    kit_count(1, "n", 3);
    assert_ok(ecrdt_retire(kit(0)));
    kit_pull(2, 0);
    assert_ok(ecrdt_fold(kit(2), ECRDT_FOLD_CLAIM, &did));
    assert_int_equal(did.entries, 1);
    assert_int_equal(kit_value(2, "n"), 10);
    twins_meet(2, 1);
    assert_int_equal(kit_value(2, "n"), 13);
    assert_int_equal(kit_value(1, "n"), 13);
    assert_ok(ecrdt_fold(kit(2), ECRDT_FOLD_ALL, &did));
    twins_meet(2, 1);
    assert_int_equal(kit_value(1, "n"), 13);
}

/* A delta built without seeing the fork is not applied. */
static void a_delta_across_a_fork_is_refused(void **state) {
    (void)state;
    struct ranges before = {0};
    struct buf out = {0};
    kit_set(0, "k", "before");
    kit_pull(2, 0);
    kit_clock(2, &before);
    twins_copy(0, 1);
    kit_set(0, "k", "left");
    kit_set(1, "k", "right");
    kit_set(1, "r", "right");
    kit_pull(2, 0);
    assert_int_equal(kit_build(1, &before, 100, &out), 1);
    struct chunk_report r = kit_apply(2, buf_slice(&out));
    assert_int_equal(r.applied, 0);
    assert_int_equal(r.ahead, 1);
    kit_expect(2, "k", "left");
    twins_meet(2, 1);
    kit_expect(2, "r", "right");
    ranges_free(&before);
    buf_free(&out);
}

/* A complete part of other branches of two origins; its base has one of them
 * or none. */
static struct chunk_report meet_two_forks(bool seen) {
    struct chain_list l = {.n = 1};
    struct chunk c;
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    p->complete = true;
    if (seen)
        assert_ok(vv_raise(&p->base, forge_origin(6), 2, 20));
    assert_ok(vv_raise(&p->clk, forge_origin(5), 4, 40));
    assert_ok(vv_raise(&p->clk, forge_origin(6), 4, 40));
    l.top = p->clk.e[0];
    buf_put(&c.chains.pairs, &(struct chain_pair){1, 10}, 16);
    assert_ok(alloc_grow(&c.chains.l, &c.chains.cap, 1, sizeof l));
    c.chains.l[c.chains.n++] = l;
    c.told = true;
    forge_item(&c, forge_id("other"));
    forge_event(&c, forge_origin(5), 4, "v");
    return forge_apply(0, &c);
}

/* Only what was merged is told and counted: a part that fits one of two forks
 * is left out whole, again and again. */
static void a_fork_that_does_not_fit_is_no_merge(void **state) {
    struct chunk c;
    (void)state;
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    for (uint8_t i = 5; i < 7; i++)
        assert_ok(vv_raise(&p->clk, forge_origin(i), 3, 3));
    forge_item(&c, forge_id("k"));
    forge_event(&c, forge_origin(5), 3, "v");
    assert_int_equal(forge_apply(0, &c).applied, 1);
    assert_int_equal(origins(0), 3); /* a head alone takes a number, too */
    for (int i = 0; i < 3; i++)
        assert_int_equal(meet_two_forks(true).ahead, 1);
    assert_int_equal(origins(0), 3);
    kit_expect(0, "other", NULL);
    assert_int_equal(merges(0), 0);
    assert_int_equal(meet_two_forks(false).applied, 2);
    kit_expect(0, "other", "v");
    assert_int_equal(merges(0), 1);
}

/* Store 2 has merged the branches of 0 and 1. What 0 built for it before does
 * not tell where the other branch's head lies; that it lies beside the one
 * they share does. */
static void a_merged_branch_is_no_lag(void **state) {
    (void)state;
    struct ranges before = {0};
    struct buf out = {0};
    kit(0);
    twins_copy(0, 1);
    kit_set(1, "r", "right");
    kit_set(0, "k", "1");
    kit_set(0, "k", "2");
    kit_pull(2, 0);
    kit_clock(2, &before);
    kit_set(0, "l", "3");
    kit_set(0, "l", "4");
    twins_meet(1, 2);
    assert_int_equal(kit_build(0, &before, 100, &out), 1);
    struct chunk_report r = kit_apply(2, buf_slice(&out));
    assert_int_equal(r.applied, 0);
    assert_int_equal(r.ahead, 1);
    twins_meet(0, 2);
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
    twins_copy(0, 1);
    kit_set(0, "b", "lost and found");
    kit_pull(2, 0);
    kit_close(0); /* store 1 is what is left of it */
    for (char c = 'p'; c < 'z'; c++)
        kit_set(1, (char[2]){c}, "later");
    ecrdt_node was, now;
    twins_me(1, &was);
    twins_meet(1, 2);
    twins_me(1, &now);
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
    twins_copy(0, 1);
    kit_set(0, "k", "left");
    kit_set(1, "k", "right");
    kit_set(2, "k", "third");
    kit_del(0, "k");
    kit_del(1, "k");
    kit_pull(2, 0);
    kit_pull(3, 1);
    twins_meet(2, 3);
    kit_expect(2, "k", "third"); /* live before tomb: it counts too */
    assert_int_equal(kit_siblings(2, "k"), 1);
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
    twins_copy(0, 1);
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
    twins_meet(2, 3);
    kit_expect(2, "k01", "right");
    kit_expect(3, "k00", "left");
    assert_int_equal(ecrdt_settled(kit(2), KIT_B), 1);
}

/* The heads of one origin, by pairs of numbers: of the whole bucket. */
static void set_heads(struct vv *v, const uint64_t (*pair)[2], size_t n) {
    struct head h[VV_MAX_HEADS];
    for (size_t i = 0; i < n; i++) {
        h[i] = (struct head){.seq = pair[i][0], .h = pair[i][1]};
        memcpy(h[i].origin, forge_origin(7), ORIGIN_SIZE);
    }
    assert_ok(vv_set_heads(v, forge_origin(7), h, n));
}

/* Three heads of which two turn out to lie on one chain: no number says that
 * two are further than three. */
static void heads_that_numbers_cannot_compare(void **state) {
    const uint64_t three[][2] = {{8, 80}, {3, 30}, {2, 20}};
    const uint64_t two[][2] = {{8, 80}, {4, 40}};
    struct chain_list l = {.n = 2};
    struct ranges is = {0};
    struct chunk c;
    size_t n;
    (void)state;
    forge_put(&c, 7, 8, "k", "v");
    set_heads(&c.parts[0].clk, three, 3);
    c.parts[0].complete = true;
    assert_int_equal(forge_apply(0, &c).applied, 1);
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    set_heads(&p->base, three, 3);
    set_heads(&p->clk, two, 2);
    l.top = p->clk.e[1];
    for (size_t i = 3; i-- > 1;)
        buf_put(&c.chains.pairs, &(struct chain_pair){three[i][0], three[i][1]},
                16);
    assert_ok(alloc_grow(&c.chains.l, &c.chains.cap, 1, sizeof l));
    c.chains.l[c.chains.n++] = l;
    c.told = true;
    struct chunk_report r = forge_apply(0, &c);
    assert_int_equal(r.refused + r.ahead, 0);
    kit_clock(0, &is);
    const struct head *h = vv_heads(&is.r[0].clk, forge_origin(7), &n);
    assert_int_equal(n, 2);
    assert_int_equal(h[1].h, 40);
    kit_sound(0);
    ranges_free(&is);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(twins_that_meet_part),
        kit_test(peers_of_twins_merge),
        kit_test(counters_merge_to_the_maximum),
        kit_test(a_goodbye_of_one_branch_is_none_of_both),
        kit_test(a_copy_that_turns_up_after_the_fold),
        kit_test(a_delta_across_a_fork_is_refused),
        kit_test(a_fork_that_does_not_fit_is_no_merge),
        kit_test(heads_that_numbers_cannot_compare),
        kit_test(a_merged_branch_is_no_lag),
        kit_test(counted_past_a_rollback),
        kit_test(an_own_sibling_is_superseded_too),
        kit_test(a_merge_in_many_chunks),
    };
    return TEST_RUN(tests);
}

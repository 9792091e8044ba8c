/* test_narrow.c: what lies outside of the subscription goes only when a
 * keeper covers its whole clock, and a new incarnation stands for the gap. */
#include "crdt/narrow.h"
#include "crdt/chunk.h"
#include "crdt/clocks.h"
#include "crdt/reconcile.h"
#include "tests/crdt/kit.h"

/* Store 0 is the one that narrows, store 1 the core. */
enum { EDGE, CORE, THIRD };

static int subscribe(size_t i, const char *prefix) {
    slice p = ecrdt_str(prefix);
    return ecrdt_subscribe(kit(i), KIT_B, prefix ? &p : NULL, prefix != NULL);
}

static ecrdt_node origin(size_t i) {
    ecrdt_node id;
    assert_ok(ecrdt_node_id(kit(i), &id));
    return id;
}

/* Steps with store k's clock of now as the keeper's, and what it said; -1:
 * nobody keeps. */
static struct narrowed narrow_by(int k, const struct spans *holds,
                                 const struct said *said) {
    struct narrowed done;
    struct ranges clock = {0};
    struct keeper keeper = {"core", &clock, holds, said};
    int rc = 1;
    if (k >= 0)
        kit_clock((size_t)k, &clock);
    while (rc == 1) {
        ecrdt_txn *t = kit_write(EDGE);
        rc = narrow_step(t, KIT_B, &keeper, k >= 0, &done);
        assert_true(rc >= 0);
        assert_ok(ecrdt_commit(t));
    }
    kit_sound(EDGE);
    ranges_free(&clock);
    return done;
}

static struct narrowed narrow(int k, const struct spans *holds) {
    struct narrowed done = narrow_by(k, holds, NULL);
    placed_free(&done.ask);
    return done;
}

/* What the core answers to a question: the parts that lie off, in *off. */
static void answer(const struct placed *ask, struct fp *off) {
    *off = (struct fp){0};
    assert_ok(place_ask(ask, KIT_B, off));
    ecrdt_txn *t = kit_read(CORE);
    assert_ok(place_answer(t, off));
    ecrdt_abort(t);
}

/* Sends the core these parts whole. */
static void send_whole(struct fp *off) {
    static const struct chunk_budget budget = {CHUNK_BULK_BYTES,
                                               CHUNK_BULK_ITEMS};
    struct chunk_built built;
    struct buf out = {0};
    off->flags = FP_AUDIT;
    ecrdt_txn *t = kit_read(EDGE);
    assert_code(1, reconcile_chunk(t, off, &budget, &out, &built));
    ecrdt_abort(t);
    kit_apply(CORE, buf_slice(&out));
    buf_free(&out);
}

/* Both hold a/1, b/1 (by the edge) and b/2 (by a third). */
static void begin(void) {
    kit_set(EDGE, "a/1", "a");
    kit_set(EDGE, "b/1", "b");
    kit_set(THIRD, "b/2", "t");
    kit_pull(EDGE, THIRD);
}

static void own_events_must_be_kept(void **state) {
    (void)state;
    begin();
    kit_pull(CORE, THIRD); /* it has b/2, not the edge's own */
    assert_code(1, subscribe(EDGE, "a/"));
    struct narrowed done = narrow(CORE, NULL);
    assert_true(done.waits && done.keeper);
    kit_expect(EDGE, "b/1", "b");
    kit_pull(CORE, EDGE);
    done = narrow(CORE, NULL);
    assert_false(done.waits);
    kit_expect(EDGE, "b/1", NULL);
    kit_expect(EDGE, "a/1", "a");
}

static void the_whole_clock_must_be_kept(void **state) {
    struct ranges clock = {0};
    (void)state;
    begin();
    ecrdt_node me = origin(EDGE);
    assert_ok(ranges_init(&clock));
    assert_ok(vv_raise(&clock.r[0].clk, me.b, 2, 0));
    struct keeper keeper = {"core", &clock, NULL, NULL};
    struct narrowed done;
    assert_code(1, subscribe(EDGE, "a/"));
    ecrdt_txn *t = kit_write(EDGE);
    assert_code(0, narrow_step(t, KIT_B, &keeper, 1, &done));
    ecrdt_abort(t);
    assert_true(done.waits);
    assert_int_equal(done.missing, 1); /* b/2 */
    kit_expect(EDGE, "b/2", "t");
    ranges_free(&clock);
}

static void the_keeper_must_hold_the_range(void **state) {
    struct spans only_c = {0};
    (void)state;
    begin();
    kit_pull(CORE, EDGE);
    assert_code(1, subscribe(EDGE, "a/"));
    assert_ok(spans_add_prefix(&only_c, ECRDT_STR("c/")));
    struct narrowed done = narrow(CORE, &only_c);
    assert_true(done.waits && !done.keeper);
    done = narrow(-1, NULL);
    assert_true(done.waits && !done.keeper);
    kit_expect(EDGE, "b/1", "b");
    spans_free(&only_c);
}

/* Without a new incarnation the old entry would claim what was forgotten,
 * and nobody would send it again. */
static void what_was_forgotten_can_come_back(void **state) {
    (void)state;
    begin();
    kit_pull(CORE, EDGE);
    ecrdt_node was = origin(EDGE), is;
    assert_code(1, subscribe(EDGE, "a/"));
    assert_false(narrow(CORE, NULL).waits);
    is = origin(EDGE);
    assert_memory_not_equal(&was, &is, sizeof is);
    assert_code(0, subscribe(EDGE, NULL));
    kit_pull(EDGE, CORE);
    kit_expect(EDGE, "b/1", "b");
    kit_expect(EDGE, "b/2", "t");
    kit_same_digest(EDGE, CORE);
    assert_code(1, ecrdt_settled(kit(EDGE), KIT_B));
}

static void parts_outside_are_ignored(void **state) {
    struct ranges peer = {0};
    struct buf out = {0};
    (void)state;
    kit_set(CORE, "a/1", "a");
    kit_set(CORE, "b/1", "b");
    kit_set(CORE, "c/1", "c");
    assert_code(0, subscribe(EDGE, "b/"));
    assert_code(1, kit_build(CORE, &peer, 100, &out));
    struct chunk_report r = kit_apply(EDGE, buf_slice(&out));
    assert_int_equal(r.foreign, 1);
    assert_int_equal(r.applied, 1);
    kit_expect(EDGE, "a/1", NULL);
    kit_expect(EDGE, "b/1", "b");
    assert_code(1, ecrdt_settled(kit(EDGE), KIT_B));
    assert_code(0, ecrdt_unsubscribe(kit(THIRD), KIT_B));
    r = kit_apply(THIRD, buf_slice(&out));
    assert_int_equal(r.foreign, 1);
    ecrdt_txn *t = kit_read(THIRD);
    assert_null(kit_bucket(t)); /* not even the bucket was made */
    ecrdt_abort(t);
    ranges_free(&peer);
    buf_free(&out);
}

/* Counters, sets and registers outside: what was written here counts here,
 * and adds up at the core. */
static void blind_writes_add_up_elsewhere(void **state) {
    (void)state;
    kit_count(CORE, "b/n", 10);
    kit_add(CORE, "b/s", "x");
    assert_code(0, subscribe(EDGE, "a/"));
    kit_pull(EDGE, CORE);
    assert_int_equal(kit_value(EDGE, "b/n"), 0);
    kit_count(EDGE, "b/n", 5);
    kit_add(EDGE, "b/s", "y");
    assert_int_equal(kit_value(EDGE, "b/n"), 5);
    kit_pull(CORE, EDGE);
    assert_int_equal(kit_value(CORE, "b/n"), 15);
    assert_code(1, subscribe(EDGE, "a/")); /* narrowed again */
    assert_false(narrow(CORE, NULL).waits);
    assert_int_equal(kit_value(EDGE, "b/n"), 0);
    kit_count(EDGE, "b/n", 7); /* an entry of its own */
    kit_pull(CORE, EDGE);
    assert_int_equal(kit_value(CORE, "b/n"), 22);
    assert_code(0, subscribe(EDGE, NULL));
    kit_pull(EDGE, CORE);
    assert_int_equal(kit_value(EDGE, "b/n"), 22);
    kit_same_digest(EDGE, CORE);
    kit_sound(EDGE);
}

static void a_large_range_goes_in_pieces(void **state) {
    char key[16];
    (void)state;
    for (int i = 0; i < 3 * NARROW_ITEMS;) {
        ecrdt_txn *t = kit_write(EDGE);
        for (int k = 0; k < NARROW_ITEMS; k++) {
            snprintf(key, sizeof key, "b/%06d", i++);
            assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str("v")));
        }
        assert_ok(ecrdt_commit(t));
    }
    kit_pull(CORE, EDGE);
    assert_code(1, subscribe(EDGE, "a/"));
    struct ranges clock = {0};
    struct narrowed done;
    kit_clock(CORE, &clock);
    struct keeper keeper = {"core", &clock, NULL, NULL};
    for (int pieces = 0; pieces < 3;) {
        ecrdt_txn *t = kit_write(EDGE);
        assert_code(1, narrow_step(t, KIT_B, &keeper, 1, &done));
        assert_true(!done.items || done.items == NARROW_ITEMS);
        pieces += done.items > 0;
        assert_ok(ecrdt_commit(t));
        kit_set(EDGE, "a/busy", "v"); /* local writers go on */
        kit_sound(EDGE);
    }
    kit_set(EDGE, "b/000001", "blind"); /* behind the pieces */
    kit_pull(CORE, EDGE);
    kit_expect(CORE, "b/000001", "blind");
    kit_expect(CORE, "b/000002", "v");
    assert_false(narrow(CORE, NULL).waits);
    kit_expect(EDGE, "b/000001", NULL);
    assert_code(0, subscribe(EDGE, NULL));
    kit_pull(EDGE, CORE);
    kit_same_digest(EDGE, CORE);
    ranges_free(&clock);
}

/* A backup of a store that narrows goes on under its own incarnation. */
static void a_backup_keeps_the_subscription(void **state) {
    (void)state;
    kit_open(EDGE, ECRDT_FULL);
    begin();
    kit_pull(CORE, EDGE);
    assert_code(1, subscribe(EDGE, "a/"));
    const char *copy = path_join(kit_dir, "copy");
    assert_ok(ecrdt_backup(kit(EDGE), copy));
    kit_close(EDGE);
    assert_ok(rename(kit_path(EDGE), path_join(kit_dir, "lost")));
    assert_ok(rename(copy, kit_path(EDGE)));
    kit_open(EDGE, 0);
    assert_false(narrow(CORE, NULL).waits);
    kit_expect(EDGE, "b/1", NULL);
    kit_set(CORE, "b/3", "3");
    kit_set(CORE, "a/3", "3");
    kit_pull(EDGE, CORE);
    kit_expect(EDGE, "b/3", NULL);
    kit_expect(EDGE, "a/3", "3");
}

/* Two copies of the third write on: b/2 by one is at the edge, b/3 and b/4 by
 * the other are at the core, which so has the greater number of both. */
static void two_branches(void) {
    enum { COPY = THIRD + 1 };
    char cmd[600];
    kit_set(EDGE, "a/1", "a");
    kit_set(THIRD, "b/0", "before");
    kit_pull(CORE, EDGE);
    kit_close(THIRD);
    snprintf(cmd, sizeof cmd, "cp -a %s %s", kit_path(THIRD), kit_path(COPY));
    assert_int_equal(system(cmd), 0);
    kit_twin(COPY);
    kit_set(THIRD, "b/2", "left");
    kit_pull(EDGE, THIRD);
    kit_set(COPY, "b/3", "right");
    kit_set(COPY, "b/4", "right");
    kit_pull(CORE, COPY);
    assert_code(1, subscribe(EDGE, "a/"));
}

/* A keeper on another branch of an origin has greater numbers, not the events:
 * the chains that came with what is still held show it. */
static void a_keeper_on_another_branch(void **state) {
    (void)state;
    two_branches();
    kit_try(EDGE, CORE);
    struct narrowed done = narrow(CORE, NULL);
    assert_true(done.waits && done.keeper);
    kit_expect(EDGE, "b/2", "left");
    assert_code(0, subscribe(EDGE, NULL)); /* held again: merged, and told */
    kit_try(EDGE, CORE);
    kit_try(CORE, EDGE);
    kit_expect(CORE, "b/2", "left");
    assert_code(1, subscribe(EDGE, "a/"));
    assert_false(narrow(CORE, NULL).waits);
    kit_expect(EDGE, "b/2", NULL);
}

/* And if nothing came, the keeper is asked, and gets the range whole. */
static void a_keeper_is_asked(void **state) {
    struct fp off;
    (void)state;
    two_branches();
    for (int stretch = 0; stretch < 2; stretch++) { /* before and behind a/ */
        struct narrowed done = narrow_by(CORE, NULL, NULL);
        assert_true(done.waits && done.keeper && !done.missing);
        assert_int_equal(done.ask.heads.n, 1);
        kit_expect(EDGE, "b/2", "left");
        answer(&done.ask, &off);
        assert_int_equal(off.n, 1);
        send_whole(&off);
        placed_free(&done.ask);
        fp_free(&off);
    }
    kit_sound(CORE);
    kit_expect(CORE, "b/2", "left");
    kit_expect(CORE, "b/3", "right");
    assert_false(narrow(CORE, NULL).waits);
    kit_expect(EDGE, "b/2", NULL);
}

/* Also while it lacks something, which it may refuse until it has the branch.
 */
static void a_keeper_that_lacks_events_is_asked(void **state) {
    (void)state;
    two_branches();
    assert_code(0, subscribe(EDGE, NULL));
    kit_set(4, "b/9", "more");
    kit_pull(EDGE, 4);
    assert_code(1, subscribe(EDGE, "a/"));
    struct narrowed done = narrow_by(CORE, NULL, NULL);
    assert_true(done.waits && done.asks && done.missing);
    assert_int_equal(done.ask.heads.n, 1);
    placed_free(&done.ask);
}

/* A keeper that is simply further says so, and what it said counts for the
 * stretch that it was asked about. */
static void a_keeper_that_is_further_says_so(void **state) {
    struct fp off;
    struct said said = {0};
    (void)state;
    begin();
    kit_pull(CORE, EDGE);
    kit_set(THIRD, "b/3", "t");
    kit_pull(CORE, THIRD);
    assert_code(1, subscribe(EDGE, "a/"));
    for (int asked = 0;; asked++) {
        struct narrowed done = narrow_by(CORE, NULL, &said);
        if (!done.ask.heads.n) {
            assert_false(done.waits);
            assert_in_range(asked, 1, 4);
            break;
        }
        kit_expect(EDGE, "b/2", "t");
        answer(&done.ask, &off);
        assert_int_equal(off.n, 0);
        assert_ok(said_add(&said, &done.ask));
        fp_free(&off);
    }
    kit_expect(EDGE, "b/2", NULL);
    said_free(&said);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(own_events_must_be_kept),
        kit_test(the_whole_clock_must_be_kept),
        kit_test(the_keeper_must_hold_the_range),
        kit_test(what_was_forgotten_can_come_back),
        kit_test(parts_outside_are_ignored),
        kit_test(blind_writes_add_up_elsewhere),
        kit_test(a_large_range_goes_in_pieces),
        kit_test(a_backup_keeps_the_subscription),
        kit_test(a_keeper_on_another_branch),
        kit_test(a_keeper_is_asked),
        kit_test(a_keeper_that_lacks_events_is_asked),
        kit_test(a_keeper_that_is_further_says_so),
    };
    return TEST_RUN(tests);
}

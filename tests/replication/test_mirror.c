/* test_mirror.c: what a link believes of its peer: exact after each clock,
 * optimistic while chunks travel, bounded always. */
#include "lib/crypto.h"
#include "replication/mirror.h"
#include "tests/support/test.h"

static const uint8_t o1[16] = {1}, o2[16] = {2};

/* A clock message: up to seq of o1 below cut, up to seq2 of o2 above it. */
static struct clock clock_of(uint64_t seq, uint64_t seq2, const char *cut) {
    struct clock c = {.state = clock_state_new()};
    struct ranges *rs = &c.state->ranges;
    size_t at = 0;
    if (cut)
        assert_ok(ranges_cut(rs, slice_str(cut), 0, &at));
    if (seq)
        assert_ok(vv_raise(&rs->r[0].clk, o1, seq, seq));
    if (seq2)
        assert_ok(vv_raise(&rs->r[at].clk, o2, seq2, seq2));
    return c;
}

static void hear(struct mirrors *ms, struct mirror *m, struct clock c,
                 uint32_t acked, uint64_t now) {
    assert_ok(mirror_hear(ms, m, &c, acked, now));
    clock_free(&c);
}

static void mirrors_are_sorted_and_bounded(void **state) {
    struct mirrors ms = {0};
    struct mirror *m, *again;
    struct rng r = rng_seed();
    (void)state;
    for (int i = 0; ms.n < MIRRORS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "%u", (unsigned)rng_below(&r, 100000));
        assert_ok(mirrors_get(&ms, name, &m));
        assert_ok(mirrors_get(&ms, name, &again));
        assert_ptr_equal(m, again);
        assert_ptr_equal(mirrors_find(&ms, name), m);
    }
    for (size_t i = 1; i < ms.n; i++)
        assert_true(strcmp(ms.m[i - 1]->bucket, ms.m[i]->bucket) < 0);
    assert_null(mirrors_find(&ms, "none"));
    assert_code(ECRDT_EPEER, mirrors_get(&ms, "one more", &m));
    mirrors_free(&ms);
}

/* What the peer told, not what is on its way to it. */
static void only_what_was_told_is_covered(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    assert_false(mirror_covers(m, slice_str("a"), o1, 1));
    hear(&ms, m, clock_of(5, 9, "m"), 0, 0);
    assert_true(mirror_covers(m, slice_str("a"), o1, 5));
    assert_false(mirror_covers(m, slice_str("a"), o1, 6));
    assert_false(mirror_covers(m, slice_str("m"), o1, 5));
    assert_true(mirror_covers(m, slice_str("z"), o2, 9));
    assert_ok(vv_raise(&m->peer.r[0].clk, o1, 7, 7));
    assert_false(mirror_covers(m, slice_str("a"), o1, 7));
    mirrors_free(&ms);
}

static void a_clock_replaces_what_was_believed(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    hear(&ms, m, clock_of(10, 0, NULL), 0, 0);
    struct clock low = clock_of(3, 0, NULL);
    assert_ok(mirror_hear(&ms, m, &low, 0, 0));
    assert_int_equal(vv_seq(&m->peer.r[0].clk, o1), 3);
    assert_int_equal(vv_seq(&m->heard->ranges.r[0].clk, o1), 3);
    mirrors_free(&ms);
}

static void chunks_in_flight_are_believed(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 1, .state = clock_state_new()};
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    m->view = &v;
    hear(&ms, m, clock_of(1, 0, NULL), 0, 0);
    assert_ok(vv_raise(&m->peer.r[0].clk, o1, 10, 10)); /* as chunk_build */
    mirror_built(m, true, true, 0);
    mirror_built(m, true, false, 0);
    assert_int_equal(m->in_flight, 2);
    hear(&ms, m, clock_of(5, 4, "k"), 1, 0); /* one consumed */
    assert_int_equal(vv_seq(&m->peer.r[0].clk, o1), 10);
    assert_int_equal(m->peer.n, 2);
    assert_int_equal(vv_seq(&m->peer.r[1].clk, o2), 4);
    hear(&ms, m, clock_of(5, 4, "k"), 1, 0); /* all consumed: no more hopes */
    assert_int_equal(vv_seq(&m->peer.r[0].clk, o1), 5);
    mirror_built(m, true, true, 0);
    mirror_built(m, true, true, 0);
    assert_ok(vv_raise(&m->peer.r[0].clk, o1, 20, 20));
    struct clock reset = clock_of(5, 0, NULL);
    reset.flags = CLOCK_RESET;
    hear(&ms, m, reset, 1, 0);
    assert_int_equal(vv_seq(&m->peer.r[0].clk, o1), 5);
    clock_state_unref(v.state);
    mirrors_free(&ms);
}

static void chunks_without_progress_wait(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 1, .state = clock_state_new()};
    uint64_t now = 1000, last = 0;
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    m->view = &v;
    assert_ok(vv_raise(&v.state->ranges.r[0].clk, o1, 9, 9));
    hear(&ms, m, clock_of(1, 0, NULL), 0, now);
    for (int i = 0; i < 20; i++) {
        assert_true(mirror_ready(m));
        assert_ok(vv_raise(&m->peer.r[0].clk, o1, 9, 9));
        mirror_built(m, true, false, 0);
        assert_false(mirror_ready(m));
        hear(&ms, m, clock_of(1, 0, NULL), 1, now);
        uint64_t pause = m->not_before_ms - now;
        assert_true(pause >= last && pause <= MIRROR_BACKOFF_MAX_MS);
        assert_true(i || pause == MIRROR_BACKOFF_MS);
        last = pause;
        now = m->not_before_ms;
    }
    assert_int_equal(last, MIRROR_BACKOFF_MAX_MS);
    assert_ok(vv_raise(&m->peer.r[0].clk, o1, 9, 9));
    mirror_built(m, true, false, 0);
    hear(&ms, m, clock_of(9, 0, NULL), 1, now);
    assert_int_equal(m->fruitless, 0);
    mirror_judge(m, o2, now, 5);
    assert_false(mirror_ready(m));
    clock_state_unref(v.state);
    mirrors_free(&ms);
}

static void memory_of_clocks_is_bounded(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    int rc = 0;
    size_t most = 0;
    (void)state;
    for (int i = 0; !rc && i < MIRRORS_MAX; i++) {
        char name[16];
        struct clock c = clock_of(1, 0, NULL);
        snprintf(name, sizeof name, "%d", i);
        assert_ok(mirrors_get(&ms, name, &m));
        for (uint32_t k = 1; k < 5000; k++) {
            uint8_t o[16] = {(uint8_t)(k >> 8), (uint8_t)k, 9};
            assert_ok(vv_raise(&c.state->ranges.r[0].clk, o, 1, 1));
        }
        rc = mirror_hear(&ms, m, &c, 0, 0);
        clock_free(&c);
        most = ms.bytes;
    }
    assert_int_equal(rc, ECRDT_EPEER);
    assert_in_range(most, MIRRORS_MAX_BYTES / 2, MIRRORS_MAX_BYTES);
    mirrors_free(&ms);
}

static void lag_and_sync_are_told_apart(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 3, .state = clock_state_new()};
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    assert_ok(vv_raise(&v.state->ranges.r[0].clk, o1, 7, 7));
    hear(&ms, m, clock_of(0, 4, NULL), 0, 0);
    assert_int_equal(mirror_missing_here(m), 4); /* we lack the bucket */
    assert_int_equal(mirror_missing_there(m), 0);
    m->view = &v;
    assert_int_equal(mirror_missing_there(m), 7);
    assert_true(mirror_tell_due(m));
    m->told = 3;
    assert_false(mirror_tell_due(m));
    assert_false(mirror_in_sync(m));
    assert_ok(vv_raise(&v.state->ranges.r[0].clk, o2, 4, 4));
    hear(&ms, m, clock_of(7, 4, NULL), 0, 0);
    assert_true(mirror_in_sync(m));
    m->ack_due = true;
    assert_false(mirror_in_sync(m));
    clock_state_unref(v.state);
    mirrors_free(&ms);
}

/* Our own events are due at once, others' after the hold, what the peer has
 * not at all, whoever told it. */
static void others_events_are_held(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 1, .state = clock_state_new()};
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    m->view = &v;
    assert_ok(vv_raise(&v.state->ranges.r[0].clk, o1, 5, 5));
    assert_ok(vv_raise(&v.state->ranges.r[0].clk, o2, 7, 7));
    hear(&ms, m, clock_of(5, 6, NULL), 0, 100);
    mirror_judge(m, o1, 100, 8); /* o1 is ours, o2's event is missing */
    assert_int_equal(m->judged, 1);
    assert_int_equal(m->due_ms, 108);
    assert_true(mirror_ready(m));
    mirror_judge(m, o1, 104, 3); /* looked at again: no later, no earlier */
    assert_int_equal(m->due_ms, 108);
    hear(&ms, m, clock_of(5, 7, NULL), 0, 105); /* it came another way */
    assert_int_equal(m->judged, 0);
    mirror_judge(m, o1, 105, 8);
    assert_false(mirror_ready(m));
    assert_int_equal(m->due_ms, 0);
    v.version = 2;
    assert_ok(vv_raise(&v.state->ranges.r[0].clk, o1, 6, 6));
    mirror_judge(m, o1, 106, 8);
    assert_int_equal(m->due_ms, 106);
    struct clock lazy = clock_of(5, 7, NULL);
    lazy.flags = CLOCK_LAZY;
    hear(&ms, m, lazy, 0, 107);
    assert_false(mirror_ready(m));
    hear(&ms, m, clock_of(5, 7, NULL), 0, 108);
    assert_true(mirror_ready(m));
    clock_state_unref(v.state);
    mirrors_free(&ms);
}

static void words_have_their_pace(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 1, .state = clock_state_new()};
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    m->view = &v;
    assert_true(mirror_tell_due(m));
    assert_ok(mirror_told(m, 1000));
    assert_false(mirror_tell_due(m));
    assert_int_equal(mirror_tell_at(m), 1000 + MIRROR_SUM_MS);
    assert_false(mirror_sum_due(m, 1000 + MIRROR_SUM_MS - 1));
    assert_true(mirror_sum_due(m, 1000 + MIRROR_SUM_MS));
    v.version = 2;
    assert_int_equal(mirror_tell_at(m), 1000 + MIRROR_TELL_MS);
    m->pruned = true; /* what it is to do changes: at once */
    assert_int_equal(mirror_flags(m), CLOCK_LAZY);
    assert_int_equal(mirror_tell_at(m), 0);
    assert_ok(mirror_told(m, 2000));
    v.version = 3;
    assert_int_equal(mirror_tell_at(m), 2000 + MIRROR_TELL_LAZY_MS);
    m->reset_due = true;
    assert_int_equal(mirror_tell_at(m), 0);
    assert_ok(mirror_told(m, 3000));
    assert_int_equal(mirror_flags(m), CLOCK_LAZY);
    struct clock again = clock_of(0, 0, NULL);
    again.flags = CLOCK_AGAIN;
    hear(&ms, m, again, 0, 3000);
    assert_null(m->said); /* the next word is a whole clock */
    assert_true(mirror_tell_due(m));
    clock_state_unref(v.state);
    mirrors_free(&ms);
}

static void what_stays_behind_is_late(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 1, .state = clock_state_new()};
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    m->view = &v;
    assert_false(mirror_late(m));
    hear(&ms, m, clock_of(5, 0, NULL), 0, 0);
    assert_false(mirror_late(m)); /* it may have been told just now */
    assert_true(mirror_late(m));
    assert_ok(vv_raise(&v.state->ranges.r[0].clk, o1, 5, 5));
    assert_false(mirror_late(m));
    hear(&ms, m, clock_of(6, 0, NULL), 0, 0);
    assert_false(mirror_late(m));
    m->view = NULL; /* we lack the bucket */
    assert_true(mirror_late(m));
    clock_state_unref(v.state);
    mirrors_free(&ms);
}

/* Only what each side holds is missing; news of it is waited for. */
static void what_is_not_held_is_not_missing(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 1, .state = clock_of(3, 7, "m").state};
    struct subscription theirs = {.others = false}, ours = {.others = true};
    slice a = ECRDT_STR("a");
    (void)state;
    assert_ok(held_set(subscription_add(&theirs, ECRDT_STR("b")), &a, 1));
    assert_ok(mirrors_get(&ms, "b", &m));
    assert_ok(mirror_hold(&ms, m, &ours, &theirs));
    assert_int_equal(spans_count(&m->theirs), 1);
    m->view = &v;
    /* v: a is at 3 of o1, z at 7 of o2 */
    assert_int_equal(mirror_missing_there(m), 3);
    hear(&ms, m, clock_of(3, 0, "m"), 0, 0);
    assert_int_equal(mirror_missing_there(m), 0);
    m->told = v.version;
    assert_true(mirror_in_sync(m));
    assert_int_equal(ms.bytes, m->heard_bytes + m->spans_bytes);
    m->stale = m->look = true;
    assert_false(mirror_ready(m)); /* a CLOCK follows */
    hear(&ms, m, clock_of(0, 0, "m"), 0, 0);
    assert_true(mirror_ready(m));
    assert_ok(mirror_hold(&ms, m, &theirs, &ours));
    hear(&ms, m, clock_of(9, 9, "m"), 0, 0);
    assert_int_equal(mirror_missing_here(m), 6); /* of a: not the rest */
    clock_state_unref(v.state);
    mirrors_free(&ms);
    subscription_free(&theirs);
}

static void a_bucket_that_nobody_there_holds_is_not_told(void **state) {
    struct mirrors ms = {0};
    struct mirror *m;
    struct view v = {.version = 1, .state = clock_state_new()};
    struct subscription none = {.others = false};
    (void)state;
    assert_ok(mirrors_get(&ms, "b", &m));
    m->view = &v;
    assert_true(mirror_tell_due(m));
    assert_ok(mirror_hold(&ms, m, NULL, &none));
    assert_false(mirror_tell_due(m));
    hear(&ms, m, clock_of(1, 0, NULL), 0, 0); /* it has written into it */
    assert_true(mirror_tell_due(m));
    clock_state_unref(v.state);
    mirrors_free(&ms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mirrors_are_sorted_and_bounded),
        cmocka_unit_test(only_what_was_told_is_covered),
        cmocka_unit_test(a_clock_replaces_what_was_believed),
        cmocka_unit_test(chunks_in_flight_are_believed),
        cmocka_unit_test(chunks_without_progress_wait),
        cmocka_unit_test(memory_of_clocks_is_bounded),
        cmocka_unit_test(lag_and_sync_are_told_apart),
        cmocka_unit_test(others_events_are_held),
        cmocka_unit_test(words_have_their_pace),
        cmocka_unit_test(what_stays_behind_is_late),
        cmocka_unit_test(what_is_not_held_is_not_missing),
        cmocka_unit_test(a_bucket_that_nobody_there_holds_is_not_told),
    };
    return TEST_RUN(tests);
}

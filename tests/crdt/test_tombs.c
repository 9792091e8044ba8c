/* test_tombs.c: the tombs table holds one row for each tomb sibling, under the
 * time of its arrival here, whatever happens to the item. */
#include "crdt/tombs.h"
#include "tests/crdt/kit.h"
#include "tests/support/wall.h"

static uint64_t rows(size_t i) {
    uint64_t n;
    ecrdt_txn *t = kit_read(i);
    assert_ok(db_count(t->db, DB_TOMBS, &n));
    ecrdt_abort(t);
    return n;
}

/* Arrival of the oldest tomb, 0 if there is none. */
static uint64_t oldest(size_t i) {
    uint64_t ms = 0;
    ecrdt_txn *t = kit_read(i);
    struct bucket *bk = kit_bucket(t);
    assert_true(tombs_oldest(t, bk, &ms) >= 0);
    ecrdt_abort(t);
    return ms;
}

static void keys_come_apart(void **state) {
    (void)state;
    struct tomb_row a = {UINT64_C(0xabcdef012345), UINT64_MAX - 1, 77}, b;
    uint8_t key[TOMB_KEY], later[TOMB_KEY];
    slice k = tomb_key(key, 513, &a);
    assert_int_equal(k.len, 20);
    assert_true(tomb_parse(k, 513, &b));
    assert_int_equal(a.arrival_ms, b.arrival_ms);
    assert_int_equal(a.origin, b.origin);
    assert_int_equal(a.seq, b.seq);
    assert_false(tomb_parse(k, 512, &b));
    assert_false(tomb_parse(slice_of(key, TOMB_KEY - 1), 513, &b));
    a.arrival_ms++;
    a.origin = 0;
    a.seq = 0;
    assert_true(slice_cmp(k, tomb_key(later, 513, &a)) < 0);
}

static void a_delete_makes_a_row_and_a_put_removes_it(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    assert_int_equal(rows(0), 0);
    kit_del(0, "k");
    assert_int_equal(rows(0), 1);
    assert_int_equal(oldest(0), wall_now);
    wall_now += 1000;
    kit_set(0, "k", "w");
    assert_int_equal(rows(0), 0);
    assert_int_equal(oldest(0), 0);
    kit_del(0, "k");
    assert_int_equal(oldest(0), wall_now);
    kit_sound(0);
}

/* One event, made twice over in its transaction, ends as one row or none. */
static void within_one_transaction(void **state) {
    (void)state;
    slice k = slice_str("k"), v = slice_str("v");
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_write(0);
    assert_code(1, ecrdt_reg_del(t, KIT_B, k));
    wall_now += 5;
    assert_ok(ecrdt_reg_set(t, KIT_B, k, v));
    wall_now += 5;
    assert_code(1, ecrdt_reg_del(t, KIT_B, k));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(rows(0), 1);
    assert_int_equal(oldest(0), wall_now);
    kit_sound(0);
    t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, k, v));
    assert_code(1, ecrdt_reg_del(t, KIT_B, k));
    assert_ok(ecrdt_reg_set(t, KIT_B, k, v));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(rows(0), 0);
    kit_sound(0);
}

/* A tomb of a year ago counts from the moment it came here. */
static void the_time_is_that_of_arrival_here(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    kit_pull(1, 0);
    kit_del(0, "k");
    uint64_t made = wall_now;
    wall_now += UINT64_C(365) * 24 * 3600 * 1000;
    kit_pull(1, 0);
    assert_int_equal(oldest(0), made);
    assert_int_equal(oldest(1), wall_now);
    kit_sound(1);
}

/* Concurrent tombs are siblings: a row each, and a tomb beside a value. */
static void siblings_have_a_row_each(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    for (size_t i = 1; i < 4; i++)
        kit_pull(i, 0);
    for (size_t i = 1; i < 4; i++)
        kit_del(i, "k");
    kit_set(0, "k", "w");
    for (size_t i = 1; i < 4; i++)
        kit_pull(0, i);
    assert_int_equal(rows(0), 3);
    kit_expect(0, "k", "w");
    kit_sound(0);
    kit_set(0, "k", "x"); /* supersedes all four */
    assert_int_equal(rows(0), 0);
    kit_pull(1, 0);
    assert_int_equal(rows(1), 0);
    kit_sound(1);
}

static void an_aborted_delete_leaves_none(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_write(0);
    assert_code(1, ecrdt_reg_del(t, KIT_B, slice_str("k")));
    ecrdt_abort(t);
    assert_int_equal(rows(0), 0);
    kit_sound(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(keys_come_apart),
        kit_test(a_delete_makes_a_row_and_a_put_removes_it),
        kit_test(within_one_transaction),
        kit_test(the_time_is_that_of_arrival_here),
        kit_test(siblings_have_a_row_each),
        kit_test(an_aborted_delete_leaves_none),
    };
    return TEST_RUN(tests);
}

/* test_fold.c: the heir takes over the entries of others; no value changes,
 * whatever meets it; nobody else may do it. */
#include "crdt/fold.h"
#include "crdt/door.h"
#include "crdt/gc.h"
#include "crdt/items.h"
#include "tests/crdt/kit.h"
#include "tests/support/wall.h"

static ecrdt_fold_report fold(size_t i, uint32_t flags) {
    ecrdt_fold_report r;
    assert_ok(ecrdt_fold(kit(i), flags, &r));
    kit_sound(i);
    return r;
}

static void meet(size_t n) {
    for (int round = 0; round < 2; round++)
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++)
                if (a != b)
                    kit_pull(a, b);
    for (size_t i = 0; i < n; i++)
        kit_sound(i);
}

/* All of the first n stores read this. */
static void all_read(size_t n, const char *key, int64_t want) {
    meet(n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(kit_value(i, key), want);
}

/* Items of store i, tombs included. */
static uint64_t records(size_t i) {
    uint64_t n = 0;
    struct items c;
    ecrdt_txn *t = kit_read(i);
    slice key = slice_of(NULL, 0), rec;
    assert_ok(items_open(&c, t));
    for (int rc = items_seek(&c, &key, &rec); rc == 1; n++)
        rc = items_next(&c, &key, &rec);
    items_close(&c);
    ecrdt_abort(t);
    return n;
}

static void reset(size_t i, const char *key) {
    ecrdt_txn *t = kit_write(i);
    assert_ok(ecrdt_counter_reset(t, KIT_B, slice_str(key)));
    assert_ok(ecrdt_commit(t));
}

/* When the retention is over, and not before. */
static ecrdt_fold_report fold_later(size_t i) {
    wall_now += GC_RETENTION_MS - 1;
    assert_int_equal(fold(i, 0).entries, 0);
    wall_now += 1;
    return fold(i, 0);
}

static void a_retired_store_is_folded_away(void **state) {
    (void)state;
    char longest[1025] = "";
    memset(longest, 'c', 1024);
    kit_count(0, "c", 1);
    kit_count(1, "c", 5);
    kit_count(1, "c", -7);
    kit_count(1, longest, 9);
    kit_count(1, "zero", 3);
    kit_count(1, "zero", -3);
    ecrdt_node was, is;
    assert_ok(ecrdt_node_id(kit(1), &was));
    assert_ok(ecrdt_retire(kit(1)));
    assert_ok(ecrdt_node_id(kit(1), &is));
    assert_memory_not_equal(was.b, is.b, 16);
    kit_sound(1);
    all_read(2, "c", -1);
    ecrdt_fold_report r = fold(0, ECRDT_FOLD_CLAIM);
    assert_int_equal(r.entries, 3);
    assert_int_equal(r.removed, 0);
    all_read(2, "c", -1);
    all_read(2, longest, 9);
    all_read(2, "zero", 0);
    assert_int_equal(fold(0, 0).entries, 0); /* they stay, emptied ... */
    r = fold_later(0);                       /* ... for a while */
    assert_int_equal(r.entries, 3);
    assert_int_equal(r.removed, 3);
    all_read(2, "c", -1);
    all_read(2, longest, 9);
    all_read(2, "zero", 0);
    assert_int_equal(records(0), 6); /* three of its own, three tombs */
    assert_ok(ecrdt_gc(kit(0), 0, 0, NULL));
    assert_int_equal(records(0), 3);
    assert_int_equal(fold(0, 0).entries, 0);
    kit_count(1, "c", 10); /* under its new identity */
    all_read(2, "c", 9);
    assert_int_equal(records(0), 4);
}

/* Without a goodbye only if asked for; and it may go on counting. */
static void one_that_still_counts(void **state) {
    (void)state;
    kit_count(0, "c", 1);
    kit_count(1, "c", 5);
    meet(2);
    assert_int_equal(fold(0, ECRDT_FOLD_CLAIM).entries, 0);
    kit_count(1, "c", 20); /* not seen by the fold */
    ecrdt_fold_report r = fold(0, ECRDT_FOLD_ALL);
    assert_int_equal(r.entries, 1);
    assert_int_equal(r.removed, 0);
    all_read(2, "c", 26);
    kit_count(1, "c", 100);
    all_read(2, "c", 126);
    assert_int_equal(fold(0, ECRDT_FOLD_ALL).entries, 1);
    all_read(2, "c", 126);
    assert_int_equal(fold(0, ECRDT_FOLD_ALL).entries, 0);
    reset(1, "c");
    all_read(2, "c", 0);
}

/* A reset concurrent with a fold misses what was folded: it reads as a
 * concurrent add; all agree. */
static void a_reset_beside_a_fold(void **state) {
    (void)state;
    kit_count(0, "c", 1);
    kit_count(1, "c", 5);
    meet(3);
    assert_ok(ecrdt_retire(kit(1)));
    kit_pull(0, 1);
    fold(0, ECRDT_FOLD_CLAIM);
    reset(2, "c");
    all_read(3, "c", 5);
    reset(2, "c");
    all_read(3, "c", 0);
}

/* A reset of an entry that said goodbye keeps that mark. */
static void a_reset_keeps_the_goodbye(void **state) {
    (void)state;
    kit_count(1, "c", 5);
    assert_ok(ecrdt_retire(kit(1)));
    meet(2);
    reset(0, "c");
    all_read(2, "c", 0);
    assert_int_equal(fold(0, ECRDT_FOLD_CLAIM).entries, 0); /* empty, young */
    assert_int_equal(fold_later(0).removed, 1);
    all_read(2, "c", 0);
    assert_int_equal(kit_seq(0), 2);
}

/* Mutant twofold: who has not claimed it may not fold. */
static void nobody_else_folds(void **state) {
    (void)state;
    kit_count(2, "c", 5);
    assert_ok(ecrdt_retire(kit(2)));
    meet(3);
    fold(0, ECRDT_FOLD_CLAIM);
    ecrdt_fold_report r;
    int rc = ecrdt_fold(kit(1), 0, &r);
    all_read(3, "c", 5);
    assert_int_equal(rc, ECRDT_EINVAL);
    assert_non_null(strstr(ecrdt_errmsg(), "is not the heir"));
}

/* Mutant foldrole: the right is of the incarnation. A heir that was restored
 * from before its fold would fold once more what it does not remember. */
static void a_restored_heir_does_not_fold(void **state) {
    (void)state;
    kit_count(1, "c", 5);
    assert_ok(ecrdt_retire(kit(1)));
    meet(2);
    fold(0, ECRDT_FOLD_CLAIM); /* nothing of c yet folded by the copy below */
    kit_count(2, "c", 7);
    assert_ok(ecrdt_retire(kit(2)));
    kit_pull(0, 2);
    assert_ok(ecrdt_backup(kit(0), kit_path(3)));
    fold(0, 0);
    kit_pull(1, 0); /* what it folded is out */
    kit_pull(2, 0);
    assert_int_equal(kit_value(1, "c"), 12);
    int rc = ecrdt_fold(kit(3), 0, NULL); /* the copy, restored */
    kit_pull(3, 1);
    kit_pull(1, 3);
    assert_int_equal(kit_value(1, "c"), 12);
    assert_int_equal(rc, ECRDT_EINVAL);
    assert_ok(ecrdt_fold(kit(3), ECRDT_FOLD_CLAIM, NULL)); /* with all in */
    kit_pull(1, 3);
    assert_int_equal(kit_value(1, "c"), 12);
}

static void the_heir_does_not_retire(void **state) {
    (void)state;
    kit_count(0, "c", 5);
    fold(0, ECRDT_FOLD_CLAIM);
    assert_code(ECRDT_EINVAL, ecrdt_retire(kit(0)));
    assert_non_null(strstr(ecrdt_errmsg(), "is the heir"));
    assert_int_equal(kit_value(0, "c"), 5);
    kit_sound(0);
}

/* More entries than one transaction takes, of many stores' incarnations. */
static void many_entries(void **state) {
    (void)state;
    char key[16];
    for (int round = 0; round < 3; round++) {
        ecrdt_txn *t = kit_write(1);
        for (int i = 0; i < FOLD_BATCH; i++) {
            snprintf(key, sizeof key, "%04d", i);
            assert_ok(ecrdt_counter_add(t, KIT_B, slice_str(key), i, NULL));
        }
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("r"), slice_str("v")));
        assert_ok(ecrdt_commit(t));
        assert_ok(ecrdt_retire(kit(1)));
    }
    kit_pull(0, 1);
    ecrdt_fold_report r = fold(0, ECRDT_FOLD_CLAIM);
    /* Those of 0000 count nothing: they are empty as they are. */
    assert_int_equal(r.entries, 3 * (FOLD_BATCH - 1));
    assert_int_equal(kit_value(0, "0100"), 300);
    all_read(2, "0255", 765);
}

/* Totals that do not fit stay where they are. */
static void an_overflow_is_left(void **state) {
    (void)state;
    const int64_t max = INT64_MAX;
    for (size_t i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++) {
            kit_count(i, "c", max);
            kit_count(i, "c", -max);
        }
    kit_count(1, "c", 1);
    assert_ok(ecrdt_retire(kit(1)));
    meet(2);
    assert_int_equal(fold(0, ECRDT_FOLD_CLAIM).entries, 0);
    all_read(2, "c", 1);
}

static void arguments(void **state) {
    (void)state;
    assert_code(ECRDT_EINVAL, ecrdt_fold(NULL, 0, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_fold(kit(0), 4, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_retire(NULL));
    assert_ok(ecrdt_retire(kit(0))); /* empty: a new identity, that is all */
    ecrdt_txn *t = kit_write(0);
    assert_code(0, fold_right(t));
    assert_ok(fold_claim(t));
    assert_code(1, fold_right(t));
    ecrdt_abort(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(a_retired_store_is_folded_away),
        kit_test(one_that_still_counts),
        kit_test(a_reset_beside_a_fold),
        kit_test(a_reset_keeps_the_goodbye),
        kit_test(nobody_else_folds),
        kit_test(a_restored_heir_does_not_fold),
        kit_test(the_heir_does_not_retire),
        kit_test(many_entries),
        kit_test(an_overflow_is_left),
        kit_test(arguments),
    };
    return TEST_RUN(tests);
}

/* test_register.c: registers: concurrent values, their order and stamps. */
#include "crdt/register.h"
#include "crdt/hlc.h"
#include "tests/crdt/kit.h"

/* The rows of the iterator over the siblings of key, in order. */
static size_t siblings(size_t i, const char *key, ecrdt_entry out[8],
                       char values[8][16]) {
    ecrdt_txn *t = kit_read(i);
    ecrdt_iter *it =
        assert_handle(ecrdt_reg_siblings(t, KIT_B, slice_str(key)));
    size_t n = 0;
    while (ecrdt_next(it, &out[n]) == 1) {
        snprintf(values[n], 16, "%.*s", (int)out[n].val.len,
                 (const char *)out[n].val.data);
        assert_slice_equal(out[n].key, slice_str(key));
        assert_int_equal(out[n].type, ECRDT_REG);
        n++;
    }
    ecrdt_abort(t);
    return n;
}

static void a_value_is_read_back(void **state) {
    (void)state;
    kit_expect(0, "k", NULL);
    kit_set(0, "k", "one");
    kit_expect(0, "k", "one");
    kit_set(0, "k", ""); /* empty is not absent */
    kit_expect(0, "k", "");
    kit_del(0, "k");
    kit_expect(0, "k", NULL);
    ecrdt_txn *t = kit_write(0);
    assert_code(0, ecrdt_reg_del(t, KIT_B, slice_str("k")));
    assert_code(0, ecrdt_reg_del(t, KIT_B, slice_str("other")));
    assert_code(0, ecrdt_reg_del(t, "no bucket", slice_str("k")));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), 3); /* deletes of nothing are no events */
    kit_sound(0);
    slice untouched = slice_str("as it was");
    t = kit_read(0);
    assert_code(0, ecrdt_reg_get(t, KIT_B, slice_str("k"), &untouched, NULL));
    ecrdt_abort(t);
    assert_slice_equal(untouched, slice_str("as it was"));
}

static void concurrent_values_are_all_kept(void **state) {
    (void)state;
    ecrdt_entry row[8];
    char v[8][16];
    kit_set(0, "k", "a");
    kit_set(1, "k", "b");
    kit_set(2, "k", "c");
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++)
            if (i != k)
                kit_pull(i, k);
    size_t n = siblings(0, "k", row, v);
    assert_int_equal(n, 3);
    for (size_t i = 1; i < n; i++) { /* greatest (time, origin) first */
        uint64_t a = hlc_make(row[i - 1].who.wall_ms, row[i - 1].who.logical);
        uint64_t b = hlc_make(row[i].who.wall_ms, row[i].who.logical);
        assert_true(a > b || (a == b && memcmp(row[i - 1].who.by.b,
                                               row[i].who.by.b, 16) > 0));
    }
    for (size_t i = 0; i < 3; i++) {
        ecrdt_entry other[8];
        char o[8][16];
        assert_int_equal(siblings(i, "k", other, o), 3);
        for (size_t r = 0; r < 3; r++) {
            assert_string_equal(o[r], v[r]);
            assert_memory_equal(&other[r].who, &row[r].who, sizeof row[r].who);
        }
        kit_expect(i, "k", v[0]);
    }
    kit_set(1, "k", "last"); /* supersedes what it saw */
    kit_pull(0, 1);
    assert_int_equal(siblings(0, "k", row, v), 1);
    kit_expect(0, "k", "last");
}

static void a_set_survives_a_concurrent_delete(void **state) {
    (void)state;
    kit_set(0, "k", "old");
    kit_pull(1, 0);
    kit_del(0, "k");
    kit_set(1, "k", "new");
    kit_pull(0, 1);
    kit_pull(1, 0);
    kit_expect(0, "k", "new");
    kit_expect(1, "k", "new");
    kit_same_digest(0, 1);
    /* The tomb stays beside the value: it must remove "old" elsewhere. */
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(0), &st));
    assert_int_equal(st.tombstones, 1);
    assert_int_equal(st.items, 1);
    kit_del(0, "k"); /* takes both */
    kit_pull(1, 0);
    kit_expect(1, "k", NULL);
    kit_sound(0);
    kit_sound(1);
}

static void stamps_name_the_writer(void **state) {
    (void)state;
    ecrdt_node me;
    ecrdt_stamp who = {0}, again = {0};
    slice v;
    uint64_t before = os_wall_ms();
    kit_set(0, "k", "v");
    assert_ok(ecrdt_node_id(kit(0), &me));
    kit_pull(1, 0);
    for (size_t i = 0; i < 2; i++) {
        ecrdt_txn *t = kit_read(i);
        assert_code(
            1, ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, i ? &again : &who));
        ecrdt_abort(t);
    }
    assert_memory_equal(who.by.b, me.b, 16);
    assert_in_range(who.wall_ms, before, os_wall_ms());
    assert_memory_equal(&who, &again, sizeof who);
}

/* A later write has a greater time, also on another store that saw it. */
static void time_follows_causality(void **state) {
    (void)state;
    uint64_t last = 0;
    for (size_t i = 0; i < 40; i++) {
        size_t at = i % 2;
        ecrdt_stamp who;
        slice v;
        kit_set(at, "k", "v");
        ecrdt_txn *t = kit_read(at);
        assert_code(1, ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, &who));
        ecrdt_abort(t);
        assert_true(hlc_make(who.wall_ms, who.logical) > last);
        last = hlc_make(who.wall_ms, who.logical);
        kit_pull(!at, at);
    }
}

static void one_event_per_item_and_transaction(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    slice v;
    for (int i = 0; i < 5; i++) {
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"), slice_str("x")));
        assert_code(1, ecrdt_reg_del(t, KIT_B, slice_str("k")));
        assert_code(0, ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, NULL));
    }
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"), slice_str("end")));
    assert_code(1, ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, NULL));
    assert_slice_equal(v, slice_str("end"));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), 1);
    t = kit_write(0); /* put and delete of a new item: a tomb, one event */
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("n"), slice_str("x")));
    assert_code(1, ecrdt_reg_del(t, KIT_B, slice_str("n")));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), 2);
    kit_pull(1, 0);
    kit_same_digest(0, 1);
    kit_expect(1, "n", NULL);
    kit_sound(0);
    kit_sound(1);
}

static void siblings_of_nothing_are_none(void **state) {
    (void)state;
    ecrdt_entry row[8];
    char v[8][16];
    assert_int_equal(siblings(0, "k", row, v), 0);
    kit_set(0, "k", "x");
    kit_del(0, "k");
    assert_int_equal(siblings(0, "k", row, v), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(a_value_is_read_back),
        kit_test(concurrent_values_are_all_kept),
        kit_test(a_set_survives_a_concurrent_delete),
        kit_test(stamps_name_the_writer),
        kit_test(time_follows_causality),
        kit_test(one_event_per_item_and_transaction),
        kit_test(siblings_of_nothing_are_none),
    };
    return TEST_RUN(tests);
}

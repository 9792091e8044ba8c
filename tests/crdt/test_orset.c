/* test_orset.c: add-wins sets: what a remove and a clear take, and what not. */
#include "crdt/orset.h"
#include "tests/crdt/kit.h"

static int has(size_t i, const char *key, const char *elem) {
    ecrdt_txn *t = kit_read(i);
    int rc = ecrdt_set_has(t, KIT_B, slice_str(key), slice_str(elem));
    ecrdt_abort(t);
    return rc;
}

static uint64_t size(size_t i, const char *key) {
    uint64_t n;
    ecrdt_txn *t = kit_read(i);
    assert_ok(ecrdt_set_size(t, KIT_B, slice_str(key), &n));
    ecrdt_abort(t);
    return n;
}

static void clear(size_t i, const char *key) {
    ecrdt_txn *t = kit_write(i);
    assert_ok(ecrdt_set_clear(t, KIT_B, slice_str(key)));
    assert_ok(ecrdt_commit(t));
}

static int take(size_t i, const char *key, const char *elem) {
    ecrdt_txn *t = kit_write(i);
    int rc = ecrdt_set_remove(t, KIT_B, slice_str(key), slice_str(elem));
    assert_ok(ecrdt_commit(t));
    return rc;
}

static void elements_come_and_go(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    slice k = slice_str("s"), e = slice_str("e");
    uint64_t n;
    assert_code(0, ecrdt_set_has(t, KIT_B, k, e));
    assert_code(0, ecrdt_set_remove(t, KIT_B, k, e));
    assert_code(1, ecrdt_set_add(t, KIT_B, k, e));
    assert_code(0, ecrdt_set_add(t, KIT_B, k, e));
    assert_code(1, ecrdt_set_add(t, KIT_B, k, slice_str(""))); /* empty */
    assert_code(1, ecrdt_set_has(t, KIT_B, k, e));
    assert_ok(ecrdt_set_size(t, KIT_B, k, &n));
    assert_int_equal(n, 2);
    assert_ok(ecrdt_commit(t));
    assert_int_equal(has(0, "s", ""), 1);
    assert_int_equal(take(0, "s", "e"), 1);
    assert_int_equal(take(0, "s", "e"), 0);
    assert_int_equal(size(0, "s"), 1);
    assert_int_equal(size(0, "absent"), 0);
    assert_int_equal(kit_seq(0), 3);
    kit_sound(0);
}

static void an_add_again_is_an_event(void **state) {
    (void)state;
    kit_add(0, "s", "e");
    kit_pull(1, 0);
    assert_int_equal(take(1, "s", "e"), 1);
    kit_add(0, "s", "e"); /* present: still wins against the remove */
    kit_pull(0, 1);
    kit_pull(1, 0);
    assert_int_equal(has(0, "s", "e"), 1);
    assert_int_equal(has(1, "s", "e"), 1);
    assert_int_equal(size(1, "s"), 1);
    kit_same_digest(0, 1);
}

static void a_remove_takes_what_was_seen(void **state) {
    (void)state;
    kit_add(0, "s", "e");
    kit_pull(1, 0);
    kit_add(2, "s", "e"); /* not seen by 1 */
    assert_int_equal(take(1, "s", "e"), 1);
    kit_pull(0, 1);
    assert_int_equal(has(0, "s", "e"), 0);
    kit_pull(0, 2);
    assert_int_equal(has(0, "s", "e"), 1);
    kit_pull(1, 2);
    assert_int_equal(has(1, "s", "e"), 1);
    assert_int_equal(take(0, "s", "e"), 1);
    kit_pull(2, 0);
    assert_int_equal(has(2, "s", "e"), 0);
    assert_int_equal(size(2, "s"), 0);
    kit_sound(2);
}

static void a_clear_takes_exactly_what_was_seen(void **state) {
    (void)state;
    char e[16];
    for (int i = 0; i < 100; i++) {
        snprintf(e, sizeof e, "%d", i);
        kit_add(0, "s", e);
    }
    kit_add(0, "sa", "other"); /* neighbours in the order of keys */
    kit_add(0, "r", "other");
    kit_set(0, "s", "register of the same key");
    kit_count(0, "s", 5);
    kit_pull(1, 0);
    kit_add(1, "s", "7"); /* concurrent, the same element */
    kit_add(1, "s", "new");
    clear(0, "s");
    assert_int_equal(size(0, "s"), 0);
    clear(0, "s"); /* nothing to take: no event */
    uint64_t seq = kit_seq(0);
    clear(0, "absent");
    assert_int_equal(kit_seq(0), seq);
    kit_pull(0, 1);
    kit_pull(1, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(size(i, "s"), 2);
        assert_int_equal(has(i, "s", "7"), 1);
        assert_int_equal(has(i, "s", "new"), 1);
        assert_int_equal(has(i, "s", "8"), 0);
        assert_int_equal(size(i, "sa"), 1);
        assert_int_equal(size(i, "r"), 1);
        kit_expect(i, "s", "register of the same key");
        assert_int_equal(kit_value(i, "s"), 5);
        kit_sound(i);
    }
    kit_same_digest(0, 1);
}

/* Within one transaction a clear sees its adds; each element is one event. */
static void a_clear_within_a_transaction(void **state) {
    (void)state;
    slice k = slice_str("s");
    uint64_t n;
    kit_add(0, "s", "old");
    ecrdt_txn *t = kit_write(0);
    assert_code(1, ecrdt_set_add(t, KIT_B, k, slice_str("x")));
    assert_ok(ecrdt_set_clear(t, KIT_B, k));
    assert_ok(ecrdt_set_size(t, KIT_B, k, &n));
    assert_int_equal(n, 0);
    assert_code(1, ecrdt_set_add(t, KIT_B, k, slice_str("y")));
    assert_code(1, ecrdt_set_add(t, KIT_B, k, slice_str("x")));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(kit_seq(0), 4); /* old, x, y once each, and the first */
    assert_int_equal(size(0, "s"), 2);
    assert_int_equal(has(0, "s", "old"), 0);
    kit_sound(0);
}

static void long_elements_and_keys(void **state) {
    (void)state;
    static const size_t lens[] = {0, 160, 161, 65536};
    static const size_t keys[] = {1, 256, 257, 1024};
    for (size_t k = 0; k < 4; k++) {
        slice key = kit_fill(keys[k], 'k');
        ecrdt_txn *t = kit_write(0);
        for (size_t e = 0; e < 4; e++) {
            slice elem = kit_fill(lens[e], 'e');
            assert_code(1, ecrdt_set_add(t, KIT_B, key, elem));
            assert_code(0, ecrdt_set_add(t, KIT_B, key, elem));
        }
        assert_ok(ecrdt_commit(t));
    }
    kit_pull_by(1, 0, 1);
    for (size_t k = 0; k < 4; k++) {
        slice key = kit_fill(keys[k], 'k');
        ecrdt_txn *t = kit_write(1);
        uint64_t n;
        for (size_t e = 0; e < 4; e++)
            assert_code(1,
                        ecrdt_set_has(t, KIT_B, key, kit_fill(lens[e], 'e')));
        assert_code(0, ecrdt_set_has(t, KIT_B, key, kit_fill(65535, 'e')));
        assert_ok(ecrdt_set_size(t, KIT_B, key, &n));
        assert_int_equal(n, 4);
        assert_ok(ecrdt_set_clear(t, KIT_B, key));
        assert_ok(ecrdt_commit(t));
    }
    kit_pull(0, 1);
    uint8_t digest[16], zero[16] = {0};
    kit_digest(0, digest);
    assert_memory_equal(digest, zero, 16);
    kit_sound(0);
    kit_sound(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(elements_come_and_go),
        kit_test(an_add_again_is_an_event),
        kit_test(a_remove_takes_what_was_seen),
        kit_test(a_clear_takes_exactly_what_was_seen),
        kit_test(a_clear_within_a_transaction),
        kit_test(long_elements_and_keys),
    };
    return TEST_RUN(tests);
}

/* test_held.c: the subscription's records: what each call leaves in the
 * store, also for buckets that nobody named. */
#include "crdt/held.h"
#include "tests/crdt/kit.h"

static int subscribe(size_t i, const char *bucket, const char *prefix) {
    slice p = ecrdt_str(prefix);
    return ecrdt_subscribe(kit(i), bucket, prefix ? &p : NULL, prefix != NULL);
}

static struct held load(size_t i, const char *bucket, int want) {
    struct held h = {0};
    ecrdt_txn *t = kit_read(i);
    assert_code(want, held_load(t, bucket, &h));
    ecrdt_abort(t);
    return h;
}

static void nothing_said_is_everything(void **state) {
    struct subscription s = {0};
    (void)state;
    struct held h = load(0, KIT_B, 0);
    assert_true(h.kind == HELD_ALL && h.implied);
    ecrdt_txn *t = kit_read(0);
    assert_ok(subscription_load(t, &s));
    ecrdt_abort(t);
    assert_true(subscription_whole(&s));
    subscription_free(&s);
}

static void a_record_stays(void **state) {
    (void)state;
    kit_open(0, ECRDT_FULL);
    assert_code(0, subscribe(0, KIT_B, "a/"));
    assert_code(0, ecrdt_unsubscribe(kit(0), "other"));
    kit_close(0);
    kit_open(0, 0);
    struct held h = load(0, KIT_B, 1), o = load(0, "other", 1);
    assert_int_equal(h.kind, HELD_PREFIXES);
    assert_slice_equal(buf_slice(&h.prefixes), ECRDT_STR("\2a/"));
    assert_int_equal(o.kind, HELD_NONE);
    held_free(&h);
}

static void data_outside_is_marked(void **state) {
    (void)state;
    kit_set(0, "a/1", "x");
    assert_code(0, subscribe(0, KIT_B, "a/"));
    kit_set(0, "b/1", "x");
    struct held h = load(0, KIT_B, 1);
    assert_false(h.narrowing);
    held_free(&h);
    assert_code(1, subscribe(0, KIT_B, "a/")); /* again: now it is */
    h = load(0, KIT_B, 1);
    assert_true(h.narrowing);
    held_free(&h);
    assert_code(0, subscribe(0, KIT_B, NULL)); /* widened: it is inside */
    assert_false(load(0, KIT_B, 1).narrowing);
}

static void buckets_not_named_follow(void **state) {
    (void)state;
    kit_set(0, "k", "x");
    assert_code(0, subscribe(0, "named", "a/"));
    assert_code(1, ecrdt_unsubscribe(kit(0), NULL));
    struct held h = load(0, KIT_B, 1);
    assert_true(h.implied && h.narrowing && h.kind == HELD_NONE);
    h = load(0, "absent", 0);
    assert_int_equal(h.kind, HELD_NONE);
    assert_code(0, subscribe(0, NULL, NULL));
    h = load(0, KIT_B, 0);
    assert_int_equal(h.kind, HELD_ALL);
    h = load(0, "named", 1);
    assert_int_equal(h.kind, HELD_PREFIXES);
    held_free(&h);
}

static int replace(size_t i, const struct subscription *want) {
    ecrdt_txn *t = kit_write(i);
    int rc = subscription_replace(t, want);
    assert_ok(ecrdt_commit(t));
    return rc;
}

static void a_configuration_replaces_all(void **state) {
    struct subscription want = {.others = false};
    slice a = ECRDT_STR("a/");
    (void)state;
    kit_set(0, "a/1", "x");
    kit_set(0, "b/1", "x");
    assert_code(0, subscribe(0, "gone", "z"));
    assert_ok(held_set(subscription_add(&want, ECRDT_STR(KIT_B)), &a, 1));
    assert_code(1, replace(0, &want));
    struct held h = load(0, KIT_B, 1);
    assert_true(h.narrowing);
    held_free(&h);
    load(0, "gone", 0);
    uint64_t id = replica_txn_id(kit(0));
    assert_code(0, replace(0, &want)); /* the same again is no act */
    assert_int_equal(replica_txn_id(kit(0)), id);
    subscription_free(&want);
}

static void all_of_it_has_a_limit(void **state) {
    static char many[SUBSCRIPTION_PREFIXES][SUBSCRIPTION_PREFIX];
    static slice list[SUBSCRIPTION_PREFIXES];
    (void)state;
    for (int i = 0; i < SUBSCRIPTION_PREFIXES; i++) {
        memset(many[i], 'x', sizeof many[i]);
        snprintf(many[i], sizeof many[i], "%05d", i);
        list[i] = slice_of(many[i], sizeof many[i]);
    }
    assert_code(0, ecrdt_subscribe(kit(0), "a", list, SUBSCRIPTION_PREFIXES));
    assert_code(ECRDT_ETOOBIG,
                ecrdt_subscribe(kit(0), "b", list, SUBSCRIPTION_PREFIXES));
    load(0, "b", 0);
}

static void damage_is_told(void **state) {
    struct held h = {0};
    (void)state;
    assert_code(0, subscribe(0, KIT_B, "a/"));
    ecrdt_txn *t = kit_write(0);
    buf_clear(&t->rec);
    buf_put(&t->rec, "\2\0\0\0\0\0\0\5a", 9);
    assert_ok(db_put(t->db, DB_META, ECRDT_STR("s" KIT_B), &t->rec));
    assert_code(ECRDT_ECORRUPT, held_load(t, KIT_B, &h));
    ecrdt_abort(t);
    held_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(nothing_said_is_everything),
        kit_test(a_record_stays),
        kit_test(data_outside_is_marked),
        kit_test(buckets_not_named_follow),
        kit_test(a_configuration_replaces_all),
        kit_test(all_of_it_has_a_limit),
        kit_test(damage_is_told),
    };
    return TEST_RUN(tests);
}

/* test_door.c: the one door: what follows from one changed item, and local
 * events. */
#include "crdt/door.h"
#include "crdt/clocks.h"
#include "crdt/dotlog.h"
#include "tests/crdt/kit.h"

static void key_of(ecrdt_txn *t, struct item_key *k, const char *key,
                   uint8_t tag) {
    struct bucket *bk;
    assert_code(1, txn_bucket(t, KIT_B, true, &bk));
    item_key_make(k, bk->id, slice_str(key), tag);
}

static void a_local_event_supersedes_all_siblings(void **state) {
    (void)state;
    kit_set(0, "k", "a");
    kit_set(1, "k", "b");
    kit_pull(0, 1);
    ecrdt_txn *t = kit_write(0);
    struct item_key k;
    key_of(t, &k, "k", TAG_REGISTER);
    assert_code(1, door_find(t, &k));
    assert_int_equal(t->before.n, 2);
    slice none = slice_of(NULL, 0);
    assert_ok(door_local(t, kit_bucket(t), &k, true, KIND_PUT, slice_str("k"),
                         none, slice_str("c")));
    assert_code(1, door_find(t, &k));
    assert_int_equal(t->before.n, 1);
    assert_int_equal(t->before.ev[0].seq, 2);
    assert_slice_equal(slice_of(t->before.ev[0].payload, t->before.ev[0].len),
                       slice_str("c"));
    assert_ok(ecrdt_commit(t));
    kit_sound(0);
}

static void an_absent_item_is_not_found(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    struct item_key k;
    key_of(t, &k, "k", TAG_REGISTER);
    assert_code(0, door_find(t, &k));
    assert_int_equal(t->before.n, 0);
    ecrdt_abort(t);
}

/* Digest, counts and log follow; putting nothing removes the record. */
static void counts_follow_the_siblings(void **state) {
    (void)state;
    uint8_t zero[16] = {0}, digest[16];
    kit_set(0, "k", "a");
    kit_digest(0, digest);
    assert_memory_not_equal(digest, zero, 16);
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk = kit_bucket(t);
    struct item_key k;
    key_of(t, &k, "k", TAG_REGISTER);
    assert_int_equal(bk->head.live, 1);
    assert_int_equal(bk->head.tombs, 0);
    assert_code(1, door_find(t, &k));
    assert_ok(door_local(t, bk, &k, true, KIND_TOMB, slice_str("k"),
                         slice_of(NULL, 0), slice_of(NULL, 0)));
    assert_int_equal(bk->head.live, 0);
    assert_int_equal(bk->head.tombs, 1);
    assert_memory_equal(bk->head.digest, zero, 16);
    uint64_t logged = bk->head.log_next;
    assert_code(1, door_find(t, &k));
    t->after.n = 0; /* as GC does */
    assert_ok(door_put(t, bk, &k, true, &t->after, false));
    assert_int_equal(bk->head.tombs, 0);
    assert_int_equal(bk->head.log_next, logged);
    assert_code(0, door_find(t, &k));
    assert_ok(ecrdt_commit(t));
    kit_digest(0, digest);
    assert_memory_equal(digest, zero, 16);
    kit_sound(0);
}

static void only_fresh_events_are_logged(void **state) {
    (void)state;
    kit_set(0, "k", "a");
    ecrdt_txn *t = kit_write(0);
    struct bucket *bk = kit_bucket(t);
    assert_int_equal(bk->head.log_next, 1);
    for (int i = 0; i < 5; i++) /* one event, one entry */
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"), slice_str("x")));
    assert_int_equal(bk->head.log_next, 2);
    struct item_key k;
    key_of(t, &k, "k", TAG_REGISTER);
    assert_code(1, door_find(t, &k));
    t->after.n = 0;
    *item_add(&t->after) = t->before.ev[0]; /* not fresh */
    assert_ok(door_put(t, bk, &k, true, &t->after, true));
    assert_int_equal(bk->head.log_next, 2);
    ecrdt_abort(t);
}

/* The limit of a transaction: refused before any change, and it stays good. */
static void a_transaction_has_a_limit(void **state) {
    (void)state;
    slice mib = kit_fill(ECRDT_MAX_VALUE, 'x');
    char key[16];
    int rc = 0, n = 0;
    ecrdt_txn *t = kit_write(0);
    for (; n < 70 && rc == 0; n++) {
        snprintf(key, sizeof key, "k%d", n);
        rc = ecrdt_reg_set(t, KIT_B, slice_str(key), mib);
    }
    assert_int_equal(rc, ECRDT_ETOOBIG);
    assert_int_equal(n, 64); /* 63 fit with their frames, not 64 */
    assert_true(strstr(ecrdt_errmsg(), "transaction") != NULL);
    slice v;
    assert_code(0, ecrdt_reg_get(t, KIT_B, slice_str(key), &v, NULL));
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("small"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
    kit_expect(0, "small", "v");
    assert_int_equal(kit_seq(0), 64);
    kit_sound(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(a_local_event_supersedes_all_siblings),
        kit_test(an_absent_item_is_not_found),
        kit_test(counts_follow_the_siblings),
        kit_test(only_fresh_events_are_logged),
        kit_test(a_transaction_has_a_limit),
    };
    return TEST_RUN(tests);
}

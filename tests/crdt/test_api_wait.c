/* test_api_wait.c: receipts of transactions, and waiting for them here and by
 * what the relay has written down. */
#include "crdt/receipt.h"
#include "lib/os.h"
#include "tests/crdt/forge.h"
#include "tests/support/sync.h"
#include <pthread.h>

static ecrdt_receipt set_with_receipt(size_t i, const char *key) {
    ecrdt_receipt r;
    ecrdt_txn *t = kit_write(i);
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str("v")));
    assert_ok(ecrdt_receipt_of(t, KIT_B, &r));
    assert_ok(ecrdt_commit(t));
    return r;
}

static int wait_for(size_t i, const ecrdt_receipt *r, int where, int ms) {
    int rc = ecrdt_wait(kit(i), r, where, ms);
    assert_true(rc == 0 || rc == 1);
    return rc;
}

static void here_is_what_the_clock_covers(void **state) {
    (void)state;
    ecrdt_receipt a = set_with_receipt(0, "a"), b = set_with_receipt(0, "b");
    assert_int_equal(wait_for(0, &b, ECRDT_HERE, 0), 1);
    assert_int_equal(wait_for(1, &a, ECRDT_HERE, 0), 0);
    assert_non_null(strstr(ecrdt_errmsg(), "no bucket yet"));
    struct ranges peer = {0};
    struct buf out = {0};
    kit_set(1, "x", "y"); /* the bucket, and another origin */
    assert_int_equal(wait_for(1, &a, ECRDT_HERE, 5), 0);
    assert_non_null(strstr(ecrdt_errmsg(), "'bucket' holds 0 events"));
    kit_clock(1, &peer);
    kit_build(0, &peer, 10, &out);
    kit_apply(1, buf_slice(&out));
    assert_int_equal(wait_for(1, &a, ECRDT_HERE, 0), 1);
    assert_int_equal(wait_for(1, &b, ECRDT_HERE, 0), 1);
    ecrdt_receipt c = set_with_receipt(0, "c");
    assert_int_equal(wait_for(1, &c, ECRDT_HERE, 0), 0);
    ranges_free(&peer);
    buf_free(&out);
}

/* In a bulk every range must have it: the write may be in any of them. */
static void a_bulk_is_here_when_it_ends(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    for (int i = 0; i < 9; i++) {
        char key[2] = {(char)('a' + i)};
        kit_set(0, key, "x");
    }
    ecrdt_receipt r = set_with_receipt(0, "z");
    for (int at = 0; kit_build(0, &peer, 3, &out); at++) {
        assert_int_equal(wait_for(1, &r, ECRDT_HERE, 0), 0);
        kit_apply(1, buf_slice(&out));
        assert_true(at < 9);
    }
    assert_int_equal(wait_for(1, &r, ECRDT_HERE, 0), 1);
    kit_expect(1, "z", "v");
    ranges_free(&peer);
    buf_free(&out);
}

static void a_receipt_is_of_the_transactions_own_writes(void **state) {
    (void)state;
    ecrdt_receipt r, none, early;
    struct receipt_of of;
    uint64_t seq;
    kit_set(0, "a", "v");
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_receipt_of(t, KIT_B, &none));
    assert_ok(ecrdt_receipt_of(t, "not there", &none));
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("n"), 1, NULL));
    assert_ok(ecrdt_receipt_of(t, KIT_B, &early));
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("n"), 2, NULL));
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("b"), slice_str("v")));
    assert_ok(ecrdt_receipt_of(t, KIT_B, &r));
    assert_ok(ecrdt_commit(t));
    assert_ok(receipt_decode(&none, &of, &seq));
    assert_int_equal(seq, 0);
    assert_ok(receipt_decode(&early, &of, &seq));
    assert_int_equal(seq, 2);
    assert_ok(receipt_decode(&r, &of, &seq));
    assert_int_equal(seq, 3);
    assert_int_equal(wait_for(1, &none, ECRDT_HERE, 0), 1);
    assert_int_equal(wait_for(1, &none, 3, 0), 1);
    int64_t n;
    t = kit_read(0);
    assert_code(1, ecrdt_counter_get(t, KIT_B, slice_str("n"), &n));
    assert_int_equal(n, 3);
    ecrdt_abort(t);
    kit_sound(0);
}

static void arguments_are_checked(void **state) {
    (void)state;
    ecrdt_receipt r = set_with_receipt(0, "a"), bad = r;
    ecrdt_txn *t = kit_read(0);
    assert_code(ECRDT_EINVAL, ecrdt_receipt_of(t, KIT_B, &r));
    ecrdt_abort(t);
    t = assert_handle(ecrdt_auto(kit(0)));
    assert_code(ECRDT_EINVAL, ecrdt_receipt_of(t, KIT_B, &r));
    ecrdt_abort(t);
    t = kit_write(0);
    assert_code(ECRDT_EINVAL, ecrdt_receipt_of(t, KIT_B, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_receipt_of(t, "", &r));
    assert_code(ECRDT_EINVAL, ecrdt_receipt_of(t, NULL, &r));
    assert_ok(ecrdt_commit(t));
    bad.b[3] ^= 1;
    assert_code(ECRDT_EINVAL, ecrdt_wait(kit(0), &bad, ECRDT_HERE, 0));
    assert_code(ECRDT_EINVAL, ecrdt_wait(kit(0), NULL, ECRDT_HERE, 0));
    assert_code(ECRDT_EINVAL, ecrdt_wait(kit(0), &r, -2, 0));
    assert_code(ECRDT_EINVAL, ecrdt_wait(kit(0), &r, ECRDT_HERE, -1));
    assert_true(ecrdt_wait(NULL, &r, ECRDT_HERE, 0) < 0);
}

/* PROTOCOL D1: it could leave at once. */
static void a_receipt_does_not_outlive_its_write(void **state) {
    (void)state;
    kit_open(0, ECRDT_RELAXED);
    sync_watch(kit_path(0), NULL);
    kit_set(0, "a", "v");
    assert_false(sync_seen.synced); /* nobody asked */
    set_with_receipt(0, "b");
    assert_true(sync_seen.synced);
}

/* The own writes of an incarnation that ended. */
static void an_old_incarnation_is_waited_for(void **state) {
    (void)state;
    ecrdt_receipt r = set_with_receipt(0, "a");
    kit_pull(1, 0);
    ecrdt_txn *t = kit_write(0);
    assert_ok(origin_renew(t));
    assert_ok(ecrdt_commit(t));
    ecrdt_receipt next = set_with_receipt(0, "b");
    assert_int_equal(wait_for(0, &r, ECRDT_HERE, 0), 1);
    assert_int_equal(wait_for(0, &next, ECRDT_HERE, 0), 1);
    assert_int_equal(wait_for(1, &r, ECRDT_HERE, 0), 1);
    assert_int_equal(wait_for(1, &next, ECRDT_HERE, 0), 0);
}

/* ---- woken by a commit ---- */

static struct buf arriving;

static void *arrive(void *ctx) {
    os_watch_wait(-1, 60);
    kit_apply(1, buf_slice(&arriving));
    return ctx;
}

static void who_waits_is_woken(void **state) {
    (void)state;
    struct ranges peer = {0};
    pthread_t thread;
    ecrdt_receipt r = set_with_receipt(0, "a");
    kit_build(0, &peer, 10, &arriving);
    kit(1);
    uint64_t begin = now_ms();
    assert_int_equal(pthread_create(&thread, NULL, arrive, NULL), 0);
    assert_int_equal(wait_for(1, &r, ECRDT_HERE, 5000), 1);
    uint64_t took = now_ms() - begin;
    pthread_join(thread, NULL);
    assert_in_range(took, 50, 800); /* not by the look each second */
    begin = now_ms();
    assert_int_equal(wait_for(1, &r, 1, 80), 0); /* nobody wakes it */
    assert_in_range(now_ms() - begin, 79, 800);
    ranges_free(&peer);
    buf_free(&arriving);
}

/* ---- by acks ---- */

static void ack(size_t i, const ecrdt_receipt *r, char peer, int kind,
                int64_t more) {
    struct receipt_of of;
    uint64_t seq;
    assert_ok(receipt_decode(r, &of, &seq));
    struct ack a = {.seq = seq + (uint64_t)more, .kind = (uint8_t)kind};
    memset(a.peer, peer, sizeof a.peer);
    ecrdt_txn *t = kit_write(i);
    assert_ok(ack_put(t, &of, &a));
    assert_ok(ecrdt_commit(t));
}

static void acks_are_counted(void **state) {
    (void)state;
    kit_set(0, "a", "v");
    ecrdt_receipt r = set_with_receipt(0, "b");
    ack(0, &r, 'a', ACK_PEER_EDGE, -1);
    assert_int_equal(wait_for(0, &r, 1, 0), 0);
    ack(0, &r, 'a', ACK_PEER_EDGE, 0);
    assert_int_equal(wait_for(0, &r, 1, 0), 1);
    assert_int_equal(wait_for(0, &r, ECRDT_AT_CORE, 0), 0);
    ack(0, &r, 's', ACK_THIS_CORE, 0);
    assert_int_equal(wait_for(0, &r, ECRDT_AT_CORE, 0), 1);
    assert_int_equal(wait_for(0, &r, 2, 0), 0); /* it is no peer */
    ack(0, &r, 'c', ACK_PEER_CORE, 1);
    assert_int_equal(wait_for(0, &r, 2, 0), 1);
    assert_int_equal(wait_for(0, &r, 3, 0), 0);
    assert_non_null(strstr(ecrdt_errmsg(), "at 3 peers after"));
    assert_non_null(strstr(ecrdt_errmsg(), "2 peers hold it"));
    assert_non_null(strstr(ecrdt_errmsg(), "no relay has answered"));
}

/* One want serves all who wait for these events. */
static void a_want_is_written_once(void **state) {
    (void)state;
    ecrdt_receipt r = set_with_receipt(0, "a");
    struct want w;
    uint64_t seq;
    assert_ok(receipt_decode(&r, &w.of, &seq));
    assert_int_equal(wait_for(0, &r, ECRDT_HERE, 0), 1);
    ecrdt_txn *t = kit_read(0);
    assert_code(0, want_get(t, &w));
    ecrdt_abort(t);
    assert_int_equal(wait_for(0, &r, ECRDT_AT_CORE, 5), 0);
    t = kit_write(0);
    assert_code(1, want_get(t, &w));
    assert_false(w.seen);
    assert_in_range(w.until_ms, os_wall_ms() + WANT_MS - 3000,
                    os_wall_ms() + WANT_MS);
    w.seen = true;
    assert_ok(want_put(t, &w));
    assert_ok(ecrdt_commit(t));
    uint64_t id = replica_txn_id(kit(0));
    assert_int_equal(wait_for(0, &r, ECRDT_AT_CORE, 5), 0);
    assert_int_equal(replica_txn_id(kit(0)), id);
    assert_non_null(strstr(ecrdt_errmsg(), "'edgecrdt peers'"));
    w.until_ms += 1000000; /* of a clock that was set back: asked anew */
    t = kit_write(0);
    assert_ok(want_put(t, &w));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(wait_for(0, &r, ECRDT_AT_CORE, 5), 0);
    t = kit_read(0);
    assert_code(1, want_get(t, &w));
    assert_true(w.until_ms <= os_wall_ms() + WANT_MS);
    ecrdt_abort(t);
}

static void a_read_only_handle_waits_here(void **state) {
    (void)state;
    ecrdt_receipt r = set_with_receipt(0, "a");
    kit_close(0);
    kit_open(0, ECRDT_RDONLY);
    assert_int_equal(wait_for(0, &r, ECRDT_HERE, 50), 1);
    assert_code(ECRDT_ERDONLY, ecrdt_wait(kit(0), &r, ECRDT_AT_CORE, 50));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(here_is_what_the_clock_covers),
        kit_test(a_bulk_is_here_when_it_ends),
        kit_test(a_receipt_is_of_the_transactions_own_writes),
        kit_test(arguments_are_checked),
        kit_test(a_receipt_does_not_outlive_its_write),
        kit_test(an_old_incarnation_is_waited_for),
        kit_test(who_waits_is_woken),
        kit_test(acks_are_counted),
        kit_test(a_want_is_written_once),
        kit_test(a_read_only_handle_waits_here),
    };
    return TEST_RUN(tests);
}

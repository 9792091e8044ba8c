/* test_receipt.c: receipts, wants and acks as bytes and rows. */
#include "crdt/receipt.h"
#include "tests/crdt/kit.h"

static const struct receipt_of some = {"salt of a bucket", "id of an origin."};

static void a_receipt_says_what_it_was_made_of(void **state) {
    (void)state;
    struct receipt_of of;
    ecrdt_receipt r;
    uint64_t seq;
    receipt_encode(&r, &some, 0x0102030405060708);
    assert_ok(receipt_decode(&r, &of, &seq));
    assert_memory_equal(&of, &some, sizeof of);
    assert_true(seq == 0x0102030405060708);
}

static void each_flipped_bit_is_seen(void **state) {
    (void)state;
    struct receipt_of of;
    ecrdt_receipt r;
    uint64_t seq;
    receipt_encode(&r, &some, 7);
    for (size_t i = 0; i < 8 * sizeof r.b; i++) {
        r.b[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_code(ECRDT_EINVAL, receipt_decode(&r, &of, &seq));
        r.b[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    memset(&r, 0, sizeof r);
    assert_code(ECRDT_EINVAL, receipt_decode(&r, &of, &seq));
}

static int count_want(void *ctx, const struct want *w) {
    assert_memory_equal(&w->of, &some, sizeof some);
    assert_true(w->until_ms == 99 && w->seen);
    ++*(int *)ctx;
    return 0;
}

static int sum_ack(void *ctx, const struct ack *a) {
    *(uint64_t *)ctx += a->seq * (a->kind + 1u);
    return a->seq == 1000 ? 77 : 0;
}

static int count_peer(void *ctx, slice name, slice value) {
    (void)name, (void)value;
    ++*(int *)ctx;
    return 0;
}

static void rows_are_told_apart(void **state) {
    (void)state;
    struct want w = {.of = some, .until_ms = 99, .seen = true};
    struct want got = {.of = some};
    struct ack a = {.peer = "peer", .seq = 5, .kind = ACK_PEER_EDGE};
    struct ack b = {.peer = "beer", .seq = 7, .kind = ACK_PEER_CORE};
    struct receipt_of other = some;
    int wants = 0, peers = 0;
    uint64_t sum = 0;
    ecrdt_txn *t = kit_write(0);
    other.origin[15]++;
    assert_code(0, want_get(t, &got));
    assert_ok(want_put(t, &w));
    assert_code(1, want_get(t, &got));
    assert_true(got.until_ms == 99 && got.seen);
    assert_ok(ack_put(t, &some, &a));
    assert_ok(ack_put(t, &some, &b));
    assert_ok(ack_put(t, &other, &b));
    assert_ok(replica_peer_put(t, slice_str("ed25519:x"), slice_str("v")));
    assert_ok(want_each(t, count_want, &wants));
    assert_ok(ack_each(t, &some, sum_ack, &sum));
    assert_ok(replica_each_peer(t, count_peer, &peers));
    assert_int_equal(wants, 1);
    assert_int_equal(sum, 5 + 2 * 7);
    assert_int_equal(peers, 1);
    a.seq = 0; /* deletes */
    assert_ok(ack_put(t, &some, &a));
    b.seq = 1000;
    assert_ok(ack_put(t, &some, &b));
    sum = 0;
    assert_code(77, ack_each(t, &some, sum_ack, &sum));
    assert_int_equal(sum, 2000);
    assert_ok(want_del(t, &w));
    assert_code(0, want_get(t, &got));
    assert_ok(ecrdt_commit(t));
    kit_sound(0);
}

/* What another version wrote is passed over, not believed. */
static void strange_rows_are_passed_over(void **state) {
    (void)state;
    int wants = 0;
    uint64_t sum = 0;
    uint8_t name[65] = {1};
    struct want w = {.of = some};
    memcpy(name + 1, &some, sizeof some);
    ecrdt_txn *t = kit_write(0);
    assert_ok(replica_peer_put(t, slice_of(name, 33), slice_str("too short")));
    assert_ok(replica_peer_put(t, slice_of(name, 40), slice_str("123456789")));
    name[0] = 2;
    assert_ok(replica_peer_put(t, slice_of(name, 65), slice_str("12345678\3")));
    assert_ok(replica_peer_put(t, slice_of(name, 34), slice_str("12345678\1")));
    assert_ok(want_each(t, count_want, &wants));
    assert_ok(ack_each(t, &some, sum_ack, &sum));
    assert_code(0, want_get(t, &w));
    assert_true(wants == 0 && sum == 0);
    ecrdt_abort(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receipt_says_what_it_was_made_of),
        cmocka_unit_test(each_flipped_bit_is_seen),
        kit_test(rows_are_told_apart),
        kit_test(strange_rows_are_passed_over),
    };
    return TEST_RUN(tests);
}

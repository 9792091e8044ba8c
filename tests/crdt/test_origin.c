/* test_origin.c: origins by number and id, and new incarnations. */
#include "crdt/clocks.h"
#include "tests/crdt/kit.h"

static void node(size_t i, ecrdt_node *out) {
    assert_ok(ecrdt_node_id(kit(i), out));
}

static void renew(size_t i) {
    ecrdt_txn *t = kit_write(i);
    assert_ok(origin_renew(t));
    assert_ok(ecrdt_commit(t));
}

static void each_store_has_its_own(void **state) {
    (void)state;
    ecrdt_node a, b, again;
    node(0, &a);
    node(1, &b);
    assert_memory_not_equal(&a, &b, sizeof a);
    kit_close(0);
    node(0, &again);
    assert_memory_equal(&a, &again, sizeof a);
}

static void numbers_and_ids_agree(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    uint8_t id[ORIGIN_SIZE] = {0};
    uint32_t no, first;
    assert_ok(meta_get_u32(t, "m.origins", &first) == 1 ? 0 : -1);
    for (uint32_t i = 1; i <= 300; i++) {
        store32(id, i);
        assert_code(0, origin_no(t, id, false, &no));
        assert_code(1, origin_no(t, id, true, &no));
        assert_int_equal(no, first + i - 1);
        assert_code(1, origin_no(t, id, true, &no)); /* the same one */
        assert_int_equal(no, first + i - 1);
    }
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    for (uint32_t i = 300; i >= 1; i--) {
        store32(id, i);
        assert_memory_equal(origin_id(t, first + i - 1), id, ORIGIN_SIZE);
        assert_code(1, origin_no(t, id, false, &no));
        assert_int_equal(no, first + i - 1);
    }
    assert_null(origin_id(t, first + 300)); /* sticks */
    assert_int_equal(ecrdt_errcode(), ECRDT_ECORRUPT);
    slice v;
    assert_code(ECRDT_ECORRUPT,
                ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, NULL));
    ecrdt_abort(t);
}

/* The old incarnation stays in every range's clock, closed; the new one
 * counts from 1 and still sees its own old events as a past. */
static void a_new_incarnation_closes_the_old(void **state) {
    (void)state;
    ecrdt_node old, new;
    struct ranges rs = {0}, peer = {0};
    struct buf out = {0};
    for (char c = 'a'; c < 'f'; c++) {
        char key[2] = {c};
        kit_set(1, key, "x");
    }
    kit_set(0, "k", "v1");
    kit_set(0, "l", "v2");
    assert_int_equal(kit_build(1, &peer, 2, &out), 1); /* two ranges */
    kit_apply(0, buf_slice(&out));
    node(0, &old);
    renew(0);
    node(0, &new);
    assert_memory_not_equal(&old, &new, sizeof old);
    kit_clock(0, &rs);
    assert_int_equal(rs.n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vv_seq(&rs.r[i].clk, old.b), 2);
        assert_int_equal(vv_seq(&rs.r[i].clk, new.b), 0);
    }
    kit_set(0, "k", "v3"); /* supersedes the old event */
    assert_int_equal(kit_seq(0), 1);
    kit_clock(0, &rs);
    for (size_t i = 0; i < rs.n; i++)
        assert_int_equal(vv_seq(&rs.r[i].clk, new.b), 1);
    kit_pull(1, 0);
    kit_pull(0, 1);
    kit_expect(1, "k", "v3");
    kit_expect(1, "l", "v2");
    kit_same_digest(0, 1);
    kit_sound(0);
    kit_sound(1);
    ranges_free(&rs);
    ranges_free(&peer);
    buf_free(&out);
}

/* A counter gets an entry of the new incarnation; the old one still counts. */
static void counters_outlive_an_incarnation(void **state) {
    (void)state;
    kit_count(0, "c", 5);
    renew(0);
    kit_count(0, "c", 7);
    assert_int_equal(kit_value(0, "c"), 12);
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_counter_reset(t, KIT_B, slice_str("c")));
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("c"), 1, NULL));
    assert_ok(ecrdt_commit(t));
    kit_pull(1, 0);
    assert_int_equal(kit_value(1, "c"), 1);
    kit_sound(1);
}

/* origin id = BLAKE2b-128("ecrdt-origin-1" | public key) of the key pair that
 * signs for it. */
static void an_origin_signs(void **state) {
    (void)state;
    uint8_t sig[64], pk[32], id[16];
    ecrdt_node me;
    assert_ok(replica_sign(kit(0), slice_str("message"), sig, pk));
    assert_true(crypto_sign_check(sig, slice_str("message"), pk));
    assert_false(crypto_sign_check(sig, slice_str("massage"), pk));
    node(0, &me);
    slice parts[2] = {slice_str("ecrdt-origin-1"), slice_of(pk, 32)};
    crypto_blake2b_parts(id, 16, parts, 2);
    assert_memory_equal(id, me.b, 16);
    renew(0);
    uint8_t other[32];
    assert_ok(replica_sign(kit(0), slice_str("message"), sig, other));
    assert_memory_not_equal(pk, other, 32);
}

static void an_aborted_renewal_changes_nothing(void **state) {
    (void)state;
    ecrdt_node a, b;
    kit_set(0, "k", "v");
    node(0, &a);
    ecrdt_txn *t = kit_write(0);
    assert_ok(origin_renew(t));
    ecrdt_abort(t);
    node(0, &b);
    assert_memory_equal(&a, &b, sizeof a);
    kit_set(0, "k", "w");
    assert_int_equal(kit_seq(0), 2);
    kit_sound(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(each_store_has_its_own),
        kit_test(numbers_and_ids_agree),
        kit_test(a_new_incarnation_closes_the_old),
        kit_test(counters_outlive_an_incarnation),
        kit_test(an_origin_signs),
        kit_test(an_aborted_renewal_changes_nothing),
    };
    return TEST_RUN(tests);
}

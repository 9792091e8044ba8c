/* test_place.c: what is asked about heads, and answered from the chains. */
#include "crdt/place.h"
#include "tests/crdt/twins.h"

/* Store 0 answers about heads x of one origin between "b" and "c"; how many
 * ranges lie off. */
static size_t off(const struct head *x, size_t n) {
    struct placed ask = {.lo = {1, {'b'}}, .hi = {1, {'c'}}};
    struct fp m = {.gen = 5};
    assert_ok(vv_set_heads(&ask.heads, x->origin, x, n));
    assert_ok(place_ask(&ask, KIT_B, &m));
    ecrdt_txn *t = kit_read(0);
    assert_ok(place_answer(t, &m));
    ecrdt_abort(t);
    for (size_t i = 0; i < m.n; i++) {
        assert_true(slice_eq(item_id_slice(&m.parts[i].lo), slice_str("b")));
        assert_true(m.parts[i].bounded);
        assert_true(slice_eq(item_id_slice(&m.parts[i].hi), slice_str("c")));
    }
    assert_int_equal(m.gen, 5);
    size_t parts = m.n;
    fp_free(&m);
    placed_free(&ask);
    return parts;
}

/* The one head that a store's clock has of another's origin. */
static struct head head_at(size_t i, const ecrdt_node *of) {
    struct ranges r = {0};
    size_t n;
    kit_clock(i, &r);
    const struct head *h = vv_heads(&r.r[0].clk, of->b, &n);
    assert_int_equal(n, 1);
    struct head x = *h;
    ranges_free(&r);
    return x;
}

static void a_head_lies_on_a_chain_or_off(void **state) {
    ecrdt_node org;
    (void)state;
    struct head stranger = {{9}, 1, 1};
    assert_int_equal(off(&stranger, 1), 1); /* not even the bucket is there */
    twins_me(1, &org);
    kit_set(1, "b1", "1");
    kit_pull(0, 1);
    struct head first = head_at(0, &org);
    kit_set(1, "b2", "2");
    kit_pull(0, 1);
    struct head second = head_at(0, &org), other = first, beyond = second;
    assert_int_equal(off(&second, 1), 0);
    assert_int_equal(off(&first, 1), 0);
    other.h ^= 1;
    assert_int_equal(off(&other, 1), 1);
    beyond.seq++;
    assert_int_equal(off(&beyond, 1), 1);
    assert_int_equal(off(&stranger, 1), 1);
    struct head both[] = {second, first};
    assert_int_equal(off(both, 2), 0);
    both[1].h ^= 1;
    assert_int_equal(off(both, 2), 1); /* one of two */
}

static void placed_counts_within_its_stretch(void **state) {
    struct placed p = {.lo = {1, {'b'}}, .hi = {1, {'c'}}}, more = p;
    struct head x = {{1}, 5, 50}, y = {{1}, 5, 51}, z = {{2}, 1, 1};
    slice b = slice_str("b"), c = slice_str("c"), d = slice_str("d");
    (void)state;
    assert_ok(vv_raise(&p.heads, x.origin, x.seq, x.h));
    assert_true(placed_has(&p, b, c, &x));
    assert_true(placed_has(&p, slice_str("b1"), slice_str("b2"), &x));
    assert_false(placed_has(&p, b, c, &y));
    assert_false(placed_has(&p, b, c, &z));
    assert_false(placed_has(&p, b, d, &x));
    assert_false(placed_has(&p, b, slice_str(""), &x));
    assert_false(placed_has(&p, slice_str("a"), c, &x));
    assert_ok(vv_raise(&more.heads, y.origin, y.seq, y.h));
    assert_ok(placed_add(&p, &more)); /* the same stretch: both */
    assert_true(placed_has(&p, b, c, &x) && placed_has(&p, b, c, &y));
    more = (struct placed){.lo = {1, {'c'}}};
    assert_ok(vv_raise(&more.heads, z.origin, z.seq, z.h));
    assert_ok(placed_add(&p, &more)); /* another one: instead */
    assert_false(placed_has(&p, b, c, &x));
    assert_true(placed_has(&p, d, slice_str(""), &z));
    placed_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(a_head_lies_on_a_chain_or_off),
        cmocka_unit_test(placed_counts_within_its_stretch),
    };
    return TEST_RUN(tests);
}

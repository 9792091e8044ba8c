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
    for (size_t i = 0; i < m.n_clks; i++)
        assert_int_equal(m.clks[i].n, 0); /* heads are not sent back */
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

/* One head of an answer about lo to hi. */
static void answered(struct said *s, const char *lo, const char *hi,
                     const struct head *x) {
    struct placed p = {0};
    item_id_set(&p.lo, slice_str(lo));
    item_id_set(&p.hi, slice_str(hi));
    assert_ok(vv_raise(&p.heads, x->origin, x->seq, x->h));
    assert_ok(said_add(s, &p));
    assert_int_equal(p.heads.n, 0); /* moved */
}

static void what_was_said_counts_within_its_stretch(void **state) {
    struct said s = {0};
    struct head x = {{1}, 5, 50}, y = {{1}, 5, 51}, z = {{2}, 1, 1};
    slice b = slice_str("b"), c = slice_str("c"), d = slice_str("d");
    (void)state;
    answered(&s, "b", "c", &x);
    assert_true(said_of(&s, b, c, &x));
    assert_true(said_of(&s, slice_str("b1"), slice_str("b2"), &x));
    assert_false(said_of(&s, b, c, &y));
    assert_false(said_of(&s, b, c, &z));
    assert_false(said_of(&s, b, d, &x));
    assert_false(said_of(&s, b, slice_str(""), &x));
    assert_false(said_of(&s, slice_str("a"), c, &x));
    answered(&s, "b", "c", &y); /* the same stretch: both */
    assert_true(said_of(&s, b, c, &x) && said_of(&s, b, c, &y));
    answered(&s, "c", "", &z); /* another one beside it */
    assert_true(said_of(&s, b, c, &x) && said_of(&s, d, slice_str(""), &z));
    assert_int_equal(s.n, 2);
    for (int i = 0; i < PLACE_STRETCHES; i++) { /* the oldest make room */
        char lo[8], hi[8];
        snprintf(lo, sizeof lo, "e%03d", i);
        snprintf(hi, sizeof hi, "e%03d", i + 1);
        answered(&s, lo, hi, &x);
        assert_true(said_of(&s, slice_str(lo), slice_str(hi), &x));
    }
    assert_int_equal(s.n, PLACE_STRETCHES);
    assert_true(said_of(&s, slice_str("e063"), slice_str("e064"), &x));
    said_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(a_head_lies_on_a_chain_or_off),
        cmocka_unit_test(what_was_said_counts_within_its_stretch),
    };
    return TEST_RUN(tests);
}

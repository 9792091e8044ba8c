/* test_fingerprint.c: fingerprints to bytes and back; what is malformed is
 * refused. */
#include "crdt/fingerprint.h"
#include "tests/support/test.h"

static const uint8_t o1[16] = {1}, o2[16] = {2};
static struct buf bytes;

static struct item_id bound(const char *text) {
    struct item_id id;
    item_id_set(&id, slice_str(text));
    return id;
}

static void add(struct fp *m, const char *lo, const char *hi, uint32_t clk) {
    struct item_id a = bound(lo), b = bound(hi ? hi : "");
    struct fp_part *p = fp_add(m, &a, hi ? &b : NULL, clk, false);
    assert_non_null(p);
    p->count = m->n * 1000;
    memset(p->sum, (int)m->n, sizeof p->sum);
}

/* Two clocks, parts that touch and one that stands alone. */
static void rich(struct fp *m) {
    struct vv clk = {0};
    uint32_t no;
    *m = (struct fp){
        .bucket = slice_str("b"), .flags = FP_MORE, .gen = UINT64_MAX};
    assert_ok(vv_raise(&m->f, o1, 7, 0));
    assert_ok(vv_raise(&m->floor, o2, 8, 0));
    assert_ok(vv_raise(&clk, o1, 9, 90));
    assert_ok(fp_add_clock(m, &clk, &no));
    assert_int_equal(no, 0);
    assert_ok(fp_add_clock(m, &clk, &no));
    assert_int_equal(no, 0); /* it is there */
    assert_ok(vv_raise(&clk, o2, 1, 10));
    assert_ok(fp_add_clock(m, &clk, &no));
    assert_int_equal(no, 1);
    vv_free(&clk);
    add(m, "", "user/a", 0);
    add(m, "user/a", "user/b", 1);
    add(m, "user/b", "user/bc", 1);
    add(m, "user/x", NULL, 0);
    struct chain_list l = {.top = {{1}, 9, 90}, .since = 3};
    struct head x = {{1}, 7, 70};
    assert_ok(chain_lists_add(&m->chains, &l));
    assert_ok(chain_lists_put(&m->chains, &l.top, &x));
}

static int decode(bool sums, struct fp *m) {
    uint8_t *exact = malloc(bytes.len + 1); /* sanitizers see a step too far */
    assert_non_null(exact);
    memcpy(exact, bytes.data, bytes.len);
    int rc = fp_decode(slice_of(exact, bytes.len), sums, m);
    free(exact);
    return rc;
}

static void assert_same(const struct fp *a, const struct fp *b, bool sums) {
    assert_true(a->flags == b->flags && a->gen == b->gen && a->n == b->n &&
                a->n_clks == b->n_clks);
    assert_true(vv_eq(&a->f, &b->f) && vv_eq(&a->floor, &b->floor));
    for (size_t i = 0; i < a->n_clks; i++)
        assert_true(vv_eq(&a->clks[i], &b->clks[i]));
    for (size_t i = 0; i < a->n; i++) {
        const struct fp_part *p = &a->parts[i], *q = &b->parts[i];
        assert_slice_equal(item_id_slice(&p->lo), item_id_slice(&q->lo));
        assert_int_equal(p->bounded, q->bounded);
        if (p->bounded)
            assert_slice_equal(item_id_slice(&p->hi), item_id_slice(&q->hi));
        assert_int_equal(p->clk, q->clk);
        assert_int_equal(sums ? p->count : 0, q->count);
        if (sums)
            assert_memory_equal(p->sum, q->sum, FP_SUM);
    }
}

static void they_round_trip(void **state) {
    (void)state;
    for (int sums = 0; sums < 2; sums++) {
        struct fp a, b = {0};
        rich(&a);
        a.items = slice_str("a chunk");
        buf_clear(&bytes);
        fp_encode(&bytes, &a, sums);
        assert_ok(bytes.err);
        assert_ok(fp_decode(buf_slice(&bytes), sums, &b));
        assert_slice_equal(b.bucket, a.bucket);
        assert_slice_equal(b.items, a.items);
        assert_same(&a, &b, sums);
        fp_free(&b);
        assert_code(ECRDT_ECORRUPT, decode(!sums, &b)); /* not the other */
        fp_free(&a);
        fp_free(&b);
    }
}

/* Encodes m as it is, which must be refused. */
static void assert_refused(struct fp *m) {
    struct fp got = {0};
    buf_clear(&bytes);
    fp_encode(&bytes, m, true);
    assert_ok(bytes.err);
    assert_code(ECRDT_ECORRUPT, decode(true, &got));
    fp_free(&got);
    fp_free(m);
}

static void parts_stand_in_order_and_apart(void **state) {
    struct fp m;
    (void)state;
    rich(&m);
    m.parts[2].hi = bound("user/xx"); /* over the next one */
    assert_refused(&m);
    rich(&m);
    m.parts[3].lo = bound("user/a"); /* back */
    assert_refused(&m);
    rich(&m);
    m.parts[3].lo = m.parts[2].lo; /* twice */
    assert_refused(&m);
    rich(&m);
    m.parts[3].bounded = true;
    m.parts[3].hi = m.parts[3].lo; /* empty */
    assert_refused(&m);
    rich(&m);
    m.parts[1].clk = 2; /* a clock that is not there */
    assert_refused(&m);
    rich(&m);
    m.chains.l[0].since = 10; /* beyond the head */
    assert_refused(&m);
    rich(&m);
    m.bucket = slice_of("a\0b", 3);
    assert_refused(&m);
    rich(&m);
    m.flags = FP_FLAGS + 1;
    assert_refused(&m);
}

/* n parts over the one clock that is there. */
static int count(uint32_t n) {
    struct fp m = {.bucket = slice_str("b")}, got = {0};
    struct vv none = {0};
    uint32_t no;
    assert_ok(fp_add_clock(&m, &none, &no));
    for (uint32_t i = 0; i < n; i++) {
        char lo[16];
        snprintf(lo, sizeof lo, "%08u", i);
        add(&m, lo, "x", 0);
        m.parts[i].bounded = i + 1 < n;
        if (i)
            m.parts[i - 1].hi = m.parts[i].lo;
    }
    buf_clear(&bytes);
    fp_encode(&bytes, &m, true);
    int rc = decode(true, &got);
    fp_free(&m);
    fp_free(&got);
    return rc;
}

static void counts_are_bounded(void **state) {
    (void)state;
    assert_ok(count(0));
    assert_ok(count(FP_PARTS_MAX));
    assert_code(ECRDT_ECORRUPT, count(FP_PARTS_MAX + 1));
    struct fp m, got = {0};
    rich(&m);
    m.items = slice_of(calloc(1, FP_ITEMS_MAX + 1), FP_ITEMS_MAX);
    buf_clear(&bytes);
    fp_encode(&bytes, &m, true);
    assert_ok(decode(true, &got));
    fp_free(&got);
    void *room = (void *)(uintptr_t)m.items.data;
    m.items.len++;
    assert_refused(&m);
    free(room);
}

/* No byte string hurts: cut, or with bytes changed. */
static void damage_is_refused_or_another_message(void **state) {
    struct rng r = rng_seed();
    struct fp m, got = {0};
    (void)state;
    rich(&m);
    buf_clear(&bytes);
    fp_encode(&bytes, &m, true);
    fp_free(&m);
    size_t len = bytes.len;
    for (bytes.len = 0; bytes.len < len; bytes.len++) {
        assert_code(ECRDT_ECORRUPT, decode(true, &got));
        fp_free(&got);
    }
    for (int i = 0; i < 20000; i++) {
        size_t at = (size_t)rng_below(&r, len);
        uint8_t was = bytes.data[at];
        bytes.data[at] = (uint8_t)rng_u64(&r);
        struct buf again = {0};
        if (decode(true, &got) == ECRDT_OK) { /* then it has one encoding */
            fp_free(&got);
            assert_ok(fp_decode(buf_slice(&bytes), true, &got));
            fp_encode(&again, &got, true);
            assert_slice_equal(buf_slice(&again), buf_slice(&bytes));
        }
        fp_free(&got);
        buf_free(&again);
        bytes.data[at] = was;
    }
}

/* An index of 2^32 is not one of 0. */
static void an_index_has_one_encoding(void **state) {
    static const uint8_t part[] = {0x96, 0, 0xc4, 0, 0xc0, 0},
                         far[] = {0xcf, 0, 0, 0, 1, 0, 0, 0, 0};
    struct buf longer = {0};
    struct fp m, got = {0};
    size_t at = 0;
    (void)state;
    rich(&m);
    buf_clear(&bytes);
    fp_encode(&bytes, &m, true);
    fp_free(&m);
    while (memcmp(bytes.data + at, part, sizeof part) != 0)
        assert_true(++at + sizeof part < bytes.len);
    at += sizeof part;
    buf_put(&longer, bytes.data, at - 1);
    buf_put(&longer, far, sizeof far);
    buf_put(&longer, bytes.data + at, bytes.len - at);
    assert_code(ECRDT_ECORRUPT, fp_decode(buf_slice(&longer), true, &got));
    fp_free(&got);
    buf_free(&longer);
}

static void parts_that_touch_are_joined(void **state) {
    struct fp m = {0};
    struct item_id a = bound("a"), b = bound("b"), c = bound("c");
    (void)state;
    assert_non_null(fp_add(&m, &a, &b, 0, true));
    assert_non_null(fp_add(&m, &b, &c, 0, true));
    assert_int_equal(m.n, 1);
    assert_non_null(fp_add(&m, &c, NULL, 1, true)); /* another clock */
    assert_int_equal(m.n, 2);
    assert_ptr_equal(fp_hi(&m.parts[0]), &m.parts[0].hi);
    assert_null(fp_hi(&m.parts[1]));
    fp_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_round_trip),
        cmocka_unit_test(parts_stand_in_order_and_apart),
        cmocka_unit_test(counts_are_bounded),
        cmocka_unit_test(damage_is_refused_or_another_message),
        cmocka_unit_test(an_index_has_one_encoding),
        cmocka_unit_test(parts_that_touch_are_joined),
    };
    int rc = TEST_RUN(tests);
    buf_free(&bytes);
    return rc;
}

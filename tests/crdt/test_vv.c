/* test_vv.c: version vectors against a plain array, and their codec. */
#include "crdt/vv.h"
#include "tests/support/test.h"

enum { ORIGINS = 12 };
static struct rng rng;

/* Origin i; their bytewise order is that of the numbers. */
static const uint8_t *origin(size_t i) {
    static uint8_t id[ORIGINS][ORIGIN_SIZE];
    memset(id[i], 0x55, ORIGIN_SIZE);
    id[i][7] = (uint8_t)i;
    return id[i];
}

static void fill(struct vv *v, uint64_t seq[ORIGINS]) {
    memset(seq, 0, ORIGINS * sizeof *seq);
    for (int n = 0; n < 8; n++) {
        size_t i = rng_below(&rng, ORIGINS);
        uint64_t s = rng_below(&rng, 5);
        assert_ok(vv_raise(v, origin(i), s, s * 1000 + i));
        seq[i] = s > seq[i] ? s : seq[i];
    }
}

static void assert_is(const struct vv *v, const uint64_t seq[ORIGINS]) {
    size_t n = 0;
    for (size_t i = 0; i < ORIGINS; i++) {
        assert_int_equal(vv_seq(v, origin(i)), seq[i]);
        n += seq[i] != 0;
        assert_true(vv_covers(v, origin(i), seq[i]));
        assert_false(vv_covers(v, origin(i), seq[i] + 1));
    }
    assert_int_equal(v->n, n);
    for (size_t i = 0; i < v->n; i++) {
        assert_true(v->e[i].seq > 0);
        assert_int_equal(v->e[i].h, v->e[i].seq * 1000 + v->e[i].origin[7]);
        assert_true(!i || memcmp(v->e[i - 1].origin, v->e[i].origin, 16) < 0);
    }
}

static void raise_is_a_maximum(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct vv v = {0};
        uint64_t seq[ORIGINS];
        fill(&v, seq);
        assert_is(&v, seq);
        vv_free(&v);
    }
    struct vv v = {0};
    assert_ok(vv_raise(&v, origin(1), 5, 50));
    assert_ok(vv_raise(&v, origin(1), 5, 51)); /* the first hash stays */
    assert_ok(vv_raise(&v, origin(1), 4, 40));
    assert_int_equal(v.e[0].h, 50);
    assert_ok(vv_raise(&v, origin(2), 0, 9)); /* nothing is no entry */
    assert_int_equal(v.n, 1);
    vv_free(&v);
    assert_int_equal(v.n, 0);
}

static void join_and_order_agree_with_arrays(void **state) {
    (void)state;
    for (int round = 0; round < 500; round++) {
        struct vv a = {0}, b = {0}, j = {0};
        uint64_t x[ORIGINS], y[ORIGINS], z[ORIGINS], missing = 0;
        fill(&a, x);
        fill(&b, y);
        assert_ok(vv_copy(&j, &a));
        assert_true(vv_eq(&j, &a));
        assert_ok(vv_join(&j, &b));
        bool le = true, eq = true;
        for (size_t i = 0; i < ORIGINS; i++) {
            z[i] = x[i] > y[i] ? x[i] : y[i];
            le = le && x[i] <= y[i];
            eq = eq && x[i] == y[i];
            missing += x[i] > y[i] ? x[i] - y[i] : 0;
        }
        assert_is(&j, z);
        assert_int_equal(vv_le(&a, &b), le);
        assert_int_equal(vv_eq(&a, &b), eq);
        assert_int_equal(vv_missing(&a, &b), missing);
        assert_true(vv_le(&a, &j) && vv_le(&b, &j));
        vv_free(&a);
        vv_free(&b);
        vv_free(&j);
    }
}

static void equality_sees_the_hash(void **state) {
    (void)state;
    struct vv a = {0}, b = {0};
    assert_ok(vv_raise(&a, origin(0), 3, 1));
    assert_ok(vv_raise(&b, origin(0), 3, 2));
    assert_false(vv_eq(&a, &b));
    assert_false(vv_le(&a, &b) || vv_le(&b, &a)); /* two branches */
    assert_int_equal(vv_missing(&a, &b), 1);
    vv_free(&a);
    vv_free(&b);
}

static void missing_saturates(void **state) {
    (void)state;
    struct vv a = {0}, none = {0};
    assert_ok(vv_raise(&a, origin(0), UINT64_MAX, 0));
    assert_true(vv_missing(&a, &none) == UINT64_MAX);
    assert_ok(vv_raise(&a, origin(1), 2, 0));
    assert_true(vv_missing(&a, &none) == UINT64_MAX);
    vv_free(&a);
}

static int decode(slice s, struct vv *v) {
    struct unpack u;
    unpack_init(&u, s);
    int rc = vv_decode(&u, v);
    return rc < 0 ? rc : unpack_end(&u);
}

static void the_codec_round_trips(void **state) {
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct vv a = {0}, b = {0};
        struct buf out = {0};
        uint64_t x[ORIGINS];
        if (round)
            fill(&a, x);
        vv_encode(&out, &a);
        assert_ok(out.err);
        assert_ok(decode(buf_slice(&out), &b));
        assert_true(vv_eq(&a, &b));
        vv_free(&b);
        for (size_t n = 0; n < out.len; n++) { /* cut anywhere */
            assert_true(decode(slice_of(out.data, n), &b) < 0);
            vv_free(&b);
        }
        vv_free(&a);
        buf_free(&out);
    }
}

/* An array of these entries. */
static int decode_raw(const struct head *e, size_t n, uint32_t fields) {
    struct buf out = {0};
    struct vv v = {0};
    pack_array(&out, fields);
    for (size_t i = 0; i < n; i++) {
        pack_bin(&out, slice_of(e[i].origin, ORIGIN_SIZE));
        pack_uint(&out, e[i].seq);
        pack_bin(&out, slice_of("12345678", 8));
    }
    int rc = decode(buf_slice(&out), &v);
    vv_free(&v);
    buf_free(&out);
    return rc;
}

static void the_decoder_is_strict(void **state) {
    (void)state;
    struct head e[3] = {{.seq = 1}, {.seq = 1}, {.seq = 1}};
    for (size_t i = 0; i < 3; i++)
        memcpy(e[i].origin, origin(i), ORIGIN_SIZE);
    assert_ok(decode_raw(e, 3, 9));
    assert_code(ECRDT_ECORRUPT, decode_raw(e, 3, 8));
    assert_code(ECRDT_ECORRUPT, decode_raw(e, 3, 10));
    e[1].seq = 0; /* an entry that says nothing */
    assert_code(ECRDT_ECORRUPT, decode_raw(e, 3, 9));
    e[1].seq = (uint64_t)INT64_MAX + 1; /* more than anybody counts */
    assert_code(ECRDT_ECORRUPT, decode_raw(e, 3, 9));
    e[1].seq = INT64_MAX;
    assert_ok(decode_raw(e, 3, 9));
    memcpy(e[2].origin, origin(1), ORIGIN_SIZE); /* a lower head of it */
    assert_ok(decode_raw(e, 3, 9));
    e[1].seq = 1; /* twice */
    assert_code(ECRDT_ECORRUPT, decode_raw(e, 3, 9));
    memcpy(e[2].origin, origin(0), ORIGIN_SIZE); /* out of order */
    assert_code(ECRDT_ECORRUPT, decode_raw(e, 3, 9));
}

/* Counts are checked before memory is taken for them. */
static void entries_are_counted(void **state) {
    (void)state;
    struct buf out = {0};
    struct vv v = {0};
    uint8_t zero[8] = {0};
    uint32_t n = VV_MAX_ENTRIES + 1;
    pack_array(&out, 3 * n);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t b[ORIGIN_SIZE] = {0};
        store32(b, i + 1);
        pack_bin(&out, slice_of(b, ORIGIN_SIZE));
        pack_uint(&out, 1);
        pack_bin(&out, slice_of(zero, 8));
    }
    assert_ok(out.err);
    assert_code(ECRDT_ECORRUPT, decode(buf_slice(&out), &v));
    assert_int_equal(v.n, 0);
    vv_free(&v);
    store32(out.data + 1, 3 * (n - 1)); /* dd, length: one fewer is fine */
    out.len -= 2 + 16 + 1 + 2 + 8;
    assert_ok(decode(buf_slice(&out), &v));
    assert_int_equal(v.n, VV_MAX_ENTRIES);
    vv_free(&v);
    buf_free(&out);
}

static void no_memory_changes_nothing(void **state) {
    (void)state;
    struct vv a = {0}, b = {0};
    for (size_t i = 0; i < 8; i++)
        assert_ok(vv_raise(&a, origin(i), 1, 0));
    assert_ok(vv_raise(&b, origin(9), 1, 0));
    fault_alloc_at(1);
    assert_code(ECRDT_ENOMEM, vv_raise(&a, origin(9), 1, 0));
    fault_alloc_at(1);
    assert_code(ECRDT_ENOMEM, vv_join(&a, &b));
    fault_alloc_at(0);
    assert_int_equal(a.n, 8);
    assert_int_equal(vv_seq(&a, origin(9)), 0);
    assert_ok(vv_join(&a, &b));
    assert_int_equal(vv_seq(&a, origin(9)), 1);
    vv_free(&a);
    vv_free(&b);
    assert_int_equal(fault_alloc_live(), 0);
}

/* Heads of one origin, each once and in order, the highest VV_MAX_HEADS. */
static void heads_unite(void **state) {
    (void)state;
    struct vv v = {0};
    size_t n;
    assert_ok(vv_raise(&v, origin(1), 5, 50));
    assert_ok(vv_raise(&v, origin(2), 9, 90));
    for (uint64_t i = 1; i <= VV_MAX_HEADS + 3; i++) {
        struct head more[2] = {{.seq = i, .h = 10 * i},
                               {.seq = i, .h = 10 * i}};
        memcpy(more[0].origin, origin(1), ORIGIN_SIZE);
        memcpy(more[1].origin, origin(1), ORIGIN_SIZE);
        assert_ok(vv_unite(&v, origin(1), more, 2));
    }
    const struct head *h = vv_heads(&v, origin(1), &n);
    assert_int_equal(n, VV_MAX_HEADS);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(h[i].seq, VV_MAX_HEADS + 3 - i);
        assert_int_equal(h[i].h, 10 * h[i].seq);
    }
    assert_int_equal(vv_seq(&v, origin(2)), 9);
    vv_free(&v);
}

int main(void) {
    fault_alloc_install();
    rng = rng_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raise_is_a_maximum),
        cmocka_unit_test(join_and_order_agree_with_arrays),
        cmocka_unit_test(equality_sees_the_hash),
        cmocka_unit_test(missing_saturates),
        cmocka_unit_test(the_codec_round_trips),
        cmocka_unit_test(the_decoder_is_strict),
        cmocka_unit_test(entries_are_counted),
        cmocka_unit_test(no_memory_changes_nothing),
        cmocka_unit_test(heads_unite),
    };
    return TEST_RUN(tests);
}

/* test_chain_list.c: lists of pairs: found, added to, to bytes and strictly
 * back. */
#include "crdt/chain_list.h"
#include "tests/support/test.h"

static const struct head a = {{1}, 9, 90}, b = {{2}, 7, 70}, c = {{2}, 5, 50};

static struct head at(const struct head *top, uint64_t seq) {
    struct head x = *top;
    x.seq = seq;
    x.h = 10 * seq + 1;
    return x;
}

/* Pairs 1 to n below top, added from both ends. */
static void add(struct chain_lists *ls, const struct head *top, uint64_t n) {
    struct chain_list l = {.top = *top, .since = 1};
    l.first = ls->pairs.len / sizeof(struct chain_pair);
    assert_ok(chain_lists_add(ls, &l));
    for (uint64_t i = 1; i <= n; i++) {
        struct head x = at(top, i % 2 ? n - i / 2 : i / 2);
        assert_ok(chain_lists_put(ls, top, &x));
        assert_ok(chain_lists_put(ls, top, &x)); /* it is there */
    }
}

static void some(struct chain_lists *ls) {
    *ls = (struct chain_lists){0};
    add(ls, &b, 4);
    add(ls, &c, 0);
    add(ls, &a, 3);
    struct head x = at(&b, 5), beyond = at(&b, 7);
    assert_ok(chain_lists_put(ls, &b, &x)); /* those behind it move */
    assert_ok(chain_lists_put(ls, &b, &beyond));
}

static void pairs_are_found(void **state) {
    struct chain_lists ls;
    (void)state;
    some(&ls);
    assert_int_equal(ls.n, 3);
    assert_int_equal(ls.pairs.len, 8 * sizeof(struct chain_pair));
    const struct head *tops[] = {&a, &b, &c};
    const size_t n[] = {3, 5, 0};
    for (size_t i = 0; i < 3; i++) {
        const struct chain_list *l = chain_lists_of(&ls, tops[i]);
        assert_ptr_equal(l, &ls.l[i]);
        assert_int_equal(l->n, n[i]);
        for (uint64_t seq = 1; seq < 9; seq++) {
            struct head x = at(tops[i], seq);
            assert_int_equal(chain_lists_have(&ls, l, &x), seq <= n[i]);
            x.h++;
            assert_false(chain_lists_have(&ls, l, &x));
        }
    }
    struct head none = at(&a, 9);
    assert_null(chain_lists_of(&ls, &none));
    assert_false(chain_lists_have(&ls, NULL, &a));
    chain_lists_free(&ls);
}

static int decode(const struct buf *bytes, struct chain_lists *ls) {
    struct unpack u;
    *ls = (struct chain_lists){0};
    unpack_init(&u, buf_slice(bytes));
    chain_lists_decode(&u, ls);
    return unpack_end(&u);
}

/* Encodes ls, which must be refused, and frees it. */
static void assert_refused(struct chain_lists *ls) {
    struct chain_lists got;
    struct buf bytes = {0};
    chain_lists_encode(&bytes, ls);
    assert_ok(bytes.err);
    assert_code(ECRDT_ECORRUPT, decode(&bytes, &got));
    chain_lists_free(&got);
    chain_lists_free(ls);
    buf_free(&bytes);
}

static void one_encoding(void **state) {
    struct chain_lists ls, got;
    struct buf bytes = {0}, again = {0};
    (void)state;
    some(&ls);
    chain_lists_encode(&bytes, &ls);
    assert_ok(decode(&bytes, &got));
    chain_lists_encode(&again, &got);
    assert_slice_equal(buf_slice(&again), buf_slice(&bytes));
    assert_int_equal(got.n, 3);
    chain_lists_free(&got);
    for (size_t len = bytes.len; bytes.len--;) {
        assert_true(len && decode(&bytes, &got) == ECRDT_ECORRUPT);
        chain_lists_free(&got);
    }
    ls.l[1].since = b.seq + 1;
    assert_refused(&ls);
    some(&ls);
    ls.l[2] = ls.l[1]; /* twice */
    assert_refused(&ls);
    some(&ls);
    struct chain_pair *p = (void *)ls.pairs.data;
    p[ls.l[0].first + 2].seq = a.seq; /* not below the head */
    assert_refused(&ls);
    some(&ls);
    p = (void *)ls.pairs.data;
    p[ls.l[1].first + 1] = p[ls.l[1].first]; /* twice */
    assert_refused(&ls);
    buf_free(&bytes);
    buf_free(&again);
}

/* So many pairs below one head, at most. */
static void pairs_are_bounded(void **state) {
    (void)state;
    for (size_t n = CHAIN_PAIRS_MAX; n <= CHAIN_PAIRS_MAX + 1; n++) {
        struct chain_lists ls = {0}, got;
        struct buf bytes = {0};
        struct chain_list l = {.top = {{1}, UINT64_MAX, 1}, .n = n};
        for (uint64_t i = 1; i <= n; i++)
            buf_put(&ls.pairs, &(struct chain_pair){i, i}, 16);
        assert_ok(chain_lists_add(&ls, &l));
        chain_lists_encode(&bytes, &ls);
        assert_code(n == CHAIN_PAIRS_MAX ? ECRDT_OK : ECRDT_ECORRUPT,
                    decode(&bytes, &got));
        chain_lists_free(&got);
        chain_lists_free(&ls);
        buf_free(&bytes);
    }
}

/* So many lists, at most. */
static void lists_are_bounded(void **state) {
    (void)state;
    for (uint32_t n = CHAIN_LISTS_MAX; n <= CHAIN_LISTS_MAX + 1; n++) {
        struct chain_lists ls = {0}, got;
        struct buf bytes = {0};
        struct chain_list l = {0};
        for (uint32_t i = 1; i <= n; i++) {
            store32(l.top.origin, i);
            l.top.seq = 1;
            assert_ok(chain_lists_add(&ls, &l));
        }
        chain_lists_encode(&bytes, &ls);
        assert_code(n == CHAIN_LISTS_MAX ? ECRDT_OK : ECRDT_ECORRUPT,
                    decode(&bytes, &got));
        chain_lists_free(&got);
        chain_lists_free(&ls);
        buf_free(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_found),
        cmocka_unit_test(one_encoding),
        cmocka_unit_test(pairs_are_bounded),
        cmocka_unit_test(lists_are_bounded),
    };
    return TEST_RUN(tests);
}

/* test_laws.c: the laws of a join semilattice, over every row of the table of
 * types: a new type is tested as soon as it has a row of generators here.
 *
 * What is canonical: the digest is a function of the content. So is a whole
 * chunk for a peer that has nothing, given equal clocks, as long as no item
 * has siblings of several origins; if one has, only the order of origins in
 * the chunk, and with it that of siblings in an item, may differ, for each
 * store numbers origins as it met them.
 */
#include "crdt/chunk_codec.h"
#include "crdt/type.h"
#include "crdt/items.h"
#include "tests/crdt/kit.h"

/* ---- generators: one random operation on a type ----------------------------
 */

static struct rng rng;
static uint64_t serial;

static slice random_key(void) {
    static const struct {
        char first;
        size_t len;
    } keys[] = {{'a', 1}, {'b', 8}, {'c', 300}};
    size_t i = rng_below(&rng, 3);
    return kit_fill(keys[i].len, keys[i].first);
}

static slice random_elem(void) {
    static const size_t len[] = {0, 1, 160, 161};
    return kit_fill(len[rng_below(&rng, 4)], 'e');
}

static void do_register(ecrdt_txn *t) {
    char value[32];
    snprintf(value, sizeof value, "v%llu", (unsigned long long)++serial);
    if (rng_below(&rng, 3))
        assert_ok(ecrdt_reg_set(t, KIT_B, random_key(), slice_str(value)));
    else
        assert_true(ecrdt_reg_del(t, KIT_B, random_key()) >= 0);
}

static void do_set(ecrdt_txn *t) {
    uint64_t dice = rng_below(&rng, 10);
    slice key = random_key();
    if (dice < 6)
        assert_true(ecrdt_set_add(t, KIT_B, key, random_elem()) >= 0);
    else if (dice < 9)
        assert_true(ecrdt_set_remove(t, KIT_B, key, random_elem()) >= 0);
    else
        assert_ok(ecrdt_set_clear(t, KIT_B, key));
}

static void do_counter(ecrdt_txn *t) {
    int64_t by = (int64_t)rng_below(&rng, 9) - 4;
    if (rng_below(&rng, 6))
        assert_ok(ecrdt_counter_add(t, KIT_B, random_key(), by, NULL));
    else
        assert_ok(ecrdt_counter_reset(t, KIT_B, random_key()));
}

static const struct {
    ecrdt_type pub;
    void (*op)(ecrdt_txn *t);
} generators[] = {
    {ECRDT_REG, do_register}, {ECRDT_SET, do_set}, {ECRDT_COUNTER, do_counter}};

static void (*op_of(const struct type *ty))(ecrdt_txn *t) {
    for (size_t i = 0; i < sizeof generators / sizeof *generators; i++)
        if (generators[i].pub == ty->pub)
            return generators[i].op;
    fail_msg("type '%s' has no generator in test_laws.c", ty->name);
    return NULL;
}

static void run_ops(size_t i, const struct type *ty, size_t n) {
    while (n--) {
        ecrdt_txn *t = kit_write(i);
        op_of(ty)(t);
        if (rng_below(&rng, 3) == 0)
            op_of(ty)(t);
        assert_ok(ecrdt_commit(t));
    }
}

/* ---- states -----------------------------------------------------------------
 */

/* The whole state as one chunk for a peer that has nothing. */
static void full_state(size_t i, struct buf *out) {
    struct ranges none = {0};
    kit_build(i, &none, CHUNK_PUSH_ITEMS, out);
    ranges_free(&none);
}

struct name {
    uint8_t origin[16];
    const struct event *e;
};

static int by_origin(const void *a, const void *b) {
    const struct name *x = a, *y = b;
    return memcmp(x->origin, y->origin, 16);
}

/* The siblings of an item in the order of their origins' ids. */
static size_t names_of(const struct chunk *c, const struct chunk_item *it,
                       struct name *out) {
    for (uint32_t i = 0; i < it->count; i++) {
        out[i].e = &c->events[it->first + i];
        memcpy(out[i].origin, c->origins[out[i].e->origin], 16);
    }
    qsort(out, it->count, sizeof *out, by_origin);
    return it->count;
}

static void assert_same_item(const struct chunk *a, const struct chunk *b,
                             size_t i) {
    struct name x[16], y[16];
    assert_slice_equal(a->items[i].id, b->items[i].id);
    size_t n = names_of(a, &a->items[i], x);
    assert_int_equal(n, names_of(b, &b->items[i], y));
    for (size_t k = 0; k < n; k++) {
        assert_memory_equal(x[k].origin, y[k].origin, 16);
        assert_int_equal(x[k].e->seq, y[k].e->seq);
        assert_int_equal(x[k].e->hlc, y[k].e->hlc);
        assert_int_equal(x[k].e->kind, y[k].e->kind);
        assert_slice_equal(slice_of(x[k].e->payload, x[k].e->len),
                           slice_of(y[k].e->payload, y[k].e->len));
    }
}

/* Equal up to the order of origins, clocks and floors included. */
static void assert_same_state(size_t i, size_t k) {
    struct buf x = {0}, y = {0};
    struct chunk a = {0}, b = {0};
    struct ranges ca = {0}, cb = {0};
    kit_same_digest(i, k);
    kit_clock(i, &ca);
    kit_clock(k, &cb);
    assert_true(ranges_eq(&ca, &cb));
    full_state(i, &x);
    full_state(k, &y);
    assert_int_equal(x.len, y.len);
    if (x.len) {
        assert_ok(chunk_decode(buf_slice(&x), &a));
        assert_ok(chunk_decode(buf_slice(&y), &b));
        assert_int_equal(a.n_parts, 1);
        assert_true(vv_eq(&a.parts[0].clk, &b.parts[0].clk));
        assert_true(vv_eq(&a.floor, &b.floor));
        assert_int_equal(a.n_items, b.n_items);
        for (size_t n = 0; n < a.n_items; n++)
            assert_same_item(&a, &b, n);
    }
    chunk_free(&a);
    chunk_free(&b);
    ranges_free(&ca);
    ranges_free(&cb);
    buf_free(&x);
    buf_free(&y);
}

/* ---- laws
 * -------------------------------------------------------------------- */

enum { A, B, C, X, Y, Z };

/* Three states with some common history. */
static void three_states(const struct type *ty) {
    run_ops(A, ty, 1 + rng_below(&rng, 8));
    kit_pull(B, A);
    run_ops(B, ty, rng_below(&rng, 8));
    kit_pull(C, rng_below(&rng, 2) ? A : B);
    run_ops(A, ty, rng_below(&rng, 8));
    run_ops(B, ty, rng_below(&rng, 8));
    run_ops(C, ty, rng_below(&rng, 8));
}

static void joins_commute(const struct type *ty) {
    three_states(ty);
    kit_pull(X, A);
    kit_pull(X, B);
    kit_pull(Y, B);
    kit_pull(Y, A);
    assert_same_state(X, Y);
    kit_pull(A, B);
    kit_pull(B, A);
    assert_same_state(A, B);
    assert_same_state(A, X);
}

static void joins_associate(const struct type *ty) {
    three_states(ty);
    kit_pull(X, A); /* (a + b) + c */
    kit_pull(X, B);
    kit_pull(X, C);
    kit_pull(Z, B); /* a + (b + c), in small chunks */
    kit_pull(Z, C);
    kit_pull_by(Y, A, 1);
    kit_pull_by(Y, Z, 1);
    assert_same_state(X, Y);
}

static void joins_repeat(const struct type *ty) {
    struct buf whole = {0}, before = {0}, after = {0};
    struct ranges none = {0}, x = {0}, y = {0};
    three_states(ty);
    kit_build(B, &none, CHUNK_PUSH_ITEMS, &whole);
    kit_pull(A, B);
    full_state(A, &before);
    kit_clock(A, &x);
    for (int i = 0; whole.len && i < 2; i++)
        assert_int_equal(kit_apply(A, buf_slice(&whole)).applied, 0);
    full_state(A, &after);
    kit_clock(A, &y);
    assert_slice_equal(buf_slice(&before), buf_slice(&after));
    assert_true(ranges_eq(&x, &y));
    ranges_free(&none);
    ranges_free(&x);
    ranges_free(&y);
    buf_free(&whole);
    buf_free(&before);
    buf_free(&after);
}

static void a_delta_is_worth_the_full_state(const struct type *ty) {
    struct buf whole = {0};
    three_states(ty);
    kit_pull(X, A);
    kit_pull(Y, A);
    kit_pull(A, B);
    run_ops(A, ty, 3);
    kit_pull(X, A); /* a delta */
    full_state(A, &whole);
    if (whole.len)
        kit_apply(Y, buf_slice(&whole));
    assert_same_state(X, Y);
    assert_same_state(X, A);
    buf_free(&whole);
}

/* Chunks and records come out of their encoder as they went in. */
static void bytes_round_trip(const struct type *ty) {
    struct buf whole = {0}, again = {0};
    struct chunk c = {0};
    three_states(ty);
    kit_pull(A, B);
    kit_pull(A, C);
    full_state(A, &whole);
    if (whole.len) {
        assert_ok(chunk_decode(buf_slice(&whole), &c));
        chunk_encode(&again, &c);
        assert_slice_equal(buf_slice(&whole), buf_slice(&again));
    }
    ecrdt_txn *t = kit_read(A);
    struct items cur;
    struct item it = {0};
    slice key, rec;
    assert_ok(items_open(&cur, t));
    while (items_next(&cur, &key, &rec) == 1) {
        assert_ok(item_decode(&it, rec));
        buf_clear(&again);
        item_encode(&again, &it);
        assert_slice_equal(buf_slice(&again), rec);
    }
    items_close(&cur);
    ecrdt_abort(t);
    item_free(&it);
    chunk_free(&c);
    buf_free(&whole);
    buf_free(&again);
}

/* A history without concurrency, handed on event by event, in whole, or in
 * pieces, ends in the same bytes. */
static void bytes_are_canonical(const struct type *ty) {
    struct buf a = {0}, x = {0};
    for (int i = 0; i < 12; i++) {
        size_t at = rng_below(&rng, 3);
        for (size_t from = A; from <= C; from++)
            if (from != at)
                kit_pull(at, from);
        run_ops(at, ty, 1);
        kit_pull(X, at);
        if (rng_below(&rng, 3) == 0)
            kit_pull_by(Y, X, 2);
    }
    kit_pull_by(Y, X, 1);
    kit_pull(Z, Y);
    full_state(X, &a);
    for (size_t i = Y; i <= Z; i++) {
        full_state(i, &x);
        assert_slice_equal(buf_slice(&a), buf_slice(&x));
        kit_same_digest(X, i);
        kit_sound(i);
    }
    buf_free(&a);
    buf_free(&x);
}

/* The digest tells contents apart, and does not see tombs. */
static void a_digest_is_its_content(const struct type *ty) {
    uint8_t empty[16] = {0}, x[16], y[16];
    three_states(ty);
    kit_digest(A, x);
    struct ranges before = {0}, after = {0};
    kit_clock(A, &before);
    run_ops(A, ty, 1);
    kit_clock(A, &after);
    kit_digest(A, y);
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(A), &st));
    if (ranges_eq(&before, &after))
        assert_memory_equal(x, y, 16);
    if (!st.items)
        assert_memory_equal(y, empty, 16);
    else
        assert_memory_not_equal(y, empty, 16);
    ranges_free(&before);
    ranges_free(&after);
}

/* Each law over each type, some histories each. */
static void over_all_types(void (*law)(const struct type *ty)) {
    const struct type *ty;
    for (size_t i = 0; (ty = type_at(i)); i++)
        for (int round = 0; round < 25; round++) {
            kit_setup(NULL);
            law(ty);
            for (size_t s = 0; s < KIT_STORES; s++)
                if (kit_stores[s])
                    kit_sound(s);
            assert_int_equal(kit_teardown(NULL), 0);
        }
}

#define LAW(law)                                                               \
    static void law##_for_all(void **state) {                                  \
        (void)state;                                                           \
        over_all_types(law);                                                   \
    }
LAW(joins_commute)
LAW(joins_associate)
LAW(joins_repeat)
LAW(a_delta_is_worth_the_full_state)
LAW(bytes_round_trip)
LAW(bytes_are_canonical)
LAW(a_digest_is_its_content)

int main(void) {
    rng = rng_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_commute_for_all),
        cmocka_unit_test(joins_associate_for_all),
        cmocka_unit_test(joins_repeat_for_all),
        cmocka_unit_test(a_delta_is_worth_the_full_state_for_all),
        cmocka_unit_test(bytes_round_trip_for_all),
        cmocka_unit_test(bytes_are_canonical_for_all),
        cmocka_unit_test(a_digest_is_its_content_for_all),
    };
    return TEST_RUN(tests);
}

/* test_fp_scan.c: sums over stretches, compared with sums made naively item
 * by item, however they are sliced and cut; an answer of many of them. */
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/fp_scan.h"
#include "crdt/items.h"
#include "crdt/reconcile.h"
#include "tests/crdt/kit.h"

static const uint8_t key[RECONCILE_KEY] = "key";

/* Writes and deletes of n random keys, some of them sets. */
static void scribble(struct rng *r, int n) {
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < n; i++) {
        char k[32];
        snprintf(k, sizeof k, "key-%03d", (int)rng_below(r, 300));
        if (rng_below(r, 4) == 0)
            assert_true(ecrdt_reg_del(t, KIT_B, slice_str(k)) >= 0);
        else if (rng_below(r, 3))
            assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(k), slice_str(k)));
        else
            assert_true(
                ecrdt_set_add(t, KIT_B, slice_str("a set"), slice_str(k)) >= 0);
    }
    assert_ok(ecrdt_commit(t));
}

/* The sum of [lo, hi) by one hash an item, from decoded records. */
static uint64_t naive(ecrdt_txn *t, const struct vv *f, slice lo, slice hi,
                      uint8_t sum[FP_SUM]) {
    struct bucket *bk;
    struct items c;
    struct item it = {0};
    struct buf text = {0};
    uint64_t count = 0;
    uint8_t from[BUCKET_PREFIX], len[2], h[16], e16[CRYPTO_E16];
    memset(sum, 0, FP_SUM);
    assert_code(1, txn_bucket(t, KIT_B, false, &bk));
    assert_ok(items_open(&c, t));
    slice k = item_key_prefix(from, bk->id), rec;
    for (int rc = items_seek(&c, &k, &rec); rc == 1;
         rc = items_next(&c, &k, &rec)) {
        slice id = item_key_id_of(k);
        if (slice_cmp(id, lo) < 0 || (hi.len && slice_cmp(id, hi) >= 0))
            continue;
        assert_ok(item_decode(&it, rec));
        assert_int_equal(it.n, 1); /* one writer */
        if (!event_live(&it.ev[0]) &&
            vv_covers(f, origin_id(t, it.ev[0].origin), it.ev[0].seq))
            continue;
        buf_clear(&text);
        store16(len, (uint16_t)id.len);
        buf_put(&text, len, 2);
        buf_put(&text, id.data, id.len);
        assert_ok(door_name(t, bk, id, &it.ev[0], e16));
        buf_put(&text, e16, sizeof e16);
        crypto_blake2b_keyed(h, buf_slice(&text), key);
        digest_add(sum, h);
        count++;
    }
    items_close(&c);
    item_free(&it);
    buf_free(&text);
    return count;
}

static void assert_blocks(ecrdt_txn *t, const struct fp_scan *s,
                          const struct vv *f, slice lo, slice hi) {
    uint8_t sum[FP_SUM], want[FP_SUM];
    uint64_t total = naive(t, f, lo, hi, want);
    assert_int_equal(fp_scan_total(s, sum), total);
    assert_memory_equal(sum, want, FP_SUM);
    assert_slice_equal(item_id_slice(&s->blocks[0].lo), lo);
    for (size_t i = 0; i < s->n; i++) {
        bool last = i + 1 == s->n;
        slice a = item_id_slice(&s->blocks[i].lo);
        slice b = last ? hi : item_id_slice(&s->blocks[i + 1].lo);
        assert_true(last || slice_cmp(a, b) < 0);
        assert_int_equal(naive(t, f, a, b, want), s->blocks[i].count);
        assert_memory_equal(want, s->blocks[i].sum, FP_SUM);
    }
}

static void sums_are_those_made_naively(void **state) {
    struct rng r = rng_seed();
    ecrdt_node me;
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct vv f = {0};
        struct fp_scan s;
        struct item_id lo = {0}, hi = {0};
        char a[24], b[24];
        scribble(&r, 60);
        assert_ok(ecrdt_node_id(kit(0), &me));
        assert_ok(vv_raise(&f, me.b, rng_below(&r, 2000), 0));
        snprintf(a, sizeof a, "key-%03d", (int)rng_below(&r, 200));
        snprintf(b, sizeof b, "key-%03d", 200 + (int)rng_below(&r, 100));
        bool all = rng_below(&r, 3) == 0;
        if (!all) {
            item_id_set(&lo, slice_str(a));
            item_id_set(&hi, slice_str(b));
        }
        size_t max = 1 + (size_t)rng_below(&r, 40);
        ecrdt_txn *t = kit_read(0);
        assert_code(1, fp_scan_begin(&s, t, KIT_B, &f, key));
        assert_ok(fp_scan_range(&s, &lo, all ? NULL : &hi, max));
        for (uint64_t n = 0; fp_scan_step(&s, &n) == 0; n = 7)
            continue;
        assert_in_range(s.n, 1, max);
        assert_blocks(t, &s, &f, item_id_slice(&lo), item_id_slice(&hi));
        fp_scan_end(&s);
        ecrdt_abort(t);
        vv_free(&f);
    }
}

/* Blocks end where our ranges do, those without items too. */
static void a_block_lies_in_one_range(void **state) {
    struct rng r = rng_seed();
    static const char *const cuts[] = {"aa", "key-0", "key-1", "key-15", "x"};
    struct vv f = {0};
    struct fp_scan s;
    struct item_id lo = {0};
    struct bucket *bk;
    uint8_t other[16] = {9};
    size_t at;
    (void)state;
    scribble(&r, 200);
    ecrdt_txn *t = kit_write(0);
    assert_code(1, txn_bucket(t, KIT_B, false, &bk));
    assert_ok(clocks_load(t, bk));
    for (uint32_t i = 0; i < 5; i++)
        assert_ok(ranges_cut(&bk->rs, slice_str(cuts[i]), 10 + i, &at));
    for (uint32_t i = 0; i < 6; i++)
        assert_ok(vv_raise(&bk->rs.r[i].clk, other, i + 1, 0));
    bk->ranges_dirty = true;
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    assert_code(1, fp_scan_begin(&s, t, KIT_B, &f, key));
    assert_ok(fp_scan_range(&s, &lo, NULL, 1));
    uint64_t all = UINT64_MAX;
    assert_code(1, fp_scan_step(&s, &all));
    assert_int_equal(s.n, 6);
    for (size_t i = 1; i < 6; i++)
        assert_slice_equal(item_id_slice(&s.blocks[i].lo),
                           slice_str(cuts[i - 1]));
    assert_blocks(t, &s, &f, slice_of("", 0), slice_of("", 0));
    fp_scan_end(&s);
    ecrdt_abort(t);
}

/* A key is not cut unless it is large: the set's elements are many. */
static void cuts_fall_between_keys(void **state) {
    struct fp_scan s;
    struct vv f = {0};
    struct item_id lo = {0};
    uint64_t all = UINT64_MAX;
    (void)state;
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < 200; i++) {
        char k[16], e[16];
        snprintf(k, sizeof k, "set-%02d", i / 2);
        snprintf(e, sizeof e, "e%d", i);
        assert_code(1, ecrdt_set_add(t, KIT_B, slice_str(k), slice_str(e)));
    }
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    assert_code(1, fp_scan_begin(&s, t, KIT_B, &f, key));
    assert_ok(fp_scan_range(&s, &lo, NULL, 10));
    assert_code(1, fp_scan_step(&s, &all));
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(s.blocks[i].count % 2, 0);
    fp_scan_end(&s);
    ecrdt_abort(t);
}

static void an_absent_bucket_has_no_scan(void **state) {
    struct fp_scan s;
    struct vv f = {0};
    (void)state;
    ecrdt_txn *t = kit_read(0);
    assert_code(0, fp_scan_begin(&s, t, "nowhere", &f, key));
    fp_scan_end(&s);
    ecrdt_abort(t);
}

/* Some 200 stretches that differ are cut by 32: what does not fit into one
 * answer is compared again later. */
static void an_answer_has_so_many_stretches_at_most(void **state) {
    struct fp m = {.bucket = slice_str(KIT_B)};
    struct reconcile r = {0};
    struct item_id lowest = {0};
    struct buf out = {0};
    (void)state;
    ecrdt_txn *t = kit_write(0);
    for (int i = 0; i < 8000; i++) {
        char k[16];
        snprintf(k, sizeof k, "k%05d", i);
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(k), slice_str("v")));
    }
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    assert_non_null(fp_add(&m, &lowest, NULL, 0, false));
    assert_ok(reconcile_sum(&r, t, &m, 300, key));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    assert_in_range(r.split.n, 150, 300);
    for (size_t i = 0; i < r.split.n; i++)
        r.split.parts[i].sum[0] ^= 1;
    fp_encode(&out, &r.split, true);
    reconcile_free(&r);
    r = (struct reconcile){0};
    assert_ok(reconcile_compare(&r, t, buf_slice(&out), key));
    r.leaf = 4;
    r.fan = 32;
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    assert_in_range(r.split.n, FP_PARTS_MAX - 32, FP_PARTS_MAX);
    reconcile_free(&r);
    ecrdt_abort(t);
    buf_free(&out);
    fp_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(sums_are_those_made_naively),
        kit_test(a_block_lies_in_one_range),
        kit_test(cuts_fall_between_keys),
        kit_test(an_absent_bucket_has_no_scan),
        kit_test(an_answer_has_so_many_stretches_at_most),
    };
    return TEST_RUN(tests);
}

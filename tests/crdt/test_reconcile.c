/* test_reconcile.c: what is made of an FP, and when a clock is raised; whole
 * talks beside an oracle are in tests/laws. */
#include "crdt/reconcile.h"
#include "crdt/clocks.h"
#include "tests/crdt/kit.h"

static const uint8_t key[RECONCILE_KEY] = "key";
static const uint8_t o1[ORIGIN_SIZE] = {1};

static void fill(size_t i, int n) {
    ecrdt_txn *t = kit_write(i);
    for (int k = 0; k < n; k++) {
        char name[16];
        snprintf(name, sizeof name, "k%05d", k);
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(name), slice_str("v")));
    }
    assert_ok(ecrdt_commit(t));
}

/* The FP of store i over its whole bucket, as bytes. */
static void ask(size_t i, uint8_t flags, struct buf *out) {
    struct fp m = {.bucket = slice_str(KIT_B), .flags = flags};
    struct item_id lowest = {0};
    struct reconcile r = {0};
    ecrdt_txn *t = kit_read(i);
    assert_non_null(fp_add(&m, &lowest, NULL, 0, false));
    assert_ok(reconcile_sum(&r, t, &m, 1, key));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    assert_int_equal(r.split.n, 1);
    fp_encode(out, &r.split, true);
    reconcile_free(&r);
    ecrdt_abort(t);
}

static ecrdt_txn *compare(size_t i, const struct buf *fp, struct reconcile *r) {
    ecrdt_txn *t = kit_read(i);
    *r = (struct reconcile){0};
    assert_ok(reconcile_compare(r, t, buf_slice(fp), key));
    assert_code(1, reconcile_step(r, UINT64_MAX));
    return t;
}

static void done(ecrdt_txn *t, struct reconcile *r) {
    reconcile_free(r);
    ecrdt_abort(t);
}

static uint64_t knows(size_t i, const uint8_t origin[ORIGIN_SIZE]) {
    struct ranges rs = {0};
    kit_clock(i, &rs);
    uint64_t seq = vv_seq(&rs.r[0].clk, origin);
    for (size_t k = 1; k < rs.n; k++)
        if (vv_seq(&rs.r[k].clk, origin) < seq)
            seq = vv_seq(&rs.r[k].clk, origin);
    ranges_free(&rs);
    return seq;
}

static struct raise_report raise(size_t i, const struct fp *m) {
    struct raise_report r;
    ecrdt_txn *t = kit_write(i);
    assert_ok(reconcile_raise(t, m, &r));
    assert_ok(ecrdt_commit(t));
    return r;
}

/* A part over everything at origin's seq. */
static void claim(struct fp *m, const char *lo, const char *hi,
                  const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    struct vv clk = {0};
    struct item_id a, b;
    uint32_t no;
    m->bucket = slice_str(KIT_B);
    item_id_set(&a, slice_str(lo));
    item_id_set(&b, slice_str(hi));
    assert_ok(vv_raise(&clk, origin, seq, 1));
    assert_ok(fp_add_clock(m, &clk, &no));
    assert_non_null(fp_add(m, &a, *hi ? &b : NULL, no, false));
    vv_free(&clk);
}

/* Tells in m, which claims seq of origin, that a claim of below lies there. */
static void tell(struct fp *m, const uint8_t origin[ORIGIN_SIZE], uint64_t seq,
                 uint64_t below) {
    struct chain_list l = {.top = {.seq = seq, .h = 1}, .since = seq};
    struct head x = {.seq = below, .h = 1};
    memcpy(l.top.origin, origin, ORIGIN_SIZE);
    memcpy(x.origin, origin, ORIGIN_SIZE);
    if (!chain_lists_of(&m->chains, &l.top))
        assert_ok(chain_lists_add(&m->chains, &l));
    assert_ok(chain_lists_put(&m->chains, &l.top, &x));
}

/* Equal, few, many: what each becomes. */
static void what_differs_is_sent_or_split(void **state) {
    struct buf fp = {0};
    struct reconcile r;
    (void)state;
    fill(0, 1000);
    ask(0, 0, &fp);
    ecrdt_txn *t = compare(0, &fp, &r);
    assert_true(r.raise.n == 1 && r.same.n == 1 && r.differing == 0);
    assert_true(!r.split.n && !r.leaf_parts.n && !r.want.n);
    done(t, &r);
    kit_set(1, "k00000", "mine");
    t = compare(1, &fp, &r); /* little is here: it goes, the rest is asked */
    assert_true(!r.raise.n && !r.same.n && !r.split.n);
    assert_true(r.leaf_parts.n == 1 && r.want.n == 1);
    done(t, &r);
    fill(1, 999);
    t = compare(1, &fp, &r);
    assert_true(!r.raise.n && !r.same.n && !r.leaf_parts.n && !r.want.n);
    assert_in_range(r.split.n, 500, RECONCILE_WIDE);
    done(t, &r);
    t = kit_read(2); /* no such bucket: nothing is said of it */
    r = (struct reconcile){0};
    assert_ok(reconcile_compare(&r, t, buf_slice(&fp), key));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    assert_true(!r.same.n && !r.split.n && !r.want.n && !r.leaf_parts.n);
    done(t, &r);
    fp.len--;
    t = kit_read(1);
    r = (struct reconcile){0};
    assert_code(ECRDT_EPEER, reconcile_compare(&r, t, buf_slice(&fp), key));
    done(t, &r);
    buf_free(&fp);
}

/* Another key, another sum: nobody can prepare two ranges that collide. */
static void sums_belong_to_a_link(void **state) {
    static const uint8_t other[RECONCILE_KEY] = "another link";
    struct buf fp = {0};
    struct reconcile r = {0};
    (void)state;
    fill(0, 3);
    ask(0, 0, &fp);
    ecrdt_txn *t = kit_read(0);
    assert_ok(reconcile_compare(&r, t, buf_slice(&fp), other));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    assert_int_equal(r.differing, 1);
    done(t, &r);
    buf_free(&fp);
}

/* Local commits between comparing and raising are harmless; what changes gen
 * is not. */
static void gen_decides_whether_to_raise(void **state) {
    struct fp m = {0};
    struct raise_report r;
    struct chunk_report rep = {0};
    (void)state;
    fill(0, 3);
    claim(&m, "", "", o1, 5);
    kit_set(0, "k1", "local");
    assert_false(raise(0, &m).stale);
    assert_int_equal(knows(0, o1), 5);
    fp_free(&m);
    claim(&m, "", "", o1, 9);
    kit_set(1, "x", "y"); /* a foreign chunk */
    struct buf chunk = {0};
    struct ranges none = {0};
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
    struct chunk_built built;
    ecrdt_txn *t = kit_read(1);
    assert_code(1, chunk_build(t, KIT_B, &none, &budget, NULL, &chunk, &built));
    ecrdt_abort(t);
    t = kit_write(0);
    assert_ok(chunk_apply(t, buf_slice(&chunk), &rep));
    assert_ok(ecrdt_commit(t));
    assert_true(raise(0, &m).stale);
    assert_int_equal(knows(0, o1), 5);
    m.gen = 1;
    assert_int_equal(raise(0, &m).doubtful, 1); /* what we have, has it, too? */
    assert_int_equal(knows(0, o1), 5);
    tell(&m, o1, 9, 5);
    r = raise(0, &m);
    assert_false(r.stale || r.doubtful);
    assert_int_equal(knows(0, o1), 9);
    fp_free(&m);
    ranges_free(&none);
    buf_free(&chunk);
}

/* The floors of all three rise with the clock. */
static void floors_rise_with_the_clock(void **state) {
    static const uint8_t o2[ORIGIN_SIZE] = {2};
    struct fp m = {0};
    struct ranges rs = {0};
    struct vv floor = {0};
    (void)state;
    fill(0, 3);
    claim(&m, "", "", o1, 5);
    assert_ok(vv_raise(&m.f, o1, 4, 0));
    assert_ok(vv_raise(&m.floor, o2, 3, 0));
    assert_int_equal(raise(0, &m).refused, 0);
    ecrdt_txn *t = kit_read(0);
    assert_ok(replica_clock(t, KIT_B, &rs, &floor));
    ecrdt_abort(t);
    assert_int_equal(vv_seq(&floor, o1), 4);
    assert_int_equal(vv_seq(&floor, o2), 3);
    ranges_free(&rs);
    vv_free(&floor);
    fp_free(&m);
}

static void cuts_are_bounded(void **state) {
    struct fp m = {0};
    (void)state;
    fill(0, 3);
    for (int i = 0; i < FP_PARTS_MAX; i++) {
        char lo[16], hi[16];
        snprintf(lo, sizeof lo, "a%06d", 2 * i);
        snprintf(hi, sizeof hi, "a%06d", 2 * i + 1);
        claim(&m, lo, hi, o1, 5 + (uint64_t)(i & 1));
    }
    struct raise_report r = raise(0, &m);
    assert_in_range(r.refused, FP_PARTS_MAX / 2, FP_PARTS_MAX - 100);
    fp_free(&m);
    claim(&m, "b1", "b2", o1, 5);
    assert_int_equal(raise(0, &m).refused, 1);
    fp_free(&m);
    claim(&m, "", "", o1, 9); /* the whole may rise at any time */
    tell(&m, o1, 9, 5);
    tell(&m, o1, 9, 6);
    assert_int_equal(raise(0, &m).refused, 0);
    assert_code(1, ecrdt_settled(kit(0), KIT_B));
    fp_free(&m);
}

/* An audit compares live siblings only, and at equal clocks only. */
static void an_audit_raises_nothing(void **state) {
    struct buf fp = {0};
    struct reconcile r;
    (void)state;
    fill(0, 100);
    fill(1, 100);
    ask(0, FP_AUDIT, &fp);
    ecrdt_txn *t = compare(0, &fp, &r);
    assert_true(!r.raise.n && r.same.n == 1 && !r.want.n);
    done(t, &r);
    t = compare(1, &fp, &r); /* another clock */
    assert_true(!r.raise.n && !r.same.n && r.want.n == 1 && !r.split.n);
    done(t, &r);
    t = compare(2, &fp, &r); /* no such bucket */
    assert_true(!r.same.n && r.want.n == 1);
    done(t, &r);
    buf_free(&fp);
}

/* Stretches in which the peer is below the floor, and no others. */
static void a_talk_is_about_what_is_below_the_floor(void **state) {
    struct ranges peer = {0};
    struct vv none = {0};
    struct fp m = {0};
    struct bucket *bk;
    ecrdt_node me;
    size_t at;
    (void)state;
    fill(0, 100);
    assert_ok(ecrdt_node_id(kit(0), &me));
    ecrdt_txn *t = kit_write(0);
    assert_code(1, txn_bucket(t, KIT_B, false, &bk));
    assert_ok(clocks_load(t, bk));
    assert_ok(clocks_raise(t, bk, CLOCK_FLOOR, me.b, 50));
    assert_ok(ranges_cut(&bk->rs, slice_str("k00050"), 77, &at));
    assert_ok(vv_raise(&bk->rs.r[at].clk, o1, 1, 1));
    bk->ranges_dirty = true;
    assert_ok(ecrdt_commit(t));
    assert_ok(ranges_init(&peer));
    assert_ok(vv_raise(&peer.r[0].clk, me.b, 50, 0));
    assert_ok(ranges_cut(&peer, slice_str("k00050"), 0, &at));
    peer.r[at].clk.e[0].seq = 49;
    t = kit_read(0);
    assert_ok(reconcile_ask(t, KIT_B, &peer, &none, &m));
    assert_int_equal(m.n, 1);
    assert_slice_equal(item_id_slice(&m.parts[0].lo), slice_str("k00050"));
    fp_free(&m);
    peer.r[at].clk.n = 0; /* it has nothing: chunks are best */
    assert_ok(reconcile_ask(t, KIT_B, &peer, &none, &m));
    assert_int_equal(m.n, 0);
    uint64_t n;
    assert_ok(reconcile_items(t, KIT_B, &n));
    assert_int_equal(n, 100);
    assert_ok(reconcile_items(t, "nowhere", &n));
    assert_int_equal(n, 0);
    ecrdt_abort(t);
    fp_free(&m);
    ranges_free(&peer);
}

/* Random stretches lie in the bucket and reach all of it. */
static void random_stretches_reach_everything(void **state) {
    struct rng r = rng_seed();
    struct item_id lo, hi;
    bool bounded, first = false, last = false;
    (void)state;
    fill(0, 1000);
    kit_set(0, "zz", "the last");
    ecrdt_txn *t = kit_read(0);
    for (int i = 0; i < 300; i++) {
        assert_code(
            1, reconcile_random(t, KIT_B, rng_u64(&r), 50, &lo, &hi, &bounded));
        assert_true(!bounded ||
                    slice_cmp(item_id_slice(&lo), item_id_slice(&hi)) < 0);
        last = last || !bounded;
        first = first || !lo.len;
    }
    assert_true(first && last);
    for (int i = 0; i < 100; i++) { /* of all: the whole bucket */
        assert_code(1, reconcile_random(t, KIT_B, rng_u64(&r), 2010, &lo, &hi,
                                        &bounded));
        assert_true(!lo.len && !bounded);
    }
    assert_code(0, reconcile_random(t, "nowhere", 1, 50, &lo, &hi, &bounded));
    ecrdt_abort(t);
}

/* ---- what fails ---- */

/* An FP compared with store i, raised, the items sent; what m claims raised,
 * a talk begun the other way. Frees all; the first error. */
static int whole_talk(size_t i, const struct buf *fp, const struct fp *m,
                      const struct ranges *peer) {
    struct chunk_budget budget = {CHUNK_BULK_BYTES, CHUNK_BULK_ITEMS};
    struct reconcile r = {0};
    struct raise_report rep;
    struct chunk_built built;
    struct fp asked = {0};
    struct vv f_peer = {0};
    struct buf out = {0};
    struct item_id lo, hi;
    bool bounded;
    ecrdt_txn *t;
    int rc = replica_begin(kit(i), true, 2000, &t);
    if (rc < 0)
        return rc;
    rc = reconcile_compare(&r, t, buf_slice(fp), key);
    if (rc == ECRDT_OK)
        rc = reconcile_step(&r, UINT64_MAX);
    while (rc == 1)
        rc = reconcile_chunk(t, &r.leaf_parts, &budget, &out, &built);
    if (rc == ECRDT_OK)
        rc = reconcile_raise(t, &r.raise, &rep);
    if (rc == ECRDT_OK)
        rc = reconcile_raise(t, m, &rep);
    if (rc == ECRDT_OK)
        rc = reconcile_ask(t, KIT_B, peer, &f_peer, &asked);
    if (rc == ECRDT_OK)
        rc = reconcile_random(t, KIT_B, 0x1234567, 3, &lo, &hi, &bounded);
    fp_free(&asked);
    buf_free(&out);
    reconcile_free(&r);
    ecrdt_abort(t);
    return rc < 0 ? rc : ECRDT_OK;
}

/* Memory runs out at the n-th allocation of it, for every n. */
static void talk_with_little_memory(size_t i, const struct buf *fp) {
    struct fp m = {0};
    struct ranges peer[2] = {{0}, {0}};
    unsigned long n = 0;
    int rc;
    claim(&m, "b", "k00003", o1, 7);
    claim(&m, "k00007", "", o1, 8);
    assert_ok(vv_raise(&m.floor, o1, 3, 0));
    ecrdt_txn *t = kit_read(i);
    m.gen = kit_bucket(t)->head.gen;
    ecrdt_abort(t);
    assert_ok(ranges_init(&peer[1]));
    do {
        fault_alloc_at(++n);
        rc = whole_talk(i, fp, &m, &peer[n % 2]);
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        assert_code(hit ? ECRDT_ENOMEM : ECRDT_OK, rc);
    } while (rc < 0);
    assert_true(n > 20);
    kit_sound(i);
    ranges_free(&peer[1]);
    fp_free(&m);
}

static void every_allocation_may_fail(void **state) {
    struct buf fp = {0};
    (void)state;
    fill(0, 40);
    fill(1, 3);
    kit_set(1, "k00001", "mine");
    kit_try_by(1, 0, 9); /* cuts */
    fill(2, 2);
    ask(0, 0, &fp);
    for (size_t i = 0; i < 3; i++) /* equal, split, few */
        talk_with_little_memory(i, &fp);
    buf_clear(&fp);
    ask(0, FP_AUDIT, &fp);
    for (size_t i = 0; i < 3; i++)
        talk_with_little_memory(i, &fp);
    buf_free(&fp);
}

/* Step number i of a talk, the first one in t. */
static int first_step(int i, ecrdt_txn *t, const struct fp *m,
                      const struct ranges *peer, const struct vv *below) {
    struct raise_report rep;
    struct fp asked = {.bucket = slice_str(KIT_B)};
    struct reconcile r = {0};
    struct buf fp = {0};
    int rc = ECRDT_OK;
    if (i == 2)
        fp_encode(&fp, m, true);
    if (i == 0)
        rc = reconcile_raise(t, m, &rep);
    else if (i == 1)
        rc = reconcile_ask(t, KIT_B, peer, below, &asked);
    else if (i == 2)
        rc = fp.err ? fp.err : reconcile_compare(&r, t, buf_slice(&fp), key);
    else
        rc = reconcile_sum(&r, t, &asked, 4, key);
    fp_free(&asked);
    reconcile_free(&r);
    buf_free(&fp);
    return rc;
}

/* The same for each step that begins a transaction of its own. */
static void every_first_step_may_fail(void **state) {
    struct fp m = {0};
    struct ranges peer = {0};
    struct vv below = {0};
    (void)state;
    fill(0, 9);
    fill(1, 9);
    kit_try_by(1, 0, 4); /* cuts, and a floor to be above of */
    claim(&m, "b", "k00003", o1, 7);
    assert_ok(vv_raise(&m.floor, o1, 3, 0));
    assert_ok(vv_raise(&m.f, o1, 4, 0));
    assert_ok(ranges_init(&peer));
    assert_ok(vv_raise(&below, o1, 9, 0));
    for (int i = 0; i < 4; i++) {
        unsigned long n = 0;
        int rc;
        do {
            ecrdt_txn *t = kit_write(1);
            m.gen = kit_bucket(t)->head.gen;
            fault_alloc_at(++n);
            rc = first_step(i, t, &m, &peer, &below);
            bool hit = fault_alloc_hit();
            fault_alloc_at(0);
            assert_code(hit ? ECRDT_ENOMEM : ECRDT_OK, rc);
            ecrdt_abort(t);
        } while (rc < 0);
        assert_true(n > 2);
    }
    ranges_free(&peer);
    vv_free(&below);
    fp_free(&m);
}

/* More parts than a message holds: what is over is left to the next talk. */
static void a_full_message_leaves_the_rest(void **state) {
    struct fp m = {.bucket = slice_str(KIT_B)};
    struct item_id lowest = {0};
    struct reconcile r = {0};
    struct buf out = {0};
    enum { PARTS = 600 };
    (void)state;
    fill(0, 8000);
    ecrdt_txn *t = kit_read(0);
    assert_non_null(fp_add(&m, &lowest, NULL, 0, false));
    assert_ok(reconcile_sum(&r, t, &m, PARTS, key));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    assert_true(r.split.n > 257);
    for (size_t i = 0; i < r.split.n; i++)
        r.split.parts[i].sum[0] ^= 1;
    fp_encode(&out, &r.split, true);
    done(t, &r);
    t = compare(0, &out, &r);
    assert_true(r.differing > 256);
    assert_true(r.split.n <= FP_PARTS_MAX);
    assert_true(r.split.n > FP_PARTS_MAX - 2 * RECONCILE_FAN);
    done(t, &r);
    buf_free(&out);
}

/* A random stretch: of nothing, of one item, before and behind others. */
static void random_stretches_stay_in_their_bucket(void **state) {
    static const char *const names[] = {"empty", KIT_B, "last"};
    struct item_id lo, hi;
    struct bucket *bk;
    bool bounded;
    (void)state;
    ecrdt_txn *t = kit_write(0);
    for (size_t i = 0; i < 3; i++)
        assert_code(1, txn_bucket(t, names[i], true, &bk));
    assert_ok(ecrdt_commit(t));
    kit_set(0, "one", "v");
    for (uint64_t r = 0; r < 5; r++) {
        uint64_t random = r ? UINT64_MAX / r : 0;
        t = kit_read(0);
        for (size_t i = 0; i < 3; i++)
            assert_code(i == 1, reconcile_random(t, names[i], random, r + 1,
                                                 &lo, &hi, &bounded));
        assert_code(0,
                    reconcile_random(t, "none", random, 1, &lo, &hi, &bounded));
        ecrdt_abort(t);
    }
    fill(0, 30);
    t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, "last", slice_str("k"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    for (uint64_t r = 0; r < 64; r++) {
        assert_code(1, reconcile_random(t, KIT_B, UINT64_MAX / (r + 1) + r, r,
                                        &lo, &hi, &bounded));
        assert_true(!bounded ||
                    slice_cmp(item_id_slice(&lo), item_id_slice(&hi)) <= 0);
    }
    ecrdt_abort(t);
}

/* In a transaction that failed nothing is raised. */
static void a_failed_transaction_raises_nothing(void **state) {
    struct raise_report rep;
    struct fp m = {0};
    (void)state;
    fill(0, 20);
    claim(&m, "b", "m", o1, 7);
    ecrdt_txn *t = kit_write(0);
    m.gen = kit_bucket(t)->head.gen;
    assert_ok(vv_raise(&m.floor, o1, 3, 0));
    db_stick(t->db, ECRDT_EIO);
    assert_code(ECRDT_EIO, reconcile_raise(t, &m, &rep));
    assert_code(ECRDT_EIO, ecrdt_commit(t));
    assert_int_equal(knows(0, o1), 0);
    fp_free(&m);
}

/* A message without parts asks nothing and is answered by nothing. */
static void nothing_asked_nothing_said(void **state) {
    struct buf out = {0}, chunk = {0};
    struct chunk_budget budget = {CHUNK_BULK_BYTES, CHUNK_BULK_ITEMS};
    struct chunk_built built;
    struct raise_report rep;
    struct reconcile r = {0};
    struct fp none = {.bucket = slice_str(KIT_B)},
              absent = {.bucket = slice_str("absent")};
    (void)state;
    fill(0, 3);
    fp_encode(&out, &none, true);
    ecrdt_txn *t = compare(0, &out, &r);
    assert_int_equal(r.compared + r.raise.n + r.same.n + r.want.n, 0);
    done(t, &r);
    t = kit_write(0);
    assert_ok(reconcile_raise(t, &none, &rep));
    assert_false(rep.stale);
    claim(&absent, "", "", o1, 7);
    absent.bucket = slice_str("absent");
    assert_ok(reconcile_raise(t, &absent, &rep));
    assert_ok(reconcile_chunk(t, &none, &budget, &chunk, &built));
    assert_int_equal(chunk.len, 0);
    ecrdt_abort(t);
    buf_clear(&out);
    fp_encode(&out, &absent, true);
    t = compare(0, &out, &r); /* nothing is here, nothing is wanted */
    assert_false(r.here);
    assert_int_equal(r.compared + r.want.n, 0);
    reconcile_free(&r);
    assert_ok(
        reconcile_ask(t, "absent", &(struct ranges){0}, &absent.f, &r.ask));
    assert_int_equal(r.ask.n, 0);
    ecrdt_abort(t);
    fp_free(&absent);
    buf_free(&out);
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        kit_test(every_allocation_may_fail),
        kit_test(every_first_step_may_fail),
        kit_test(a_full_message_leaves_the_rest),
        kit_test(random_stretches_stay_in_their_bucket),
        kit_test(a_failed_transaction_raises_nothing),
        kit_test(nothing_asked_nothing_said),
        kit_test(what_differs_is_sent_or_split),
        kit_test(sums_belong_to_a_link),
        kit_test(gen_decides_whether_to_raise),
        kit_test(floors_rise_with_the_clock),
        kit_test(cuts_are_bounded),
        kit_test(an_audit_raises_nothing),
        kit_test(a_talk_is_about_what_is_below_the_floor),
        kit_test(random_stretches_reach_everything),
    };
    return TEST_RUN(tests);
}

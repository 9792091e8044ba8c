/* test_fork_fp.c: fingerprints beside twins: a clock rises on equal items only
 * where the chains allow it, and learns the chain. */
#include "crdt/chain.h"
#include "crdt/clocks.h"
#include "crdt/fork.h"
#include "crdt/reconcile.h"
#include "tests/crdt/twins.h"

enum { AUTHOR, TWIN, LEFT, RIGHT, THIRD };
static const uint8_t key[RECONCILE_KEY] = "key";

/* What a talk came to, seen from who was asked and from who asked. */
struct talk {
    size_t asked, equal, same;
    struct raise_report there, here;
};

static struct raise_report raise(size_t i, const struct fp *m) {
    struct raise_report r;
    ecrdt_txn *t;
    assert_ok(replica_begin(kit(i), true, 2000, &t));
    assert_ok(reconcile_raise(t, m, &r));
    assert_ok(ecrdt_commit(t));
    return r;
}

/* Store from asks store to about what lies behind "m"; known is what it takes
 * for the other's clock, NULL for what that is. */
static struct talk talk(size_t from, size_t to, const struct ranges *known) {
    struct fp m = {.bucket = slice_str(KIT_B)};
    struct item_id lo = {.len = 1, .b = {'m'}};
    struct reconcile a = {0}, b = {0};
    struct ranges is = {0};
    struct buf out = {0}, back = {0};
    struct talk k = {0};
    uint32_t no;
    kit_clock(to, &is);
    assert_ok(fp_add_clock(&m, known ? &known->r[0].clk : &is.r[0].clk, &no));
    assert_non_null(fp_add(&m, &lo, NULL, no, false));
    ecrdt_txn *t = kit_expose(from);
    assert_ok(reconcile_sum(&a, t, &m, 1, key));
    assert_code(1, reconcile_step(&a, UINT64_MAX));
    k.asked = a.split.n;
    fp_encode(&out, &a.split, true);
    reconcile_free(&a);
    ecrdt_abort(t);
    t = kit_expose(to);
    assert_ok(reconcile_compare(&b, t, buf_slice(&out), key));
    assert_code(1, reconcile_step(&b, UINT64_MAX));
    assert_int_equal(b.differing, 0);
    k.equal = b.raise.n;
    k.same = b.same.n;
    fp_encode(&back, &b.same, false);
    ecrdt_abort(t);
    k.there = raise(to, &b.raise);
    assert_ok(fp_decode(buf_slice(&back), false, &m));
    k.here = raise(from, &m);
    fp_free(&m);
    reconcile_free(&b);
    ranges_free(&is);
    buf_free(&out);
    buf_free(&back);
    return k;
}

/* The heads of the author's origin behind "m" at store i. */
static struct head head_behind(size_t i) {
    struct ranges rs = {0};
    ecrdt_node me;
    size_t n;
    twins_me(AUTHOR, &me);
    kit_clock(i, &rs);
    const struct head *h = vv_heads(&rs.r[rs.n - 1].clk, me.b, &n);
    assert_int_equal(n, 1);
    struct head x = *h;
    ranges_free(&rs);
    return x;
}

/* The left branch is far, THIRD lags on it, the right one has a write; what
 * lies behind "m" is equal. before: what they had when both were one. */
static void begin(struct ranges *before) {
    kit_set(AUTHOR, "a", "base");
    kit_set(AUTHOR, "z", "base");
    kit_pull(LEFT, AUTHOR);
    kit_pull(RIGHT, AUTHOR);
    kit_clock(RIGHT, before);
    twins_copy(AUTHOR, TWIN);
    for (int i = 0; i < 3; i++) {
        kit_set(AUTHOR, "a", "left");
        kit_pull(LEFT, AUTHOR);
        if (i == 0)
            kit_pull(THIRD, AUTHOR);
    }
    kit_set(TWIN, "a", "right");
    kit_pull(RIGHT, TWIN);
}

/* What the right branch writes next has to arrive, and both merge. */
static void goes_on(void) {
    kit_set(TWIN, "z", "news");
    kit_try(RIGHT, TWIN);
    kit_expect(RIGHT, "z", "news");
    twins_meet(LEFT, RIGHT);
    kit_expect(LEFT, "z", "news");
    twins_meet(TWIN, LEFT);
}

static void what_lies_elsewhere_is_not_asked_about(void **state) {
    struct ranges before = {0};
    (void)state;
    begin(&before);
    struct talk k = talk(LEFT, RIGHT, NULL);
    assert_int_equal(k.asked, 0);
    goes_on();
    ranges_free(&before);
}

/* An old mirror shows nothing: then who is asked knows that its head is not
 * among those that are told, and who asked that the other's lies elsewhere. */
static void an_old_mirror_raises_nothing(void **state) {
    struct ranges before = {0};
    (void)state;
    begin(&before);
    struct head left = head_behind(LEFT), right = head_behind(RIGHT);
    struct talk k = talk(LEFT, RIGHT, &before);
    assert_true(k.asked == 1 && k.equal == 1 && k.same == 1);
    assert_int_equal(k.there.doubtful, 1);
    assert_int_equal(k.here.doubtful, 1);
    assert_int_equal(head_behind(LEFT).h, left.h);
    assert_int_equal(head_behind(RIGHT).h, right.h);
    goes_on();
    ranges_free(&before);
}

/* The further branch is asked: it sees it, and says nothing of it. */
static void who_is_asked_may_see_it(void **state) {
    struct ranges before = {0};
    (void)state;
    begin(&before);
    struct talk k = talk(RIGHT, LEFT, &before);
    assert_true(k.asked == 1 && k.equal == 1 && k.same == 0);
    assert_int_equal(k.there.doubtful, 1);
    assert_int_equal(k.here.doubtful, 0);
    goes_on();
    ranges_free(&before);
}

/* Who lags rises, also by a talk that knew less of it; and what lies between is
 * known then, so that the other branch shows itself. */
static void who_lags_rises_and_learns_the_chain(void **state) {
    struct ranges before = {0};
    ecrdt_node me;
    size_t n;
    (void)state;
    begin(&before);
    struct talk k = talk(LEFT, THIRD, &before); /* it has more by now */
    assert_true(k.equal == 1 && k.there.doubtful == 0 && k.here.doubtful == 0);
    assert_int_equal(head_behind(THIRD).h, head_behind(LEFT).h);
    twins_me(AUTHOR, &me);
    struct ranges right = {0};
    kit_clock(RIGHT, &right);
    const struct head *x = vv_heads(&right.r[0].clk, me.b, &n);
    ecrdt_txn *t = kit_read(THIRD);
    struct bucket *bk = kit_bucket(t);
    assert_ok(clocks_load(t, bk));
    const struct vv *clk = &bk->rs.r[bk->rs.n - 1].clk;
    assert_code(CHAIN_OFF, chain_find(t, bk, clk, x));
    x = vv_heads(&before.r[0].clk, me.b, &n);
    assert_code(CHAIN_ON, chain_find(t, bk, clk, x));
    ecrdt_abort(t);
    goes_on();
    ranges_free(&before);
    ranges_free(&right);
}

/* Its own other branch, in the clock of one who knows both: that is not for
 * the incarnation that the store has. */
static void a_talk_shows_a_store_its_twin(void **state) {
    struct ranges before = {0}, was = {0}, is = {0};
    ecrdt_node old, new;
    (void)state;
    begin(&before);
    twins_meet(LEFT, RIGHT);
    twins_me(AUTHOR, &old);
    kit_clock(AUTHOR, &was);
    struct talk k = talk(AUTHOR, LEFT, &before);
    assert_true(k.same == 1 && k.here.doubtful == 1);
    twins_me(AUTHOR, &new);
    assert_memory_not_equal(&old, &new, sizeof new);
    kit_clock(AUTHOR, &is);
    assert_true(ranges_eq(&was, &is));
    twins_meet(AUTHOR, LEFT);
    ranges_free(&before);
    ranges_free(&was);
    ranges_free(&is);
}

/* So do more events of its own than it has made. */
static void more_of_ours_than_we_have_is_of_a_twin(void **state) {
    struct fp m = {.bucket = slice_str(KIT_B)};
    struct item_id lowest = {0};
    struct ranges is = {0};
    struct vv clk = {0};
    ecrdt_node old, new;
    uint32_t no;
    (void)state;
    kit_set(AUTHOR, "k", "v");
    twins_me(AUTHOR, &old);
    assert_ok(vv_raise(&clk, old.b, 1000, 0));
    assert_ok(fp_add_clock(&m, &clk, &no));
    assert_non_null(fp_add(&m, &lowest, NULL, no, false));
    assert_ok(vv_raise(&clk, old.b, 1001, 0));
    assert_ok(fp_add_clock(&m, &clk, &no)); /* two clocks that show it */
    assert_int_equal(raise(AUTHOR, &m).doubtful, 1);
    twins_me(AUTHOR, &new);
    assert_memory_not_equal(&old, &new, sizeof new);
    kit_clock(AUTHOR, &is);
    assert_int_equal(vv_seq(&is.r[0].clk, old.b), 1);
    ranges_free(&is);
    vv_free(&clk);
    fp_free(&m);
}

/* Each cut costs the whole clock once more. */
static void a_large_clock_cuts_less(void **state) {
    struct fp m = {.bucket = slice_str(KIT_B)};
    struct vv clk = {0};
    uint32_t no, parts = 100;
    (void)state;
    kit_set(AUTHOR, "k", "v");
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t origin[ORIGIN_SIZE] = {0};
        store32(origin, i);
        assert_ok(vv_raise(&clk, origin, 1, 1));
    }
    assert_ok(fp_add_clock(&m, &clk, &no));
    for (uint8_t i = 0; i < parts; i++) {
        struct item_id lo = {.len = 2, .b = {i, 0}},
                       hi = {.len = 2, .b = {i, 1}};
        assert_non_null(fp_add(&m, &lo, &hi, no, false));
    }
    assert_in_range(raise(AUTHOR, &m).refused, 1, parts - 1);
    vv_free(&clk);
    fp_free(&m);
}

/* ---- heads that numbers cannot compare ---- */

static void set_heads(struct vv *v, const uint64_t (*h)[2], size_t n) {
    struct head e[4] = {{.origin = {7}}};
    for (size_t i = 0; i < n; i++)
        e[i] = (struct head){{7}, h[i][0], h[i][1]};
    assert_ok(vv_set_heads(v, e[0].origin, e, n));
}

static int rise(struct vv *here, const struct vv *clk,
                const struct chain_lists *ls) {
    ecrdt_txn *t = kit_write(AUTHOR);
    struct bucket *bk = kit_bucket(t);
    int rc = fork_raise_by(t, bk, here, clk, ls);
    assert_ok(ecrdt_commit(t));
    return rc;
}

static void chains_decide_what_numbers_cannot(void **state) {
    const uint64_t three[][2] = {{8, 80}, {3, 30}, {2, 20}};
    const uint64_t two[][2] = {{8, 80}, {4, 40}};
    struct vv here = {0}, clk = {0};
    struct chain_lists none = {0}, ls = {0};
    (void)state;
    kit_set(AUTHOR, "k", "v");
    set_heads(&here, three, 3);
    set_heads(&clk, two, 2);
    struct chain_list l = {.top = clk.e[1], .since = 2};
    assert_code(1, rise(&here, &clk, &none)); /* theirs may lie on ours */
    assert_int_equal(here.n, 3);
    assert_ok(chain_lists_add(&ls, &l));
    assert_ok(chain_lists_put(&ls, &l.top, &here.e[1]));
    assert_code(1, rise(&here, &clk, &ls)); /* one of ours is not told */
    assert_int_equal(here.n, 3);
    assert_ok(chain_lists_put(&ls, &l.top, &here.e[2]));
    assert_code(1, rise(&here, &clk, &ls));
    assert_true(vv_eq(&here, &clk));
    assert_code(1, rise(&here, &clk, &none));
    set_heads(&clk, three + 1, 1); /* it lies on ours by now */
    assert_code(1, rise(&here, &clk, &none));
    assert_int_equal(here.n, 2);
    chain_lists_free(&ls);
    vv_free(&here);
    vv_free(&clk);
}

/* All that takes memory, beside branches; or the code of what failed. */
static int look_and_rise(const struct vv *peer, const struct vv *clk,
                         const struct chain_lists *ls) {
    struct chain_lists told = {0};
    struct vv here = {0};
    ecrdt_txn *t;
    int rc = replica_begin(kit(LEFT), true, 2000, &t);
    if (rc < 0)
        return rc;
    struct bucket *bk = NULL;
    rc = txn_bucket(t, KIT_B, false, &bk);
    rc = rc < 0 ? rc : clocks_load(t, bk);
    if (rc == ECRDT_OK)
        rc = fork_vouch(t, bk, &bk->rs.r[0].clk, peer, &told);
    if (rc == ECRDT_OK)
        rc = vv_copy(&here, peer);
    if (rc == ECRDT_OK)
        rc = fork_raise_by(t, bk, &here, clk, ls);
    ecrdt_abort(t);
    chain_lists_free(&told);
    vv_free(&here);
    return rc;
}

static void every_allocation_may_fail(void **state) {
    const uint64_t one[][2] = {{8, 80}, {3, 30}}, two[][2] = {{9, 90}, {4, 40}};
    struct ranges before = {0};
    struct vv clk = {0};
    struct chain_lists ls = {0};
    unsigned long n = 0;
    int rc;
    (void)state;
    begin(&before);
    set_heads(&before.r[0].clk, one, 2);
    set_heads(&clk, two, 2);
    for (size_t i = 0; i < 2; i++) {
        struct chain_list l = {.top = clk.e[i], .since = 1};
        struct head x = {{7}, one[i][0], one[i][1]};
        l.first = ls.pairs.len / sizeof(struct chain_pair);
        assert_ok(chain_lists_add(&ls, &l));
        assert_ok(chain_lists_put(&ls, &clk.e[i], &x));
    }
    do {
        fault_alloc_at(++n);
        rc = look_and_rise(&before.r[0].clk, &clk, &ls);
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        assert_code(hit ? ECRDT_ENOMEM : 1, rc);
    } while (rc < 0);
    assert_true(n > 5);
    kit_sound(LEFT);
    ranges_free(&before);
    vv_free(&clk);
    chain_lists_free(&ls);
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        kit_test(every_allocation_may_fail),
        kit_test(what_lies_elsewhere_is_not_asked_about),
        kit_test(an_old_mirror_raises_nothing),
        kit_test(who_is_asked_may_see_it),
        kit_test(who_lags_rises_and_learns_the_chain),
        kit_test(a_talk_shows_a_store_its_twin),
        kit_test(more_of_ours_than_we_have_is_of_a_twin),
        kit_test(a_large_clock_cuts_less),
        kit_test(chains_decide_what_numbers_cannot),
    };
    return TEST_RUN(tests);
}

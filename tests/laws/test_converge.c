/* test_converge.c: three to five real stores exchange chunks in random order,
 * lost, doubled, late and on wrong beliefs, beside a textbook CRDT; compared
 * after every step.
 *
 *   CONVERGE_SEEDS=n  so many schedules    CONVERGE_SEED=x  this one only
 *
 * The whole run follows from the seed. That the test can see was tried by
 * breaking one rule at a time; seeds until it fell, from 1, 100001 and 200001,
 * with check_chunk() off:
 *
 *   nobase     1 3 14     base <= V is not asked for
 *   onlylive   1 1 3      a tomb is not kept beside live siblings
 *   stalectx   15 2 11    new is what is not <= base, instead of not <= V
 *   lateclk    16 7 33    the sender's clock is newer than its snapshot
 *   wholeclock 1 1 1      a cut chunk raises the clock past its cut
 *   joinclk    1 1 1      a part raises the clocks of all ranges
 *   bulkL      1 1 1      bulk parts do not raise L
 *   ringL      1 6 8      dropped log records do not raise L
 *   tail       1 1 2      the log is walked from a push that was lost
 *   nolog      1 1 1      received events are not logged
 *   tombabs    47 76 133  absence of a tomb below F_S counts as superseded
 *   noinherit  5 19 7     floors are not inherited
 *   nofloor    5 19 7     deltas go to peers below the floor
 *   nounlisted 14 165 33  complete parts remove nothing
 *   nokeep     1 1 2      what is not <= clk is dropped
 *   keepold    14 87 251  of two siblings by one origin the older stays
 *   renewclk   3 2 6      a new incarnation loses the old one's entry
 *   cutno      1 2 1      the wrong part of a cut keeps its number
 *   coalesce   1 1 1      two events for one item and transaction
 *   hlcfar     273 227 401  the count of a time is not compared
 *   resetother 1 4 1      a reset forgets decrements
 *
 * Each third schedule has talks about fingerprints as well (- = not in 20,000):
 *   nogen      12192 - -  a SAME counts whatever was applied meanwhile
 *   fptomb     15 2 10    tombs are left out, and the floor stays
 *
 * Not seen: a tail over several ranges (test_chunk_build.c), records of clocks
 * that stay behind (test_clocks.c).
 */
#include "crdt/gc.h"
#include "tests/laws/churn.h"
#include "tests/laws/fake.h"
#include "tests/laws/partial.h"
#include "tests/laws/talks.h"
#include "tests/support/wall.h"
enum { NET = 48, DEFAULT_SEEDS = 4000, LOG_ROOM = 3000 };

/* ---- the network -----------------------------------------------------------
 */

static struct world w;
static struct net {
    struct msg *m[NET];
    size_t n;
    struct ranges mirror[WORLD_NODES][WORLD_NODES]; /* of the second */
    struct ranges told[WORLD_NODES];                /* an old clock  */
    struct chunk_tail tail[WORLD_NODES][WORLD_NODES];
    ecrdt_txn *snap[WORLD_NODES];
    struct ref snap_ref[WORLD_NODES][REF_ITEMS];
    int64_t skew_ms[WORLD_NODES];
    struct talk_msg *talk[NET]; /* FP, SAME and WANT on their way */
    size_t n_talk;
    bool gc, renew, talks, partial;
} net;
static uint64_t seed, counted[7];
enum { N_SETTLED, N_GC, N_TWO, N_FOLD, N_SUBSCRIBED, N_NARROWED, N_WAITED };

static void set_time(size_t node) {
    wall_now =
        UINT64_C(1900000000000) + 3 * w.step + (uint64_t)net.skew_ms[node];
}

/* ---- sending and receiving -------------------------------------------------
 */

/* One chunk from s for r on the belief peer, from its snapshot of earlier if
 * it holds one. NULL if there was nothing to send. */
static struct msg *build(size_t s, size_t r, struct ranges *peer,
                         struct chunk_tail *tail) {
    struct chunk_budget budget = chunk_budget_random(&w.rng);
    struct chunk_built built;
    struct ranges was = {0};
    struct buf bytes = {0};
    bool old = net.snap[s] && rng_below(&w.rng, 2);
    ecrdt_txn *t = old ? net.snap[s] : world_begin(&w.node[s], false);
    assert_ok(ranges_copy(&was, peer));
    /* now and then the sender does not know what the other one holds */
    const struct spans *within = rng_below(&w.rng, 4) ? &w.node[r].held : NULL;
    int rc = chunk_build_within(t, world_bucket, within, peer, &budget, tail,
                                &bytes, &built);
    assert_true(rc == 0 || rc == 1);
    struct msg *m = NULL;
    if (rc == 1) {
        check_chunk(&w, t, buf_slice(&bytes), &was, peer, &budget, within,
                    &built);
        m = calloc(1, sizeof *m);
        assert_non_null(m);
        m->from = s;
        m->to = r;
        m->bytes = bytes;
        memcpy(m->ref, old ? net.snap_ref[s] : w.node[s].ref, sizeof m->ref);
    } else {
        buf_free(&bytes);
    }
    ecrdt_abort(t);
    if (old)
        net.snap[s] = NULL;
    ranges_free(&was);
    return m;
}

/* Applies one chunk, or two in one transaction; now and then the receiver
 * dies before its commit. */
static void deliver(struct msg *m, struct msg *second, bool may_die) {
    static struct ref ref[REF_ITEMS];
    struct node *nd = &w.node[m->to];
    set_time(m->to);
    memcpy(ref, nd->ref, sizeof ref);
    ecrdt_txn *t = world_begin(nd, true);
    apply_in(&w, t, m, ref);
    if (second)
        apply_in(&w, t, second, ref);
    if (may_die && rng_below(&w.rng, 20) == 0) {
        ecrdt_abort(t);
    } else {
        assert_ok(ecrdt_commit(t));
        memcpy(nd->ref, ref, sizeof ref);
    }
    world_check(&w, nd);
}

/* ---- steps -----------------------------------------------------------------
 */

/* A wild guess: random cuts, each range at some store's clock or at none. */
static void guess(struct ranges *out) {
    struct ranges other = {0};
    ranges_free(out);
    assert_ok(ranges_init(out));
    for (uint64_t n = rng_below(&w.rng, 4); n > 0; n--) {
        uint32_t item = (uint32_t)rng_below(&w.rng, w.u.n_items);
        size_t at;
        assert_ok(ranges_cut(out, item_id_slice(&w.u.items[item].id), 0, &at));
    }
    for (size_t i = 0; i < out->n; i++) {
        if (rng_below(&w.rng, 3) == 0)
            continue;
        partial_clock(&w.node[rng_below(&w.rng, w.n)], &other);
        assert_ok(
            vv_join(&out->r[i].clk, &other.r[rng_below(&w.rng, other.n)].clk));
    }
    ranges_free(&other);
}

static void step_send(size_t s, size_t r) {
    struct ranges peer = {0}, *mirror = &net.mirror[s][r];
    w.what = "send";
    uint64_t dice = rng_below(&w.rng, 10);
    if (dice == 0)
        guess(&peer);
    else if (dice < 3)
        assert_ok(ranges_copy(&peer, &net.told[r]));
    else
        assert_ok(ranges_copy(&peer, mirror));
    struct msg *m = build(s, r, &peer, &net.tail[s][r]);
    if (rng_below(&w.rng, 4)) /* hopes that it will arrive */
        assert_ok(ranges_copy(mirror, &peer));
    ranges_free(&peer);
    if (m && net.n < NET)
        net.m[net.n++] = m;
    else
        free_msg(m);
}

static void step_deliver(void) {
    if (!net.n)
        return;
    w.what = "deliver";
    size_t i = rng_below(&w.rng, net.n), k = rng_below(&w.rng, net.n);
    struct msg *m = net.m[i];
    bool two = i != k && net.m[k]->to == m->to && rng_below(&w.rng, 3) == 0;
    uint64_t dice = rng_below(&w.rng, 10);
    if (dice > 0)
        deliver(m, two ? net.m[k] : NULL, true);
    counted[N_TWO] += two;
    if (dice > 2)
        return; /* it will come again */
    net.m[i] = net.m[--net.n];
    free_msg(m);
}

/* A session, or the beginning of one; beliefs are exact. */
static void step_pull(size_t s, size_t r, bool all) {
    struct ranges peer = {0};
    w.what = "pull";
    partial_clock(&w.node[r], &peer);
    for (uint64_t n = all ? 1000 : 1 + rng_below(&w.rng, 6); n > 0; n--) {
        struct msg *m =
            build(s, r, &peer, rng_below(&w.rng, 2) ? &net.tail[s][r] : NULL);
        if (!m)
            break;
        deliver(m, NULL, false);
        free_msg(m);
        if (rng_below(&w.rng, 2))
            partial_clock(&w.node[r], &peer);
    }
    ranges_free(&peer);
}

/* Cores have, so to speak, a third of what is there. */
static bool some(void *ctx, const char *bucket, slice id,
                 const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    (void)ctx;
    (void)bucket;
    (void)id;
    (void)origin;
    (void)seq;
    return rng_below(&w.rng, 3) == 0;
}

static void step_gc(size_t i) {
    struct gc_policy p = {.covered = rng_below(&w.rng, 3) ? some : NULL};
    struct gc g;
    int rc;
    w.what = "gc";
    assert_ok(gc_begin(&g, w.node[i].s, &p));
    while ((rc = gc_step(&g, 1000)) == 1)
        ;
    assert_ok(rc);
    counted[N_GC] += g.dropped > 0;
    gc_end(&g);
}

static void step_fold(size_t i) {
    w.what = "fold";
    counted[N_FOLD] += world_fold(&w, &w.node[i]);
}

static void step_renew(size_t i) {
    w.what = "renew";
    if (!net.renew || w.u.n_orgs == REF_ORIGINS)
        return;
    if (i && rng_below(&w.rng, 2)) {
        w.what = "retire";
        world_retire(&w, &w.node[i]);
        return;
    }
    ecrdt_txn *t = world_begin(&w.node[i], true);
    assert_ok(origin_renew(t));
    assert_ok(ecrdt_commit(t));
    world_me(&w, &w.node[i]);
}

static void step_subscribe(size_t i) {
    w.what = "subscribe";
    if (i)
        partial_subscribe(&w, &w.node[i], rng_below(&w.rng, 4) == 0);
    counted[N_SUBSCRIBED] += i != 0;
}

/* With node 0's clock of now, or what it told once. */
static void step_narrow(size_t i) {
    const struct ranges *told = rng_below(&w.rng, 2) ? NULL : &net.told[0];
    w.what = "narrow";
    if (i && w.u.n_orgs < REF_ORIGINS)
        counted[N_WAITED] +=
            partial_try(&w, &w.node[i], told, &counted[N_NARROWED]);
}

static void step_snapshot(size_t i) {
    w.what = "snapshot";
    ecrdt_abort(net.snap[i]);
    net.snap[i] = world_begin(&w.node[i], false);
    memcpy(net.snap_ref[i], w.node[i].ref, sizeof net.snap_ref[i]);
}

/* ---- talks about fingerprints ---------------------------------------------
 */

/* What happens while a store compares: commits, chunks, collected tombs. */
static void meanwhile(size_t node) {
    if (rng_below(&w.rng, 4))
        return;
    set_time(node);
    uint64_t dice = rng_below(&w.rng, 10);
    if (dice < 6)
        world_commit(&w, &w.node[node]);
    else if (dice < 8)
        step_pull((node + 1) % w.n, node, false);
    else if (net.gc)
        step_gc(node);
    w.what = "talk";
    world_check(&w, &w.node[node]);
}

static void keep_msg(struct talk_msg *m) {
    if (m->type == TALK_CHUNK && net.n < NET)
        net.m[net.n++] = &m->m; /* freed as what it begins with */
    else if (m->type != TALK_CHUNK && net.n_talk < NET)
        net.talk[net.n_talk++] = m;
    else
        talk_free(m);
}

static struct talk_shape random_shape(void) {
    return (struct talk_shape){2 + rng_below(&w.rng, 3), rng_below(&w.rng, 3)};
}

/* A message arrives; what it is answered is put at the end of the queue. */
static void hear(struct talk_msg *m, struct talk_msg **queue, size_t *n) {
    struct talk_shape shape = random_shape();
    struct talk_msg *out[TALK_ANSWERS];
    set_time(m->m.to);
    if (m->type == TALK_CHUNK) {
        deliver(&m->m, NULL, true);
        return;
    }
    size_t made = talk_deliver(&w, m, &shape, meanwhile, out);
    world_check(&w, &w.node[m->m.to]);
    for (size_t i = 0; i < made; i++)
        if (queue && *n < NET)
            queue[(*n)++] = out[i];
        else
            keep_msg(out[i]);
}

/* The whole talk in order, other things in between; or its first message,
 * which then travels like a chunk. */
static void step_talk(size_t a, size_t b) {
    static struct talk_msg *queue[NET];
    struct vv also = {0};
    struct ranges unused = {0};
    uint32_t i = (uint32_t)rng_below(&w.rng, w.u.n_items);
    uint32_t k = (uint32_t)rng_below(&w.rng, w.u.n_items);
    const struct item_id *lo = &w.u.items[i < k ? i : k].id;
    const struct item_id *hi = &w.u.items[i < k ? k : i].id;
    bool all = rng_below(&w.rng, 3) == 0,
         bad = slice_cmp(item_id_slice(lo), item_id_slice(hi)) >= 0;
    w.what = "talk";
    if (rng_below(&w.rng, 2)) {
        ecrdt_txn *t = world_begin(&w.node[b], false);
        assert_ok(replica_clock(t, world_bucket, &unused, &also));
        ecrdt_abort(t);
    }
    struct talk_msg *first =
        talk_ask(&w, a, b, all ? NULL : lo, all || bad ? NULL : hi, &also);
    ranges_free(&unused);
    vv_free(&also);
    if (!first)
        return;
    if (rng_below(&w.rng, 2)) {
        keep_msg(first);
        return;
    }
    size_t n = 0, at = 0;
    queue[n++] = first;
    for (; at < n; at++) {
        hear(queue[at], queue, &n);
        talk_free(queue[at]);
        meanwhile(rng_below(&w.rng, w.n));
    }
}

static void step_hear(void) {
    if (!net.n_talk)
        return;
    w.what = "hear";
    size_t i = rng_below(&w.rng, net.n_talk);
    struct talk_msg *m = net.talk[i];
    uint64_t dice = rng_below(&w.rng, 10);
    if (dice > 1) { /* else it stays, and comes again */
        net.talk[i] = net.talk[--net.n_talk];
        if (dice > 2)
            hear(m, NULL, NULL);
        talk_free(m);
    } else {
        hear(m, NULL, NULL);
    }
}

static void step(void) {
    size_t a = rng_below(&w.rng, w.n);
    size_t b = (a + 1 + rng_below(&w.rng, w.n - 1)) % w.n;
    uint64_t dice = rng_below(&w.rng, 100);
    w.step++;
    set_time(a);
    if (dice < 26) {
        w.what = "commit";
        world_commit(&w, &w.node[a]);
    } else if (dice < 29) {
        w.what = "pair";
        world_pair(&w, &w.node[a]);
    } else if (net.talks && dice < 38) {
        step_talk(a, b);
    } else if (net.talks && dice < 44) {
        step_hear();
        return;
    } else if (dice < 37) {
        partial_clock(&w.node[b],
                      rng_below(&w.rng, 2) ? &net.mirror[a][b] : &net.told[b]);
    } else if (dice < 62) {
        step_send(a, b);
    } else if (dice < 84) {
        step_deliver();
        return;
    } else if (dice < 89) {
        step_pull(a, b, false);
    } else if (dice < 91) {
        step_snapshot(a);
    } else if (dice < 93 && net.partial) {
        step_subscribe(a);
    } else if (dice < 94) {
        a = rng_below(&w.rng, 3) ? 0 : a;
        set_time(a);
        step_fold(a);
    } else if (dice < 97 && net.partial) {
        step_narrow(a);
    } else if (dice < 99 && net.gc) {
        step_gc(a);
    } else {
        step_renew(a);
    }
    world_check(&w, &w.node[a]);
    if (rng_below(&w.rng, 16) == 0)
        world_verify(&w, &w.node[a]);
}

/* ---- a schedule -------------------------------------------------------------
 */

/* A small log: what it may hold is taken up in advance. */
static void shrink_log(size_t i) {
    ecrdt_txn *t = world_begin(&w.node[i], true);
    struct bucket *bk = world_bk(t, true);
    bk->head.log_bytes = DOTLOG_CAP_BYTES - rng_below(&w.rng, LOG_ROOM);
    bk->head_dirty = true;
    assert_ok(ecrdt_commit(t));
}

static void begin_schedule(void) {
    static const int64_t skews[] = {0,     0,      1,      -7,
                                    50000, -50000, 200000, -3600000};
    memset(&net, 0, sizeof net);
    wall_now = UINT64_C(1900000000000);
    fake_random.s = seed * 2 + 1;
    w.rng.s = seed ^ 0x9e3779b97f4a7c15;
    for (int i = 0; i < 8; i++)
        rng_u64(&w.rng);
    world_open(&w, 3 + rng_below(&w.rng, WORLD_NODES - 2));
    net.gc = rng_below(&w.rng, 2);
    if (rng_below(&w.rng, 2))
        w.focus = 2 + (uint32_t)rng_below(&w.rng, w.u.n_keys - 2);
    net.renew = rng_below(&w.rng, 3) == 0;
    net.talks = seed % 3 == 0;
    world_heir(&w.node[0]);
    net.partial = !net.talks && rng_below(&w.rng, 2);
    for (size_t i = 0; i < w.n; i++) {
        net.skew_ms[i] = skews[rng_below(&w.rng, 8)];
        if (rng_below(&w.rng, 2))
            shrink_log(i);
    }
}

static void end_schedule(void) {
    for (size_t i = 0; i < net.n; i++)
        free_msg(net.m[i]);
    for (size_t i = 0; i < net.n_talk; i++)
        talk_free(net.talk[i]);
    for (size_t i = 0; i < w.n; i++) {
        ecrdt_abort(net.snap[i]);
        ranges_free(&net.told[i]);
        for (size_t k = 0; k < w.n; k++) {
            ranges_free(&net.mirror[i][k]);
            chunk_tail_free(&net.tail[i][k]);
        }
    }
    world_close(&w);
}

/* Where both hold it node 0 has the same clock, and else all of it. */
static bool all_equal(void) {
    struct ranges first = {0}, other = {0};
    bool equal = true;
    partial_clock(&w.node[0], &first);
    for (size_t i = 1; i < w.n; i++) {
        partial_clock(&w.node[i], &other);
        equal = equal && ranges_le(&other, &first) &&
                ranges_le_in(&first, &other, &w.node[i].held);
    }
    ranges_free(&first);
    ranges_free(&other);
    return equal;
}

static void check_settled(const struct ref all[REF_ITEMS], size_t i) {
    uint8_t first[16], other[16];
    assert_ok(ecrdt_digest(w.node[0].s, world_bucket, first));
    assert_ok(ecrdt_digest(w.node[i].s, world_bucket, other));
    if (!w.node[i].held.some)
        assert_memory_equal(first, other, 16);
    assert_code(1, ecrdt_settled(w.node[i].s, world_bucket));
    for (uint32_t k = 0; k < w.u.n_items; k++)
        WORLD_CHECK(
            &w,
            !spans_have(&w.node[i].held, item_id_slice(&w.u.items[k].id)) ||
                !memcmp(&all[k], &w.node[i].ref[k], sizeof *all),
            "not the full join");
    world_check(&w, &w.node[i]);
    world_verify(&w, &w.node[i]);
}

/* Fair sync: then all is equal, and the join of what anyone had. */
static void settle(void) {
    static struct ref all[REF_ITEMS];
    struct ranges clock = {0};
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < w.n; i++) {
        ecrdt_abort(net.snap[i]);
        net.snap[i] = NULL;
        for (uint32_t k = 0; k < w.u.n_items; k++)
            ref_join(&all[k], &w.node[i].ref[k]);
        if (w.node[i].held.some && rng_below(&w.rng, 2))
            partial_subscribe(&w, &w.node[i], true);
    }
    for (int round = 0; round < 4 && !all_equal(); round++)
        for (size_t a = 0; a < w.n; a++)
            for (size_t b = 0; b < w.n; b++)
                if (a != b)
                    step_pull(a, b, true);
    w.what = "settle";
    WORLD_CHECK(&w, all_equal(), "clocks do not converge");
    for (size_t i = 0; i < w.n; i++)
        check_settled(all, i);
    w.what = "narrow all";
    partial_clock(&w.node[0], &clock);
    partial_narrow_all(&w, &clock, &counted[N_NARROWED]);
    ranges_free(&clock);
    counted[N_SETTLED]++;
}

static void schedule(uint64_t number) {
    seed = number;
    begin_schedule();
    uint64_t steps = 20 + rng_below(&w.rng, 70);
    while (steps--)
        step();
    settle();
    end_schedule();
}

static uint64_t from_env(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void stores_converge(void **state) {
    (void)state;
    uint64_t first = from_env("CONVERGE_SEED", 0);
    uint64_t n = first ? 1 : from_env("CONVERGE_SEEDS", DEFAULT_SEEDS);
    if (!first)
        first = from_env("CONVERGE_FROM", (uint64_t)time(NULL));
    printf("# seeds %llu to %llu\n", (unsigned long long)first,
           (unsigned long long)(first + n - 1));
    for (uint64_t i = 0; i < n; i++)
        schedule(first + i);
    printf("# %llu settled; parts: %llu delta, %llu complete, %llu ahead; "
           "%llu items applied; %llu cuts; %llu gc; %llu folds; %llu pairs of "
           "chunks; %llu subscriptions, %llu items let go of, %llu waits\n",
           (unsigned long long)counted[N_SETTLED],
           (unsigned long long)w.n_parts[0], (unsigned long long)w.n_parts[1],
           (unsigned long long)w.n_ahead, (unsigned long long)w.n_applied,
           (unsigned long long)w.n_cuts, (unsigned long long)counted[N_GC],
           (unsigned long long)counted[N_FOLD],
           (unsigned long long)counted[N_TWO],
           (unsigned long long)counted[N_SUBSCRIBED],
           (unsigned long long)counted[N_NARROWED],
           (unsigned long long)counted[N_WAITED]);
    const struct talk_figures *f = &talk_figures;
    printf("# talks: %llu ranges equal, %llu split, %llu sent; %llu raised, "
           "%llu of them by SAME; %llu stale\n",
           (unsigned long long)f->equal, (unsigned long long)f->splits,
           (unsigned long long)f->leaves, (unsigned long long)f->raised,
           (unsigned long long)f->sames, (unsigned long long)f->stale);
    seed = 0;
}

static int tell_seed(void **state) {
    (void)state;
    if (seed)
        printf("# replay with CONVERGE_SEED=%llu\n", (unsigned long long)seed);
    return 0;
}

int main(void) {
    fake_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(stores_converge, tell_seed)};
    return TEST_RUN(tests);
}

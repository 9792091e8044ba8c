/* test_session_reconcile.c: talks about fingerprints between whole nodes:
 * what they cost in bytes and turns, and that both sides end equal.
 *
 *   RECONCILE_ITEMS=n  items of the large case (default 20,000)
 */
#include "crdt/clocks.h"
#include "crdt/reconcile.h"
#include "replication/session_reconcile.h"
#include "tests/replication/world.h"
#include <time.h>

enum { BATCH = 500, VALUE = 20 };
static const char bucket[] = "b";
static struct world w;

static size_t items(void) {
    const char *n = getenv("RECONCILE_ITEMS");
    return n ? (size_t)atol(n) : 20000;
}

static void put(ecrdt_txn *t, size_t k, const char *value) {
    char key[32];
    snprintf(key, sizeof key, "user/%08zu", k);
    assert_ok(ecrdt_reg_set(t, bucket, ecrdt_str(key), ecrdt_str(value)));
}

static void fill(size_t i, size_t n) {
    for (size_t k = 0; k < n;) {
        ecrdt_txn *t = assert_handle(ecrdt_write(w.node[i].s));
        for (size_t j = 0; j < BATCH && k < n; j++, k++)
            put(t, k, "a value of twenty by");
        assert_ok(ecrdt_commit(t));
    }
}

/* Raises the floor of node i over all that it has: no delta is possible. */
static void raise_floor(size_t i) {
    ecrdt_txn *t;
    struct bucket *bk;
    assert_ok(replica_begin(w.node[i].s, true, 1000, &t));
    assert_code(1, txn_bucket(t, bucket, false, &bk));
    assert_ok(clocks_load(t, bk));
    for (size_t r = 0; r < bk->rs.n; r++)
        assert_ok(clocks_raise_all(t, bk, CLOCK_FLOOR, &bk->rs.r[r].clk));
    assert_ok(ecrdt_commit(t));
}

/* Node j becomes a copy of node i with an identity of its own. */
static void copy_node(size_t i, size_t j) {
    struct world_node *n = &w.node[j];
    uint8_t seed[32];
    rng_bytes(&w.rng, seed, sizeof seed);
    n->dir = tmpdir_make();
    assert_ok(ecrdt_backup(w.node[i].s, path_join(n->dir, "store")));
    n->s = assert_handle(ecrdt_open(path_join(n->dir, "store"), NULL));
    identity_init(&n->self, seed);
    gossip_init(&n->g, n->s);
}

/* Writes to n keys, spread over the whole, of which each node has others. */
static void differ(size_t i, size_t n, size_t of) {
    ecrdt_txn *t = assert_handle(ecrdt_write(w.node[i].s));
    for (size_t k = 0; k < n; k++)
        put(t, (k * 2 + i) * (of / (2 * n)), i ? "changed by one" : "by zero");
    assert_ok(ecrdt_commit(t));
}

static bool flush_one_way(struct world_end *from, struct world_end *to,
                          uint64_t *bytes) {
    struct buf *out = session_out(from->s);
    if (!out->len)
        return false;
    struct buf all = {0};
    buf_put(&all, out->data, out->len);
    channel_wrote(from->s->channel, out->len);
    *bytes += all.len;
    session_feed(to->s, buf_slice(&all), w.now);
    buf_free(&all);
    return true;
}

static uint64_t worst_ns;

/* One step of a node; the longest is kept. */
static uint64_t run_once(size_t i) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    uint64_t next = gossip_run(&w.node[i].g, w.now);
    clock_gettime(CLOCK_MONOTONIC, &b);
    uint64_t ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 +
                  (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
    worst_ns = ns > worst_ns ? ns : worst_ns;
    return next;
}

/* Lets both nodes work until they have nothing to do but to hear. */
static void work(void) {
    for (int idle = 0; idle < 40; w.now++) {
        bool busy = false;
        for (size_t i = 0; i < 2; i++) {
            uint64_t id = replica_txn_id(w.node[i].s);
            if (id != w.node[i].woken)
                gossip_wake(&w.node[i].g, w.now);
            busy |= id != w.node[i].woken;
            w.node[i].woken = id;
            while (run_once(i) == 0)
                busy = true;
        }
        idle = busy ? 0 : idle + 1;
    }
}

static void read_clock(size_t i, struct ranges *rs) {
    struct vv floor = {0};
    ecrdt_txn *t = assert_handle(ecrdt_read(w.node[i].s));
    assert_ok(replica_clock(t, bucket, rs, &floor));
    ecrdt_abort(t);
    vv_free(&floor);
}

static bool clocks_equal(void) {
    struct ranges a = {0}, b = {0};
    read_clock(0, &a);
    read_clock(1, &b);
    bool equal = ranges_eq(&a, &b);
    ranges_free(&a);
    ranges_free(&b);
    return equal;
}

static bool talked(const struct world_link *l) {
    return l->end[0].s->stats.fps_out || l->end[1].s->stats.fps_out;
}

struct cost {
    unsigned turns;    /* of question and answer, until both were equal */
    uint64_t bytes;    /* until both knew it, from the first FP on */
    uint64_t worst_ms; /* of one step of a node */
};

/* Connects and goes on until all is in sync. A flight is all that one side
 * has to say at a time; two make a turn. */
static struct cost meet(void) {
    struct world_link *l = world_connect(&w, 0, 1);
    struct cost c = {0};
    unsigned flights = 0;
    bool equal = false;
    worst_ns = 0;
    for (size_t from = 0; !world_link_in_sync(&w, l); from = !from) {
        uint64_t n = 0;
        bool fps = talked(l);
        bool any = flush_one_way(&l->end[from], &l->end[!from], &n);
        world_join(&w, &l->end[!from]);
        work();
        c.bytes += fps ? n : 0;
        flights += fps && any && !equal;
        equal = equal || (fps && clocks_equal());
        assert_true(flights < 50);
    }
    c.turns = (flights + 1) / 2;
    c.worst_ms = worst_ns / 1000000;
    return c;
}

static void print_cost(size_t n, const char *what, const struct cost *c) {
    print_message("# %zu items, %s: %u turns, %llu bytes, worst step %llu "
                  "ms\n",
                  n, what, c->turns, (unsigned long long)c->bytes,
                  (unsigned long long)c->worst_ms);
}

static void open_two(size_t n) {
    world_open(&w, 1);
    fill(0, n);
    copy_node(0, 1);
}

static void a_few_items_differ(void **state) {
    (void)state;
    size_t n = items();
    open_two(n);
    differ(0, 50, n);
    differ(1, 50, n);
    raise_floor(0);
    raise_floor(1);
    struct cost c = meet();
    print_cost(n, "100 differ", &c);
    world_assert_equal(&w, bucket, 0, 1);
    assert_true(c.turns <= 4);
    assert_true(c.bytes <= 300000);
    assert_ok(ecrdt_verify(w.node[0].s, NULL, NULL));
    assert_ok(ecrdt_verify(w.node[1].s, NULL, NULL));
    world_close(&w);
}

static void nothing_differs(void **state) {
    (void)state;
    size_t n = items();
    open_two(n);
    /* node 0 was told of a key and of its end, and has forgotten both */
    ecrdt_txn *t = assert_handle(ecrdt_auto(w.node[0].s));
    assert_ok(ecrdt_reg_set(t, bucket, ecrdt_str("x"), ecrdt_str("")));
    assert_code(1, ecrdt_reg_del(t, bucket, ecrdt_str("x")));
    ecrdt_abort(t);
    raise_floor(0);
    struct cost c = meet();
    print_cost(n, "none differs", &c);
    world_assert_equal(&w, bucket, 0, 1);
    assert_int_equal(c.turns, 1);
    assert_true(c.bytes <= 2048);
    world_close(&w);
}

static uint64_t fps_said(void) {
    return w.link[0].end[0].s->stats.fps_out +
           w.link[0].end[1].s->stats.fps_out;
}

/* Small buckets go in chunks, but where a session is told otherwise; and what
 * is split finer takes more messages. */
static void a_small_bucket_talks_if_told_to(void **state) {
    static const struct talk_conf conf[] = {{0}, {10, 0, 0}, {10, 4, 16}};
    uint64_t said[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        open_two(200);
        w.talk = conf[i];
        differ(0, 5, 200);
        differ(1, 5, 200);
        raise_floor(0);
        raise_floor(1);
        meet();
        said[i] = fps_said();
        world_assert_equal(&w, bucket, 0, 1);
        world_close(&w);
    }
    assert_int_equal(said[0], 0);
    assert_true(said[1] > 0 && said[2] > said[1]);
}

/* Node 2 writes a key, or deletes it, for node i alone. */
static void write_for(size_t i, const char *key, const char *value) {
    struct world_link *l = world_connect(&w, 2, i);
    if (value)
        world_set(&w, 2, bucket, key, value);
    ecrdt_txn *t = assert_handle(ecrdt_auto(w.node[2].s));
    if (!value)
        assert_code(1, ecrdt_reg_del(t, bucket, ecrdt_str(key)));
    ecrdt_abort(t);
    world_settle(&w, 5000);
    world_cut(&w, l);
}

enum { LEFT, RIGHT, AUTHOR };

/* Node 2 and a copy of it go on, for one of two each; the left branch is
 * further. What is left are tombs that nobody compares. */
static void open_twins(void) {
    world_open(&w, 3);
    w.talk = (struct talk_conf){.items = 10};
    fill(AUTHOR, 30);
    write_for(LEFT, "a", "before");
    write_for(RIGHT, "a", "before");
    const char *store = path_join(w.node[AUTHOR].dir, "store");
    world_stop(&w, AUTHOR);
    const char *twin = world_twin(&w, AUTHOR);
    world_start(&w, AUTHOR, store);
    write_for(LEFT, "a", NULL);
    write_for(LEFT, "c", "left");
    write_for(LEFT, "c", NULL);
    world_stop(&w, AUTHOR);
    world_start(&w, AUTHOR, twin);
    write_for(RIGHT, "a", NULL);
    raise_floor(LEFT);
    raise_floor(RIGHT);
}

/* The two talk for so many turns, then the right one hears of its branch. */
static bool twins_talked(unsigned turns) {
    open_twins();
    struct world_link *l = world_connect(&w, LEFT, RIGHT);
    for (unsigned n = 0; n < turns && !world_in_sync(&w); n++, w.now++)
        world_turn(&w);
    bool done = world_in_sync(&w);
    world_cut(&w, l);
    world_set(&w, AUTHOR, bucket, "z", "news");
    world_connect(&w, AUTHOR, RIGHT);
    world_settle(&w, 20000);
    world_connect(&w, LEFT, RIGHT);
    world_settle(&w, 20000);
    world_assert_equal(&w, bucket, LEFT, RIGHT);
    world_assert_equal(&w, bucket, AUTHOR, RIGHT);
    assert_true(world_has(&w, LEFT, bucket, "z"));
    assert_ok(ecrdt_verify(w.node[RIGHT].s, NULL, NULL));
    world_close(&w);
    return done;
}

/* The numbers of the one branch cover the other's, its events do not: whenever
 * the talk breaks, what is written next arrives. */
static void twins_beside_a_talk(void **state) {
    unsigned n = 1;
    (void)state;
    while (!twins_talked(n))
        n++;
    print_message("# %u turns\n", n);
    assert_in_range(n, 4, 1000);
}

/* ---- a peer that is a puppet ----------------------------------------------
 */

static const uint8_t o1[ORIGIN_SIZE] = {1};

static uint64_t knows(size_t i, const uint8_t origin[ORIGIN_SIZE]) {
    struct ranges rs = {0};
    read_clock(i, &rs);
    uint64_t seq = vv_seq(&rs.r[0].clk, origin);
    ranges_free(&rs);
    return seq;
}

/* Node 1 with a few items, the puppet in place of node 0. */
static void open_puppet(struct puppet *p) {
    world_open(&w, 2);
    fill(1, 20);
    puppet_open(&w, p, 0, 1);
    world_run(&w, 12);
    puppet_send(&w, p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    assert_int_equal(p->other->s->state, SESSION_LIVE);
}

/* The sums of node 1 itself, claimed at its clock and o1 up to seq. */
static void true_sums(const struct puppet *p, uint64_t seq, struct fp *out) {
    struct fp ask = {.bucket = slice_str("b")};
    struct item_id lowest = {0};
    struct reconcile r = {0};
    uint8_t key[32];
    ecrdt_txn *t = assert_handle(ecrdt_read(w.node[1].s));
    session_fp_key(p->other->s, key);
    assert_non_null(fp_add(&ask, &lowest, NULL, 0, false));
    assert_ok(reconcile_sum(&r, t, &ask, 1, key));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    ecrdt_abort(t);
    *out = r.split;
    r.split = (struct fp){0};
    out->bucket = slice_str("b");
    reconcile_free(&r);
    assert_ok(vv_raise(&out->clks[0], o1, seq, 1));
}

/* What the peer's clock is by now does not matter: the one in the FP was
 * compared (mutant fprole). */
static void the_clock_in_the_fp_counts(void **state) {
    struct puppet p;
    struct fp m;
    struct ranges rs = {0};
    struct vv none = {0};
    struct buf b = {0};
    struct channel_event e;
    unsigned same = 0, want = 0;
    (void)state;
    open_puppet(&p);
    read_clock(1, &rs);
    assert_ok(vv_raise(&rs.r[0].clk, o1, 9, 9));
    message_clock_encode(&b, 0, 0, "b", &rs, &none);
    puppet_send(&w, &p, MESSAGE_CLOCK, buf_slice(&b));
    true_sums(&p, 5, &m);
    puppet_say_fp(&w, &p, MESSAGE_FP, &m);
    world_run(&w, 20);
    assert_int_equal(knows(1, o1), 5);
    while (puppet_next(&w, &p, &e) == 1) {
        same += e.type == MESSAGE_SAME;
        want += e.type == MESSAGE_WANT;
    }
    assert_true(same == 1 && want == 1);
    fp_free(&m);
    ranges_free(&rs);
    buf_free(&b);
    puppet_close(&w, &p);
    world_close(&w);
}

/* Both ends have one key, by the formula of FORMAT.md. */
static void the_key_is_that_of_the_link(void **state) {
    struct puppet p;
    uint8_t there[32], want[32];
    (void)state;
    open_puppet(&p);
    slice parts[2] = {slice_str("edgecrdt-fingerprints-1"),
                      slice_of(channel_handshake_hash(p.ch), 64)};
    crypto_blake2b_parts(want, 32, parts, 2);
    session_fp_key(p.other->s, there);
    assert_memory_equal(there, want, 32);
    puppet_close(&w, &p);
    world_close(&w);
}

static void what_nobody_asked_for_is_counted(void **state) {
    struct puppet p;
    struct fp m;
    (void)state;
    open_puppet(&p);
    const struct session_stats *st = &p.other->s->stats;
    true_sums(&p, 5, &m);
    puppet_say_fp(&w, &p, MESSAGE_SAME, &m);
    puppet_say_fp(&w, &p, MESSAGE_WANT, &m);
    m.flags = FP_AUDIT;
    puppet_say_fp(&w, &p, MESSAGE_SAME, &m);
    puppet_say_fp(&w, &p, MESSAGE_WANT, &m);
    world_run(&w, 20);
    assert_int_equal(st->fp_refused, 4);
    assert_int_equal(knows(1, o1), 0);
    assert_int_equal(p.other->s->state, SESSION_LIVE);
    fp_free(&m);
    puppet_close(&w, &p);
    world_close(&w);
}

/* More events of ours than we have are of a twin: nothing is raised by them. */
static void a_talk_may_show_a_twin(void **state) {
    struct puppet p;
    struct fp m;
    ecrdt_node old, new;
    (void)state;
    open_puppet(&p);
    true_sums(&p, 5, &m);
    assert_ok(ecrdt_node_id(w.node[1].s, &old));
    assert_ok(vv_raise(&m.clks[0], old.b, 1000000, 1));
    puppet_say_fp(&w, &p, MESSAGE_FP, &m);
    world_run(&w, 20);
    assert_ok(ecrdt_node_id(w.node[1].s, &new));
    assert_memory_not_equal(&old, &new, sizeof new);
    assert_int_equal(knows(1, o1), 0);
    assert_int_equal(p.other->s->stats.fp_stale, 1);
    assert_int_equal(p.other->s->state, SESSION_LIVE);
    fp_free(&m);
    puppet_close(&w, &p);
    world_close(&w);
}

/* A SAME for another gen is a thing of the past, and no fault. */
static void a_same_that_is_overtaken_is_counted(void **state) {
    struct puppet p;
    struct fp m;
    (void)state;
    open_puppet(&p);
    true_sums(&p, 5, &m);
    m.parts[0].sum[0] ^= 1;
    puppet_say_fp(&w, &p, MESSAGE_FP, &m); /* a talk is under way */
    m.gen = 99;
    puppet_say_fp(&w, &p, MESSAGE_SAME, &m);
    world_run(&w, 20);
    assert_int_equal(p.other->s->stats.fp_stale, 1);
    assert_int_equal(knows(1, o1), 0);
    fp_free(&m);
    puppet_close(&w, &p);
    world_close(&w);
}

static void malformed_ones_end_the_link(void **state) {
    (void)state;
    static const uint8_t types[] = {MESSAGE_FP, MESSAGE_SAME, MESSAGE_WANT,
                                    MESSAGE_PLACE, MESSAGE_PLACED};
    for (size_t i = 0; i < sizeof types; i++) {
        struct puppet p;
        uint8_t type = types[i];
        open_puppet(&p);
        puppet_send(&w, &p, type, slice_str("junk"));
        assert_int_equal(p.other->s->bye, BYE_PROTOCOL);
        assert_non_null(strstr(p.other->s->sentence, message_name(type)));
        puppet_close(&w, &p);
        world_close(&w);
    }
}

/* A message that would be too long loses parts, at last its clocks. */
static void what_does_not_fit_is_left_out(void **state) {
    struct puppet p;
    struct fp m = {.bucket = slice_str("b")};
    struct buf b = {0};
    struct vv clk = {0};
    struct channel_event e;
    uint32_t no;
    (void)state;
    open_puppet(&p);
    for (uint32_t i = 0; i < FP_PARTS_MAX; i++) {
        struct item_id lo = {.len = ITEM_ID_MAX}, hi = {.len = ITEM_ID_MAX};
        store32(lo.b, 2 * i);
        store32(hi.b, 2 * i + 1);
        assert_ok(fp_add_clock(&m, &clk, &no));
        assert_non_null(fp_add(&m, &lo, &hi, no, false));
    }
    while (puppet_next(&w, &p, &e) == 1)
        continue;
    assert_ok(session_say_fp(p.other->s, MESSAGE_FP, &m, &b, w.now));
    assert_in_range(m.n, FP_PARTS_MAX / 4, FP_PARTS_MAX / 2);
    assert_code(1, puppet_next(&w, &p, &e));
    assert_int_equal(e.type, MESSAGE_FP);
    assert_in_range(e.body.len, MESSAGE_FP_MAX / 4, MESSAGE_FP_MAX);
    for (uint32_t i = 1; i < 80000; i++) { /* a clock of 2.2 MB */
        uint8_t id[ORIGIN_SIZE] = {0};
        store32(id, i);
        assert_ok(vv_raise(&clk, id, 1, 0));
    }
    assert_ok(fp_add_clock(&m, &clk, &no));
    assert_ok(session_say_fp(p.other->s, MESSAGE_WANT, &m, &b, w.now));
    assert_true(!m.n && b.len < 100);
    assert_ok(vv_copy(&m.f, &clk));
    assert_code(ECRDT_ETOOBIG,
                session_say_fp(p.other->s, MESSAGE_FP, &m, &b, w.now));
    fp_free(&m);
    vv_free(&clk);
    buf_free(&b);
    puppet_close(&w, &p);
    world_close(&w);
}

/* One that sends and never waits is held up, not stored up. */
static void too_many_at_once_end_the_link(void **state) {
    struct puppet p;
    struct fp m;
    (void)state;
    open_puppet(&p);
    true_sums(&p, 5, &m);
    m.flags = FP_AUDIT;
    for (int i = 0; i < SESSION_ASKS_MAX; i++)
        puppet_say_fp(&w, &p, MESSAGE_FP, &m);
    assert_int_equal(p.other->s->state, SESSION_LIVE);
    puppet_say_fp(&w, &p, MESSAGE_FP, &m);
    assert_int_equal(p.other->s->bye, BYE_PROTOCOL);
    fp_free(&m);
    puppet_close(&w, &p);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few_items_differ),
        cmocka_unit_test(nothing_differs),
        cmocka_unit_test(a_small_bucket_talks_if_told_to),
        cmocka_unit_test(twins_beside_a_talk),
        cmocka_unit_test(the_clock_in_the_fp_counts),
        cmocka_unit_test(the_key_is_that_of_the_link),
        cmocka_unit_test(what_nobody_asked_for_is_counted),
        cmocka_unit_test(a_talk_may_show_a_twin),
        cmocka_unit_test(a_same_that_is_overtaken_is_counted),
        cmocka_unit_test(malformed_ones_end_the_link),
        cmocka_unit_test(what_does_not_fit_is_left_out),
        cmocka_unit_test(too_many_at_once_end_the_link),
    };
    return TEST_RUN(tests);
}

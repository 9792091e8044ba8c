/* test_scenarios.c: the known traps of PROTOCOL, step by step on real stores
 * beside the oracle: SCENARIOS of the protocol's model. */
#include "tests/laws/talks.h"
#include "tests/support/wall.h"

static struct world w;
enum { KEY = 2 }; /* of the universe: a register that is in no pair */

static void write_key(size_t i, bool put) {
    static struct plan p;
    uint8_t value[8192];
    struct node *nd = &w.node[i];
    slice key = ref_key_slice(&w.u.keys[KEY]);
    uint64_t number = w.next_value++;
    memset(&p, 0, sizeof p);
    ecrdt_txn *t = assert_handle(ecrdt_write(nd->s));
    int want = plan_register(&w, nd, &p, KEY, put, number);
    if (put)
        assert_ok(ecrdt_reg_set(t, world_bucket, key,
                                value_slice(NULL, number, value)));
    else
        assert_code(want, ecrdt_reg_del(t, world_bucket, key));
    assert_ok(ecrdt_commit(t));
    plan_done(&w, nd, &p);
}

/* x takes all it lacks from y, in one chunk. */
static void pull(size_t x, size_t y) {
    struct ranges peer = {0}, was = {0};
    struct vv floor = {0};
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
    struct chunk_built built;
    struct msg m = {.from = y, .to = x};
    ecrdt_txn *t = world_begin(&w.node[x], false);
    assert_ok(replica_clock(t, world_bucket, &peer, &floor));
    ecrdt_abort(t);
    assert_ok(ranges_copy(&was, &peer));
    t = world_begin(&w.node[y], false);
    int rc =
        chunk_build(t, world_bucket, &peer, &budget, NULL, &m.bytes, &built);
    assert_true(rc >= 0);
    if (rc == 1)
        check_chunk(&w, t, buf_slice(&m.bytes), &was, &peer, &budget, NULL,
                    &built);
    ecrdt_abort(t);
    memcpy(m.ref, w.node[y].ref, sizeof m.ref);
    if (rc == 1) {
        t = world_begin(&w.node[x], true);
        apply_in(&w, t, &m, w.node[x].ref);
        assert_ok(ecrdt_commit(t));
    }
    buf_free(&m.bytes);
    ranges_free(&peer);
    ranges_free(&was);
    vv_free(&floor);
}

/* Drops all tombs of store i, which have come from a later time. */
static void collect(size_t i) {
    ecrdt_gc_report r;
    wall_now += 10000;
    assert_ok(ecrdt_gc(w.node[i].s, 0, 0, &r));
    assert_true(r.tombstones > 0);
    wall_now -= 10000;
}

static void settle(size_t n) {
    uint8_t first[16], other[16];
    for (int round = 0; round < 3; round++)
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++)
                if (a != b)
                    pull(a, b);
    assert_ok(ecrdt_digest(w.node[0].s, world_bucket, first));
    for (size_t i = 0; i < n; i++) {
        world_check(&w, &w.node[i]);
        world_verify(&w, &w.node[i]);
        assert_ok(ecrdt_digest(w.node[i].s, world_bucket, other));
        assert_memory_equal(first, other, 16);
    }
}

/* ---- fingerprints ---- */

static struct talk_msg *flight[TALK_ANSWERS];
static size_t n_flight;
static const struct talk_shape shape = {2, 0};

/* The bucket is there, if empty. */
static void make_bucket(size_t i) {
    ecrdt_txn *t = world_begin(&w.node[i], true);
    world_bk(t, true);
    assert_ok(ecrdt_commit(t));
}

/* Fingerprints of x answered by y; the answer stays in flight. */
static void ask(size_t x, size_t y) {
    make_bucket(x);
    struct talk_msg *fp = talk_ask(&w, x, y, NULL, NULL, NULL);
    assert_non_null(fp);
    n_flight = talk_compare(&w, fp, &shape, NULL, flight);
    talk_free(fp);
    world_check(&w, &w.node[y]);
}

/* What is in flight arrives; answers to it are lost. */
static void land(void) {
    struct talk_msg *lost[TALK_ANSWERS];
    for (size_t i = 0; i < n_flight; i++) {
        struct talk_msg *m = flight[i];
        if (m->type == TALK_CHUNK) {
            ecrdt_txn *t = world_begin(&w.node[m->m.to], true);
            apply_in(&w, t, &m->m, w.node[m->m.to].ref);
            assert_ok(ecrdt_commit(t));
        } else {
            size_t n = talk_deliver(&w, m, &shape, NULL, lost);
            while (n)
                talk_free(lost[--n]);
        }
        world_check(&w, &w.node[m->m.to]);
        talk_free(m);
    }
    n_flight = 0;
}

/* Pi put at i, Di delete, Gi collect, x<y pull x from y, xfy fingerprints of
 * x answered by y, ! what is in flight lands; compared with the oracle after
 * each step. */
static void run(size_t n, const char *program) {
    world_open(&w, n);
    char copy[128], *save;
    snprintf(copy, sizeof copy, "%s", program);
    for (char *op = strtok_r(copy, " ", &save); op;
         op = strtok_r(NULL, " ", &save)) {
        w.what = op;
        w.step++;
        /* Later steps have earlier times: nothing may depend on clocks. */
        wall_now = UINT64_C(1900000000000) + 1000 - w.step;
        size_t at = (size_t)(op[0] - '0');
        if (op[0] == '!') {
            land();
            continue;
        } else if (op[1] == '<') {
            pull(at, (size_t)(op[2] - '0'));
        } else if (op[1] == 'f') {
            ask(at, (size_t)(op[2] - '0'));
        } else {
            at = (size_t)(op[1] - '0');
            if (op[0] == 'G')
                collect(at);
            else
                write_key(at, op[0] == 'P');
        }
        world_check(&w, &w.node[at]);
    }
    w.what = "settle";
    settle(n);
    world_close(&w);
}

/* The brief's counter-example: c1 <- a1 <- b1, then a remove. */
static void brief(void **state) {
    (void)state;
    run(4, "P2 0<2 P0 1<0 P1 3<1 3<2 1<3 D3 0<3 2<3 1<3");
}

/* A store below its own floor pushes a concurrent sibling: the absence of a
 * tomb there says nothing (the third keep of section 4). */
static void tombabs(void **state) {
    (void)state;
    run(4, "P2 P3 1<2 0<2 3<2 D0 1<0 0<3 G0 1<0 3<1");
}

/* A peer that was away while tombs were dropped. */
static void below_the_floor(void **state) {
    (void)state;
    run(3, "P0 1<0 2<0 D0 1<0 G0 G1 2<1 1<2 0<2 2<0");
}

/* A store that was filled by one that had dropped tombs serves another that
 * is below that floor. */
static void inherit(void **state) {
    (void)state;
    run(3, "P0 1<0 D0 G0 2<0 1<2 0<1");
}

/* A delete beside a concurrent write, forgotten by its author's neighbour
 * because the write lives: section 1's trap (mutant onlylive). */
static void a_tomb_beside_a_value(void **state) {
    (void)state;
    run(4, "P0 1<0 2<0 D1 P3 1<3 2<1 0<1 0<2");
}

/* The same write arrives by three ways, in two orders. */
static void a_ring(void **state) {
    (void)state;
    run(4, "P0 1<0 2<1 3<2 P2 0<3 1<0 D1 2<1 3<0 3<1 2<3 0<2 P3 0<3 1<3 2<0");
}

/* Live siblings are equal, a tomb was never handed over: the sum shows it. */
static void fptomb(void **state) {
    (void)state;
    run(3, "P0 1<0 D0 2f0 ! 1<2 0<1");
}

/* A chunk overtakes a SAME: its gen is another one then. */
static void nogen(void **state) {
    (void)state;
    run(3, "P0 1<0 D0 G0 2f0 2<1 ! 1<2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brief),
        cmocka_unit_test(tombabs),
        cmocka_unit_test(below_the_floor),
        cmocka_unit_test(inherit),
        cmocka_unit_test(a_tomb_beside_a_value),
        cmocka_unit_test(a_ring),
        cmocka_unit_test(fptomb),
        cmocka_unit_test(nogen),
    };
    return TEST_RUN(tests);
}

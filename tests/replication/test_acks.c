/* test_acks.c: a relay writes down what peers have, while somebody waits. */
#include "lib/os.h"
#include "tests/replication/pair.h"

static struct receipt_of asked;
static struct pair pair;

/* The events of store i in bucket "b", wanted at store at for ms. */
static void ask(size_t at, size_t i, uint64_t ms) {
    ecrdt_node me;
    assert_ok(ecrdt_node_id(pair.node[i].s, &me));
    receipt_salt(asked.salt, "b");
    memcpy(asked.origin, me.b, sizeof asked.origin);
    struct want w = {.of = asked, .until_ms = os_wall_ms() + ms};
    ecrdt_txn *t = assert_handle(ecrdt_write(pair.node[at].s));
    assert_ok(want_put(t, &w));
    assert_ok(ecrdt_commit(t));
}

struct told {
    int n;
    struct ack last;
};

static int note(void *ctx, const struct ack *a) {
    struct told *x = ctx;
    x->n++;
    x->last = *a;
    return 0;
}

static struct told told(size_t at) {
    struct told x = {0};
    ecrdt_txn *t = assert_handle(ecrdt_read(pair.node[at].s));
    assert_ok(ack_each(t, &asked, note, &x));
    ecrdt_abort(t);
    return x;
}

static bool edge_knows_2(struct pair *p) {
    (void)p;
    return told(1).last.seq == 2;
}

static bool none_left(struct pair *p) {
    struct want w = {.of = asked};
    ecrdt_txn *t = assert_handle(ecrdt_read(p->node[1].s));
    int rc = want_get(t, &w);
    ecrdt_abort(t);
    return rc == 0 && !told(1).n;
}

/* Node 0 is a core, node 1 an edge. */
static void two(void) {
    pair_open(&pair, 2);
    pair_list(&pair, 0, 1, false);
    pair_list(&pair, 1, 0, true);
    pair_set(&pair, 1, "a");
    assert_true(pair_until(&pair, pair_synced, 5000));
}

static void only_who_waits_costs(void **state) {
    (void)state;
    two();
    pair_set(&pair, 1, "b");
    assert_true(pair_until(&pair, pair_synced, 5000));
    ask(1, 1, 0); /* expired as it comes */
    assert_true(pair_until(&pair, none_left, 5000));
    ask(1, 1, WANT_MS);
    assert_true(pair_until(&pair, edge_knows_2, 5000));
    struct told x = told(1);
    assert_int_equal(x.n, 1);
    assert_int_equal(x.last.kind, ACK_PEER_CORE);
    assert_memory_equal(x.last.peer, pair.node[0].self.pk, 32);
    struct want w = {.of = asked};
    ecrdt_txn *t = assert_handle(ecrdt_read(pair.node[1].s));
    assert_code(1, want_get(t, &w));
    assert_true(w.seen);
    ecrdt_abort(t);
    uint64_t id = replica_txn_id(pair.node[1].s);
    pair_until(&pair, pair_never, 50); /* nothing new, nothing written */
    assert_int_equal(replica_txn_id(pair.node[1].s), id);
    pair_close(&pair);
}

static void what_expires_is_forgotten(void **state) {
    (void)state;
    two();
    pair_set(&pair, 1, "b");
    ask(1, 1, 600);
    assert_true(pair_until(&pair, edge_knows_2, 5000));
    assert_true(pair_until(&pair, none_left, 5000));
    ask(1, 1, 1000 * WANT_MS); /* of a clock that was set back */
    assert_true(pair_until(&pair, none_left, 5000));
    assert_int_equal(pair.node[1].n->acks.n, 0);
    pair_close(&pair);
}

static bool core_knows_2(struct pair *p) {
    (void)p;
    return told(0).n == 2 && told(0).last.seq == 2;
}

/* A core has acks of its own and of its peers. */
static void a_core_is_at_a_core(void **state) {
    (void)state;
    two();
    pair_set(&pair, 1, "b");
    ask(0, 1, WANT_MS);
    assert_true(pair_until(&pair, core_knows_2, 5000));
    pair_close(&pair);
}

static bool seen_by_0(struct pair *p) {
    struct want w = {.of = asked};
    ecrdt_txn *t = assert_handle(ecrdt_read(p->node[0].s));
    int rc = want_get(t, &w);
    ecrdt_abort(t);
    return rc == 1 && w.seen;
}

/* While a peer is being filled, only what each of its ranges has counts. */
static void a_bulk_counts_when_it_ends(void **state) {
    (void)state;
    two();
    pair_set(&pair, 1, "b");
    ask(0, 1, WANT_MS);
    assert_true(pair_until(&pair, core_knows_2, 5000));
    struct link *l = pair.node[0].n->peers.p[0]->link;
    struct mirror *m = mirrors_find(&l->s->mirrors, "b");
    size_t at;
    assert_ok(ranges_cut(&m->heard->ranges, slice_of("k", 1), 0, &at));
    vv_free(&m->heard->ranges.r[at].clk); /* it has told us so */
    ask(0, 1, WANT_MS);
    node_kick(pair.node[0].n);
    assert_true(pair_until(&pair, seen_by_0, 5000));
    struct told x = told(0);
    assert_int_equal(x.n, 1); /* the core itself */
    assert_int_equal(x.last.kind, ACK_THIS_CORE);
    pair_close(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_waits_costs),
        cmocka_unit_test(what_expires_is_forgotten),
        cmocka_unit_test(a_core_is_at_a_core),
        cmocka_unit_test(a_bulk_counts_when_it_ends),
    };
    return TEST_RUN(tests);
}

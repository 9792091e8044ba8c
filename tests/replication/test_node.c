/* test_node.c: whole nodes on a real loop: sync, reconfiguration, records,
 * draining and stopping. */
#include "tests/replication/pair.h"

static bool arrived(struct pair *p) {
    return pair_has(p, 1, "x");
}

static void two_nodes_sync(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, 2);
    pair_set(&p, 0, "a");
    pair_set(&p, 1, "b");
    pair_list(&p, 0, 1, false);
    pair_list(&p, 1, 0, true);
    assert_true(pair_until(&p, pair_synced, 5000));
    assert_true(pair_has(&p, 0, "b") && pair_has(&p, 1, "a"));
    pair_set(&p, 0, "x"); /* woken by the file */
    uint64_t begin = now_ms();
    assert_true(pair_until(&p, arrived, 5000));
    assert_true(now_ms() - begin < 900);
    pair_close(&p);
}

static int read_record(void *ctx, slice name, slice value) {
    struct peer_record *r = ctx;
    return slice_eq(name, ecrdt_str(PEERS_SELF)) ? 0
           : peers_record_decode(value, r) < 0   ? -1
                                                 : 0;
}

static struct peer_record recorded(struct pair *p, size_t i) {
    struct peer_record r = {0};
    ecrdt_txn *t = assert_handle(ecrdt_read(p->node[i].s));
    assert_ok(replica_each_peer(t, read_record, &r));
    ecrdt_abort(t);
    return r;
}

static bool shown_in_sync(struct pair *p) {
    return recorded(p, 0).state == PEER_IN_SYNC;
}

static void records_show_the_state(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, 2);
    pair_set(&p, 1, "b");
    pair_list(&p, 0, 1, false);
    pair_list(&p, 1, 0, true);
    assert_true(pair_until(&p, shown_in_sync, 8000));
    struct peer_record r = recorded(&p, 0);
    assert_string_equal(r.name, "peer");
    assert_int_equal(r.direction, PEER_ACCEPT);
    assert_int_equal(r.role, PEER_EDGE);
    assert_int_equal(r.chunks_in, 1);
    assert_int_equal(r.items_in, 1);
    assert_int_equal(r.missing_here + r.missing_there, 0);
    assert_true(r.bytes_in > 100 && r.bytes_out > 100);
    ecrdt_node id;
    assert_ok(ecrdt_node_id(p.node[1].s, &id));
    assert_memory_equal(r.origin, id.b, 16);
    pair_close(&p);
}

static bool unlinked(struct pair *p) {
    return p->node[0].n->n_links == 0;
}

static void dropped_peers_go(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, 2);
    pair_list(&p, 0, 1, false);
    pair_list(&p, 1, 0, true);
    assert_true(pair_until(&p, pair_synced, 5000));
    assert_ok(node_set_peers(p.node[0].n, NULL, 0));
    assert_true(pair_until(&p, unlinked, 5000));
    pair_set(&p, 0, "x");
    assert_false(pair_until(&p, arrived, 1500));
    pair_list(&p, 0, 1, false);
    assert_true(pair_until(&p, arrived, 20000));
    pair_close(&p);
}

static void listeners_change_all_or_none(void **state) {
    struct pair p;
    struct node_address two[2] = {{"127.0.0.1", 0}, {"127.0.0.1", 0}};
    (void)state;
    pair_open(&p, 2);
    two[1].port = p.node[1].port; /* in use */
    assert_code(ECRDT_EIO, node_listen(p.node[0].n, two, 2));
    assert_int_equal(p.node[0].n->n_listeners, 1);
    pair_list(&p, 0, 1, false);
    pair_list(&p, 1, 0, true);
    assert_true(pair_until(&p, pair_synced, 5000)); /* the old one serves */
    assert_ok(node_listen(p.node[0].n, two, 1));
    assert_ok(node_listen(p.node[0].n, NULL, 0));
    struct node_address many[RELAY_LISTEN_MAX + 1] = {0};
    assert_code(ECRDT_EINVAL,
                node_listen(p.node[0].n, many, RELAY_LISTEN_MAX + 1));
    pair_close(&p);
}

static bool drained(struct pair *p) {
    return node_drained(p->node[1].n);
}

static bool idle(struct pair *p) {
    return node_idle(p->node[1].n);
}

static void draining_pushes_everything(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, 2);
    pair_list(&p, 0, 1, false);
    pair_list(&p, 1, 0, true);
    assert_true(pair_until(&p, pair_synced, 5000));
    pair_set(&p, 1, "late");
    node_drain(p.node[1].n);
    assert_false(node_drained(p.node[1].n));
    assert_true(pair_until(&p, drained, 5000));
    assert_true(pair_has(&p, 0, "late"));
    node_stop(p.node[1].n, "the test ends");
    assert_true(pair_until(&p, idle, 3000));
    pair_close(&p);
}

static bool three_synced(struct pair *p) {
    return pair_synced(p) && pair_has(p, 2, "x");
}

static void cores_forward(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, 3);
    struct node_peer both[2] = {pair_peer(&p, 1, false),
                                pair_peer(&p, 2, false)};
    assert_ok(node_set_peers(p.node[0].n, both, 2));
    pair_list(&p, 1, 0, true);
    pair_list(&p, 2, 0, true);
    assert_true(pair_until(&p, pair_synced, 5000));
    pair_set(&p, 1, "x");
    assert_true(pair_until(&p, three_synced, 5000));
    pair_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_sync),
        cmocka_unit_test(records_show_the_state),
        cmocka_unit_test(dropped_peers_go),
        cmocka_unit_test(listeners_change_all_or_none),
        cmocka_unit_test(draining_pushes_everything),
        cmocka_unit_test(cores_forward),
    };
    return TEST_RUN(tests);
}

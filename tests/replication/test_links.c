/* test_links.c: dialing, refusing, one link of two, limits for strangers. */
#include "tests/replication/pair.h"

static bool is(struct pair *p, size_t i, enum peer_state state) {
    return p->node[i].n->peers.p[0]->r.state == state;
}

static bool refused(struct pair *p) {
    return is(p, 1, PEER_REFUSED);
}

static void unknown_keys_are_refused(void **state) {
    struct pair p;
    char key[IDENTITY_TEXT];
    (void)state;
    pair_open(&p, 2);
    pair_list(&p, 1, 0, true); /* and node 0 lists nobody */
    assert_true(pair_until(&p, refused, 5000));
    const struct relay_record *self = &p.node[0].n->peers.self;
    assert_true(self->refused_keys >= 1);
    assert_string_equal(self->refused_key,
                        identity_text(key, p.node[1].self.pk));
    assert_true(strlen(p.node[1].n->peers.p[0]->r.error) > 20);
    assert_int_equal(p.node[1].n->peers.p[0]->error, ECRDT_EAUTH);
    assert_int_equal(p.node[1].n->peers.p[0]->r.links, 0);
    pair_close(&p);
}

static void other_keys_are_refused(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, 3);
    pair_list(&p, 0, 1, false);
    struct node_peer c = pair_peer(&p, 2, true);
    c.address.port = p.node[0].port; /* another node lives there */
    assert_ok(node_set_peers(p.node[1].n, &c, 1));
    assert_true(pair_until(&p, refused, 5000));
    pair_close(&p);
}

static bool unreachable(struct pair *p) {
    return is(p, 1, PEER_UNREACHABLE);
}

static void nobody_there_is_unreachable(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, 2);
    struct node_peer c = pair_peer(&p, 0, true);
    c.address.port = 1;
    assert_ok(node_set_peers(p.node[1].n, &c, 1));
    assert_true(pair_until(&p, unreachable, 5000));
    assert_non_null(strstr(p.node[1].n->peers.p[0]->r.error, "127.0.0.1:1"));
    assert_int_equal(p.node[1].n->peers.p[0]->r.failures, 1);
    assert_false(pair_until(&p, pair_never, 200)); /* it waits */
    assert_int_equal(p.node[1].n->peers.p[0]->r.failures, 1);
    pair_close(&p);
}

static bool one_link_each(struct pair *p) {
    return pair_synced(p) && p->node[0].n->n_links == 1 &&
           p->node[1].n->n_links == 1;
}

/* Both dial each other: both keep the same one of the two links. */
static void two_links_become_one(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct pair p;
        pair_open(&p, 2);
        pair_list(&p, 0, 1, true);
        pair_list(&p, 1, 0, true);
        assert_true(pair_until(&p, one_link_each, 10000));
        assert_false(pair_until(&p, pair_never, 300)); /* and it stays */
        assert_true(one_link_each(&p));
        struct link *a = p.node[0].n->peers.p[0]->link;
        struct link *b = p.node[1].n->peers.p[0]->link;
        assert_true(a->dialed != b->dialed);
        pair_close(&p);
    }
}

static int mute_count;
static void mute_opened(void *ctx) {
    (void)ctx;
}
static void mute_data(void *ctx, slice bytes) {
    (void)ctx, (void)bytes;
}
static void mute_ended(void *ctx, int error, const char *sentence) {
    (void)ctx, (void)error, (void)sentence;
    mute_count++;
}
static const struct loop_conn_events mute = {mute_opened, mute_data,
                                             mute_opened, mute_ended};

static bool crowded(struct pair *p) {
    return p->node[0].n->half_open >= LIMITER_BURST;
}

static void strangers_are_limited(void **state) {
    struct pair p;
    struct loop_conn *c[100];
    (void)state;
    pair_open(&p, 1);
    for (int i = 0; i < 100; i++)
        assert_ok(p.loop->t->connect(p.loop, "127.0.0.1", p.node[0].port, &mute,
                                     NULL, &c[i]));
    assert_true(pair_until(&p, crowded, 2000));
    pair_until(&p, pair_never, 200);
    assert_in_range(p.node[0].n->half_open, LIMITER_BURST, NODE_HALF_OPEN_MAX);
    pair_until(&p, pair_never, SESSION_HANDSHAKE_MS + 500);
    assert_int_equal(p.node[0].n->half_open, 0); /* their time is over */
    assert_int_equal(p.node[0].n->n_links, 0);
    for (int i = 0; i < 100; i++)
        p.loop->t->conn_close(c[i]);
    pair_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_keys_are_refused),
        cmocka_unit_test(other_keys_are_refused),
        cmocka_unit_test(nobody_there_is_unreachable),
        cmocka_unit_test(two_links_become_one),
        cmocka_unit_test(strangers_are_limited),
    };
    return TEST_RUN(tests);
}

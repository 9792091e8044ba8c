/* pair.h: nodes of one process on one real loop, joined by loopback sockets,
 * for the tests of nodes and their links. */
#ifndef TESTS_REPLICATION_PAIR_H
#define TESTS_REPLICATION_PAIR_H
#include "replication/node.h"
#include "tests/support/test.h"

enum { PAIR_NODES = 3 };

struct pair {
    struct loop *loop;
    struct loop_handle *tick;
    uint64_t end_ms;
    bool (*done)(struct pair *p);
    bool met;
    struct pair_node {
        char *dir;
        ecrdt_store *s;
        struct identity self;
        struct node *n;
        uint16_t port;
    } node[PAIR_NODES];
};

static inline void pair_tick(void *ctx) {
    struct pair *p = ctx;
    p->met = p->done(p);
    if (p->met || p->loop->t->now_ms(p->loop) >= p->end_ms)
        p->loop->t->stop(p->loop);
    else
        p->loop->t->timer_set(p->tick, 2);
}

/* Runs the loop until done() or for ms; whether it was done. */
static inline bool pair_until(struct pair *p, bool (*done)(struct pair *),
                              uint64_t ms) {
    p->done = done;
    p->end_ms = p->loop->t->now_ms(p->loop) + ms;
    p->loop->t->timer_set(p->tick, 0);
    p->loop->t->run(p->loop);
    return p->met;
}

static inline bool pair_never(struct pair *p) {
    (void)p;
    return false;
}

static inline void pair_node(struct pair *p, size_t i) {
    struct pair_node *x = &p->node[i];
    struct node_address any = {"127.0.0.1", 0};
    uint8_t seed[32];
    crypto_random(seed, sizeof seed);
    x->dir = tmpdir_make();
    x->s = assert_handle(ecrdt_open(path_join(x->dir, "s"), NULL));
    identity_init(&x->self, seed);
    struct node_conf c = {.store = x->s,
                          .self = &x->self,
                          .realm = "test",
                          .name = i ? "edge" : "core",
                          .role = i ? PEER_EDGE : PEER_CORE,
                          .record = true};
    assert_ok(node_open(&c, p->loop, &x->n));
    assert_ok(node_listen(x->n, &any, 1));
    x->port = (uint16_t)atoi(strrchr(x->n->listeners[0].bound, ':') + 1);
}

static inline void pair_open(struct pair *p, size_t n) {
    *p = (struct pair){0};
    assert_ok(crypto_init());
    assert_ok(loop_uv_open(&p->loop, true));
    assert_ok(p->loop->t->timer_new(p->loop, pair_tick, p, &p->tick));
    for (size_t i = 0; i < n; i++)
        pair_node(p, i);
}

/* Node j as node i's configuration lists it. */
static inline struct node_peer pair_peer(const struct pair *p, size_t j,
                                         bool dial) {
    struct node_peer c = {.name = "peer"};
    memcpy(c.key, p->node[j].self.pk, sizeof c.key);
    if (dial)
        c.address = (struct node_address){"127.0.0.1", p->node[j].port};
    return c;
}

static inline void pair_list(struct pair *p, size_t i, size_t j, bool dial) {
    struct node_peer c = pair_peer(p, j, dial);
    assert_ok(node_set_peers(p->node[i].n, &c, 1));
}

static inline bool pair_synced(struct pair *p) {
    for (size_t i = 0; i < PAIR_NODES; i++)
        if (p->node[i].n && !node_in_sync(p->node[i].n))
            return false;
    return true;
}

static inline void pair_set(struct pair *p, size_t i, const char *key) {
    ecrdt_txn *t = ecrdt_auto(p->node[i].s);
    assert_ok(ecrdt_reg_set(t, "b", ecrdt_str(key), ecrdt_str(key)));
    ecrdt_abort(t);
}

static inline bool pair_has(struct pair *p, size_t i, const char *key) {
    ecrdt_slice v;
    ecrdt_txn *t = ecrdt_auto(p->node[i].s);
    int rc = ecrdt_reg_get(t, "b", ecrdt_str(key), &v, NULL);
    ecrdt_abort(t);
    assert_true(rc >= 0);
    return rc == 1;
}

static inline void pair_close(struct pair *p) {
    for (size_t i = 0; i < PAIR_NODES; i++)
        node_free(p->node[i].n);
    p->loop->t->handle_free(p->tick);
    p->loop->t->close(p->loop);
    for (size_t i = 0; i < PAIR_NODES; i++) {
        struct pair_node *x = &p->node[i];
        if (!x->s)
            continue;
        assert_ok(ecrdt_close(x->s));
        identity_free(&x->self);
        tmpdir_remove(x->dir);
    }
}
#endif

/* core.h: a node that runs in another thread, and a function's store and key
 * beside it, for the tests of calls that reach a node by themselves. */
#ifndef TESTS_REPLICATION_CORE_H
#define TESTS_REPLICATION_CORE_H
#include "tests/replication/pair.h"
#include <pthread.h>

struct core {
    struct pair p; /* its node 0 */
    pthread_t thread;
    struct loop_handle *quit;
    char peer[128]; /* "ed25519:KEY@127.0.0.1:port" */
    char *dir;      /* of the function's store and key */
    ecrdt_store *s;
    char key_file[512];
};

static inline void core_on_quit(void *ctx) {
    struct core *c = ctx;
    c->p.loop->t->stop(c->p.loop);
}

static inline void *core_serve(void *ctx) {
    struct core *c = ctx;
    c->p.loop->t->run(c->p.loop);
    return NULL;
}

static inline void core_start(struct core *c) {
    pthread_create(&c->thread, NULL, core_serve, c);
}

static inline void core_quit(struct core *c) {
    c->p.loop->t->async_send(c->quit);
    pthread_join(c->thread, NULL);
}

/* Gives the function a new key, in the file of this name. */
static inline void core_key(struct core *c, const char *name) {
    uint8_t seed[32];
    crypto_random(seed, sizeof seed);
    snprintf(c->key_file, sizeof c->key_file, "%s", path_join(c->dir, name));
    assert_ok(identity_create(c->key_file, seed));
}

static inline int core_setup(void **state) {
    struct core *c = calloc(1, sizeof *c);
    struct identity id;
    char text[IDENTITY_TEXT];
    pair_open(&c->p, 1);
    assert_ok(c->p.loop->t->async_new(c->p.loop, core_on_quit, c, &c->quit));
    c->dir = tmpdir_make();
    c->s = assert_handle(ecrdt_open(path_join(c->dir, "s"), NULL));
    core_key(c, "key");
    assert_ok(identity_load(&id, c->key_file));
    struct node_peer peer = {.name = "fn"};
    memcpy(peer.key, id.pk, 32);
    identity_free(&id);
    assert_ok(node_set_peers(c->p.node[0].n, &peer, 1));
    snprintf(c->peer, sizeof c->peer, "%s@127.0.0.1:%u",
             identity_text(text, c->p.node[0].self.pk), c->p.node[0].port);
    *state = c;
    return 0;
}

static inline int core_teardown(void **state) {
    struct core *c = *state;
    c->p.loop->t->handle_free(c->quit);
    pair_close(&c->p);
    assert_ok(ecrdt_close(c->s));
    tmpdir_remove(c->dir);
    free(c);
    return 0;
}

#define with_core(f)                                                           \
    cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)
#endif

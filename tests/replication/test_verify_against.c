/* test_verify_against.c: a store against a node in another thread: equal,
 * other, never at equal clocks, and callers' mistakes. */
#include "replication/verify_against.h"
#include "edgecrdt_sync.h"
#include "tests/replication/pair.h"
#include "tests/replication/tamper.h"
#include <pthread.h>

struct core {
    struct pair p;
    pthread_t thread;
    struct loop_handle *quit;
    char peer[128];
    char *dir;
    ecrdt_store *s;
    char key_file[512];
    size_t found;
};

static void on_quit(void *ctx) {
    struct core *c = ctx;
    c->p.loop->t->stop(c->p.loop);
}

static void *serve(void *ctx) {
    struct core *c = ctx;
    c->p.loop->t->run(c->p.loop);
    return NULL;
}

static void start(struct core *c) {
    pthread_create(&c->thread, NULL, serve, c);
}

static void quit(struct core *c) {
    c->p.loop->t->async_send(c->quit);
    pthread_join(c->thread, NULL);
}

static int setup(void **state) {
    struct core *c = calloc(1, sizeof *c);
    struct identity id;
    char text[IDENTITY_TEXT];
    uint8_t seed[32];
    pair_open(&c->p, 1);
    assert_ok(c->p.loop->t->async_new(c->p.loop, on_quit, c, &c->quit));
    c->dir = tmpdir_make();
    c->s = assert_handle(ecrdt_open(path_join(c->dir, "s"), NULL));
    crypto_random(seed, sizeof seed);
    snprintf(c->key_file, sizeof c->key_file, "%s", path_join(c->dir, "key"));
    assert_ok(identity_create(c->key_file, seed));
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

static int teardown(void **state) {
    struct core *c = *state;
    c->p.loop->t->handle_free(c->quit);
    pair_close(&c->p);
    assert_ok(ecrdt_close(c->s));
    tmpdir_remove(c->dir);
    free(c);
    return 0;
}

static void count(void *ctx, const struct difference *d) {
    struct core *c = ctx;
    assert_string_equal(d->bucket, "b");
    c->found++;
}

static int verify(struct core *c, int timeout_ms, struct verify_against *v) {
    c->found = 0;
    *v = (struct verify_against){.key_file = c->key_file,
                                 .realm = "test",
                                 .peer = c->peer,
                                 .timeout_ms = timeout_ms,
                                 .found = count,
                                 .ctx = c};
    return verify_against(c->s, v);
}

static void set(ecrdt_store *s, const char *key) {
    ecrdt_txn *t = assert_handle(ecrdt_auto(s));
    assert_ok(ecrdt_reg_set(t, "b", ecrdt_str(key), ecrdt_str(key)));
    ecrdt_abort(t);
}

static void sync(struct core *c) {
    const char *peers[] = {c->peer};
    ecrdt_sync_conf conf = ECRDT_SYNC_CONF_INIT;
    conf.key_file = c->key_file;
    conf.realm = "test";
    conf.peers = peers;
    conf.npeers = 1;
    assert_code(1, ecrdt_sync_once(c->s, &conf, 5000, NULL));
}

static void equal_then_other(void **state) {
    struct core *c = *state;
    struct verify_against v;
    set(c->s, "here");
    pair_set(&c->p, 0, "there");
    start(c);
    sync(c);
    assert_code(1, verify(c, 5000, &v));
    assert_true(v.buckets == 1 && v.ranges && !v.findings && v.bytes);
    tamper(c->s, "b", "there", true);
    assert_code(0, verify(c, 5000, &v));
    assert_true(v.findings == 1 && c->found == 1);
    quit(c);
    assert_int_equal(c->p.node[0].n->peers.p[0]->r.chunks_in, 1);
}

/* The store lacks what the node has; nothing is fetched to find that out. */
static void unequal_clocks_take_until_the_deadline(void **state) {
    struct core *c = *state;
    struct verify_against v;
    pair_set(&c->p, 0, "there");
    start(c);
    assert_code(ECRDT_ETIMEOUT, verify(c, 300, &v));
    assert_non_null(strstr(ecrdt_errmsg(), "bucket 'b'"));
    set(c->s, "here");
    assert_code(ECRDT_ETIMEOUT, verify(c, 300, &v));
    quit(c);
    assert_false(pair_has(&c->p, 0, "here"));
    slice value;
    ecrdt_txn *t = assert_handle(ecrdt_auto(c->s));
    assert_code(0, ecrdt_reg_get(t, "b", ecrdt_str("there"), &value, NULL));
    ecrdt_abort(t);
}

static void what_cannot_begin_says_why(void **state) {
    struct core *c = *state;
    struct verify_against v;
    assert_code(ECRDT_ETIMEOUT, verify(c, 300, &v)); /* nobody serves */
    assert_non_null(strstr(ecrdt_errmsg(), "127.0.0.1"));
    snprintf(c->peer, sizeof c->peer, "nonsense");
    assert_code(ECRDT_EINVAL, verify(c, 300, &v));
    strcat(c->key_file, "x");
    assert_true(verify(c, 300, &v) < 0);
    assert_non_null(strstr(ecrdt_errmsg(), "keyx"));
}

static void a_stranger_is_refused(void **state) {
    struct core *c = *state;
    struct verify_against v;
    uint8_t seed[32];
    crypto_random(seed, sizeof seed);
    snprintf(c->key_file, sizeof c->key_file, "%s", path_join(c->dir, "key2"));
    assert_ok(identity_create(c->key_file, seed));
    start(c);
    assert_code(ECRDT_EAUTH, verify(c, 3000, &v));
    quit(c);
}

int main(void) {
#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(equal_then_other),
        ROW(unequal_clocks_take_until_the_deadline),
        ROW(what_cannot_begin_says_why),
        ROW(a_stranger_is_refused),
    };
    return TEST_RUN(tests);
}

/* test_verify_against.c: a store against a node in another thread: equal,
 * other, never at equal clocks, and callers' mistakes. */
#include "replication/verify_against.h"
#include "edgecrdt_sync.h"
#include "tests/replication/core.h"
#include "tests/replication/tamper.h"

static size_t found; /* what differs */

static void count(void *ctx, const struct difference *d) {
    size_t *n = ctx;
    assert_string_equal(d->bucket, "b");
    ++*n;
}

static int verify(struct core *c, int timeout_ms, struct verify_against *v) {
    found = 0;
    *v = (struct verify_against){.key_file = c->key_file,
                                 .realm = "test",
                                 .peer = c->peer,
                                 .timeout_ms = timeout_ms,
                                 .found = count,
                                 .ctx = &found};
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
    core_start(c);
    sync(c);
    assert_code(1, verify(c, 5000, &v));
    assert_true(v.buckets == 1 && v.ranges && !v.findings && v.bytes);
    tamper(c->s, "b", "there", true);
    assert_code(0, verify(c, 5000, &v));
    assert_true(v.findings == 1 && found == 1);
    core_quit(c);
    assert_int_equal(c->p.node[0].n->peers.p[0]->r.chunks_in, 1);
}

/* The store lacks what the node has; nothing is fetched to find that out. */
static void unequal_clocks_take_until_the_deadline(void **state) {
    struct core *c = *state;
    struct verify_against v;
    pair_set(&c->p, 0, "there");
    core_start(c);
    assert_code(ECRDT_ETIMEOUT, verify(c, 300, &v));
    assert_non_null(strstr(ecrdt_errmsg(), "bucket 'b'"));
    set(c->s, "here");
    assert_code(ECRDT_ETIMEOUT, verify(c, 300, &v));
    core_quit(c);
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
    core_key(c, "key2");
    core_start(c);
    assert_code(ECRDT_EAUTH, verify(c, 3000, &v));
    core_quit(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_core(equal_then_other),
        with_core(unequal_clocks_take_until_the_deadline),
        with_core(what_cannot_begin_says_why),
        with_core(a_stranger_is_refused),
    };
    return TEST_RUN(tests);
}

/* test_sync_once.c: the public call against a node in another thread, and all
 * that can be wrong with its arguments and peers. */
#include "edgecrdt_sync.h"
#include "tests/lib/kit.h"
#include "tests/replication/core.h"
#include <signal.h>

static int sync_peers(struct core *c, const char *const *peers, size_t n,
                      int timeout_ms, ecrdt_sync_report *r) {
    ecrdt_sync_conf conf = ECRDT_SYNC_CONF_INIT;
    conf.key_file = c->key_file;
    conf.realm = "test";
    conf.peers = peers;
    conf.npeers = n;
    *r = (ecrdt_sync_report){.size = sizeof *r};
    return ecrdt_sync_once(c->s, &conf, timeout_ms, r);
}

static void put(ecrdt_store *s, const char *key) {
    ecrdt_txn *t = ecrdt_auto(s);
    assert_ok(ecrdt_reg_set(t, "b", ecrdt_str(key), ecrdt_str("v")));
    ecrdt_abort(t);
}

static void pushes_and_pulls(void **state) {
    struct core *c = *state;
    const char *peers[] = {c->peer};
    ecrdt_sync_report r;
    uint8_t a[16], b[16];
    put(c->s, "mine");
    put(c->p.node[0].s, "theirs");
    core_start(c);
    assert_code(1, sync_peers(c, peers, 1, 10000, &r));
    assert_int_equal(r.peers_reached, 1);
    assert_int_equal(r.peers_synced, 1);
    assert_int_equal(r.items_applied, 1);
    assert_int_equal(r.items_sent, 1);
    assert_true(r.bytes_sent > 300 && r.bytes_received > 300);
    assert_code(1, sync_peers(c, peers, 1, 10000, &r));
    assert_int_equal(r.items_applied + r.items_sent, 0);
    core_quit(c);
    assert_ok(ecrdt_digest(c->s, "b", a));
    assert_ok(ecrdt_digest(c->p.node[0].s, "b", b));
    assert_memory_equal(a, b, 16);
}

static void a_deadline_names_who_is_missing(void **state) {
    struct core *c = *state;
    char nobody[128];
    ecrdt_sync_report r;
    snprintf(nobody, sizeof nobody, "%.51s@127.0.0.1:1", c->peer);
    const char *one[] = {nobody}, *two[] = {c->peer, nobody};
    uint64_t begin = now_ms();
    assert_code(ECRDT_EIO, sync_peers(c, one, 1, 300, &r));
    assert_in_range(now_ms() - begin, 290, 3000);
    assert_int_equal(r.peers_reached, 0);
    assert_non_null(strstr(ecrdt_errmsg(), "127.0.0.1:1"));
    assert_non_null(strstr(ecrdt_errmsg(), "refused"));
    /* Two peers of one key are one peer; another key that nobody has: */
    nobody[10] = nobody[10] == 'A' ? 'B' : 'A';
    core_start(c);
    assert_code(0, sync_peers(c, two, 2, 1000, &r));
    core_quit(c);
    assert_int_equal(r.peers_synced, 1);
    assert_null(strstr(ecrdt_errmsg(), c->peer + 52));
}

/* A machine that takes connections and then says nothing: no failure of the
 * protocol, and what ends the call is not what it tells. */
static void a_silent_peer_is_a_deadline(void **state) {
    struct core *c = *state;
    const char *peers[] = {c->peer};
    ecrdt_sync_report r; /* the core's loop does not run */
    assert_code(0, sync_peers(c, peers, 1, 300, &r));
    assert_non_null(strstr(ecrdt_errmsg(), "before the deadline: 127.0.0.1"));
    assert_non_null(strstr(ecrdt_errmsg(), " (handshake)"));
}

static void a_refusal_ends_it_early(void **state) {
    struct core *c = *state;
    const char *peers[] = {c->peer};
    ecrdt_sync_report r;
    assert_ok(node_set_peers(c->p.node[0].n, NULL, 0));
    core_start(c);
    uint64_t begin = now_ms();
    assert_code(ECRDT_EAUTH, sync_peers(c, peers, 1, 20000, &r));
    core_quit(c);
    assert_true(now_ms() - begin < 5000);
    assert_int_equal(r.peers_reached, 0);
    assert_non_null(strstr(ecrdt_errmsg(), "not in sync: 127.0.0.1"));
    assert_non_null(strstr(ecrdt_errmsg(), "(refused: peer refused: our key"));
}

static void arguments_are_checked(void **state) {
    struct core *c = *state;
    const char *peers[] = {c->peer, "nonsense"};
    ecrdt_sync_conf conf = ECRDT_SYNC_CONF_INIT;
    ecrdt_sync_report r = {.size = 1};
    assert_true(ecrdt_sync_once(NULL, &conf, 1, NULL) < 0);
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, NULL, 1, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 1, NULL));
    conf.key_file = c->key_file;
    conf.peers = peers;
    conf.npeers = 2;
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 100, NULL));
    assert_non_null(strstr(ecrdt_errmsg(), "nonsense"));
    conf.npeers = 1;
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 0, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 100, &r));
    char name[300] = "";
    conf.realm = name; /* neither empty nor cut off in silence */
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 100, NULL));
    memset(name, 'r', sizeof name - 1);
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 100, NULL));
    conf.realm = NULL;
    conf.name = name;
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 100, NULL));
    conf.name = NULL;
    conf.key_file = "/nonexistent";
    assert_code(ECRDT_ENOENT, ecrdt_sync_once(c->s, &conf, 100, NULL));
    conf.npeers = 1000;
    conf.key_file = c->key_file;
    assert_code(ECRDT_EINVAL, ecrdt_sync_once(c->s, &conf, 100, NULL));
}

/* The caller's signals and threads stay as they were. */
static void the_process_is_left_alone(void **state) {
    struct core *c = *state;
    char nobody[128];
    ecrdt_sync_report r;
    sigset_t before, after;
    snprintf(nobody, sizeof nobody, "%.51s@localhost:1", c->peer);
    const char *one[] = {nobody};
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    sync_peers(c, one, 1, 200, &r);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&before, SIGPIPE),
                     sigismember(&after, SIGPIPE));
    size_t len;
    char *status = file_read("/proc/self/status", &len);
    assert_non_null(strstr(status, "Threads:\t1\n"));
    free(status);
}

/* In a child it would use the parent's reader slots and map. */
static int sync_in_child(void *arg) {
    struct core *c = arg;
    const char *peers[] = {c->peer};
    ecrdt_sync_report r;
    must(sync_peers(c, peers, 1, 300, &r) == ECRDT_EFORK);
    must(strstr(ecrdt_errmsg(), "ecrdt_sync_once(): store "));
    return 0;
}

static void a_store_does_not_cross_fork(void **state) {
    assert_int_equal(kit_child(sync_in_child, *state), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_core(the_process_is_left_alone),
        with_core(pushes_and_pulls),
        with_core(a_deadline_names_who_is_missing),
        with_core(a_silent_peer_is_a_deadline),
        with_core(a_refusal_ends_it_early),
        with_core(arguments_are_checked),
        with_core(a_store_does_not_cross_fork),
    };
    return TEST_RUN(tests);
}

/* test_peers.c: the table of peers, back-off, and records in a real store. */
#include "replication/peers.h"
#include "tests/support/test.h"

struct fixture {
    char *dir;
    ecrdt_store *s;
    struct peers ps;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = tmpdir_make();
    f->s = assert_handle(ecrdt_open(path_join(f->dir, "s"), NULL));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    peers_free(&f->ps);
    assert_ok(ecrdt_close(f->s));
    tmpdir_remove(f->dir);
    free(f);
    return 0;
}

static struct peer *add(struct fixture *f, uint8_t no, const char *host) {
    const uint8_t key[32] = {no};
    struct peer *p;
    assert_ok(peers_put(&f->ps, key, "name", host, 7433, &p));
    return p;
}

static void peers_are_found_by_key(void **state) {
    struct fixture *f = *state;
    struct peer *a = add(f, 1, "host"), *b = add(f, 2, "");
    const uint8_t other[32] = {3};
    assert_ptr_equal(peers_find(&f->ps, a->key), a);
    assert_null(peers_find(&f->ps, other));
    assert_string_equal(a->r.address, "host:7433");
    assert_int_equal(strlen(a->r.key), PEER_KEY_TEXT - 1);
    assert_int_equal(a->r.state, PEER_DOWN);
    assert_int_equal(b->r.state, PEER_WAITING);
    assert_ptr_equal(add(f, 1, "::1"), a); /* changed */
    assert_string_equal(a->r.address, "[::1]:7433");
    assert_int_equal(f->ps.n, 2);
}

static void the_table_is_bounded(void **state) {
    struct fixture *f = *state;
    struct peer *p;
    uint8_t key[32] = {0};
    for (int i = 0; i < PEERS_MAX; i++) {
        memcpy(key, &i, sizeof i);
        assert_ok(peers_put(&f->ps, key, "n", "", 0, &p));
    }
    key[31] = 1;
    assert_code(ECRDT_EINVAL, peers_put(&f->ps, key, "n", "", 0, &p));
}

static void failures_back_off_with_jitter(void **state) {
    struct fixture *f = *state;
    struct peer *p = add(f, 1, "host");
    uint64_t now = 5000, most = 0;
    peer_failed(p, now, 0);
    assert_int_equal(p->attempt_at_ms, now + PEERS_BACKOFF_MIN_MS / 2);
    for (uint32_t i = 0; i < 40; i++) {
        peer_failed(p, now, i * 2654435761u);
        uint64_t wait = p->attempt_at_ms - now;
        most = wait > most ? wait : most;
        assert_in_range(wait, PEERS_BACKOFF_MIN_MS / 2, PEERS_BACKOFF_MAX_MS);
    }
    assert_true(most > PEERS_BACKOFF_MAX_MS / 2);
    peer_up(p, now);
    peer_failed(p, now + PEERS_STABLE_MS - 1, 0); /* too short to count */
    assert_true(p->attempt_at_ms > now + PEERS_STABLE_MS + 10000);
    peer_up(p, now);
    peer_failed(p, now + PEERS_STABLE_MS, 0);
    assert_int_equal(p->attempt_at_ms,
                     now + PEERS_STABLE_MS + PEERS_BACKOFF_MIN_MS / 2);
    assert_int_equal(p->r.links, 2);
}

static int count(void *ctx, slice name, slice value) {
    (void)name, (void)value;
    ++*(int *)ctx;
    return 0;
}

static int stored(struct fixture *f) {
    int n = 0;
    ecrdt_txn *t = assert_handle(ecrdt_read(f->s));
    assert_ok(replica_each_peer(t, count, &n));
    ecrdt_abort(t);
    return n;
}

static void records_are_written_when_due(void **state) {
    struct fixture *f = *state;
    struct peer *p = add(f, 1, "host");
    add(f, 2, "host");
    assert_code(1, peers_write(&f->ps, f->s, false, 1000, 77000));
    assert_int_equal(stored(f), 3);
    peer_state_set(p, PEER_REFUSED, "no", 78000);
    assert_code(0, peers_write(&f->ps, f->s, false, 1500, 78500)); /* soon */
    assert_code(1, peers_write(&f->ps, f->s, false, 3000, 79000));
    assert_code(0, peers_write(&f->ps, f->s, false, 9000, 80000)); /* same */
    assert_code(1,
                peers_write(&f->ps, f->s, false, 19000,
                            79000 + PEERS_STALE_MS / 3)); /* a sign of life */
    peers_drop(&f->ps, p);
    assert_null(peers_find(&f->ps, p->key));
    assert_code(1, peers_write(&f->ps, f->s, true, 19001, 99000));
    assert_int_equal(stored(f), 2);
    assert_int_equal(f->ps.n, 1);
}

/* Records of peers that a run before had are deleted at the first write. */
static void old_records_are_purged(void **state) {
    struct fixture *f = *state;
    add(f, 1, "host");
    add(f, 2, "host");
    assert_code(1, peers_write(&f->ps, f->s, false, 1000, 77000));
    peers_free(&f->ps);
    add(f, 3, "host");
    assert_code(1, peers_write(&f->ps, f->s, false, 1000, 77000));
    assert_int_equal(stored(f), 2); /* it and "self" */
}

/* A core that this run has not met yet is known as one by its record, and when
 * it was heard. */
static void who_was_met_is_recalled(void **state) {
    struct fixture *f = *state;
    struct peer *p = add(f, 1, "host"), *q = add(f, 2, "host");
    p->r.role = q->r.role = PEER_CORE;
    p->r.seen_ms = q->r.seen_ms = 70000;
    p->r.has_origin = true;
    memset(p->r.origin, 9, ORIGIN_SIZE);
    assert_code(1, peers_write(&f->ps, f->s, false, 1000, 77000));
    peers_free(&f->ps);
    p = add(f, 1, "host");
    q = add(f, 2, "host");
    q->r.links = 1; /* met: it has said what it is */
    assert_code(1, peers_write(&f->ps, f->s, false, 1000, 77000));
    assert_int_equal(p->r.role, PEER_CORE);
    assert_int_equal(p->r.seen_ms, 70000);
    assert_true(p->r.has_origin);
    assert_int_equal(p->r.origin[ORIGIN_SIZE - 1], 9);
    assert_int_equal(q->r.role, PEER_EDGE);
    assert_int_equal(q->r.seen_ms, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(peers_are_found_by_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_table_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_back_off_with_jitter, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(records_are_written_when_due, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(old_records_are_purged, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_was_met_is_recalled, setup,
                                        teardown),
    };
    return TEST_RUN(tests);
}

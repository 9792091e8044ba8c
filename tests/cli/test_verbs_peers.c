/* test_verbs_peers.c: the table of peers, from records as a relay writes
 * them. */
#include "crdt/replica.h"
#include "lib/os.h"
#include "replication/peers.h"
#include "tests/cli/run.h"

/* Stores one record under its name. */
static void put(const char *name, const struct buf *value) {
    ecrdt_txn *t;
    ecrdt_store *s = assert_handle(ecrdt_open(store, NULL));
    assert_ok(replica_begin(s, true, 1000, &t));
    assert_ok(replica_peer_put(t, ecrdt_str(name), buf_slice(value)));
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_close(s));
}

static uint64_t fork_merges; /* that the relay tells of */

static void put_relay(bool running, uint64_t updated_ms) {
    static struct relay_record r;
    struct buf b = {0};
    strcpy(r.key, "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    strcpy(r.name, "edge-1");
    strcpy(r.realm, "default");
    strcpy(r.version, "0.1.0");
    strcpy(r.status, running ? "running" : "stopped");
    r.running = running;
    r.pid = 4711;
    r.fork_merges = fork_merges;
    r.started_ms = updated_ms;
    r.updated_ms = updated_ms;
    relay_record_encode(&b, &r);
    assert_int_equal(b.err, 0);
    put(PEERS_SELF, &b);
    buf_free(&b);
}

static void put_peer(char id, enum peer_state state, uint64_t missing,
                     const char *error) {
    static struct peer_record r;
    struct buf b = {0};
    memset(&r, 0, sizeof r);
    snprintf(r.key, sizeof r.key,
             "ed25519:%cAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", id);
    snprintf(r.name, sizeof r.name, "peer-%c", id);
    strcpy(r.address, "10.0.0.1:7433");
    snprintf(r.error, sizeof r.error, "%s", error);
    r.state = (uint8_t)state;
    r.role = PEER_CORE;
    r.configured = true;
    r.seen_ms = r.updated_ms = r.since_ms = os_wall_ms() - 5000;
    r.missing_here = missing;
    r.ahead_parts = missing;
    peers_record_encode(&b, &r);
    assert_int_equal(b.err, 0);
    put(r.key, &b);
    buf_free(&b);
}

static void no_relay_yet(void **state) {
    (void)state;
    sh("% init");
    sh("% peers");
    assert_int_equal(code, 1);
    assert_non_null(strstr(out, "start edgecrdtd"));
    expect(1, "", "% peers --json");
}

static void all_in_sync(void **state) {
    (void)state;
    put_relay(true, os_wall_ms());
    put_peer('B', PEER_IN_SYNC, 0, "");
    put_peer('C', PEER_IN_SYNC, 0, "old trouble");
    sh("% peers");
    assert_int_equal(code, 0);
    assert_non_null(strstr(out, "relay: running, pid 4711"));
    assert_non_null(strstr(out, "peer-B"));
    assert_non_null(strstr(out, "BAAAAAAAAAAA.."));
    assert_non_null(strstr(out, "in sync"));
    assert_non_null(strstr(out, " s ago"));
    assert_null(strstr(out, "old trouble"));
    sh("% peers --json");
    assert_int_equal(json_lines(), 2);
    assert_string_equal(json_text(0, "name"), "peer-B");
    assert_int_equal(json_number(0, "in_sync"), 1);
    assert_string_equal(json_text(1, "error"), "old trouble");
    sh("%");
    assert_non_null(strstr(out, "2 of 2 in sync"));
}

static void one_behind(void **state) {
    (void)state;
    put_peer('C', PEER_SYNCING, 17, "");
    sh("% peers");
    assert_int_equal(code, 1);
    assert_non_null(strstr(out, "syncing"));
    assert_non_null(strstr(out, " 17 "));
    sh("% peers --json");
    assert_int_equal(json_number(1, "missing_here"), 17);
    put_peer('C', PEER_REFUSED, 17, "its key is not known here");
    sh("% peers --json");
    assert_null(strstr(strstr(out, "peer-C"), "missing_"));
    sh("% peers");
    assert_null(strstr(out, " 17 ")); /* it was so when there was a link */
    assert_non_null(strstr(out, "        -         -  5 s ago"));
    assert_non_null(strstr(out, "error: its key is not known here"));
    sh("% --json");
    assert_int_equal(json_number(0, "peers"), 2);
    assert_int_equal(json_number(0, "peers_in_sync"), 1);
}

static void a_relay_that_is_gone(void **state) {
    (void)state;
    put_peer('C', PEER_IN_SYNC, 0, "");
    put_relay(true, os_wall_ms() - 3600000);
    sh("% peers");
    assert_int_equal(code, 1);
    assert_non_null(strstr(out, "not running: last heard of"));
    assert_null(strstr(out, "in sync"));
    put_relay(false, os_wall_ms());
    sh("% peers");
    assert_int_equal(code, 1);
    assert_non_null(strstr(out, "stopped at"));
}

/* The relay's own counts and the sums over its peers: what is 0 is not worth
 * a line to people. */
static void what_the_relay_counts(void **state) {
    (void)state;
    put_relay(true, os_wall_ms());
    put_peer('B', PEER_IN_SYNC, 0, "");
    put_peer('C', PEER_IN_SYNC, 0, "");
    sh("% stat");
    assert_int_equal(code, 0);
    assert_null(strstr(out, "counted by the relay"));
    fork_merges = 3;
    put_relay(true, os_wall_ms());
    put_peer('B', PEER_SYNCING, 4, "");
    put_peer('C', PEER_SYNCING, 5, "");
    static const char *const verbs[] = {"% stat", "% peers"};
    for (size_t i = 0; i < 2; i++) {
        sh(verbs[i]);
        assert_non_null(strstr(out, "counted by the relay since it started"));
        assert_non_null(strstr(out, "branches merged      3\n"));
        assert_non_null(strstr(out, "parts that came too early 9\n"));
        assert_null(strstr(out, "heads not placed"));
    }
    sh("% stat --json");
    assert_int_equal(json_number(0, "relay_fork_merges"), 3);
    assert_int_equal(json_number(0, "relay_fork_unknown"), 0);
    assert_int_equal(json_number(0, "relay_ahead_parts"), 9);
    sh("% peers --json");
    assert_int_equal(json_number(1, "ahead_parts"), 5);
    assert_int_equal(json_number(1, "relay_fork_merges"), 3);
}

static void damaged_records_are_an_error(void **state) {
    (void)state;
    struct buf b = {0};
    buf_put(&b, "junk", 4);
    put("ed25519:junk", &b);
    buf_free(&b);
    sh("% peers");
    assert_int_equal(code, 65);
    sh("%");
    assert_int_equal(code, 65);
    sh("% stat");
    assert_int_equal(code, 65);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_relay_yet),
        cmocka_unit_test(all_in_sync),
        cmocka_unit_test(one_behind),
        cmocka_unit_test(a_relay_that_is_gone),
        cmocka_unit_test(what_the_relay_counts),
        cmocka_unit_test(damaged_records_are_an_error),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}

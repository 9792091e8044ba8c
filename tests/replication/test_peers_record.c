/* test_peers_record.c: the records that the CLI reads: round trips, names,
 * damage. */
#include "replication/peers.h"
#include "tests/support/test.h"

static void peers_travel(void **state) {
    struct peer_record a = {.direction = PEER_ACCEPT,
                            .role = PEER_CORE,
                            .state = PEER_REFUSED,
                            .configured = true,
                            .has_origin = true,
                            .since_ms = 1,
                            .seen_ms = 2,
                            .missing_here = 3,
                            .missing_there = UINT64_MAX,
                            .bytes_in = 1000,
                            .failures = 9,
                            .ahead_parts = 10,
                            .complete_parts = 11,
                            .fp_refused = 12};
    struct peer_record b;
    struct buf v = {0};
    (void)state;
    strcpy(a.key, "ed25519:key");
    strcpy(a.name, "core-1");
    strcpy(a.address, "host:7433");
    memset(a.error, 'e', PEER_ERROR_MAX);
    memset(a.origin, 5, sizeof a.origin);
    peers_record_encode(&v, &a);
    assert_ok(v.err);
    assert_ok(peers_record_decode(buf_slice(&v), &b));
    assert_memory_equal(&a, &b, sizeof a);
    for (size_t n = 0; n < v.len; n++)
        assert_code(ECRDT_ECORRUPT,
                    peers_record_decode(slice_of(v.data, n), &b));
    buf_put(&v, "", 1);
    assert_code(ECRDT_ECORRUPT, peers_record_decode(buf_slice(&v), &b));
    buf_free(&v);
}

static void relays_travel(void **state) {
    struct relay_record a = {.role = PEER_EDGE,
                             .running = true,
                             .pid = 77,
                             .refused_keys = 4,
                             .malformed = 5,
                             .bulks = 6,
                             .fork_merges = 7,
                             .fork_unknown = UINT64_MAX,
                             .n_listen = 2};
    struct relay_record b;
    struct buf v = {0};
    (void)state;
    strcpy(a.version, "1.2.3");
    strcpy(a.listen[0], "[::]:7433");
    strcpy(a.listen[1], "10.0.0.1:7433");
    relay_record_encode(&v, &a);
    assert_ok(relay_record_decode(buf_slice(&v), &b));
    assert_memory_equal(&a, &b, sizeof a);
    for (size_t n = 0; n < v.len; n++)
        assert_code(ECRDT_ECORRUPT,
                    relay_record_decode(slice_of(v.data, n), &b));
    buf_clear(&v);
    a.n_listen = RELAY_LISTEN_MAX;
    relay_record_encode(&v, &a);
    assert_ok(relay_record_decode(buf_slice(&v), &b));
    buf_free(&v);
}

static void numbers_have_names(void **state) {
    (void)state;
    for (unsigned i = 0; i < PEER_STATES; i++)
        assert_true(strlen(peer_state_name(i)) > 3);
    assert_string_equal(peer_state_name(PEER_IN_SYNC), "in sync");
    assert_string_equal(peer_state_name(PEER_STATES), "?");
    assert_string_equal(peer_direction_name(PEER_ACCEPT), "accept");
    assert_string_equal(peer_direction_name(9), "?");
    assert_string_equal(peer_role_name(PEER_CORE), "core");
    assert_string_equal(peer_role_name(9), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_travel),
        cmocka_unit_test(relays_travel),
        cmocka_unit_test(numbers_have_names),
    };
    return TEST_RUN(tests);
}

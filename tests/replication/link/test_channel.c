/* test_channel.c: messages of every size both ways, limits, and refusals that
 * the other side understands. */
#include "tests/replication/link/pair.h"
#include <jansson.h>

/* ---- talking ---- */

static void says_who_is_there(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    start(&l);
    for (int i = 0; i < 2; i++) {
        assert_false(channel_ready(l.ch[i]));
        assert_null(channel_peer(l.ch[i]));
        assert_null(channel_handshake_hash(l.ch[i]));
        assert_code(ECRDT_EINVAL, send_to(&l, i, 1, NOTHING));
        check_nothing(&l, i);
    }
    stop(&l);
    fresh(&l);
    for (int i = 0; i < 2; i++) {
        assert_true(channel_ready(l.ch[i]));
        assert_memory_equal(channel_peer(l.ch[i]), l.id[!i].pk, 32);
        assert_ok(channel_eof(l.ch[i]));
    }
    assert_memory_equal(channel_handshake_hash(l.ch[INI]),
                        channel_handshake_hash(l.ch[RES]), 64);
    assert_int_equal(l.allow_calls, 1);
    stop(&l);
}

static void messages_go_both_ways(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    for (int i = 0; i < 2; i++) {
        assert_ok(send_to(&l, i, 0, slice_str("first")));
        assert_ok(send_to(&l, i, 255, slice_str("second")));
        assert_ok(send_to(&l, i, 7, NOTHING));
        assert_ok(carry(&l, i, 10000));
        check_message(&l, !i, 0, slice_str("first"));
        check_message(&l, !i, 255, slice_str("second"));
        check_message(&l, !i, 7, NOTHING);
        check_nothing(&l, !i);
    }
    stop(&l);
}

/* The initiator may send before the responder decided; the responder gets it
 * in the same read as the end of the handshake. */
static void early_messages_arrive(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    start(&l);
    assert_ok(carry(&l, INI, 1000));
    assert_ok(carry(&l, RES, 1000));
    check_ready(&l, INI);
    assert_ok(send_to(&l, INI, 3, slice_str("early")));
    assert_ok(carry(&l, INI, 10000));
    struct channel_event ev;
    assert_code(1, channel_next(l.ch[RES], &ev));
    assert_int_equal(ev.kind, CHANNEL_READY);
    check_message(&l, RES, 3, slice_str("early"));
    stop(&l);
}

static void byte_by_byte(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    start(&l);
    struct channel_event ev;
    int events = 0;
    for (int turn = 0; turn < 6; turn++) {
        if (turn == 3)
            assert_ok(send_to(&l, RES, 9, slice_str("drop by drop")));
        assert_ok(carry(&l, turn % 2, 1));
        for (int i = 0; i < 2; i++)
            while (channel_next(l.ch[i], &ev) == 1)
                events++;
    }
    assert_int_equal(events, 3);
    assert_true(channel_accepted(l.ch[INI]));
    stop(&l);
}

/* Every size around the end of a record, and how many records it takes. */
static void sizes_around_fragments(void **state) {
    (void)state;
    static const struct {
        size_t size;
        uint64_t records;
    } rows[] = {{0, 1},
                {1, 1},
                {FIRST_FRAGMENT - 1, 1},
                {FIRST_FRAGMENT, 1},
                {FIRST_FRAGMENT + 1, 2},
                {FIRST_FRAGMENT + NEXT, 2},
                {FIRST_FRAGMENT + NEXT + 1, 3},
                {1000000, 16}};
    struct link l;
    fresh(&l);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t *p = pattern(rows[i].size);
        uint64_t before = channel_stats(l.ch[INI])->records_out;
        assert_ok(send_to(&l, INI, 5, slice_of(p, rows[i].size)));
        assert_int_equal(channel_stats(l.ch[INI])->records_out - before,
                         rows[i].records);
        assert_ok(carry(&l, INI, 4099));
        check_message(&l, RES, 5, slice_of(p, rows[i].size));
        free(p);
    }
    check_nothing(&l, RES);
    stop(&l);
}

static void limit_of(size_t configured, size_t limit) {
    struct link l;
    prepare(&l);
    l.conf[INI].max_message = l.conf[RES].max_message = configured;
    connect(&l);
    uint8_t *p = pattern(limit + 1);
    assert_ok(send_to(&l, INI, 1, slice_of(p, limit)));
    assert_ok(carry(&l, INI, 65536));
    check_message(&l, RES, 1, slice_of(p, limit));
    check_nothing(&l, RES);
    size_t pending = channel_out(l.ch[INI])->len;
    assert_code(ECRDT_ETOOBIG, send_to(&l, INI, 1, slice_of(p, limit + 1)));
    assert_int_equal(channel_out(l.ch[INI])->len, pending);
    assert_ok(send_to(&l, INI, 1, slice_str("!")));
    assert_ok(carry(&l, INI, 65536));
    check_message(&l, RES, 1, slice_str("!"));
    free(p);
    stop(&l);
}

static void limits_of_a_message(void **state) {
    (void)state;
    limit_of(1, 1);
    limit_of(FIRST_FRAGMENT, FIRST_FRAGMENT);
    limit_of(0, CHANNEL_MESSAGE_DEFAULT);
    limit_of((64 << 20) + 4096, (64 << 20) + 4096);
}

/* The receiver holds its own limit, in one record and over several. */
static void over_the_receivers_limit(void **state) {
    (void)state;
    static const size_t limits[] = {10, 100000};
    for (size_t i = 0; i < 2; i++) {
        struct link l;
        prepare(&l);
        l.conf[RES].max_message = limits[i];
        connect(&l);
        uint8_t *p = pattern(limits[i] + 1);
        assert_ok(send_to(&l, INI, 1, slice_of(p, limits[i] + 1)));
        assert_ok(carry(&l, INI, 1 << 20));
        check_dead(&l, RES, ECRDT_EPEER, "over our limit of");
        free(p);
        stop(&l);
    }
}

static void limits_of_a_conf(void **state) {
    (void)state;
    static const uint8_t hello[LINK_HELLO_MAX + 1];
    char realm[LINK_REALM_MAX + 2];
    struct link l;
    struct channel *ch;
    memset(realm, 'r', sizeof realm);
    realm[LINK_REALM_MAX + 1] = 0;
    prepare(&l);
    struct channel_conf good = l.conf[RES], c = good;
    c.realm = realm + 1;
    c.hello = slice_of(hello, LINK_HELLO_MAX);
    c.max_message = CHANNEL_MESSAGE_MAX;
    assert_ok(channel_open(&ch, &c));
    channel_close(ch);
    for (int bad = 0; bad < 7; bad++) {
        c = good;
        if (bad == 0)
            c.realm = realm;
        if (bad == 1)
            c.realm = "";
        if (bad == 2)
            c.realm = NULL;
        if (bad == 3)
            c.hello = slice_of(hello, LINK_HELLO_MAX + 1);
        if (bad == 4)
            c.max_message = CHANNEL_MESSAGE_MAX + 1;
        if (bad == 5)
            c.self = NULL;
        if (bad == 6)
            c.allow = NULL;
        assert_code(ECRDT_EINVAL, channel_open(&ch, &c));
        assert_null(ch);
    }
    channel_close(NULL);
}

static void counters_agree(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    uint8_t *p = pattern(200000);
    for (int i = 0; i < 2; i++) {
        assert_ok(send_to(&l, i, 1, slice_of(p, 200000)));
        assert_ok(carry(&l, i, 1000));
        check_message(&l, !i, 1, slice_of(p, 200000));
        const struct channel_stats *a = channel_stats(l.ch[i]),
                                   *b = channel_stats(l.ch[!i]);
        assert_int_equal(a->bytes_out, b->bytes_in);
        assert_int_equal(a->records_out, b->records_in);
        assert_true(a->bytes_out > 200000);
    }
    free(p);
    stop(&l);
}

static void random_talk_at_random_cuts(void **state) {
    (void)state;
    struct rng r = rng_seed();
    struct link l;
    uint8_t *p = pattern(300000);
    fresh(&l);
    for (int i = 0; i < 200; i++) {
        int from = (int)rng_below(&r, 2);
        size_t sizes[3];
        l.now_ms += rng_below(&r, CHANNEL_REKEY_MS);
        for (int k = 0; k < 3; k++) {
            sizes[k] = rng_magnitude(&r) % 300000;
            assert_ok(send_to(&l, from, (uint8_t)k, slice_of(p, sizes[k])));
        }
        assert_ok(carry(&l, from, 1 + rng_magnitude(&r) % 100000));
        for (int k = 0; k < 3; k++)
            check_message(&l, !from, (uint8_t)k, slice_of(p, sizes[k]));
        check_nothing(&l, !from);
    }
    free(p);
    stop(&l);
}

/* ---- another implementation ---- */

/* What side has to write is the field of tests/vectors/link.json. */
static void check_wire(struct link *l, int side, json_t *v, const char *name) {
    static uint8_t want[4096];
    const char *hex = json_string_value(json_object_get(v, name));
    assert_non_null(hex);
    size_t n = hex_decode(want, sizeof want, hex);
    assert_slice_equal(buf_slice(channel_out(l->ch[side])), slice_of(want, n));
    int rc = carry(l, side, 1 << 20);
    assert_true(rc == 0 || rc == ECRDT_EAUTH);
}

static void check_hash(json_t *v, const char *name, const uint8_t *got,
                       size_t len) {
    uint8_t want[64];
    const char *hex = json_string_value(json_object_get(v, name));
    assert_non_null(hex);
    assert_int_equal(hex_decode(want, sizeof want, hex), len);
    assert_memory_equal(got, want, len);
}

static void handshake_by_vector(struct link *l, json_t *v) {
    start(l);
    check_wire(l, INI, v, "first");
    check_wire(l, RES, v, "second");
    check_ready(l, INI);
    check_wire(l, INI, v, "third");
}

static void the_wire_is_as_link_py_has_it(void **state) {
    (void)state;
    struct link l;
    json_error_t e;
    json_t *v = json_load_file("tests/vectors/link.json", 0, &e);
    assert_non_null(v);
    prepare(&l);
    handshake_by_vector(&l, v);
    check_ready(&l, RES);
    check_hash(v, "handshake_hash", channel_handshake_hash(l.ch[RES]), 64);
    check_wire(&l, RES, v, "accept");
    assert_ok(send_to(&l, INI, 5, slice_str("body")));
    check_wire(&l, INI, v, "message");
    static uint8_t big[70000], hash[32];
    for (size_t n = 0; n < sizeof big; n++)
        big[n] = (uint8_t)(n * n % 251);
    l.now_ms += CHANNEL_REKEY_MS;
    assert_ok(send_to(&l, INI, 6, slice_of(big, sizeof big)));
    struct buf *out = channel_out(l.ch[INI]);
    size_t rekey = FRAME_HEADER + 2 + CRYPTO_TAG;
    crypto_blake2b(hash, sizeof hash,
                   slice_of(out->data + rekey, out->len - rekey));
    check_hash(v, "blake2b_256_of_two_fragments", hash, sizeof hash);
    out->len = rekey;
    check_wire(&l, INI, v, "rekey");
    stop(&l);
    prepare(&l);
    l.known = false;
    handshake_by_vector(&l, v);
    check_wire(&l, RES, v, "refuse_instead");
    stop(&l);
    json_decref(v);
}

/* ---- refusals ---- */

static void an_unknown_key_is_told_so(void **state) {
    (void)state;
    struct link l;
    char key[IDENTITY_TEXT];
    prepare(&l);
    l.known = false;
    start(&l);
    assert_ok(carry(&l, INI, 1000));
    assert_ok(carry(&l, RES, 1000));
    check_ready(&l, INI);
    assert_ok(send_to(&l, INI, 1, slice_str("early")));
    identity_text(key, l.id[INI].pk);
    assert_code(ECRDT_EAUTH, carry(&l, INI, 1000));
    assert_non_null(strstr(ecrdt_errmsg(), key));
    check_dead(&l, RES, ECRDT_EAUTH, "not in our peer list");
    assert_null(channel_peer(l.ch[RES]));
    /* one record, encrypted, is all that it says */
    assert_int_equal(channel_out(l.ch[RES])->len, 2 + 3 + CRYPTO_TAG);
    assert_ok(carry(&l, RES, 1000));
    struct channel_event ev;
    assert_code(ECRDT_EAUTH, channel_next(l.ch[INI], &ev));
    assert_non_null(strstr(ecrdt_errmsg(), "peer refused: our key ed25519:"));
    assert_non_null(strstr(ecrdt_errmsg(), key));
    check_dead(&l, INI, ECRDT_EAUTH, "is not in its peer list");
    stop(&l);
}

static int broken_list(void *ctx, const uint8_t pk[32]) {
    (void)ctx;
    (void)pk;
    return err_set(ECRDT_EIO, "could not read the peer list");
}

static void a_failing_allow_fails_the_channel(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    l.conf[RES].allow = broken_list;
    start(&l);
    assert_ok(carry(&l, INI, 1000));
    assert_ok(carry(&l, RES, 1000));
    assert_code(ECRDT_EIO, carry(&l, INI, 1000));
    assert_int_equal(channel_out(l.ch[RES])->len, 0);
    check_dead(&l, RES, ECRDT_EIO, "peer list");
    stop(&l);
}

static void a_wrong_responder_is_told_so(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    memcpy(l.conf[INI].expect, l.id[INI].pk, 32);
    start(&l);
    assert_ok(carry(&l, INI, 1000));
    assert_code(ECRDT_EAUTH, carry(&l, RES, 1000));
    check_dead(&l, INI, ECRDT_EAUTH, "we expect ed25519:");
    assert_code(ECRDT_EAUTH, carry(&l, INI, 1000));
    check_dead(&l, RES, ECRDT_EAUTH, "expects another key than ours");
    assert_int_equal(l.allow_calls, 0);
    stop(&l);
}

static void realms_and_versions_are_told(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    l.conf[INI].realm = "test";
    start(&l);
    assert_code(ECRDT_EAUTH, carry(&l, INI, 1000));
    check_dead(&l, RES, ECRDT_EAUTH, "not ours, \"prod\"");
    assert_code(ECRDT_EAUTH, carry(&l, RES, 1000));
    check_dead(&l, INI, ECRDT_EAUTH, "not ours, \"test\"");
    stop(&l);
    prepare(&l);
    start(&l);
    store16(channel_out(l.ch[INI])->data + 8, 2);
    store16(channel_out(l.ch[INI])->data + 10, 4);
    assert_code(ECRDT_EVERSION, carry(&l, INI, 1000));
    check_dead(&l, RES, ECRDT_EVERSION, "speaks versions 2-4, we speak 1-1");
    stop(&l);
}

static void other_protocols_get_no_byte(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    start(&l);
    assert_code(ECRDT_EPEER,
                channel_feed(l.ch[RES], slice_str("GET / HTTP/1.1"), 0));
    assert_int_equal(channel_out(l.ch[RES])->len, 0);
    check_dead(&l, RES, ECRDT_EPEER, "does not speak this protocol");
    stop(&l);
}

static int setup(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_who_is_there),
        cmocka_unit_test(messages_go_both_ways),
        cmocka_unit_test(early_messages_arrive),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(sizes_around_fragments),
        cmocka_unit_test(limits_of_a_message),
        cmocka_unit_test(over_the_receivers_limit),
        cmocka_unit_test(limits_of_a_conf),
        cmocka_unit_test(counters_agree),
        cmocka_unit_test(random_talk_at_random_cuts),
        cmocka_unit_test(the_wire_is_as_link_py_has_it),
        cmocka_unit_test(an_unknown_key_is_told_so),
        cmocka_unit_test(a_failing_allow_fails_the_channel),
        cmocka_unit_test(a_wrong_responder_is_told_so),
        cmocka_unit_test(realms_and_versions_are_told),
        cmocka_unit_test(other_protocols_get_no_byte),
    };
    return TEST_RUN_WITH(tests, setup, NULL);
}

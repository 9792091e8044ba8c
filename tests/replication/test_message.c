/* test_message.c: the messages of a session: round trips, bounds, and what
 * must be refused. */
#include "lib/crypto.h"
#include "replication/message.h"
#include "replication/peers.h"
#include "tests/support/test.h"

struct fixture {
    char *dir;
    ecrdt_store *s;
    uint8_t pk[32], sk[64];
    struct hello h;
    struct buf body;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_ok(crypto_init());
    f->dir = tmpdir_make();
    f->s = assert_handle(ecrdt_open(path_join(f->dir, "s"), NULL));
    crypto_sign_key_new(f->pk, f->sk);
    assert_ok(hello_make(&f->h, f->s, "n\x01me", PEER_CORE, f->pk, f->sk));
    hello_encode(&f->body, &f->h);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    buf_free(&f->body);
    assert_ok(ecrdt_close(f->s));
    tmpdir_remove(f->dir);
    free(f);
    return 0;
}

static void hello_proves_origin_and_node(void **state) {
    struct fixture *f = *state;
    struct hello got;
    ecrdt_node id;
    uint8_t origin[16], other[32];
    assert_true(f->body.len <= MESSAGE_HELLO_MAX);
    assert_ok(hello_decode(buf_slice(&f->body), f->pk, &got));
    assert_string_equal(got.name, "n?me");
    assert_int_equal(got.role, PEER_CORE);
    hello_origin(&got, origin);
    assert_ok(ecrdt_node_id(f->s, &id));
    assert_memory_equal(origin, id.b, 16);
    crypto_random(other, sizeof other);
    assert_code(ECRDT_EAUTH, hello_decode(buf_slice(&f->body), other, &got));
}

static void altered_hellos_are_refused(void **state) {
    struct fixture *f = *state;
    struct hello got;
    for (size_t i = 0; i < f->body.len; i++) {
        bool name = i >= 4 && i < 8; /* free text, signed by the channel */
        bool role = i == 8;
        f->body.data[i] ^= 0x01;
        int rc = hello_decode(buf_slice(&f->body), f->pk, &got);
        if (!name && !role)
            assert_true(rc < 0);
        f->body.data[i] ^= 0x01;
    }
    for (size_t n = 0; n < f->body.len; n++)
        assert_true(hello_decode(slice_of(f->body.data, n), f->pk, &got) < 0);
    buf_put(&f->body, "", 1);
    assert_code(ECRDT_EPEER, hello_decode(buf_slice(&f->body), f->pk, &got));
    f->body.data[1] = MESSAGE_VERSION + 1;
    assert_code(ECRDT_EVERSION, hello_decode(buf_slice(&f->body), f->pk, &got));
}

static void clocks_travel(void **state) {
    struct ranges rs = {0};
    struct vv floor = {0};
    struct clock c = {0};
    struct buf b = {0};
    const uint8_t origin[16] = {7};
    (void)state;
    assert_ok(ranges_init(&rs));
    assert_ok(vv_raise(&rs.r[0].clk, origin, 12, 34));
    assert_ok(vv_raise(&floor, origin, 5, 6));
    message_clock_encode(&b, 1000, CLOCK_WAIT, "bucket", &rs, &floor);
    assert_ok(message_clock_decode(buf_slice(&b), &c));
    assert_int_equal(c.acked, 1000);
    assert_int_equal(c.flags, CLOCK_WAIT);
    assert_string_equal(c.bucket, "bucket");
    assert_true(ranges_eq(&c.state->ranges, &rs) &&
                vv_eq(&c.state->floor, &floor));
    clock_free(&c);
    for (size_t n = 0; n < b.len; n++) {
        assert_code(ECRDT_EPEER, message_clock_decode(slice_of(b.data, n), &c));
        clock_free(&c);
    }
    buf_put(&b, "", 1);
    assert_code(ECRDT_EPEER, message_clock_decode(buf_slice(&b), &c));
    clock_free(&c);
    b.data[4] = CLOCK_FLAGS + 1;
    b.len--;
    assert_code(ECRDT_EPEER, message_clock_decode(buf_slice(&b), &c));
    clock_free(&c);
    buf_free(&b);
    ranges_free(&rs);
    vv_free(&floor);
}

static void bad_names_of_buckets_are_refused(void **state) {
    static const struct {
        const char *name;
        size_t len;
        int want;
    } cases[] = {{"", 0, ECRDT_EPEER},
                 {"a\0b", 3, ECRDT_EPEER},
                 {"a", 1, 0},
                 {"0123456789012345678901234567890123456789012345678901234567"
                  "890123",
                  64, 0},
                 {"0123456789012345678901234567890123456789012345678901234567"
                  "8901234",
                  65, ECRDT_EPEER}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct chunk_message m;
        struct buf b = {0};
        pack_array(&b, 4);
        pack_bin(&b, slice_of(cases[i].name, cases[i].len));
        pack_bool(&b, true);
        pack_bin(&b, slice_of(NULL, 0));
        pack_bin(&b, slice_str("chunk"));
        assert_code(cases[i].want, message_chunk_decode(buf_slice(&b), &m));
        buf_free(&b);
    }
}

static void chunks_travel(void **state) {
    struct chunk_message m;
    struct buf b = {0};
    (void)state;
    message_chunk_encode(&b, "bucket", true, slice_str("word"),
                         slice_str("bytes"));
    assert_ok(message_chunk_decode(buf_slice(&b), &m));
    assert_string_equal(m.bucket, "bucket");
    assert_true(m.more);
    assert_slice_equal(m.word, slice_str("word"));
    assert_slice_equal(m.chunk, slice_str("bytes"));
    for (size_t n = 0; n < b.len; n++)
        assert_code(ECRDT_EPEER, message_chunk_decode(slice_of(b.data, n), &m));
    buf_put(&b, "x", 1);
    assert_code(ECRDT_EPEER, message_chunk_decode(buf_slice(&b), &m));
    buf_free(&b);
}

static void byes_travel(void **state) {
    struct bye got;
    struct buf b = {0};
    char longer[400];
    (void)state;
    message_bye_encode(&b, BYE_LIMIT, "too\nmuch");
    assert_ok(message_bye_decode(buf_slice(&b), &got));
    assert_int_equal(got.code, BYE_LIMIT);
    assert_string_equal(got.sentence, "too?much");
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    buf_clear(&b);
    message_bye_encode(&b, BYE_LIMIT, longer);
    assert_true(b.len <= message_limit(MESSAGE_BYE));
    assert_ok(message_bye_decode(buf_slice(&b), &got));
    assert_int_equal(strlen(got.sentence), MESSAGE_SENTENCE_MAX);
    b.data[1] = 0;
    assert_code(ECRDT_EPEER, message_bye_decode(buf_slice(&b), &got));
    b.data[1] = BYE_CODES;
    assert_code(ECRDT_EPEER, message_bye_decode(buf_slice(&b), &got));
    buf_free(&b);
}

static void subscriptions_travel(void **state) {
    struct subscription sub = {.others = false};
    const slice prefixes[] = {ECRDT_STR("user/"), ECRDT_STR("org/")};
    struct subscribe m = {0};
    struct buf b = {0};
    (void)state;
    struct held *h = subscription_add(&sub, ECRDT_STR("a"));
    assert_ok(held_set(h, prefixes, 2));
    subscription_add(&sub, ECRDT_STR("b"))->kind = HELD_ALL;
    message_subscribe_encode(&b, 3, 2, &sub);
    assert_ok(message_subscribe_decode(buf_slice(&b), &m));
    assert_true(m.told && m.number == 3 && m.seen == 2);
    assert_true(subscription_eq(&m.holds, &sub));
    subscription_free(&m.holds);
    for (size_t n = 0; n < b.len; n++) {
        m = (struct subscribe){0};
        assert_code(ECRDT_EPEER,
                    message_subscribe_decode(slice_of(b.data, n), &m));
        subscription_free(&m.holds);
    }
    buf_clear(&b);
    message_subscribe_encode(&b, 3, 4, NULL);
    m = (struct subscribe){0};
    assert_ok(message_subscribe_decode(buf_slice(&b), &m));
    assert_true(!m.told && m.number == 3 && m.seen == 4);
    buf_put(&b, "", 1);
    assert_code(ECRDT_EPEER, message_subscribe_decode(buf_slice(&b), &m));
    subscription_free(&m.holds);
    subscription_free(&sub);
    buf_free(&b);
}

static void types_have_names_and_limits(void **state) {
    (void)state;
    assert_string_equal(message_name(MESSAGE_CLOCK), "clock");
    assert_string_equal(message_name(0), "?");
    assert_string_equal(message_name(MESSAGE_TYPES), "?");
    assert_int_equal(message_limit(0), 0);
    assert_int_equal(message_limit(255), 0);
    for (unsigned t = 1; t < MESSAGE_TYPES; t++)
        if (strcmp(message_name(t), "?") != 0)
            assert_in_range(message_limit(t), 1, MESSAGE_MAX);
        else
            assert_int_equal(message_limit(t), 0);
}

/* Random bytes and random damage never do more than fail. */
static void noise_is_refused(void **state) {
    struct rng r = rng_seed();
    struct fixture *f = *state;
    for (int i = 0; i < 20000; i++) {
        uint8_t p[128];
        struct clock c = {0};
        struct chunk_message m;
        struct bye bye;
        struct hello h;
        slice s = slice_of(p, (size_t)rng_below(&r, sizeof p));
        rng_bytes(&r, p, sizeof p);
        p[0] = (uint8_t)(0x90 | (p[0] & 7)); /* past the first byte */
        message_clock_decode(s, &c);
        clock_free(&c);
        struct subscribe sub = {0};
        message_subscribe_decode(s, &sub);
        subscription_free(&sub.holds);
        message_chunk_decode(s, &m);
        message_bye_decode(s, &bye);
        assert_true(hello_decode(s, f->pk, &h) < 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hello_proves_origin_and_node, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(altered_hellos_are_refused, setup,
                                        teardown),
        cmocka_unit_test(clocks_travel),
        cmocka_unit_test(bad_names_of_buckets_are_refused),
        cmocka_unit_test(chunks_travel),
        cmocka_unit_test(byes_travel),
        cmocka_unit_test(subscriptions_travel),
        cmocka_unit_test(types_have_names_and_limits),
        cmocka_unit_test_setup_teardown(noise_is_refused, setup, teardown),
    };
    return TEST_RUN(tests);
}

/* test_noise.c: Noise XX byte for byte against three other implementations,
 * and what the specification says about failures, nonces and rekeying. */
#include "replication/link/noise.h"
#include "tests/support/test.h"
#include <jansson.h>

static const slice NOTHING = {NULL, 0};

/* Both ends of a handshake, and the ciphers after it. */
struct ends {
    struct noise n[2]; /* initiator, responder */
    struct noise_cipher send[2], get[2];
    uint8_t prologue[2][64];
    size_t prologue_len[2];
};

static size_t field(const json_t *o, const char *name, uint8_t *out,
                    size_t max) {
    const char *s = json_string_value(json_object_get(o, name));
    assert_non_null(s);
    return hex_decode(out, max, s);
}

static void start(struct ends *e, const json_t *v) {
    static const char *const role[2] = {"init", "resp"};
    for (int i = 0; i < 2; i++) {
        char name[32];
        uint8_t s[32], eph[32];
        snprintf(name, sizeof name, "%s_prologue", role[i]);
        e->prologue_len[i] = field(v, name, e->prologue[i], 64);
        snprintf(name, sizeof name, "%s_static", role[i]);
        assert_int_equal(field(v, name, s, 32), 32);
        snprintf(name, sizeof name, "%s_ephemeral", role[i]);
        assert_int_equal(field(v, name, eph, 32), 32);
        noise_init(&e->n[i], i == 0,
                   slice_of(e->prologue[i], e->prologue_len[i]), s, eph);
    }
}

/* One handshake message from end i to the other: out gets its bytes, got the
 * payload as it was read. */
static void pass(struct ends *e, int i, slice payload, struct buf *out,
                 uint8_t *got, size_t *got_len) {
    out->len = 0;
    assert_ok(noise_write_tokens(&e->n[i], out));
    uint8_t at_payload[64];
    memcpy(at_payload, noise_hash(&e->n[i]), 64);
    assert_ok(noise_write_payload(&e->n[i], payload, out));
    slice in = buf_slice(out);
    assert_ok(noise_read_tokens(&e->n[!i], &in));
    /* the hash that proofs sign is the same on both sides */
    assert_memory_equal(at_payload, noise_hash(&e->n[!i]), 64);
    assert_ok(noise_read_payload(&e->n[!i], in, got, got_len));
    assert_memory_equal(noise_hash(&e->n[0]), noise_hash(&e->n[1]), 64);
}

static void split(struct ends *e) {
    for (int i = 0; i < 2; i++) {
        assert_true(noise_done(&e->n[i]));
        noise_split(&e->n[i], &e->send[i], &e->get[i]);
    }
}

static void handshake_message(struct ends *e, int i, slice payload,
                              slice want) {
    struct buf out = {0};
    uint8_t got[256];
    size_t len;
    pass(e, i, payload, &out, got, &len);
    assert_slice_equal(buf_slice(&out), want);
    assert_slice_equal(slice_of(got, len), payload);
    buf_free(&out);
}

static void transport_message(struct ends *e, int i, slice payload,
                              slice want) {
    uint8_t sealed[256], got[256];
    assert_ok(noise_seal(&e->send[i], sealed, payload, NOTHING));
    slice s = slice_of(sealed, payload.len + CRYPTO_TAG);
    assert_slice_equal(s, want);
    assert_ok(noise_open(&e->get[!i], got, s, NOTHING));
    assert_slice_equal(slice_of(got, payload.len), payload);
}

static void check_vector(const json_t *v) {
    struct ends e;
    start(&e, v);
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(v, "messages"), i, m) {
        uint8_t payload[256], sealed[256];
        slice p = slice_of(payload, field(m, "payload", payload, 256));
        slice c = slice_of(sealed, field(m, "ciphertext", sealed, 256));
        if (i == NOISE_TURNS)
            split(&e);
        if (i < NOISE_TURNS)
            handshake_message(&e, i % 2, p, c);
        else
            transport_message(&e, i % 2, p, c);
    }
    assert_true(i > NOISE_TURNS);
    if (json_object_get(v, "handshake_hash")) {
        uint8_t h[64];
        assert_int_equal(field(v, "handshake_hash", h, 64), 64);
        assert_memory_equal(h, noise_hash(&e.n[0]), 64);
    }
    noise_free(&e.n[0]);
    noise_free(&e.n[1]);
}

static void vectors(void **state) {
    (void)state;
    json_error_t err;
    json_t *all = json_load_file("tests/vectors/noise_xx.json", 0, &err), *v;
    assert_non_null(all);
    size_t i;
    json_array_foreach(all, i, v) check_vector(v);
    assert_int_equal(json_array_size(all), 3);
    json_decref(all);
}

static const uint8_t SECRET[4][32] = {{8}, {16}, {24}, {32}};

static void fresh(struct ends *e) {
    for (int i = 0; i < 2; i++)
        noise_init(&e->n[i], i == 0, slice_str("p"), SECRET[i], SECRET[2 + i]);
}

static void connect(struct ends *e) {
    struct buf out = {0};
    uint8_t got[64];
    size_t len;
    fresh(e);
    for (int i = 0; i < NOISE_TURNS; i++)
        pass(e, i % 2, slice_str("hi"), &out, got, &len);
    buf_free(&out);
    split(e);
}

static int read_all(struct noise *n, slice in) {
    uint8_t got[256];
    size_t len;
    int rc = noise_read_tokens(n, &in);
    return rc < 0 ? rc : noise_read_payload(n, in, got, &len);
}

static void write_all(struct noise *n, struct buf *out) {
    out->len = 0;
    assert_ok(noise_write_tokens(n, out));
    assert_ok(noise_write_payload(n, slice_str("payload"), out));
}

/* Message turn, as its reader will get it; the earlier ones are done. */
static void up_to(struct ends *e, int turn, struct buf *out) {
    fresh(e);
    for (int i = 0; i <= turn; i++) {
        write_all(&e->n[i % 2], out);
        if (i < turn)
            assert_ok(read_all(&e->n[!(i % 2)], buf_slice(out)));
    }
}

static void altered_messages_are_refused(void **state) {
    (void)state;
    struct ends e;
    struct buf out = {0};
    for (int turn = 1; turn < NOISE_TURNS; turn++) {
        up_to(&e, turn, &out);
        size_t len = out.len;
        for (size_t at = 0; at < len; at++) {
            struct noise reader = e.n[!(turn % 2)];
            out.data[at] ^= 0x40;
            assert_code(ECRDT_EPEER, read_all(&reader, buf_slice(&out)));
            out.data[at] ^= 0x40;
        }
    }
    buf_free(&out);
}

static void short_messages_are_refused(void **state) {
    (void)state;
    struct ends e;
    struct buf out = {0};
    for (int turn = 0; turn < NOISE_TURNS; turn++) {
        up_to(&e, turn, &out);
        size_t least = turn == 0 ? CRYPTO_PK : out.len;
        for (size_t n = 0; n < least; n++) {
            struct noise reader = e.n[!(turn % 2)];
            assert_code(ECRDT_EPEER, read_all(&reader, slice_of(out.data, n)));
        }
    }
    buf_free(&out);
}

static void another_prologue_is_refused(void **state) {
    (void)state;
    struct ends e;
    struct buf out = {0};
    fresh(&e);
    noise_init(&e.n[1], false, slice_str("q"), SECRET[1], SECRET[3]);
    write_all(&e.n[0], &out);
    assert_ok(read_all(&e.n[1], buf_slice(&out)));
    write_all(&e.n[1], &out);
    assert_code(ECRDT_EPEER, read_all(&e.n[0], buf_slice(&out)));
    buf_free(&out);
}

/* The points of Wycheproof that make an all-zero secret, as e. */
static void low_order_keys_are_refused(void **state) {
    (void)state;
    json_error_t err;
    json_t *all = json_load_file("tests/vectors/x25519.json", 0, &err), *t;
    assert_non_null(all);
    size_t i, tried = 0;
    json_array_foreach(all, i, t) {
        if (!json_is_true(json_object_get(t, "zero")))
            continue;
        struct ends e;
        struct buf out = {0};
        uint8_t point[32];
        field(t, "public", point, 32);
        fresh(&e);
        slice in = slice_of(point, 32);
        assert_ok(read_all(&e.n[1], in));
        assert_code(ECRDT_EPEER, noise_write_tokens(&e.n[1], &out));
        assert_non_null(strstr(ecrdt_errmsg(), "low-order"));
        buf_free(&out);
        tried++;
    }
    assert_int_equal(tried, 31);
    json_decref(all);
}

static void a_failed_open_moves_nothing(void **state) {
    (void)state;
    struct ends e;
    uint8_t sealed[32], junk[32] = {0}, got[32];
    connect(&e);
    assert_ok(noise_seal(&e.send[0], sealed, slice_str("first"), NOTHING));
    struct noise_cipher before = e.get[1];
    assert_code(ECRDT_EPEER,
                noise_open(&e.get[1], got, slice_of(junk, 32), NOTHING));
    assert_code(ECRDT_EPEER,
                noise_open(&e.get[1], got, slice_of(junk, 15), NOTHING));
    assert_int_equal(e.get[1].nonce, before.nonce);
    assert_memory_equal(e.get[1].key, before.key, CRYPTO_KEY);
    slice s = slice_of(sealed, 5 + CRYPTO_TAG);
    assert_code(ECRDT_EPEER,
                noise_open(&e.get[1], got, s, slice_str("other ad")));
    assert_ok(noise_open(&e.get[1], got, s, NOTHING));
    assert_memory_equal(got, "first", 5);
    /* and again: a replay */
    assert_code(ECRDT_EPEER, noise_open(&e.get[1], got, s, NOTHING));
}

static void the_last_nonce_is_never_used(void **state) {
    (void)state;
    struct ends e;
    uint8_t sealed[32], got[32];
    slice s = slice_of(sealed, 1 + CRYPTO_TAG);
    connect(&e);
    e.send[0].nonce = e.get[1].nonce = UINT64_MAX - 1;
    assert_ok(noise_seal(&e.send[0], sealed, slice_str("x"), NOTHING));
    assert_ok(noise_open(&e.get[1], got, s, NOTHING));
    assert_code(ECRDT_EPEER,
                noise_seal(&e.send[0], sealed, slice_str("x"), NOTHING));
    assert_code(ECRDT_EPEER, noise_open(&e.get[1], got, s, NOTHING));
    assert_non_null(strstr(ecrdt_errmsg(), "nonces"));
    assert_true(e.send[0].nonce == UINT64_MAX && e.get[1].nonce == UINT64_MAX);
}

/* REKEY(k) is the first 32 bytes of ENCRYPT(k, 2^64-1, "", 32 zeros). */
static void rekey_is_the_specified_one(void **state) {
    (void)state;
    struct ends e;
    const uint8_t zeros[32] = {0},
                  last[12] = {0,    0,    0,    0,    0xff, 0xff,
                              0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t want[48], sealed[32], got[32];
    connect(&e);
    assert_ok(noise_seal(&e.send[0], sealed, slice_str("x"), NOTHING));
    crypto_seal(want, slice_of(zeros, 32), NOTHING, last, e.send[0].key);
    noise_rekey(&e.send[0]);
    assert_memory_equal(e.send[0].key, want, 32);
    assert_int_equal(e.send[0].nonce, 1);
    assert_ok(noise_open(&e.get[1], got, slice_of(sealed, 17), NOTHING));
    assert_ok(noise_seal(&e.send[0], sealed, slice_str("y"), NOTHING));
    struct noise_cipher old = e.get[1];
    assert_code(ECRDT_EPEER,
                noise_open(&old, got, slice_of(sealed, 17), NOTHING));
    noise_rekey(&e.get[1]);
    assert_ok(noise_open(&e.get[1], got, slice_of(sealed, 17), NOTHING));
}

static void messages_end_at_65535_bytes(void **state) {
    (void)state;
    struct ends e;
    static uint8_t b[NOISE_MESSAGE_MAX + 1];
    connect(&e);
    assert_ok(noise_seal(&e.send[0], b, slice_of(b, NOISE_PLAIN_MAX), NOTHING));
    assert_ok(
        noise_open(&e.get[1], b, slice_of(b, NOISE_MESSAGE_MAX), NOTHING));
    assert_code(
        ECRDT_ETOOBIG,
        noise_seal(&e.send[0], b, slice_of(b, NOISE_PLAIN_MAX + 1), NOTHING));
    assert_code(
        ECRDT_EPEER,
        noise_open(&e.get[1], b, slice_of(b, NOISE_MESSAGE_MAX + 1), NOTHING));
    assert_int_equal(e.send[0].nonce, 1);
}

static void free_leaves_no_secret(void **state) {
    (void)state;
    struct ends e;
    const struct noise zero = {0};
    connect(&e);
    noise_free(&e.n[0]);
    assert_memory_equal(e.n[0].s.sk, zero.s.sk, 32);
    assert_memory_equal(e.n[0].e.sk, zero.e.sk, 32);
    assert_memory_equal(e.n[0].ck, zero.ck, 64);
    assert_memory_equal(e.n[0].cipher.key, zero.cipher.key, 32);
}

static int setup(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(altered_messages_are_refused),
        cmocka_unit_test(short_messages_are_refused),
        cmocka_unit_test(another_prologue_is_refused),
        cmocka_unit_test(low_order_keys_are_refused),
        cmocka_unit_test(a_failed_open_moves_nothing),
        cmocka_unit_test(the_last_nonce_is_never_used),
        cmocka_unit_test(rekey_is_the_specified_one),
        cmocka_unit_test(messages_end_at_65535_bytes),
        cmocka_unit_test(free_leaves_no_secret),
    };
    return TEST_RUN_WITH(tests, setup, NULL);
}

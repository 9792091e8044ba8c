/* test_handshake.c: hellos, proofs and refusals, with every byte of them
 * altered once and every cut tried once. */
#include "replication/link/handshake.h"
#include "tests/support/test.h"

/* Both sides of one link, and what is on its way from each. */
struct pair {
    struct identity id[2]; /* initiator, responder */
    struct handshake_conf conf[2];
    struct handshake hs[2];
    struct buf out[2];
    int rc[2];
};

static const uint8_t EPHEMERAL[2][32] = {{80}, {160}};

static void prepare(struct pair *p) {
    *p = (struct pair){0};
    static const uint8_t seeds[2][32] = {{21}, {22}};
    for (int i = 0; i < 2; i++) {
        identity_init(&p->id[i], seeds[i]);
        p->conf[i] = (struct handshake_conf){
            .self = &p->id[i],
            .initiator = i == 0,
            .realm = "prod",
            .hello = slice_str(i ? "from responder" : "from initiator"),
            .ephemeral = EPHEMERAL[i]};
    }
    p->conf[0].expect = p->id[1].pk;
}

static void start(struct pair *p) {
    for (int i = 0; i < 2; i++)
        assert_ok(handshake_init(&p->hs[i], &p->conf[i], &p->out[i]));
}

static void stop(struct pair *p) {
    for (int i = 0; i < 2; i++) {
        handshake_free(&p->hs[i]);
        buf_free(&p->out[i]);
    }
}

/* Delivers all that side from has sent, step bytes at a time. */
static void deliver(struct pair *p, int from, size_t step) {
    struct buf *b = &p->out[from];
    int to = !from;
    while (b->len && p->rc[to] == 0) {
        size_t n = b->len < step ? b->len : step;
        slice in = slice_of(b->data, n);
        p->rc[to] = handshake_feed(&p->hs[to], &in, &p->out[to]);
        if (p->rc[to] >= 0)
            assert_int_equal(in.len, 0);
        buf_consume(b, n);
    }
    b->len = 0;
}

/* The flights: initiator, responder, initiator. */
static void run(struct pair *p, size_t step) {
    for (int flight = 0; flight < 3; flight++)
        deliver(p, flight % 2, step);
}

static void check_proven(const struct pair *p) {
    for (int i = 0; i < 2; i++) {
        assert_code(1, p->rc[i]);
        assert_memory_equal(p->hs[i].peer, p->id[!i].pk, 32);
        assert_slice_equal(buf_slice(&p->hs[i].peer_hello), p->conf[!i].hello);
    }
    assert_memory_equal(noise_hash(&p->hs[0].noise),
                        noise_hash(&p->hs[1].noise), 64);
}

static void both_are_proven_at_any_cut(void **state) {
    (void)state;
    static const size_t steps[] = {1, 2, 3, 7, 23, 24, 25, 58, 100, 100000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct pair p;
        prepare(&p);
        start(&p);
        run(&p, steps[i]);
        check_proven(&p);
        stop(&p);
    }
}

/* The wire, byte by byte where it is clear: FORMAT.md says the same. */
static void the_first_flight(void **state) {
    (void)state;
    struct pair p;
    uint8_t want[LINK_HELLO_SIZE + FRAME_HEADER + CRYPTO_PK];
    prepare(&p);
    start(&p);
    /* BLAKE2b-256("prod") begins with 09dde49688253... */
    hex_decode(want, LINK_HELLO_SIZE,
               "45435244542d4c31 0001 0001 00000000 09dde4968825349f");
    store16(want + LINK_HELLO_SIZE, CRYPTO_PK);
    crypto_dh_public(want + LINK_HELLO_SIZE + FRAME_HEADER, EPHEMERAL[0]);
    assert_slice_equal(buf_slice(&p.out[0]), slice_of(want, sizeof want));
    assert_int_equal(p.out[1].len, 0); /* a responder waits */
    deliver(&p, 0, 1000);
    assert_int_equal(p.out[1].data[15], 1); /* its role */
    size_t proof = LINK_PROOF_SIZE + p.conf[1].hello.len;
    assert_int_equal(p.out[1].len, LINK_HELLO_SIZE + FRAME_HEADER + CRYPTO_PK +
                                       CRYPTO_PK + CRYPTO_TAG + proof +
                                       CRYPTO_TAG);
    stop(&p);
}

static void bytes_behind_the_handshake_stay(void **state) {
    (void)state;
    struct pair p;
    prepare(&p);
    start(&p);
    deliver(&p, 0, 1000);
    deliver(&p, 1, 1000);
    buf_put(&p.out[0], "next", 4);
    slice in = buf_slice(&p.out[0]);
    assert_code(1, handshake_feed(&p.hs[1], &in, &p.out[1]));
    assert_slice_equal(in, slice_str("next"));
    stop(&p);
}

static void hello_bytes_have_a_limit(void **state) {
    (void)state;
    static const uint8_t most[LINK_HELLO_MAX];
    struct pair p;
    prepare(&p);
    p.conf[0].hello = p.conf[1].hello = slice_of(most, sizeof most);
    start(&p);
    run(&p, 1000);
    check_proven(&p);
    stop(&p);
    prepare(&p);
    start(&p);
    /* one past it, as only a foreign implementation would send */
    buf_put(&p.hs[0].hello, most, sizeof most);
    p.hs[0].hello.len = LINK_HELLO_MAX + 1;
    run(&p, 1000);
    assert_code(ECRDT_EPEER, p.rc[1]);
    stop(&p);
    prepare(&p);
    p.conf[0].hello = p.conf[1].hello = slice_of(NULL, 0);
    start(&p);
    run(&p, 1000);
    check_proven(&p);
    stop(&p);
}

/* A frame's length may be altered so that its reader waits for more; the
 * deadline of the transport ends that. */
static bool in_length(int flight, size_t at) {
    size_t frame = flight == 2 ? 0 : LINK_HELLO_SIZE;
    return at == frame || at == frame + 1;
}

/* Alters byte at of flight and checks that it is refused; gives how many
 * bytes the flight has. */
static size_t flip(int flight, size_t at, uint8_t bits) {
    struct pair p;
    size_t len = 0;
    prepare(&p);
    start(&p);
    for (int f = 0; f < 3; f++) {
        struct buf *b = &p.out[f % 2];
        if (f == flight) {
            len = b->len;
            if (at < len)
                b->data[at] ^= bits;
        }
        deliver(&p, f % 2, 1000);
    }
    int reader = flight == 1 ? 0 : 1;
    if (at < len && in_length(flight, at))
        assert_true(p.rc[reader] != 1);
    else if (at < len && flight == 0) /* what is clear shows at its sender */
        assert_true(p.rc[0] < 0 || (p.rc[0] == 0 && p.rc[1] < 0));
    else if (at < len)
        assert_true(p.rc[reader] < 0);
    stop(&p);
    return len;
}

static void every_flipped_byte_is_refused(void **state) {
    (void)state;
    for (int flight = 0; flight < 3; flight++) {
        size_t len = flip(flight, SIZE_MAX, 0);
        assert_true(len > 50);
        for (size_t at = 0; at < len; at++) {
            flip(flight, at, 0x01);
            flip(flight, at, 0x80);
        }
    }
}

/* Feeds text to a fresh side; gives its code and how many bytes it took. */
static int say(bool initiator, slice text, size_t *answered, size_t *at) {
    struct pair p;
    prepare(&p);
    start(&p);
    int me = initiator ? 0 : 1, rc = 0;
    p.out[me].len = 0;
    for (*at = 0; rc == 0 && *at < text.len; ++*at) {
        slice in = slice_of((const uint8_t *)text.data + *at, 1);
        rc = handshake_feed(&p.hs[me], &in, &p.out[me]);
    }
    *answered = p.out[me].len;
    stop(&p);
    return rc;
}

static void strangers_are_refused_at_their_first_wrong_byte(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } rows[] = {{"GET / HTTP/1.1\r\n", 1}, {"SSH-2.0-OpenSSH\r\n", 1},
                {"\x16\x03\x01", 1},       {"ECHO", 3},
                {"ECRDT-L2", 8},           {"ECRDT-L0........", 8}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int side = 0; side < 2; side++) {
            size_t answered, at;
            assert_code(ECRDT_EPEER, say(side == 0, slice_str(rows[i].text),
                                         &answered, &at));
            assert_int_equal(at, rows[i].at);
            assert_int_equal(answered, 0);
            assert_non_null(strstr(ecrdt_errmsg(), "protocol"));
        }
}

static void hello_of(uint8_t out[24], uint16_t min, uint16_t max,
                     uint32_t flags) {
    hex_decode(out, 24, "45435244542d4c31 0000 0000 00000000 09dde4968825349f");
    store16(out + 8, min);
    store16(out + 10, max);
    store32(out + 12, flags);
}

static void versions(void **state) {
    (void)state;
    static const struct {
        uint16_t min, max;
        int rc;
    } rows[] = {{1, 1, 0},
                {0, 1, 0},
                {1, 9, 0},
                {2, 3, ECRDT_EVERSION},
                {0, 0, ECRDT_EVERSION},
                {1, 0, ECRDT_EVERSION}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t hello[24];
        size_t answered, at;
        hello_of(hello, rows[i].min, rows[i].max, 0);
        assert_code(rows[i].rc,
                    say(false, slice_of(hello, 24), &answered, &at));
        /* the peer gets our hello either way, to see the mismatch too */
        assert_int_equal(answered, LINK_HELLO_SIZE);
        hello_of(hello, rows[i].min, rows[i].max, 1);
        assert_code(rows[i].rc, say(true, slice_of(hello, 24), &answered, &at));
        assert_int_equal(answered, 0);
    }
    assert_non_null(strstr(ecrdt_errmsg(), "versions 1-0, we speak 1-1"));
}

static void equal_roles_are_refused(void **state) {
    (void)state;
    uint8_t hello[24];
    size_t answered, at;
    hello_of(hello, 1, 1, 1);
    assert_code(ECRDT_EPEER, say(false, slice_of(hello, 24), &answered, &at));
    hello_of(hello, 1, 1, 0);
    assert_code(ECRDT_EPEER, say(true, slice_of(hello, 24), &answered, &at));
    assert_non_null(strstr(ecrdt_errmsg(), "only one end dials"));
}

/* Reserved flags are not judged, yet nobody can alter them on the way: flips
 * of them are in every_flipped_byte_is_refused(). */
static void reserved_flags_are_ignored(void **state) {
    (void)state;
    uint8_t hello[24];
    size_t answered, at;
    hello_of(hello, 1, 1, 0xfffffffe);
    assert_ok(say(false, slice_of(hello, 24), &answered, &at));
}

static void another_realm(void **state) {
    (void)state;
    struct pair p;
    prepare(&p);
    p.conf[1].realm = "test";
    start(&p);
    deliver(&p, 0, 1000);
    assert_code(ECRDT_EAUTH, p.rc[1]);
    assert_non_null(strstr(ecrdt_errmsg(), "peer is of realm 09dde4968825349f, "
                                           "not ours, \"test\""));
    deliver(&p, 1, 1000);
    assert_code(ECRDT_EAUTH, p.rc[0]);
    assert_non_null(strstr(ecrdt_errmsg(), "not ours, \"prod\""));
    stop(&p);
}

static void another_key_than_the_pinned(void **state) {
    (void)state;
    struct pair p;
    char theirs[IDENTITY_TEXT], pinned[IDENTITY_TEXT];
    prepare(&p);
    p.conf[0].expect = p.id[0].pk;
    start(&p);
    deliver(&p, 0, 1000);
    deliver(&p, 1, 1000);
    assert_code(ECRDT_EAUTH, p.rc[0]);
    identity_text(theirs, p.id[1].pk);
    identity_text(pinned, p.id[0].pk);
    assert_non_null(strstr(ecrdt_errmsg(), theirs));
    assert_non_null(strstr(ecrdt_errmsg(), pinned));
    /* the refused side learns that it was, and not by whom */
    assert_slice_equal(buf_slice(&p.out[0]), slice_of("\0\1\2", 3));
    deliver(&p, 0, 1000);
    assert_code(ECRDT_EAUTH, p.rc[1]);
    assert_non_null(strstr(ecrdt_errmsg(), "expects another key than ours"));
    assert_non_null(strstr(ecrdt_errmsg(), theirs));
    stop(&p);
}

static void refusals_of_the_future(void **state) {
    (void)state;
    struct pair p;
    prepare(&p);
    assert_code(ECRDT_EAUTH, handshake_refused(&p.id[0], 1, ""));
    assert_non_null(strstr(ecrdt_errmsg(), "not in its peer list"));
    assert_code(ECRDT_EAUTH, handshake_refused(&p.id[0], 200, ""));
    assert_non_null(strstr(ecrdt_errmsg(), "reason 200"));
}

/* A side that holds the X25519 key of an identity, but claims the Ed25519 key
 * of another, or signs with a wrong one. */
static void claims_without_proof(void **state) {
    (void)state;
    for (int liar = 0; liar < 2; liar++)
        for (int how = 0; how < 2; how++) {
            struct pair p;
            prepare(&p);
            struct identity lie = p.id[liar];
            if (how == 0) /* another's public key, our signature */
                memcpy(lie.pk, p.id[!liar].pk, 32);
            else /* a static key that the signature does not name */
                lie.dh_sk[5] ^= 1;
            p.conf[liar].self = &lie;
            if (liar == 1)
                p.conf[0].expect = lie.pk;
            start(&p);
            run(&p, 1000);
            assert_code(ECRDT_EAUTH, p.rc[!liar]);
            assert_non_null(strstr(ecrdt_errmsg(), "did not prove"));
            stop(&p);
        }
}

/* An initiator's proof sent back to it must not prove it to itself: the role
 * is signed. */
static void proofs_name_their_role(void **state) {
    (void)state;
    struct pair p;
    prepare(&p);
    start(&p);
    deliver(&p, 0, 1000);
    deliver(&p, 1, 1000);
    /* the responder takes the initiator's proof for one of a responder */
    p.hs[1].initiator = true;
    slice in = buf_slice(&p.out[0]);
    assert_code(ECRDT_EAUTH, handshake_feed(&p.hs[1], &in, &p.out[1]));
    assert_non_null(strstr(ecrdt_errmsg(), "did not prove"));
    stop(&p);
}

static void a_frame_of_a_stranger_is_short(void **state) {
    (void)state;
    uint8_t bytes[26];
    size_t answered, at;
    hello_of(bytes, 1, 1, 0);
    store16(bytes + 24, FRAME_MAX_STRANGER + 1);
    assert_code(ECRDT_EPEER, say(false, slice_of(bytes, 26), &answered, &at));
    store16(bytes + 24, FRAME_MAX_STRANGER);
    assert_ok(say(false, slice_of(bytes, 26), &answered, &at));
}

static void message_1_carries_nothing(void **state) {
    (void)state;
    uint8_t bytes[24 + 2 + 33] = {0};
    size_t answered, at;
    hello_of(bytes, 1, 1, 0);
    store16(bytes + 24, 33);
    bytes[26] = 9; /* a good point */
    assert_code(ECRDT_EPEER,
                say(false, slice_of(bytes, sizeof bytes), &answered, &at));
    assert_non_null(strstr(ecrdt_errmsg(), "first message"));
}

static void random_bytes_are_refused(void **state) {
    (void)state;
    struct rng r = rng_seed();
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[600];
        size_t answered, at;
        rng_bytes(&r, bytes, sizeof bytes);
        hello_of(bytes, 1, 1, i % 2 ? 1 : 0);
        size_t first = 1 + rng_below(&r, 570);
        store16(bytes + 24, (uint16_t)first);
        /* Any 32 bytes are a good first message; the next must be whole. */
        if (first == 32)
            store16(bytes + 26 + 32, (uint16_t)rng_below(&r, 500));
        int rc = say(i % 2, slice_of(bytes, sizeof bytes), &answered, &at);
        assert_true(rc < 0);
    }
}

static int setup(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_are_proven_at_any_cut),
        cmocka_unit_test(the_first_flight),
        cmocka_unit_test(bytes_behind_the_handshake_stay),
        cmocka_unit_test(hello_bytes_have_a_limit),
        cmocka_unit_test(every_flipped_byte_is_refused),
        cmocka_unit_test(strangers_are_refused_at_their_first_wrong_byte),
        cmocka_unit_test(versions),
        cmocka_unit_test(equal_roles_are_refused),
        cmocka_unit_test(reserved_flags_are_ignored),
        cmocka_unit_test(another_realm),
        cmocka_unit_test(another_key_than_the_pinned),
        cmocka_unit_test(refusals_of_the_future),
        cmocka_unit_test(claims_without_proof),
        cmocka_unit_test(proofs_name_their_role),
        cmocka_unit_test(a_frame_of_a_stranger_is_short),
        cmocka_unit_test(message_1_carries_nothing),
        cmocka_unit_test(random_bytes_are_refused),
    };
    return TEST_RUN_WITH(tests, setup, NULL);
}

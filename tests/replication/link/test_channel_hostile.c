/* test_channel_hostile.c: records that were altered, replayed, reordered, or
 * made by a peer with good keys and bad manners. */
#include "tests/replication/link/pair.h"

static void every_flipped_byte_of_a_record_is_refused(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    assert_ok(send_to(&l, INI, 1, slice_str("exactly this")));
    size_t len = channel_out(l.ch[INI])->len;
    stop(&l);
    for (size_t at = FRAME_HEADER; at < len; at++) {
        fresh(&l);
        assert_ok(send_to(&l, INI, 1, slice_str("exactly this")));
        channel_out(l.ch[INI])->data[at] ^= 4;
        assert_ok(carry(&l, INI, 1000));
        check_dead(&l, RES, ECRDT_EPEER, "altered");
        stop(&l);
    }
}

/* Takes the bytes of the next message off the wire. */
static struct buf capture(struct link *l, int from, const char *text) {
    assert_int_equal(channel_out(l->ch[from])->len, 0);
    assert_ok(send_to(l, from, 1, slice_str(text)));
    struct buf b = *channel_out(l->ch[from]);
    *channel_out(l->ch[from]) = (struct buf){0};
    return b;
}

static int inject(struct link *l, int to, const struct buf *b) {
    return channel_feed(l->ch[to], buf_slice(b), l->now_ms);
}

static void a_replayed_record_is_refused(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    struct buf a = capture(&l, INI, "once");
    assert_ok(inject(&l, RES, &a));
    check_message(&l, RES, 1, slice_str("once"));
    assert_ok(inject(&l, RES, &a));
    check_dead(&l, RES, ECRDT_EPEER, "repeated");
    buf_free(&a);
    stop(&l);
}

static void reordered_records_are_refused(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    struct buf a = capture(&l, INI, "first"), b = capture(&l, INI, "second");
    assert_ok(inject(&l, RES, &b));
    check_dead(&l, RES, ECRDT_EPEER, "reordered");
    buf_free(&a);
    buf_free(&b);
    stop(&l);
}

static void a_reflected_record_is_refused(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    struct buf a = capture(&l, INI, "mirror");
    assert_ok(inject(&l, INI, &a));
    check_dead(&l, INI, ECRDT_EPEER, "another key");
    buf_free(&a);
    stop(&l);
}

static void a_record_of_another_link_is_refused(void **state) {
    (void)state;
    struct link l, m;
    fresh(&l);
    prepare(&m);
    m.conf[INI].ephemeral[1] = 77;
    connect(&m);
    struct buf a = capture(&l, INI, "elsewhere");
    assert_ok(inject(&m, RES, &a));
    check_dead(&m, RES, ECRDT_EPEER, "another key");
    buf_free(&a);
    stop(&l);
    stop(&m);
}

/* What came well before the bad record is still delivered. */
static void good_records_before_a_bad_one_count(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    struct buf a = capture(&l, INI, "good");
    assert_ok(inject(&l, RES, &a));
    assert_ok(inject(&l, RES, &a));
    check_message(&l, RES, 1, slice_str("good"));
    check_dead(&l, RES, ECRDT_EPEER, "altered");
    buf_free(&a);
    stop(&l);
}

static void an_empty_frame_is_refused(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    assert_ok(channel_feed(l.ch[RES], slice_of("\0\0", 2), 0));
    check_dead(&l, RES, ECRDT_EPEER, "frame of 0 bytes");
    stop(&l);
}

/* A peer with our protocol's keys and none of its rules: a handshake by hand,
 * then any plaintext as a record. */
struct rogue {
    struct handshake hs;
    struct noise_cipher send, get;
    struct buf out;
};

/* The rogue takes side, a real channel the other. */
static void rogue_connect(struct link *l, struct rogue *r, int side) {
    prepare(l);
    *r = (struct rogue){0};
    const struct handshake_conf hc = {.self = &l->id[side],
                                      .initiator = side == INI,
                                      .expect = l->conf[side].expect,
                                      .realm = "prod",
                                      .ephemeral = l->conf[side].ephemeral};
    struct channel_event ev;
    struct channel *ch;
    assert_ok(handshake_init(&r->hs, &hc, &r->out));
    assert_ok(channel_open(&ch, &l->conf[!side]));
    l->ch[!side] = ch;
    while (!channel_ready(ch)) {
        assert_ok(channel_feed(ch, buf_slice(&r->out), 0));
        r->out.len = 0;
        slice in = buf_slice(channel_out(ch));
        if (!r->hs.peer_proven)
            assert_true(handshake_feed(&r->hs, &in, &r->out) >= 0);
        channel_wrote(ch, channel_out(ch)->len);
    }
    r->out.len = 0;
    assert_true(r->hs.peer_proven);
    noise_split(&r->hs.noise, &r->send, &r->get);
    assert_code(1, channel_next(ch, &ev));
}

static void rogue_stop(struct link *l, struct rogue *r, int side) {
    handshake_free(&r->hs);
    buf_free(&r->out);
    channel_close(l->ch[!side]);
}

static void rogue_says(struct link *l, struct rogue *r, int side, slice plain) {
    uint8_t *p = frame_put(&r->out, plain.len + CRYPTO_TAG);
    assert_ok(noise_seal(&r->send, p, plain, NOTHING));
    assert_ok(channel_feed(l->ch[!side], buf_slice(&r->out), 0));
    r->out.len = 0;
}

static void records_that_break_a_rule(void **state) {
    (void)state;
    static const struct {
        int side;
        const char *text;
        size_t len;
        const char *why;
    } rows[] = {
        {INI, "", 0, "empty"},
        {INI, "\x04xx", 3, "unknown kind"},
        {INI, "\x81\x03", 2, "unknown kind"},
        {INI, "\x01", 1, "one length"},        /* FIRST without a type */
        {INI, "\x03\x05xyz", 5, "one length"}, /* MORE, not full */
        {INI, "\x00xyz", 4, "mixed"},          /* no FIRST before */
        {INI, "\x80", 1, "control"},
        {INI, "\x80\x00", 2, "control"},
        {INI, "\x80\x04", 2, "control"},
        {INI, "\x80\x01", 2, "control"}, /* only a responder accepts */
        {INI, "\x80\x02\x01", 3, "control"},
        {INI, "\x80\x03\x00", 3, "control"},
        {RES, "\x01\x05xyz", 5, "before it accepted"},
        {RES, "\x80\x03", 2, "control"}, /* no REKEY before ACCEPT */
        {RES, "\x80\x01\x00", 3, "control"},
        {RES, "\x80\x02", 2, "control"},
        {RES, "\x80\x02\x09", 3, "reason 9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct link l;
        struct rogue r;
        rogue_connect(&l, &r, rows[i].side);
        rogue_says(&l, &r, rows[i].side, slice_of(rows[i].text, rows[i].len));
        check_dead(&l, !rows[i].side,
                   strstr(rows[i].why, "reason") ? ECRDT_EAUTH : ECRDT_EPEER,
                   rows[i].why);
        rogue_stop(&l, &r, rows[i].side);
    }
}

static void rules_inside_a_message(void **state) {
    (void)state;
    static uint8_t full[NOISE_PLAIN_MAX] = {1 | 2};
    static const struct {
        const char *text;
        size_t len;
        const char *why;
    } rows[] = {
        {"\x01\x05xyz", 5, "mixed"},  /* a second beginning */
        {"\x00", 1, "one length"},    /* an end that carries nothing */
        {"\x02xyz", 4, "one length"}, /* a middle that is not full */
        {"\x80\x03\x01", 3, "control"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct link l;
        struct rogue r;
        rogue_connect(&l, &r, INI);
        rogue_says(&l, &r, INI, slice_of(full, sizeof full));
        check_nothing(&l, RES);
        rogue_says(&l, &r, INI, slice_of(rows[i].text, rows[i].len));
        check_dead(&l, RES, ECRDT_EPEER, rows[i].why);
        rogue_stop(&l, &r, INI);
    }
}

/* The same rogue with good manners is understood, so the tests above fail for
 * the reason they name. */
static void a_rogue_that_keeps_the_rules(void **state) {
    (void)state;
    static uint8_t full[NOISE_PLAIN_MAX] = {1 | 2, 9};
    struct link l;
    struct rogue r;
    struct channel_event ev;
    rogue_connect(&l, &r, INI);
    rogue_says(&l, &r, INI, slice_of(full, sizeof full));
    check_nothing(&l, RES);
    rogue_says(&l, &r, INI, slice_of("\x80\x03", 2)); /* REKEY inside */
    noise_rekey(&r.send);
    check_nothing(&l, RES);
    rogue_says(&l, &r, INI, slice_of("\x00z", 2));
    assert_code(1, channel_next(l.ch[RES], &ev));
    assert_int_equal(ev.type, 9);
    assert_int_equal(ev.body.len, FIRST_FRAGMENT + 1);
    rogue_stop(&l, &r, INI);
    rogue_connect(&l, &r, RES);
    rogue_says(&l, &r, RES, slice_of("\x80\x01", 2));
    rogue_says(&l, &r, RES, slice_of("\x01\x06!", 3));
    check_message(&l, INI, 6, slice_str("!"));
    rogue_says(&l, &r, RES, slice_of("\x80\x01", 2)); /* twice is too often */
    check_dead(&l, INI, ECRDT_EPEER, "control");
    rogue_stop(&l, &r, RES);
}

static void the_end_of_the_socket(void **state) {
    (void)state;
    struct link l;
    prepare(&l);
    start(&l);
    assert_code(ECRDT_EPEER, channel_eof(l.ch[RES]));
    check_dead(&l, RES, ECRDT_EPEER, "middle of the handshake");
    stop(&l);
    prepare(&l);
    start(&l);
    assert_ok(carry(&l, INI, 1000));
    assert_ok(carry(&l, RES, 1000));
    assert_code(ECRDT_EPEER, channel_eof(l.ch[INI]));
    check_dead(&l, INI, ECRDT_EPEER, "before it accepted or refused");
    stop(&l);
    fresh(&l);
    struct buf a = capture(&l, INI, "half of this");
    a.len /= 2;
    assert_ok(inject(&l, RES, &a));
    check_nothing(&l, RES);
    assert_code(ECRDT_EPEER, channel_eof(l.ch[RES]));
    check_dead(&l, RES, ECRDT_EPEER, "middle of a message");
    buf_free(&a);
    stop(&l);
    fresh(&l); /* between two records of one message */
    uint8_t *p = pattern(FIRST_FRAGMENT + 1);
    assert_ok(send_to(&l, INI, 1, slice_of(p, FIRST_FRAGMENT + 1)));
    channel_out(l.ch[INI])->len = FRAME_HEADER + FRAME_MAX;
    assert_ok(carry(&l, INI, 1 << 20));
    check_nothing(&l, RES);
    assert_code(ECRDT_EPEER, channel_eof(l.ch[RES]));
    check_dead(&l, RES, ECRDT_EPEER, "middle of a message");
    free(p);
    stop(&l);
}

static int setup(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_byte_of_a_record_is_refused),
        cmocka_unit_test(a_replayed_record_is_refused),
        cmocka_unit_test(reordered_records_are_refused),
        cmocka_unit_test(a_reflected_record_is_refused),
        cmocka_unit_test(a_record_of_another_link_is_refused),
        cmocka_unit_test(good_records_before_a_bad_one_count),
        cmocka_unit_test(an_empty_frame_is_refused),
        cmocka_unit_test(records_that_break_a_rule),
        cmocka_unit_test(rules_inside_a_message),
        cmocka_unit_test(a_rogue_that_keeps_the_rules),
        cmocka_unit_test(the_end_of_the_socket),
    };
    return TEST_RUN_WITH(tests, setup, NULL);
}

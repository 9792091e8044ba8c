/* pair.h: two channels joined by memory, for the tests of channel.c. */
#ifndef TESTS_REPLICATION_LINK_PAIR_H
#define TESTS_REPLICATION_LINK_PAIR_H
#include "replication/link/channel.h"
#include "lib/err.h"
#include "tests/support/test.h"

static const slice NOTHING = {NULL, 0};

/* Bytes of a body in the first record of a message and in a later one. */
enum { FIRST_FRAGMENT = NOISE_PLAIN_MAX - 2, NEXT = NOISE_PLAIN_MAX - 1 };

enum { INI, RES };

struct link {
    struct identity id[2];
    struct channel_conf conf[2];
    struct channel *ch[2];
    bool known; /* what allow() says of the initiator */
    int allow_calls;
    uint64_t now_ms;
};

static inline int allow(void *ctx, const uint8_t pk[32]) {
    struct link *l = ctx;
    assert_memory_equal(pk, l->id[INI].pk, 32);
    l->allow_calls++;
    return l->known;
}

static inline void prepare(struct link *l) {
    static const uint8_t seeds[2][32] = {{31}, {32}};
    *l = (struct link){.known = true, .now_ms = 5000};
    for (int i = 0; i < 2; i++) {
        identity_init(&l->id[i], seeds[i]);
        l->conf[i] = (struct channel_conf){
            .self = &l->id[i],
            .initiator = i == INI,
            .realm = "prod",
            .hello = slice_str(i == INI ? "hello of ini" : "hello of res"),
            .ephemeral = {0, (uint8_t)(1 + i)}};
    }
    memcpy(l->conf[INI].expect, l->id[RES].pk, 32);
    l->conf[RES].allow = allow;
    l->conf[RES].allow_ctx = l;
}

static inline void start(struct link *l) {
    for (int i = 0; i < 2; i++)
        assert_ok(channel_open(&l->ch[i], &l->conf[i]));
}

static inline void stop(struct link *l) {
    channel_close(l->ch[INI]);
    channel_close(l->ch[RES]);
}

/* Carries what side from has to write to the other, step bytes a time. */
static inline int carry(struct link *l, int from, size_t step) {
    struct buf *out = channel_out(l->ch[from]);
    struct buf taken = *out;
    *out = (struct buf){0};
    int rc = 0;
    for (size_t at = 0; at < taken.len && rc == 0; at += step) {
        size_t n = taken.len - at < step ? taken.len - at : step;
        rc =
            channel_feed(l->ch[!from], slice_of(taken.data + at, n), l->now_ms);
    }
    buf_free(&taken);
    return rc;
}

static inline void check_ready(struct link *l, int side) {
    struct channel_event ev;
    assert_code(1, channel_next(l->ch[side], &ev));
    assert_int_equal(ev.kind, CHANNEL_READY);
    assert_slice_equal(ev.body, l->conf[!side].hello);
    assert_memory_equal(ev.peer, l->id[!side].pk, 32);
    assert_ok(channel_next(l->ch[side], &ev));
}

/* A pair that is ready and accepted. */
static inline void connect(struct link *l) {
    start(l);
    assert_ok(carry(l, INI, 1000));
    assert_ok(carry(l, RES, 1000));
    check_ready(l, INI);
    assert_false(channel_accepted(l->ch[INI]));
    assert_ok(carry(l, INI, 1000));
    check_ready(l, RES);
    assert_true(channel_accepted(l->ch[RES]));
    assert_ok(carry(l, RES, 1000));
    struct channel_event ev;
    assert_ok(channel_next(l->ch[INI], &ev));
    assert_true(channel_accepted(l->ch[INI]));
}

static inline void fresh(struct link *l) {
    prepare(l);
    connect(l);
}

static inline int send_to(struct link *l, int from, uint8_t type, slice body) {
    return channel_send(l->ch[from], type, body, l->now_ms);
}

static inline void check_message(struct link *l, int side, uint8_t type,
                                 slice body) {
    struct channel_event ev;
    assert_code(1, channel_next(l->ch[side], &ev));
    assert_int_equal(ev.kind, CHANNEL_MESSAGE);
    assert_int_equal(ev.type, type);
    assert_slice_equal(ev.body, body);
}

static inline void check_nothing(struct link *l, int side) {
    struct channel_event ev;
    assert_ok(channel_next(l->ch[side], &ev));
}

/* It is dead, says so with this code and sentence, and says so again. */
static inline void check_dead(struct link *l, int side, int code,
                              const char *why) {
    struct channel_event ev;
    struct channel *ch = l->ch[side];
    for (int i = 0; i < 2; i++) {
        assert_code(code, channel_next(ch, &ev));
        if (!strstr(ecrdt_errmsg(), why))
            fail_msg("not \"%s\": %s", why, ecrdt_errmsg());
        err_set(ECRDT_EIO, "something else");
        assert_code(code, channel_feed(ch, slice_str("x"), 0));
        assert_non_null(strstr(ecrdt_errmsg(), why));
        assert_code(code, channel_send(ch, 1, NOTHING, 0));
        assert_code(code, channel_eof(ch));
    }
    assert_false(channel_ready(ch));
    assert_false(channel_accepted(ch));
}

static inline uint8_t *pattern(size_t n) {
    uint8_t *p = malloc(n + 1);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 2654435761u >> 13);
    return p;
}
#endif

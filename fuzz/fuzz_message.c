/* fuzz_message.c: the messages of a session: what is accepted comes out of
 * the encoder as it came, and is within its limits.
 * Covers: replication/message.c crdt/subscription.c crdt/vv.c */
#include "fuzz/fuzz.h"
#include "replication/message.h"

static void same(struct buf *out, slice in) {
    FUZZ_CHECK(!out->err && slice_eq(buf_slice(out), in));
    buf_free(out);
}

static void peer_error(int rc) {
    FUZZ_CHECK(rc == ECRDT_EPEER || rc == ECRDT_EVERSION || rc == ECRDT_EAUTH);
    FUZZ_CODE(rc);
}

static void clock_told(slice in) {
    struct clock c = {0};
    struct buf out = {0};
    int rc = message_clock_decode(in, &c);
    if (rc < 0) {
        peer_error(rc);
    } else {
        message_clock_encode(&out, c.acked, c.flags, c.bucket, &c.state->ranges,
                             &c.state->floor);
        same(&out, in);
    }
    clock_free(&c);
}

static void chunk_told(slice in) {
    struct chunk_message m;
    struct buf out = {0};
    int rc = message_chunk_decode(in, &m);
    if (rc < 0) {
        peer_error(rc);
    } else {
        message_chunk_encode(&out, m.bucket, m.more, m.word, m.chunk);
        same(&out, in);
    }
}

static void subscribe_told(slice in) {
    struct subscribe m = {0};
    struct buf out = {0};
    int rc = message_subscribe_decode(in, &m);
    if (rc < 0) {
        peer_error(rc);
    } else {
        message_subscribe_encode(&out, m.number, m.seen,
                                 m.told ? &m.holds : NULL);
        same(&out, in);
    }
    subscription_free(&m.holds);
}

/* Text is shown, so unprintable bytes of it change: only once. */
static void bye_told(slice in) {
    struct bye b, again;
    struct buf out = {0};
    int rc = message_bye_decode(in, &b);
    if (rc < 0) {
        peer_error(rc);
        return;
    }
    message_bye_encode(&out, b.code, b.sentence);
    FUZZ_CHECK(message_bye_decode(buf_slice(&out), &again) == 0);
    FUZZ_CHECK(b.code == again.code && !strcmp(b.sentence, again.sentence));
    buf_free(&out);
}

static void hello_told(slice in) {
    struct hello h;
    uint8_t pk[32] = {1}, origin[ORIGIN_SIZE];
    int rc = hello_decode(in, pk, &h);
    FUZZ_CHECK(rc < 0); /* nobody signs for that key */
    peer_error(rc);
    hello_origin(&h, origin);
    FUZZ_CHECK(memchr(h.name, 0, sizeof h.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const told[])(slice) = {clock_told, chunk_told,
                                          subscribe_told, bye_told, hello_told};
    if (size)
        told[*data % 5](slice_of(data + 1, size - 1));
    return 0;
}

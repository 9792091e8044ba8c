/* fuzz_channel.c: a peer with good keys and any plaintext in its records: what
 * is taken for a message is one that a channel sends in the same records.
 * Covers: replication/link/channel.c */
#include "fuzz/fuzz.h"
#include "replication/link/channel.h"

enum { LIMIT = 1 << 17 };

static struct identity id[2];

static int allow(void *ctx, const uint8_t pk[32]) {
    (void)ctx;
    (void)pk;
    return 1;
}

struct rogue {
    struct handshake hs;
    struct noise_cipher send, get;
    struct buf out;
};

/* The rogue takes the role, a real channel the other one. */
static struct channel *meet(struct rogue *r, bool initiator) {
    struct channel_conf conf = {.self = &id[initiator],
                                .initiator = !initiator,
                                .allow = allow,
                                .realm = "prod",
                                .max_message = LIMIT,
                                .ephemeral = {0, 1}};
    const uint8_t ephemeral[CRYPTO_SEED] = {0, 2};
    const struct handshake_conf hc = {.self = &id[!initiator],
                                      .initiator = initiator,
                                      .expect = id[1].pk,
                                      .realm = "prod",
                                      .ephemeral = ephemeral};
    struct channel *ch;
    struct channel_event ev;
    memcpy(conf.expect, id[1].pk, 32);
    FUZZ_CHECK(handshake_init(&r->hs, &hc, &r->out) == 0);
    FUZZ_CHECK(channel_open(&ch, &conf) == 0);
    while (!channel_ready(ch)) {
        FUZZ_CHECK(channel_feed(ch, buf_slice(&r->out), 0) == 0);
        r->out.len = 0;
        slice in = buf_slice(channel_out(ch));
        FUZZ_CHECK(r->hs.peer_proven ||
                   handshake_feed(&r->hs, &in, &r->out) >= 0);
        channel_wrote(ch, channel_out(ch)->len);
    }
    r->out.len = 0;
    noise_split(&r->hs.noise, &r->send, &r->get);
    FUZZ_CHECK(channel_next(ch, &ev) == 1 && ev.kind == CHANNEL_READY);
    return ch;
}

/* Records of the input, each behind its length; 0xff stands for a full one, of
 * which there are some (fulls) at most. */
static int say(struct rogue *r, struct channel *ch, struct fuzz_in *in,
               unsigned *fulls) {
    static uint8_t plain[NOISE_PLAIN_MAX];
    uint8_t n = fuzz_byte(in);
    if (n == 255 && ++*fulls > 6)
        n = 254;
    slice text = fuzz_take(in, n == 255 ? 2 : n);
    size_t len = n == 255 ? NOISE_PLAIN_MAX : text.len;
    memset(plain, 0, n == 255 ? sizeof plain : 0);
    memcpy(plain, text.data, text.len);
    uint8_t *p = frame_put(&r->out, len + CRYPTO_TAG);
    FUZZ_CHECK(
        noise_seal(&r->send, p, slice_of(plain, len), slice_of(NULL, 0)) == 0);
    if (len == 2 && plain[0] == 0x80 && plain[1] == 3)
        noise_rekey(&r->send);
    int rc = channel_feed(ch, buf_slice(&r->out), 0);
    r->out.len = 0;
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t seeds[2][32] = {{31}, {32}};
    struct fuzz_in in = {data, data + size};
    struct rogue r = {0};
    struct channel_event ev;
    for (int i = 0; i < 2 && !*id[1].pk; i++)
        identity_init(&id[i], seeds[i]);
    bool initiator = fuzz_byte(&in) & 1;
    struct channel *ch = meet(&r, initiator);
    int rc = 0;
    unsigned fulls = 0;
    while (in.p < in.end && rc >= 0) {
        rc = say(&r, ch, &in, &fulls);
        while (rc >= 0 && (rc = channel_next(ch, &ev)) == 1)
            FUZZ_CHECK(ev.kind == CHANNEL_MESSAGE && ev.body.len <= LIMIT &&
                       channel_accepted(ch));
    }
    FUZZ_CHECK(rc == 0 || rc == ECRDT_EPEER || rc == ECRDT_EAUTH);
    FUZZ_CHECK(rc == 0 || channel_next(ch, &ev) == rc); /* dead for good */
    FUZZ_CHECK(rc == 0 || !channel_ready(ch));
    channel_close(ch);
    handshake_free(&r.hs);
    buf_free(&r.out);
    return 0;
}

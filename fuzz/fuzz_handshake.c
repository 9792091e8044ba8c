/* fuzz_handshake.c: a real peer's bytes with changes of the input in them, or
 * bytes of a stranger, to either role: who becomes ready got the very bytes
 * that the peer sent, and a stranger costs little memory.
 * Covers: replication/link/handshake.c replication/link/noise.c
 *         replication/link/channel.c */
#include "fuzz/fuzz.h"
#include "replication/link/channel.h"

static struct identity id[2];
static bool known;

static int allow(void *ctx, const uint8_t pk[32]) {
    (void)ctx;
    return known && !memcmp(pk, id[0].pk, 32);
}

static struct channel *open_side(bool initiator) {
    struct channel_conf conf = {.self = &id[!initiator],
                                .initiator = initiator,
                                .allow = allow,
                                .realm = "prod",
                                .hello = ECRDT_STR("hello"),
                                .ephemeral = {0, (uint8_t)(1 + !initiator)}};
    struct channel *ch;
    memcpy(conf.expect, id[1].pk, 32);
    FUZZ_CHECK(channel_open(&ch, &conf) == 0);
    return ch;
}

/* Carries from's bytes to to, some of them changed; the result of feeding. */
static int carry(struct channel *from, struct channel *to, struct fuzz_in *in,
                 bool *changed) {
    struct buf *out = channel_out(from);
    for (uint8_t n = fuzz_byte(in) % 4; n > 0 && out->len; n--) {
        size_t at = fuzz_below(in, (uint32_t)out->len);
        uint8_t by = fuzz_byte(in);
        out->data[at] ^= by;
        *changed = *changed || by;
    }
    size_t cut = fuzz_byte(in) == 1 ? fuzz_byte(in) : 0;
    size_t n = cut < out->len ? out->len - cut : 0;
    *changed = *changed || n < out->len;
    int rc = channel_feed(to, slice_of(out->data, n), 1);
    channel_wrote(from, out->len);
    return rc;
}

/* Takes events; true as long as it lives. */
static bool lives(struct channel *ch, int rc) {
    struct channel_event ev;
    while (rc >= 0 && (rc = channel_next(ch, &ev)) == 1)
        FUZZ_CHECK(ev.kind == CHANNEL_READY &&
                   slice_eq(ev.body, ECRDT_STR("hello")));
    FUZZ_CHECK(rc == 0 || rc == ECRDT_EPEER || rc == ECRDT_EAUTH ||
               rc == ECRDT_EVERSION);
    return rc == 0;
}

static void talk(struct fuzz_in *in) {
    struct channel *ini = open_side(true), *res = open_side(false);
    bool changed = false, a = true, b = true;
    for (int turn = 0; turn < 3 && a && b; turn++) {
        b = lives(res, carry(ini, res, in, &changed));
        a = lives(ini, carry(res, ini, in, &changed));
    }
    if (channel_ready(res))
        FUZZ_CHECK(!memcmp(channel_handshake_hash(res),
                           channel_handshake_hash(ini), 64) &&
                   !memcmp(channel_peer(res), id[0].pk, 32));
    if (channel_accepted(ini))
        FUZZ_CHECK(known && !memcmp(channel_peer(ini), id[1].pk, 32));
    FUZZ_CHECK(changed || channel_accepted(ini) == known);
    channel_close(ini);
    channel_close(res);
}

static void stranger(struct fuzz_in *in, bool initiator) {
    struct channel *ch = open_side(initiator);
    bool alive = true;
    while (in->p < in->end && alive)
        alive =
            lives(ch, channel_feed(ch, fuzz_take(in, 1 + fuzz_byte(in)), 1));
    FUZZ_CHECK(!channel_ready(ch) && !channel_peer(ch));
    FUZZ_CHECK(channel_out(ch)->len < 4096);
    channel_close(ch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t seeds[2][32] = {{31}, {32}};
    struct fuzz_in in = {data, data + size};
    for (int i = 0; i < 2 && !*id[1].pk; i++)
        identity_init(&id[i], seeds[i]);
    uint8_t how = fuzz_byte(&in);
    known = how & 4;
    if (how & 1)
        stranger(&in, how & 2);
    else
        talk(&in);
    return 0;
}

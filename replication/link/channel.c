/* channel.c: records, fragments, rekeying and the verdict on the peer, above
 * a finished handshake. */
#include "replication/link/channel.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include <stdio.h>

enum record { FIRST = 1, MORE = 2, DATA = FIRST | MORE, CONTROL = 0x80 };
enum control { ACCEPT = 1, REFUSE = 2, REKEY = 3 };
enum { WHY_SIZE = 384 }; /* holds our longest sentence, one with two keys */

static const slice NOTHING = {NULL, 0};

/* What we send with: the key, and what was sealed with it so far. */
struct half {
    struct noise_cipher cipher;
    uint64_t records, bytes, since_ms;
};

struct channel {
    struct handshake *handshake; /* NULL once it is over */
    const struct identity *self;
    int (*allow)(void *ctx, const uint8_t pk[32]);
    void *allow_ctx;
    size_t max_message;
    bool initiator, ready, accepted, ready_told, in_message, message_lent;
    uint8_t peer[CRYPTO_PK], hash[CRYPTO_HASH];
    struct half send;
    struct noise_cipher get;
    struct frame_reader frames;
    struct buf out, hello, message;
    uint8_t type; /* of the message that is being put together */
    struct channel_stats stats;
    int err; /* the first error, for good */
    char why[WHY_SIZE];
};

/* ---- life and death ---- */

static int check_conf(const struct channel_conf *conf) {
    size_t realm = conf->realm ? strlen(conf->realm) : 0;
    if (realm < 1 || realm > LINK_REALM_MAX)
        return err_set(ECRDT_EINVAL,
                       "could not open a link: the realm's name has %zu bytes, "
                       "1 to %d are allowed",
                       realm, LINK_REALM_MAX);
    if (conf->hello.len > LINK_HELLO_MAX)
        return err_set(ECRDT_EINVAL,
                       "could not open a link: %zu hello bytes are over the "
                       "limit of %d",
                       conf->hello.len, LINK_HELLO_MAX);
    if (conf->max_message > CHANNEL_MESSAGE_MAX)
        return err_set(ECRDT_EINVAL,
                       "could not open a link: messages of %zu bytes are over "
                       "the limit of %d",
                       conf->max_message, CHANNEL_MESSAGE_MAX);
    if (!conf->self || (!conf->initiator && !conf->allow))
        return err_set(ECRDT_EINVAL,
                       "could not open a link: the configuration has no %s",
                       conf->self ? "rule for whom to accept" : "identity");
    return ECRDT_OK;
}

static int start(struct channel *ch, const struct channel_conf *conf) {
    const struct handshake_conf hc = {.self = conf->self,
                                      .initiator = conf->initiator,
                                      .expect = conf->expect,
                                      .realm = conf->realm,
                                      .hello = conf->hello,
                                      .ephemeral = conf->ephemeral};
    ch->handshake = alloc_zeroed(1, sizeof *ch->handshake);
    if (!ch->handshake)
        return ECRDT_ENOMEM;
    int rc = handshake_init(ch->handshake, &hc, &ch->out);
    ch->stats.bytes_out = ch->out.len;
    return rc;
}

int channel_open(struct channel **out, const struct channel_conf *conf) {
    *out = NULL;
    int rc = check_conf(conf);
    if (rc < 0)
        return rc;
    struct channel *ch = alloc_zeroed(1, sizeof *ch);
    if (!ch)
        return ECRDT_ENOMEM;
    ch->self = conf->self;
    ch->initiator = conf->initiator;
    ch->allow = conf->allow;
    ch->allow_ctx = conf->allow_ctx;
    ch->max_message =
        conf->max_message ? conf->max_message : CHANNEL_MESSAGE_DEFAULT;
    ch->frames.max = FRAME_MAX;
    rc = start(ch, conf);
    if (rc < 0) {
        channel_close(ch);
        return rc;
    }
    *out = ch;
    return ECRDT_OK;
}

static void end_handshake(struct channel *ch) {
    if (!ch->handshake)
        return;
    handshake_free(ch->handshake);
    alloc_free(ch->handshake);
    ch->handshake = NULL;
}

/* Drops keys and everything that came in; what is to go out stays. */
static void drop_state(struct channel *ch) {
    end_handshake(ch);
    crypto_wipe(&ch->send, sizeof ch->send);
    crypto_wipe(&ch->get, sizeof ch->get);
    frame_free(&ch->frames);
    buf_free(&ch->message);
    buf_free(&ch->hello);
}

void channel_close(struct channel *ch) {
    if (!ch)
        return;
    drop_state(ch);
    buf_free(&ch->out);
    crypto_wipe(ch, sizeof *ch);
    alloc_free(ch);
}

/* Poisons the channel with the error that was just set. */
static int fail(struct channel *ch, int code) {
    INVARIANT(code < 0 && !ch->err);
    drop_state(ch);
    ch->err = code;
    snprintf(ch->why, sizeof ch->why, "%s", ecrdt_errmsg());
    return code;
}

static int dead(const struct channel *ch) {
    return err_set(ch->err, "%s", ch->why);
}

/* ---- records out ---- */

/* One record of a head (at most 3 bytes) and a piece of a body. */
static int put_record(struct channel *ch, const uint8_t *head, size_t head_len,
                      slice piece) {
    size_t plain = head_len + piece.len;
    INVARIANT(plain <= NOISE_PLAIN_MAX);
    uint8_t *p = frame_put(&ch->out, plain + CRYPTO_TAG);
    if (!p)
        return ch->out.err;
    memcpy(p, head, head_len);
    if (piece.len)
        memcpy(p + head_len, piece.data, piece.len);
    int rc = noise_seal(&ch->send.cipher, p, slice_of(p, plain), NOTHING);
    if (rc < 0) {
        ch->out.len -= FRAME_HEADER + plain + CRYPTO_TAG; /* never in clear */
        return rc;
    }
    ch->send.records++;
    ch->send.bytes += plain;
    ch->stats.records_out++;
    ch->stats.bytes_out += FRAME_HEADER + plain + CRYPTO_TAG;
    return ECRDT_OK;
}

static int put_control(struct channel *ch, enum control what) {
    const uint8_t head[2] = {CONTROL, (uint8_t)what};
    return put_record(ch, head, sizeof head, NOTHING);
}

static bool rekey_is_due(const struct half *h, uint64_t now_ms) {
    return h->records >= CHANNEL_REKEY_RECORDS ||
           h->bytes >= CHANNEL_REKEY_BYTES ||
           (now_ms > h->since_ms && now_ms - h->since_ms >= CHANNEL_REKEY_MS);
}

static int rekey_if_due(struct channel *ch, uint64_t now_ms) {
    struct half *h = &ch->send;
    if (!rekey_is_due(h, now_ms))
        return ECRDT_OK;
    int rc = put_control(ch, REKEY);
    if (rc < 0)
        return rc;
    noise_rekey(&h->cipher);
    h->records = h->bytes = 0;
    h->since_ms = now_ms;
    ch->stats.rekeys_out++;
    return ECRDT_OK;
}

/* The next record of a message; moves *body behind what it took. */
static int put_fragment(struct channel *ch, bool first, uint8_t type,
                        slice *body) {
    uint8_t head[2] = {first ? FIRST : 0, type};
    size_t head_len = first ? 2 : 1;
    size_t n = NOISE_PLAIN_MAX - head_len;
    if (body->len > n)
        head[0] |= MORE;
    else
        n = body->len;
    int rc = put_record(ch, head, head_len, slice_of(body->data, n));
    if (n)
        *body = slice_of((const uint8_t *)body->data + n, body->len - n);
    return rc;
}

int channel_send(struct channel *ch, uint8_t type, slice body,
                 uint64_t now_ms) {
    if (ch->err)
        return dead(ch);
    if (!ch->ready)
        return err_set(ECRDT_EINVAL, "could not send over the link: its "
                                     "handshake is not done; wait for READY");
    if (body.len > ch->max_message)
        return err_set(ECRDT_ETOOBIG,
                       "could not send a message of %zu bytes: the link's "
                       "limit is %zu",
                       body.len, ch->max_message);
    bool first = true;
    int rc;
    do {
        rc = rekey_if_due(ch, now_ms);
        if (rc == 0)
            rc = put_fragment(ch, first, type, &body);
        first = false;
    } while (rc == 0 && body.len);
    return rc < 0 ? fail(ch, rc) : ECRDT_OK;
}

struct buf *channel_out(struct channel *ch) {
    return &ch->out;
}

static void shrink(struct buf *b) {
    if (b->len == 0 && b->cap > CHANNEL_IDLE_KEEP)
        buf_free(b);
}

void channel_wrote(struct channel *ch, size_t n) {
    buf_consume(&ch->out, n);
    shrink(&ch->out);
}

/* ---- the end of the handshake ---- */

/* The responder's word on a proven peer. The peer's keys are known by now, so
 * a refusal travels encrypted: a stranger learns nothing but that it is one.
 */
static int decide(struct channel *ch) {
    int rc = ch->allow(ch->allow_ctx, ch->peer);
    if (rc > 0)
        return put_control(ch, ACCEPT);
    if (rc < 0)
        return rc;
    const uint8_t head[3] = {CONTROL, REFUSE, LINK_REFUSED_UNKNOWN};
    rc = put_record(ch, head, sizeof head, NOTHING);
    if (rc < 0)
        return rc;
    char key[IDENTITY_TEXT];
    return err_set(ECRDT_EAUTH,
                   "refused a peer: its key %s is not in our peer list; add "
                   "it to accept it",
                   identity_text(key, ch->peer));
}

static int become_ready(struct channel *ch, uint64_t now_ms) {
    struct handshake *hs = ch->handshake;
    INVARIANT(hs->peer_proven);
    memcpy(ch->peer, hs->peer, sizeof ch->peer);
    memcpy(ch->hash, noise_hash(&hs->noise), sizeof ch->hash);
    noise_split(&hs->noise, &ch->send.cipher, &ch->get);
    ch->send.since_ms = now_ms;
    ch->hello = hs->peer_hello;
    hs->peer_hello = (struct buf){0};
    end_handshake(ch);
    int rc = ch->initiator ? ECRDT_OK : decide(ch);
    if (rc < 0)
        return rc;
    ch->accepted = !ch->initiator;
    ch->ready = true;
    return ECRDT_OK;
}

int channel_feed(struct channel *ch, slice in, uint64_t now_ms) {
    ch->stats.bytes_in += in.len;
    if (ch->err)
        return dead(ch);
    int rc = 0;
    if (!ch->ready) {
        size_t before = ch->out.len;
        rc = handshake_feed(ch->handshake, &in, &ch->out);
        ch->stats.bytes_out += ch->out.len - before;
        if (rc == 1)
            rc = become_ready(ch, now_ms);
    }
    if (rc == 0 && ch->ready)
        rc = frame_feed(&ch->frames, in);
    return rc < 0 ? fail(ch, rc) : ECRDT_OK;
}

/* ---- records in ---- */

static int breaks_rule(const char *rule) {
    return err_set(ECRDT_EPEER, "the peer broke the protocol: %s", rule);
}

static int on_refuse(const struct channel *ch, uint8_t reason) {
    return handshake_refused(ch->self, reason, "");
}

/* p is a control record's bytes behind its first. */
static int on_control(struct channel *ch, const uint8_t *p, size_t len) {
    uint8_t what = len ? p[0] : 0;
    bool verdict_due = ch->initiator && !ch->accepted;
    if (what == REKEY && len == 1 && !verdict_due) {
        noise_rekey(&ch->get);
        ch->stats.rekeys_in++;
        return ECRDT_OK;
    }
    if (what == ACCEPT && len == 1 && verdict_due) {
        ch->accepted = true;
        return ECRDT_OK;
    }
    if (what == REFUSE && len == 2 && verdict_due)
        return on_refuse(ch, p[1]);
    return breaks_rule("a control record is malformed or out of place");
}

static int lend(struct channel *ch, slice body, struct channel_event *event) {
    *event = (struct channel_event){.kind = CHANNEL_MESSAGE,
                                    .type = ch->type,
                                    .body = body,
                                    .peer = ch->peer};
    return 1;
}

/* Adds a piece of a message that takes several records. */
static int gather(struct channel *ch, bool more, slice piece,
                  struct channel_event *event) {
    buf_put(&ch->message, piece.data, piece.len);
    if (ch->message.err)
        return ch->message.err;
    ch->in_message = more;
    if (more)
        return 0;
    ch->message_lent = true;
    return lend(ch, buf_slice(&ch->message), event);
}

/* A data record: 1 if it completes a message, else 0. One that comes in a
 * single record is lent from where it was opened, without a copy. */
static int on_data(struct channel *ch, const uint8_t *p, size_t len,
                   struct channel_event *event) {
    bool first = p[0] & FIRST, more = p[0] & MORE;
    size_t head = first ? 2 : 1;
    if (ch->initiator && !ch->accepted)
        return breaks_rule("it sent data before it accepted us");
    if (first == ch->in_message)
        return breaks_rule("fragments of two messages are mixed");
    if (len < 2 || (more && len != NOISE_PLAIN_MAX))
        return breaks_rule("a fragment is not of the one length it may have");
    slice piece = slice_of(p + head, len - head);
    if (piece.len > ch->max_message - ch->message.len)
        return err_set(ECRDT_EPEER,
                       "the peer sends a message over our limit of %zu bytes; "
                       "set the same limit on both ends",
                       ch->max_message);
    if (first)
        ch->type = p[1];
    return first && !more ? lend(ch, piece, event)
                          : gather(ch, more, piece, event);
}

/* Opens one frame in place and acts on it: as on_data(). */
static int on_record(struct channel *ch, uint8_t *body, size_t len,
                     struct channel_event *event) {
    int rc = noise_open(&ch->get, body, slice_of(body, len), NOTHING);
    if (rc < 0)
        return rc;
    ch->stats.records_in++;
    len -= CRYPTO_TAG;
    if (len && body[0] == CONTROL)
        return on_control(ch, body + 1, len - 1);
    if (len && !(body[0] & ~DATA))
        return on_data(ch, body, len, event);
    return breaks_rule("a record is empty or of an unknown kind");
}

/* The loan of the last event ends. */
static void take_back(struct channel *ch) {
    if (!ch->message_lent)
        return;
    ch->message_lent = false;
    buf_clear(&ch->message);
    shrink(&ch->message);
}

static int tell_ready(struct channel *ch, struct channel_event *event) {
    ch->ready_told = true;
    *event = (struct channel_event){
        .kind = CHANNEL_READY, .body = buf_slice(&ch->hello), .peer = ch->peer};
    return 1;
}

int channel_next(struct channel *ch, struct channel_event *event) {
    *event = (struct channel_event){0};
    if (ch->err)
        return dead(ch);
    if (!ch->ready)
        return 0;
    take_back(ch);
    if (!ch->ready_told)
        return tell_ready(ch, event);
    buf_free(&ch->hello);
    uint8_t *body;
    size_t len;
    int rc;
    while ((rc = frame_take(&ch->frames, &body, &len)) == 1) {
        rc = on_record(ch, body, len, event);
        if (rc)
            return rc < 0 ? fail(ch, rc) : 1;
    }
    if (rc < 0)
        return fail(ch, rc);
    frame_shrink(&ch->frames, CHANNEL_IDLE_KEEP);
    shrink(&ch->out);
    return 0;
}

/* ---- questions ---- */

int channel_eof(struct channel *ch) {
    if (ch->err)
        return dead(ch);
    if (!ch->ready)
        return fail(ch, err_set(ECRDT_EPEER,
                                "the peer closed the link in the middle of "
                                "the handshake; its log may say why"));
    if (!ch->accepted)
        return fail(ch, err_set(ECRDT_EPEER,
                                "the peer closed the link before it accepted "
                                "or refused us"));
    if (ch->in_message || frame_pending(&ch->frames))
        return fail(ch, err_set(ECRDT_EPEER, "the peer closed the link in the "
                                             "middle of a message"));
    return ECRDT_OK;
}

bool channel_ready(const struct channel *ch) {
    return ch->ready && !ch->err;
}

bool channel_accepted(const struct channel *ch) {
    return ch->accepted && !ch->err;
}

const uint8_t *channel_peer(const struct channel *ch) {
    return ch->ready ? ch->peer : NULL;
}

const uint8_t *channel_handshake_hash(const struct channel *ch) {
    return ch->ready ? ch->hash : NULL;
}

const struct channel_stats *channel_stats(const struct channel *ch) {
    return &ch->stats;
}

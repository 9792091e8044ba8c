/* handshake.c: hellos, the three messages of Noise XX, identity proofs. */
#include "replication/link/handshake.h"
#include "lib/assert.h"
#include "lib/err.h"
#include <stdio.h>

static const uint8_t MAGIC[8] = "ECRDT-L1";
static const char PROOF_DOMAIN[] = "ecrdt-link-1";
static const slice NOTHING = {NULL, 0};

enum {
    AT_MIN = 8,
    AT_MAX = 10,
    AT_FLAGS = 12,
    AT_REALM = 16,
    REALM_BYTES = LINK_HELLO_SIZE - AT_REALM,
    FLAG_RESPONDER = 1
};

/* ---- clear hellos ---- */

static void encode_hello(uint8_t out[LINK_HELLO_SIZE], const char *realm,
                         bool initiator) {
    uint8_t hash[32];
    crypto_blake2b(hash, sizeof hash, slice_of(realm, strlen(realm)));
    memcpy(out, MAGIC, sizeof MAGIC);
    store16(out + AT_MIN, LINK_VERSION_MIN);
    store16(out + AT_MAX, LINK_VERSION_MAX);
    store32(out + AT_FLAGS, initiator ? 0 : FLAG_RESPONDER);
    memcpy(out + AT_REALM, hash, REALM_BYTES);
}

static int check_version(const uint8_t theirs[LINK_HELLO_SIZE]) {
    unsigned min = load16(theirs + AT_MIN), max = load16(theirs + AT_MAX);
    if (min <= LINK_VERSION_MAX && max >= LINK_VERSION_MIN && min <= max)
        return ECRDT_OK;
    return err_set(ECRDT_EVERSION,
                   "cannot link: peer speaks versions %u-%u, we speak %d-%d; "
                   "update the older of the two",
                   min, max, LINK_VERSION_MIN, LINK_VERSION_MAX);
}

static int check_realm(const struct handshake *hs) {
    const uint8_t *ours = hs->ours + AT_REALM, *theirs = hs->theirs + AT_REALM;
    if (!memcmp(ours, theirs, REALM_BYTES))
        return ECRDT_OK;
    return err_set(ECRDT_EAUTH,
                   "cannot link: peer is of realm %016llx, not ours, \"%s\" "
                   "(%016llx); both ends need the same realm name",
                   (unsigned long long)load64(theirs), hs->realm,
                   (unsigned long long)load64(ours));
}

static int check_role(const struct handshake *hs) {
    bool responder = load32(hs->theirs + AT_FLAGS) & FLAG_RESPONDER;
    if (responder == hs->initiator)
        return ECRDT_OK;
    return err_set(ECRDT_EPEER,
                   "cannot link: peer is %s as we are; only one end dials",
                   responder ? "accepting" : "dialing");
}

static int check_hello(const struct handshake *hs) {
    int rc = check_version(hs->theirs);
    if (rc == 0)
        rc = check_realm(hs);
    if (rc == 0)
        rc = check_role(hs);
    return rc;
}

/* ---- proofs ---- */

enum {
    DOMAIN_SIZE = sizeof PROOF_DOMAIN - 1,
    SIGNED_SIZE = DOMAIN_SIZE + 1 + CRYPTO_PK + CRYPTO_HASH
};

/* What a proof signs, always SIGNED_SIZE bytes, made in out. */
static slice signed_bytes(uint8_t *out, bool initiator,
                          const uint8_t dh_pk[CRYPTO_PK],
                          const uint8_t hash[CRYPTO_HASH]) {
    memcpy(out, PROOF_DOMAIN, DOMAIN_SIZE);
    out[DOMAIN_SIZE] = initiator ? 'I' : 'R';
    memcpy(out + DOMAIN_SIZE + 1, dh_pk, CRYPTO_PK);
    memcpy(out + DOMAIN_SIZE + 1 + CRYPTO_PK, hash, CRYPTO_HASH);
    return slice_of(out, SIGNED_SIZE);
}

/* Our proof and hello; the tokens of its message are written already. */
static int make_proof(const struct handshake *hs, struct buf *payload) {
    uint8_t msg[SIGNED_SIZE], sig[CRYPTO_SIG];
    const struct identity *self = hs->self;
    slice s =
        signed_bytes(msg, hs->initiator, self->dh_pk, noise_hash(&hs->noise));
    crypto_sign_make(sig, s, self->sk);
    buf_put(payload, self->pk, CRYPTO_PK);
    buf_put(payload, sig, CRYPTO_SIG);
    buf_put(payload, hs->hello.data, hs->hello.len);
    return payload->err;
}

/* Judges the peer's payload; hash is the one before the payload was opened. */
static int check_proof(struct handshake *hs, const uint8_t *p, size_t len,
                       const uint8_t hash[CRYPTO_HASH]) {
    if (len < LINK_PROOF_SIZE || len > LINK_PROOF_SIZE + LINK_HELLO_MAX)
        return err_set(ECRDT_EPEER,
                       "the peer's identity proof has %zu bytes: %d to %d are "
                       "accepted",
                       len, LINK_PROOF_SIZE, LINK_PROOF_SIZE + LINK_HELLO_MAX);
    uint8_t msg[SIGNED_SIZE];
    slice s = signed_bytes(msg, !hs->initiator, hs->noise.rs, hash);
    if (!crypto_sign_check(p + CRYPTO_PK, s, p)) {
        char key[IDENTITY_TEXT];
        return err_set(ECRDT_EAUTH,
                       "the peer claims the key %s and did not prove that it "
                       "holds it",
                       identity_text(key, p));
    }
    memcpy(hs->peer, p, CRYPTO_PK);
    buf_put(&hs->peer_hello, p + LINK_PROOF_SIZE, len - LINK_PROOF_SIZE);
    return hs->peer_hello.err;
}

/* ---- messages ---- */

/* Our next message as a frame: message 1 is bare, the others carry proof. */
static int write_message(struct handshake *hs, struct buf *out) {
    struct buf payload = {0};
    bool bare = hs->noise.turn == 0;
    size_t at = out->len;
    if (!buf_extend(out, FRAME_HEADER))
        return out->err;
    int rc = noise_write_tokens(&hs->noise, out);
    if (rc == 0 && !bare)
        rc = make_proof(hs, &payload);
    if (rc == 0)
        rc = noise_write_payload(&hs->noise, buf_slice(&payload), out);
    if (rc == 0)
        store16(out->data + at, (uint16_t)(out->len - at - FRAME_HEADER));
    else
        out->len = at;
    buf_free(&payload);
    return rc;
}

/* Reads the peer's next message in place. */
static int read_message(struct handshake *hs, uint8_t *body, size_t len) {
    slice rest = slice_of(body, len);
    uint8_t hash[CRYPTO_HASH];
    bool bare = hs->noise.turn == 0;
    int rc = noise_read_tokens(&hs->noise, &rest);
    if (rc < 0)
        return rc;
    memcpy(hash, noise_hash(&hs->noise), sizeof hash);
    uint8_t *payload = body + (len - rest.len);
    rc = noise_read_payload(&hs->noise, rest, payload, &len);
    if (rc < 0)
        return rc;
    if (!bare)
        return check_proof(hs, payload, len, hash);
    return len == 0 ? ECRDT_OK
                    : err_set(ECRDT_EPEER,
                              "the peer's first message carries "
                              "%zu bytes that nobody sends",
                              len);
}

/* The initiator pins one key. A wrong peer learns that it was refused, in
 * the clear, and nothing about who we are: message 3 is never sent to it. */
static int check_pinned(const struct handshake *hs, struct buf *out) {
    if (!hs->initiator || crypto_equal(hs->peer, hs->expect, CRYPTO_PK))
        return ECRDT_OK;
    uint8_t *p = frame_put(out, 1);
    if (!p)
        return out->err;
    *p = LINK_REFUSED_OTHER;
    char theirs[IDENTITY_TEXT], ours[IDENTITY_TEXT];
    return err_set(ECRDT_EAUTH,
                   "refused the peer: its key is %s, we expect %s at this "
                   "address",
                   identity_text(theirs, hs->peer),
                   identity_text(ours, hs->expect));
}

int handshake_refused(const struct identity *self, uint8_t reason,
                      const char *channel) {
    char key[IDENTITY_TEXT];
    identity_text(key, self->pk);
    if (reason == LINK_REFUSED_UNKNOWN)
        return err_set(ECRDT_EAUTH,
                       "peer refused%s: our key %s is not in its peer list",
                       channel, key);
    if (reason == LINK_REFUSED_OTHER)
        return err_set(ECRDT_EAUTH,
                       "peer refused%s: it expects another key than ours, %s, "
                       "at our address",
                       channel, key);
    return err_set(ECRDT_EAUTH,
                   "peer refused%s our key %s for reason %u, which this "
                   "version does not know",
                   channel, key, reason);
}

static int on_frame(struct handshake *hs, uint8_t *body, size_t len,
                    struct buf *out) {
    if (len == 1)
        return handshake_refused(hs->self, *body, " (in the clear)");
    int rc = read_message(hs, body, len);
    if (rc == 0)
        rc = check_pinned(hs, out);
    if (rc == 0 && !noise_done(&hs->noise))
        rc = write_message(hs, out);
    return rc;
}

/* ---- the whole ---- */

static void start_noise(struct handshake *hs, slice prologue) {
    noise_init(&hs->noise, hs->initiator, prologue, hs->self->dh_sk,
               hs->ephemeral);
}

/* Message 1 is sent beside our hello, which saves a turn: nothing in it is
 * encrypted, so its bytes do not depend on the prologue, which needs the
 * peer's hello. Once that is here the message is written again, for its
 * effect on the state. */
static int replay_message_1(struct handshake *hs) {
    struct buf again = {0};
    int rc = write_message(hs, &again);
    buf_free(&again);
    return rc;
}

int handshake_init(struct handshake *hs, const struct handshake_conf *conf,
                   struct buf *out) {
    *hs = (struct handshake){.self = conf->self,
                             .initiator = conf->initiator,
                             .frames.max = FRAME_MAX_STRANGER};
    size_t realm = strlen(conf->realm);
    INVARIANT(realm > 0 && realm <= LINK_REALM_MAX);
    INVARIANT(conf->hello.len <= LINK_HELLO_MAX);
    memcpy(hs->realm, conf->realm, realm);
    memcpy(hs->ephemeral, conf->ephemeral, sizeof hs->ephemeral);
    buf_put(&hs->hello, conf->hello.data, conf->hello.len);
    encode_hello(hs->ours, hs->realm, hs->initiator);
    if (!hs->initiator)
        return hs->hello.err;
    memcpy(hs->expect, conf->expect, sizeof hs->expect);
    buf_put(out, hs->ours, sizeof hs->ours);
    start_noise(hs, NOTHING);
    int rc = write_message(hs, out);
    return hs->hello.err ? hs->hello.err : rc;
}

/* Both hellos are here: judge theirs and enter Noise. A responder greets
 * whoever speaks our protocol, so that a refusal by version or realm is
 * understood at both ends. */
static int greet(struct handshake *hs, struct buf *out) {
    if (!hs->initiator)
        buf_put(out, hs->ours, sizeof hs->ours);
    int rc = out->err ? out->err : check_hello(hs);
    if (rc < 0)
        return rc;
    uint8_t prologue[2 * LINK_HELLO_SIZE];
    bool ours_first = hs->initiator;
    memcpy(prologue, ours_first ? hs->ours : hs->theirs, LINK_HELLO_SIZE);
    memcpy(prologue + LINK_HELLO_SIZE, ours_first ? hs->theirs : hs->ours,
           LINK_HELLO_SIZE);
    start_noise(hs, slice_of(prologue, sizeof prologue));
    hs->greeted = true;
    return hs->initiator ? replay_message_1(hs) : ECRDT_OK;
}

static slice cut_front(slice *in, size_t n) {
    n = n < in->len ? n : in->len;
    slice front = slice_of(in->data, n);
    *in = slice_of(n ? (const uint8_t *)in->data + n : in->data, in->len - n);
    return front;
}

/* Collects the peer's hello; refuses at the first byte that is not ours. */
static int take_hello(struct handshake *hs, slice *in, struct buf *out) {
    slice part = cut_front(in, LINK_HELLO_SIZE - hs->theirs_len);
    if (part.len)
        memcpy(hs->theirs + hs->theirs_len, part.data, part.len);
    hs->theirs_len += part.len;
    size_t seen = hs->theirs_len < sizeof MAGIC ? hs->theirs_len : sizeof MAGIC;
    if (memcmp(hs->theirs, MAGIC, seen) != 0)
        return err_set(ECRDT_EPEER, "cannot link: the peer does not speak this "
                                    "protocol; is something else listening at "
                                    "or dialing this port?");
    return hs->theirs_len < LINK_HELLO_SIZE ? ECRDT_OK : greet(hs, out);
}

/* Takes at most what completes one frame, so that a stranger's bytes never
 * pile up. */
static int take_frame(struct handshake *hs, slice *in, struct buf *out) {
    uint8_t *body;
    size_t len;
    slice part = cut_front(in, frame_missing(&hs->frames));
    int rc = frame_feed(&hs->frames, part);
    if (rc == 0)
        rc = frame_take(&hs->frames, &body, &len);
    return rc == 1 ? on_frame(hs, body, len, out) : rc;
}

int handshake_feed(struct handshake *hs, slice *in, struct buf *out) {
    while (in->len) {
        INVARIANT(!hs->peer_proven);
        int rc =
            hs->greeted ? take_frame(hs, in, out) : take_hello(hs, in, out);
        if (rc < 0)
            return rc;
        if (hs->greeted && noise_done(&hs->noise)) {
            hs->peer_proven = true;
            return 1;
        }
    }
    return 0;
}

void handshake_free(struct handshake *hs) {
    frame_free(&hs->frames);
    buf_free(&hs->hello);
    buf_free(&hs->peer_hello);
    noise_free(&hs->noise);
    crypto_wipe(hs, sizeof *hs);
}

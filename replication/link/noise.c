/* noise.c: CipherState, SymmetricState and HandshakeState of Noise XX.
 *
 *     XX:
 *         -> e
 *         <- e, ee, s, es
 *         -> s, se
 */
#include "replication/link/noise.h"
#include "lib/assert.h"
#include "lib/err.h"

static const char PROTOCOL[] = "Noise_XX_25519_ChaChaPoly_BLAKE2b";
_Static_assert(sizeof PROTOCOL - 1 <= CRYPTO_HASH,
               "the name is padded to a hash, not hashed");

static const slice NOTHING = {NULL, 0};

/* ---- CipherState ---- */

/* 32 zero bits, then the counter in little-endian order. */
static void nonce_bytes(uint8_t out[CRYPTO_NONCE], uint64_t nonce) {
    memset(out, 0, 4);
    for (int i = 0; i < 8; i++)
        out[4 + i] = (uint8_t)(nonce >> (8 * i));
}

/* The last nonce belongs to Rekey() alone. */
static int check_nonce(const struct noise_cipher *c) {
    if (c->nonce != UINT64_MAX)
        return ECRDT_OK;
    return err_set(ECRDT_EPEER, "cannot use the link any more: all nonces of "
                                "its key are spent; connect again");
}

int noise_seal(struct noise_cipher *c, uint8_t *out, slice in, slice ad) {
    INVARIANT(c->keyed);
    if (in.len > NOISE_PLAIN_MAX)
        return err_set(ECRDT_ETOOBIG,
                       "cannot seal %zu bytes as one Noise message: the limit "
                       "is %d",
                       in.len, NOISE_PLAIN_MAX);
    int rc = check_nonce(c);
    if (rc < 0)
        return rc;
    uint8_t nonce[CRYPTO_NONCE];
    nonce_bytes(nonce, c->nonce);
    crypto_seal(out, in, ad, nonce, c->key);
    c->nonce++;
    return ECRDT_OK;
}

int noise_open(struct noise_cipher *c, uint8_t *out, slice in, slice ad) {
    INVARIANT(c->keyed);
    int rc = check_nonce(c);
    if (rc < 0)
        return rc;
    uint8_t nonce[CRYPTO_NONCE];
    nonce_bytes(nonce, c->nonce);
    if (in.len > NOISE_MESSAGE_MAX || !crypto_open(out, in, ad, nonce, c->key))
        return err_set(ECRDT_EPEER,
                       "cannot open a message of %zu bytes from the peer: it "
                       "was altered, repeated, reordered or sealed with "
                       "another key",
                       in.len);
    c->nonce++;
    return ECRDT_OK;
}

void noise_rekey(struct noise_cipher *c) {
    INVARIANT(c->keyed);
    static const uint8_t zeros[CRYPTO_KEY];
    uint8_t nonce[CRYPTO_NONCE], sealed[CRYPTO_KEY + CRYPTO_TAG];
    nonce_bytes(nonce, UINT64_MAX);
    crypto_seal(sealed, slice_of(zeros, sizeof zeros), NOTHING, nonce, c->key);
    memcpy(c->key, sealed, CRYPTO_KEY);
    crypto_wipe(sealed, sizeof sealed);
}

static void init_key(struct noise_cipher *c, const uint8_t key[CRYPTO_KEY]) {
    memcpy(c->key, key, CRYPTO_KEY);
    c->nonce = 0;
    c->keyed = true;
}

/* ---- SymmetricState ---- */

static void mix_hash(struct noise *n, slice data) {
    const slice parts[2] = {slice_of(n->h, sizeof n->h), data};
    crypto_blake2b_parts(n->h, CRYPTO_HASH, parts, 2);
}

/* HKDF with two outputs: HMAC(t, 1) and HMAC(t, first | 2), t = HMAC(ck, ikm).
 * a may be ck. */
static void hkdf(uint8_t a[CRYPTO_HASH], uint8_t b[CRYPTO_HASH],
                 const uint8_t ck[CRYPTO_HASH], slice ikm) {
    uint8_t t[CRYPTO_HASH], block[CRYPTO_HASH + 1];
    const slice key = slice_of(t, sizeof t);
    crypto_hmac_blake2b(t, slice_of(ck, CRYPTO_HASH), ikm);
    block[0] = 1;
    crypto_hmac_blake2b(a, key, slice_of(block, 1));
    memcpy(block, a, CRYPTO_HASH);
    block[CRYPTO_HASH] = 2;
    crypto_hmac_blake2b(b, key, slice_of(block, sizeof block));
    crypto_wipe(t, sizeof t);
    crypto_wipe(block, sizeof block);
}

static void mix_key(struct noise *n, slice ikm) {
    uint8_t key[CRYPTO_HASH];
    hkdf(n->ck, key, n->ck, ikm);
    init_key(&n->cipher, key);
    crypto_wipe(key, sizeof key);
}

/* EncryptAndHash onto out; plain bytes while there is no key. */
static int encrypt_and_hash(struct noise *n, slice in, struct buf *out) {
    size_t len = in.len + (n->cipher.keyed ? CRYPTO_TAG : 0);
    size_t at = out->len;
    if (len && !buf_extend(out, len))
        return out->err;
    uint8_t *p = len ? out->data + at : NULL;
    if (n->cipher.keyed) {
        int rc = noise_seal(&n->cipher, p, in, slice_of(n->h, sizeof n->h));
        if (rc < 0)
            return rc;
    } else if (len) {
        memcpy(p, in.data, len);
    }
    mix_hash(n, slice_of(p, len));
    return ECRDT_OK;
}

/* DecryptAndHash. The hash goes over the sealed bytes, so it is computed
 * before out, which may be in, takes their place. */
static int decrypt_and_hash(struct noise *n, slice in, uint8_t *out) {
    uint8_t h[CRYPTO_HASH];
    memcpy(h, n->h, sizeof h);
    mix_hash(n, in);
    if (n->cipher.keyed)
        return noise_open(&n->cipher, out, in, slice_of(h, sizeof h));
    if (in.len)
        memmove(out, in.data, in.len);
    return ECRDT_OK;
}

/* ---- tokens ---- */

static int take(slice *in, const uint8_t **p, size_t len) {
    if (in->len < len)
        return err_set(ECRDT_EPEER, "the peer's handshake message is cut off");
    *p = in->data;
    *in = slice_of(*p + len, in->len - len);
    return ECRDT_OK;
}

static int write_e(struct noise *n, struct buf *out) {
    buf_put(out, n->e.pk, CRYPTO_PK);
    mix_hash(n, slice_of(n->e.pk, CRYPTO_PK));
    return out->err;
}

static int read_e(struct noise *n, slice *in) {
    const uint8_t *p = NULL;
    int rc = take(in, &p, CRYPTO_PK);
    if (rc < 0)
        return rc;
    memcpy(n->re, p, CRYPTO_PK);
    mix_hash(n, slice_of(n->re, CRYPTO_PK));
    return ECRDT_OK;
}

static int write_s(struct noise *n, struct buf *out) {
    return encrypt_and_hash(n, slice_of(n->s.pk, CRYPTO_PK), out);
}

/* XX sends s only under a key. */
static int read_s(struct noise *n, slice *in) {
    INVARIANT(n->cipher.keyed);
    const uint8_t *p = NULL;
    int rc = take(in, &p, CRYPTO_PK + CRYPTO_TAG);
    if (rc < 0)
        return rc;
    return decrypt_and_hash(n, slice_of(p, CRYPTO_PK + CRYPTO_TAG), n->rs);
}

static int mix_dh(struct noise *n, const struct noise_keys *ours,
                  const uint8_t theirs[CRYPTO_PK]) {
    uint8_t shared[CRYPTO_PK];
    int rc = ECRDT_OK;
    if (crypto_dh(shared, ours->sk, theirs))
        mix_key(n, slice_of(shared, sizeof shared));
    else
        rc = err_set(ECRDT_EPEER, "the peer's handshake is refused: it sent a "
                                  "low-order key, which makes no secret");
    crypto_wipe(shared, sizeof shared);
    return rc;
}

static int mix_ee(struct noise *n) {
    return mix_dh(n, &n->e, n->re);
}

/* The initiator's e with the responder's s. */
static int mix_es(struct noise *n) {
    return n->initiator ? mix_dh(n, &n->e, n->rs) : mix_dh(n, &n->s, n->re);
}

/* The initiator's s with the responder's e. */
static int mix_se(struct noise *n) {
    return n->initiator ? mix_dh(n, &n->s, n->re) : mix_dh(n, &n->e, n->rs);
}

/* ---- HandshakeState ---- */

enum token { END, E, S, EE, ES, SE };

static const enum token XX[NOISE_TURNS][5] = {
    {E, END}, {E, EE, S, ES, END}, {S, SE, END}};

void noise_init(struct noise *n, bool initiator, slice prologue,
                const uint8_t static_sk[32], const uint8_t ephemeral_sk[32]) {
    *n = (struct noise){.initiator = initiator};
    memcpy(n->h, PROTOCOL, sizeof PROTOCOL - 1);
    memcpy(n->ck, n->h, sizeof n->ck);
    mix_hash(n, prologue);
    memcpy(n->s.sk, static_sk, CRYPTO_SEED);
    memcpy(n->e.sk, ephemeral_sk, CRYPTO_SEED);
    crypto_dh_public(n->s.pk, n->s.sk);
    crypto_dh_public(n->e.pk, n->e.sk);
}

/* The initiator writes messages 0 and 2, the responder message 1. */
static bool our_turn(const struct noise *n) {
    return (n->turn % 2 == 0) == n->initiator;
}

static int write_token(struct noise *n, enum token t, struct buf *out) {
    switch (t) {
    case E:
        return write_e(n, out);
    case S:
        return write_s(n, out);
    case EE:
        return mix_ee(n);
    case ES:
        return mix_es(n);
    case SE:
        return mix_se(n);
    case END:
        break;
    }
    return ECRDT_OK;
}

static int read_token(struct noise *n, enum token t, slice *in) {
    if (t == E)
        return read_e(n, in);
    if (t == S)
        return read_s(n, in);
    return write_token(n, t, NULL); /* the DH tokens carry no bytes */
}

int noise_write_tokens(struct noise *n, struct buf *out) {
    INVARIANT(!n->failed && !noise_done(n) && our_turn(n) && !n->in_payload);
    n->failed = true; /* until all went well */
    for (const enum token *t = XX[n->turn]; *t != END; t++) {
        int rc = write_token(n, *t, out);
        if (rc < 0)
            return rc;
    }
    n->in_payload = true;
    n->failed = false;
    return ECRDT_OK;
}

int noise_read_tokens(struct noise *n, slice *in) {
    INVARIANT(!n->failed && !noise_done(n) && !our_turn(n) && !n->in_payload);
    n->failed = true;
    for (const enum token *t = XX[n->turn]; *t != END; t++) {
        int rc = read_token(n, *t, in);
        if (rc < 0)
            return rc;
    }
    n->in_payload = true;
    n->failed = false;
    return ECRDT_OK;
}

static int end_turn(struct noise *n, int rc) {
    n->in_payload = false;
    n->failed = rc < 0;
    n->turn++;
    return rc;
}

int noise_write_payload(struct noise *n, slice payload, struct buf *out) {
    INVARIANT(!n->failed && n->in_payload && our_turn(n));
    return end_turn(n, encrypt_and_hash(n, payload, out));
}

int noise_read_payload(struct noise *n, slice in, uint8_t *out, size_t *len) {
    INVARIANT(!n->failed && n->in_payload && !our_turn(n));
    bool keyed = n->cipher.keyed;
    int rc = decrypt_and_hash(n, in, out);
    *len = rc < 0 ? 0 : in.len - (keyed ? CRYPTO_TAG : 0);
    return end_turn(n, rc);
}

const uint8_t *noise_hash(const struct noise *n) {
    return n->h;
}

bool noise_done(const struct noise *n) {
    return n->turn == NOISE_TURNS;
}

void noise_split(const struct noise *n, struct noise_cipher *send,
                 struct noise_cipher *get) {
    INVARIANT(noise_done(n) && !n->failed);
    uint8_t a[CRYPTO_HASH], b[CRYPTO_HASH];
    hkdf(a, b, n->ck, NOTHING);
    init_key(n->initiator ? send : get, a);
    init_key(n->initiator ? get : send, b);
    crypto_wipe(a, sizeof a);
    crypto_wipe(b, sizeof b);
}

void noise_free(struct noise *n) {
    crypto_wipe(n, sizeof *n);
}

/* noise.h: Noise_XX_25519_ChaChaPoly_BLAKE2b by the Noise specification,
 * revision 34 (noiseprotocol.org/noise.html).
 *
 *     XX:
 *         -> e
 *         <- e, ee, s, es
 *         -> s, se
 *
 * A handshake message is written and read in two steps, the tokens and then
 * the payload, so that a payload can sign noise_hash() as it is between them:
 * there both sides hold the same hash, over the prologue and every token sent
 * so far, the static key of this very message included.
 *
 * Bytes in, bytes out: the ephemeral secret is the caller's to draw. Every
 * failure is final for its handshake. Transport ciphers: a failed noise_open()
 * leaves key and nonce as they were. */
#ifndef REPLICATION_LINK_NOISE_H
#define REPLICATION_LINK_NOISE_H
#include "lib/buf.h"
#include "lib/crypto.h"

enum {
    NOISE_MESSAGE_MAX = 65535, /* bytes of any Noise message */
    NOISE_PLAIN_MAX = NOISE_MESSAGE_MAX - CRYPTO_TAG
};

/* CipherState: one direction's key and the nonce of its next message. */
struct noise_cipher {
    uint8_t key[CRYPTO_KEY];
    uint64_t nonce;
    bool keyed;
};

struct noise_keys {
    uint8_t sk[CRYPTO_SEED], pk[CRYPTO_PK];
};

/* HandshakeState with its SymmetricState (cipher, ck, h). */
struct noise {
    struct noise_cipher cipher;
    uint8_t ck[CRYPTO_HASH], h[CRYPTO_HASH];
    struct noise_keys s, e;
    uint8_t rs[CRYPTO_PK], re[CRYPTO_PK];
    bool initiator, in_payload, failed;
    int turn; /* messages done; NOISE_TURNS when the handshake is over */
};

enum { NOISE_TURNS = 3 };

/* Begins a handshake with our static and a fresh ephemeral secret. */
void noise_init(struct noise *n, bool initiator, slice prologue,
                const uint8_t static_sk[32], const uint8_t ephemeral_sk[32]);

/* Appends the tokens of our next message; 0 or a negative code. */
int noise_write_tokens(struct noise *n, struct buf *out);

/* Appends its payload, sealed once there is a key. */
int noise_write_payload(struct noise *n, slice payload, struct buf *out);

/* Reads the tokens of the peer's next message and moves *in behind them;
 * ECRDT_EPEER if they are short, forged or a low-order key. */
int noise_read_tokens(struct noise *n, slice *in);

/* Opens the payload in, the rest of the message, to out, which has in.len
 * bytes; *len gets the length. ECRDT_EPEER if it was altered. */
int noise_read_payload(struct noise *n, slice in, uint8_t *out, size_t *len);

/* The handshake hash so far: the channel binding once all is done. */
const uint8_t *noise_hash(const struct noise *n);

/* Are all messages of the handshake written and read? */
bool noise_done(const struct noise *n);

/* After the last message: the ciphers for what we send and what we get. */
void noise_split(const struct noise *n, struct noise_cipher *send,
                 struct noise_cipher *get);

/* Wipes every secret. */
void noise_free(struct noise *n);

/* EncryptWithAd: out has in.len + CRYPTO_TAG bytes and may be in. Fails with
 * ECRDT_ETOOBIG past NOISE_PLAIN_MAX and with ECRDT_EPEER when the nonces are
 * used up. */
int noise_seal(struct noise_cipher *c, uint8_t *out, slice in, slice ad);

/* DecryptWithAd: out has in.len bytes and may be in; the plaintext is
 * in.len - CRYPTO_TAG bytes. ECRDT_EPEER if it was altered or is out of its
 * turn. */
int noise_open(struct noise_cipher *c, uint8_t *out, slice in, slice ad);

/* Rekey(): a one-way step to the next key; the nonce goes on. */
void noise_rekey(struct noise_cipher *c);
#endif

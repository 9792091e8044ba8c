/* handshake.h: from the first byte of a link to a peer whose key is proven:
 * clear hellos, Noise XX, and the proof that ties both to an Ed25519 key.
 *
 *     initiator                                   responder
 *     hello, frame(XX 1)                 ->
 *                                        <-       hello, frame(XX 2 + proof)
 *     frame(XX 3 + proof)                ->
 *
 * hello (24 bytes, clear): magic "ECRDT-L1", least and greatest version (2
 * bytes each), flags (4 bytes; bit 0: sent by the responder; the others are
 * sent as 0 and not judged), realm (the first 8 bytes of BLAKE2b-256 of its
 * name). Integers are big-endian. The initiator's hello and then the
 * responder's are Noise's prologue, so neither can be altered unseen.
 *
 * proof (payload of XX 2 and XX 3): Ed25519 public key (32), signature (64),
 * then the sender's opaque hello bytes. The signature is over "ecrdt-link-1",
 * a role byte ('I' or 'R'), the sender's X25519 static key (32), and the
 * handshake hash after the tokens of that very message (64): it covers the
 * prologue and every token of both sides so far, and both sides hold it.
 *
 * A frame of one byte in place of a Noise message is a refusal in the clear,
 * the byte its reason: nothing authentic, a hint for an operator. */
#ifndef REPLICATION_LINK_HANDSHAKE_H
#define REPLICATION_LINK_HANDSHAKE_H
#include "replication/link/frame.h"
#include "replication/link/identity.h"
#include "replication/link/noise.h"

enum {
    LINK_VERSION_MIN = 1,
    LINK_VERSION_MAX = 1,
    LINK_REALM_MAX = 64,   /* bytes of a realm's name; 1 at least */
    LINK_HELLO_SIZE = 24,  /* the clear hello */
    LINK_HELLO_MAX = 1024, /* bytes that ride in the proof */
    LINK_PROOF_SIZE = CRYPTO_PK + CRYPTO_SIG
};

/* Why a peer was refused, as told to it. */
enum link_refusal {
    LINK_REFUSED_UNKNOWN = 1, /* its key is not in our peer list */
    LINK_REFUSED_OTHER = 2    /* we expected another key at its address */
};

/* All is borrowed until handshake_init() returns, self until the handshake's
 * end. */
struct handshake_conf {
    const struct identity *self;
    bool initiator;
    const uint8_t *expect;    /* initiator: the peer's one accepted key */
    const char *realm;        /* checked by the caller: 1 to LINK_REALM_MAX */
    slice hello;              /* checked by the caller: LINK_HELLO_MAX */
    const uint8_t *ephemeral; /* 32 random bytes, never used before */
};

struct handshake {
    struct noise noise;
    const struct identity *self;
    bool initiator, greeted, peer_proven;
    uint8_t ephemeral[CRYPTO_SEED];
    uint8_t expect[CRYPTO_PK], peer[CRYPTO_PK];
    char realm[LINK_REALM_MAX + 1];
    uint8_t ours[LINK_HELLO_SIZE], theirs[LINK_HELLO_SIZE];
    size_t theirs_len;
    struct frame_reader frames;
    struct buf hello, peer_hello;
};

/* Begins; the initiator's first bytes go to out. 0 or ECRDT_ENOMEM; free it
 * in either case. */
int handshake_init(struct handshake *hs, const struct handshake_conf *conf,
                   struct buf *out);

/* Takes bytes from the front of *in and appends the answer to out: 1 when the
 * peer is proven and all of our messages are in out; bytes behind the
 * handshake stay in *in. 0 if more bytes are needed. Negative: ECRDT_EVERSION,
 * ECRDT_EAUTH (other realm, other key, no proof, or the peer refused us),
 * ECRDT_EPEER (not our protocol, altered bytes); write out and close. */
int handshake_feed(struct handshake *hs, slice *in, struct buf *out);

/* ECRDT_EAUTH with the sentence that a refusal of us by the peer means to an
 * operator; channel says how it came, as in " (in the clear)". */
int handshake_refused(const struct identity *self, uint8_t reason,
                      const char *channel);

/* Wipes every secret and frees the memory. */
void handshake_free(struct handshake *hs);
#endif

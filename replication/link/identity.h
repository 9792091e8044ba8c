/* identity.h: a node's identity: its Ed25519 key in a file of its own, the
 * text form of keys, and the addresses of pinned peers. */
#ifndef REPLICATION_LINK_IDENTITY_H
#define REPLICATION_LINK_IDENTITY_H
#include "lib/crypto.h"

enum {
    IDENTITY_TEXT = 8 + 43 + 1, /* "ed25519:", base64url, NUL */
    PEER_HOST_MAX = 253,        /* bytes of a DNS name        */
    PEER_PORT_DEFAULT = 7433
};

/* The X25519 pair that Noise uses comes from the same seed, so one file of 32
 * secret bytes is all there is to keep; the hash between them means that
 * neither algorithm ever sees the other's secret. */
struct identity {
    uint8_t pk[CRYPTO_PK], sk[CRYPTO_SK];         /* Ed25519 */
    uint8_t dh_pk[CRYPTO_PK], dh_sk[CRYPTO_SEED]; /* X25519, Noise's static */
};

/* The identity of a seed; identity_free() it. */
void identity_init(struct identity *id, const uint8_t seed[32]);

/* Writes seed, 32 random bytes of the caller's, to a new file of mode 0600 and
 * makes it durable with its folder. Fails with ECRDT_EINVAL, and changes
 * nothing, if path exists. */
int identity_create(const char *path, const uint8_t seed[32]);

/* Reads what identity_create() wrote. ECRDT_ENOENT, or ECRDT_EINVAL if the
 * file is not of that form or open to group or others. */
int identity_load(struct identity *id, const char *path);

/* Wipes every secret; NULL is fine. */
void identity_free(struct identity *id);

/* "ed25519:" and 43 characters of base64url; returns out. */
const char *identity_text(char out[IDENTITY_TEXT], const uint8_t pk[32]);

/* The other way, strictly; ECRDT_EINVAL for anything else. */
int identity_parse(uint8_t pk[32], slice text);

/* A peer that we dial: its one accepted key, and where it listens. */
struct peer_address {
    uint8_t pk[CRYPTO_PK];
    char host[PEER_HOST_MAX + 1]; /* name or number, without brackets */
    uint16_t port;
};

/* Reads "ed25519:KEY@host", "...@host:port", "...@[v6]" or "...@[v6]:port";
 * a missing port is PEER_PORT_DEFAULT. ECRDT_EINVAL with what is wrong. */
int peer_address_parse(struct peer_address *out, const char *text);
#endif

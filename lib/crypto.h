/* crypto.h: the wall around libsodium: hashes, signatures, key agreement,
 * sealing, random bytes. Every function works on fixed sizes; none fails for
 * want of memory. crypto_init() comes first. */
#ifndef LIB_CRYPTO_H
#define LIB_CRYPTO_H
#include "lib/bytes.h"

enum {
    CRYPTO_PK = 32,    /* Ed25519 or X25519 public key */
    CRYPTO_SK = 64,    /* Ed25519 secret key (seed | public key) */
    CRYPTO_SEED = 32,  /* Ed25519 seed, X25519 secret key */
    CRYPTO_SIG = 64,   /* Ed25519 signature */
    CRYPTO_KEY = 32,   /* ChaCha20-Poly1305 key */
    CRYPTO_NONCE = 12, /* ChaCha20-Poly1305 nonce */
    CRYPTO_TAG = 16,   /* Poly1305 tag */
    CRYPTO_E16 = 16,   /* short BLAKE2b */
    CRYPTO_HASH = 64   /* BLAKE2b-512 */
};

/* 0 or ECRDT_EIO; repeats are harmless, any thread. */
int crypto_init(void);

/* n bytes from the system's generator; safe after fork(). */
void crypto_random(void *out, size_t n);
/* Uniform in [0, bound); bound is not 0. */
uint32_t crypto_random_below(uint32_t bound);
/* Zeroes n bytes in a way that the compiler keeps. */
void crypto_wipe(void *p, size_t n);
/* Equality in constant time. */
bool crypto_equal(const void *a, const void *b, size_t n);

/* BLAKE2b (RFC 7693) of in with n_out bytes of digest, 16 to 64. */
void crypto_blake2b(uint8_t *out, size_t n_out, slice in);
/* The same over n_parts slices in order. */
void crypto_blake2b_parts(uint8_t *out, size_t n_out, const slice *parts,
                          size_t n_parts);
/* BLAKE2b-128 with salt and personalisation (RFC 7693 2.5 parameters). */
void crypto_blake2b_salted(uint8_t out[16], slice in, const uint8_t salt[16],
                           const uint8_t personal[16]);
/* Keyed BLAKE2b-128 (RFC 7693 2.9). */
void crypto_blake2b_keyed(uint8_t out[16], slice in, const uint8_t key[32]);
/* HMAC-BLAKE2b-512 (RFC 2104 with block size 128), for Noise's HKDF. */
void crypto_hmac_blake2b(uint8_t out[64], slice key, slice in);

/* A fresh random Ed25519 (RFC 8032) key pair. (The names of this header avoid
 * those of libsodium, which shares the prefix.) */
void crypto_sign_key_new(uint8_t pk[32], uint8_t sk[64]);
/* The Ed25519 key pair of a seed. */
void crypto_sign_key_from_seed(uint8_t pk[32], uint8_t sk[64],
                               const uint8_t seed[32]);
/* Signs msg; the same message and key give the same signature. */
void crypto_sign_make(uint8_t sig[64], slice msg, const uint8_t sk[64]);
/* False for a bad signature, a non-canonical one and a low-order key. */
bool crypto_sign_check(const uint8_t sig[64], slice msg, const uint8_t pk[32]);

/* The X25519 (RFC 7748) public key of sk. */
void crypto_dh_public(uint8_t pk[32], const uint8_t sk[32]);
/* X25519; false, and out wiped, if the result is all zero. */
bool crypto_dh(uint8_t out[32], const uint8_t sk[32], const uint8_t pk[32]);

/* ChaCha20-Poly1305 (RFC 8439): one key never sees a nonce twice. out has
 * in.len + CRYPTO_TAG bytes and may be in. */
void crypto_seal(uint8_t *out, slice in, slice ad, const uint8_t nonce[12],
                 const uint8_t key[32]);
/* The other way; out has in.len - CRYPTO_TAG bytes and may be in. False, and
 * out wiped, on a bad tag; false for an input shorter than a tag. */
bool crypto_open(uint8_t *out, slice in, slice ad, const uint8_t nonce[12],
                 const uint8_t key[32]);

/* base64url without padding; out holds (n * 4 + 2) / 3 characters and a
 * NUL. */
void crypto_base64(char *out, const uint8_t *in, size_t n);
/* Strict: exactly n bytes, canonical, nothing behind them; false if not. */
bool crypto_unbase64(uint8_t *out, size_t n, const char *in, size_t in_len);
#endif

/* crypto.c: the only file that includes <sodium.h>. */
#include "lib/crypto.h"
#include "lib/assert.h"
#include "lib/err.h"
#include <sodium.h>

_Static_assert(CRYPTO_PK == crypto_sign_PUBLICKEYBYTES &&
                   CRYPTO_PK == crypto_scalarmult_BYTES &&
                   CRYPTO_SK == crypto_sign_SECRETKEYBYTES &&
                   CRYPTO_SEED == crypto_sign_SEEDBYTES &&
                   CRYPTO_SIG == crypto_sign_BYTES &&
                   CRYPTO_KEY == crypto_aead_chacha20poly1305_ietf_KEYBYTES &&
                   CRYPTO_TAG == crypto_aead_chacha20poly1305_ietf_ABYTES &&
                   CRYPTO_NONCE ==
                       crypto_aead_chacha20poly1305_ietf_NPUBBYTES &&
                   CRYPTO_HASH == crypto_generichash_blake2b_BYTES_MAX,
               "the sizes of crypto.h are libsodium's");

typedef crypto_generichash_blake2b_state hash_state;

int crypto_init(void) {
    if (sodium_init() >= 0)
        return ECRDT_OK;
    return err_set(ECRDT_EIO,
                   "could not start libsodium: the system gives no random "
                   "bytes; check that getrandom() or /dev/urandom works here");
}

void crypto_random(void *out, size_t n) {
    randombytes_buf(out, n);
}

uint32_t crypto_random_below(uint32_t bound) {
    INVARIANT(bound > 0);
    return randombytes_uniform(bound);
}

void crypto_wipe(void *p, size_t n) {
    sodium_memzero(p, n);
}

bool crypto_equal(const void *a, const void *b, size_t n) {
    return sodium_memcmp(a, b, n) == 0;
}

void crypto_blake2b(uint8_t *out, size_t n_out, slice in) {
    INVARIANT(n_out >= CRYPTO_E16 && n_out <= CRYPTO_HASH);
    int rc = crypto_generichash_blake2b(out, n_out, in.data, in.len, NULL, 0);
    INVARIANT(rc == 0);
}

static void hash_add(hash_state *st, slice s) {
    if (s.len)
        crypto_generichash_blake2b_update(st, s.data, s.len);
}

void crypto_blake2b_parts(uint8_t *out, size_t n_out, const slice *parts,
                          size_t n_parts) {
    INVARIANT(n_out >= CRYPTO_E16 && n_out <= CRYPTO_HASH);
    hash_state st;
    crypto_generichash_blake2b_init(&st, NULL, 0, n_out);
    for (size_t i = 0; i < n_parts; i++)
        hash_add(&st, parts[i]);
    crypto_generichash_blake2b_final(&st, out, n_out);
    sodium_memzero(&st, sizeof st);
}

void crypto_blake2b_salted(uint8_t out[16], slice in, const uint8_t salt[16],
                           const uint8_t personal[16]) {
    int rc = crypto_generichash_blake2b_salt_personal(
        out, CRYPTO_E16, in.data, in.len, NULL, 0, salt, personal);
    INVARIANT(rc == 0);
}

void crypto_blake2b_keyed(uint8_t out[16], slice in, const uint8_t key[32]) {
    int rc = crypto_generichash_blake2b(out, CRYPTO_E16, in.data, in.len, key,
                                        CRYPTO_KEY);
    INVARIANT(rc == 0);
}

enum { HMAC_BLOCK = 128 };

/* One layer of HMAC: H((key ^ pad) | in). */
static void hmac_layer(uint8_t out[64], const uint8_t key[HMAC_BLOCK],
                       uint8_t pad, slice in) {
    uint8_t block[HMAC_BLOCK];
    for (size_t i = 0; i < HMAC_BLOCK; i++)
        block[i] = key[i] ^ pad;
    const slice parts[2] = {slice_of(block, HMAC_BLOCK), in};
    crypto_blake2b_parts(out, CRYPTO_HASH, parts, 2);
    sodium_memzero(block, sizeof block);
}

void crypto_hmac_blake2b(uint8_t out[64], slice key, slice in) {
    uint8_t padded[HMAC_BLOCK] = {0}, inner[CRYPTO_HASH];
    if (key.len > HMAC_BLOCK)
        crypto_blake2b(padded, CRYPTO_HASH, key);
    else if (key.len)
        memcpy(padded, key.data, key.len);
    hmac_layer(inner, padded, 0x36, in);
    hmac_layer(out, padded, 0x5c, slice_of(inner, sizeof inner));
    sodium_memzero(padded, sizeof padded);
    sodium_memzero(inner, sizeof inner);
}

void crypto_sign_key_new(uint8_t pk[32], uint8_t sk[64]) {
    int rc = crypto_sign_ed25519_keypair(pk, sk);
    INVARIANT(rc == 0);
}

void crypto_sign_key_from_seed(uint8_t pk[32], uint8_t sk[64],
                               const uint8_t seed[32]) {
    int rc = crypto_sign_ed25519_seed_keypair(pk, sk, seed);
    INVARIANT(rc == 0);
}

void crypto_sign_make(uint8_t sig[64], slice msg, const uint8_t sk[64]) {
    int rc = crypto_sign_ed25519_detached(sig, NULL, msg.data, msg.len, sk);
    INVARIANT(rc == 0);
}

bool crypto_sign_check(const uint8_t sig[64], slice msg, const uint8_t pk[32]) {
    return !crypto_sign_ed25519_verify_detached(sig, msg.data, msg.len, pk);
}

void crypto_dh_public(uint8_t pk[32], const uint8_t sk[32]) {
    int rc = crypto_scalarmult_curve25519_base(pk, sk);
    INVARIANT(rc == 0);
}

bool crypto_dh(uint8_t out[32], const uint8_t sk[32], const uint8_t pk[32]) {
    if (crypto_scalarmult_curve25519(out, sk, pk) == 0)
        return true;
    sodium_memzero(out, CRYPTO_PK);
    return false;
}

void crypto_seal(uint8_t *out, slice in, slice ad, const uint8_t nonce[12],
                 const uint8_t key[32]) {
    int rc = crypto_aead_chacha20poly1305_ietf_encrypt(
        out, NULL, in.data, in.len, ad.data, ad.len, NULL, nonce, key);
    INVARIANT(rc == 0);
}

bool crypto_open(uint8_t *out, slice in, slice ad, const uint8_t nonce[12],
                 const uint8_t key[32]) {
    return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in.data,
                                                     in.len, ad.data, ad.len,
                                                     nonce, key) == 0;
}

enum { BASE64URL = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

void crypto_base64(char *out, const uint8_t *in, size_t n) {
    sodium_bin2base64(out, sodium_base64_encoded_len(n, BASE64URL), in, n,
                      BASE64URL);
}

bool crypto_unbase64(uint8_t *out, size_t n, const char *in, size_t in_len) {
    size_t got = 0;
    for (size_t i = 0; i < in_len; i++) /* libsodium takes some for letters */
        if ((uint8_t)in[i] > 0x7f)
            return false;
    return sodium_base642bin(out, n, in, in_len, NULL, &got, NULL, BASE64URL) ==
               0 &&
           got == n;
}

/* test_crypto.c: the crypto wall against vectors of others. Values marked
 * (py) were computed with Python's hashlib and hmac. */
#include "lib/crypto.h"
#include "tests/support/test.h"
#include <jansson.h>

static const slice NOTHING = {NULL, 0};

static json_t *load(const char *path) {
    json_error_t e;
    json_t *j = json_load_file(path, 0, &e);
    if (!j)
        fail_msg("%s:%d: %s", path, e.line, e.text);
    return j;
}

static const char *text(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    assert_non_null(s);
    return s;
}

static slice hex(const json_t *o, const char *name, uint8_t *out, size_t max) {
    return slice_of(out, hex_decode(out, max, text(o, name)));
}

static bool is_valid(const json_t *o) {
    return !strcmp(text(o, "result"), "valid");
}

static void check_hex(const uint8_t *got, size_t n, const char *want) {
    uint8_t b[128];
    assert_int_equal(hex_decode(b, sizeof b, want), n);
    assert_memory_equal(got, b, n);
}

static void wycheproof_x25519(void **state) {
    (void)state;
    json_t *all = load("tests/vectors/x25519.json"), *t;
    size_t i, zeros = 0;
    json_array_foreach(all, i, t) {
        uint8_t pk[32], sk[32], want[32], got[32];
        hex(t, "public", pk, 32);
        hex(t, "private", sk, 32);
        hex(t, "shared", want, 32);
        bool zero = json_is_true(json_object_get(t, "zero"));
        zeros += zero;
        memset(got, 0xaa, sizeof got);
        assert_int_equal(crypto_dh(got, sk, pk), !zero);
        assert_memory_equal(got, want, 32);
    }
    assert_int_equal(json_array_size(all), 518);
    assert_int_equal(zeros, 31);
    json_decref(all);
}

static void wycheproof_ed25519(void **state) {
    (void)state;
    json_t *all = load("tests/vectors/ed25519.json"), *t;
    size_t i, valid = 0;
    json_array_foreach(all, i, t) {
        uint8_t pk[32], msg[1024], sig[256];
        hex(t, "pk", pk, 32);
        slice m = hex(t, "msg", msg, sizeof msg);
        slice s = hex(t, "sig", sig, sizeof sig);
        if (s.len != CRYPTO_SIG) { /* our type cannot hold it */
            assert_false(is_valid(t));
            continue;
        }
        valid += is_valid(t);
        assert_int_equal(crypto_sign_check(sig, m, pk), is_valid(t));
    }
    assert_int_equal(json_array_size(all), 151);
    assert_int_equal(valid, 88);
    json_decref(all);
}

static void check_aead(const json_t *t) {
    uint8_t key[32], iv[12], ad[1024], msg[1024], ct[1040], out[1040];
    hex(t, "key", key, 32);
    hex(t, "iv", iv, 12);
    slice a = hex(t, "aad", ad, sizeof ad);
    slice m = hex(t, "msg", msg, sizeof msg);
    slice c = hex(t, "ct", ct, sizeof ct - CRYPTO_TAG);
    slice tag = hex(t, "tag", ct + c.len, CRYPTO_TAG);
    slice sealed = slice_of(ct, c.len + tag.len);
    assert_int_equal(tag.len, CRYPTO_TAG);
    bool opened = crypto_open(out, sealed, a, iv, key);
    assert_int_equal(opened, is_valid(t));
    if (!opened)
        return;
    assert_memory_equal(out, msg, m.len);
    crypto_seal(out, m, a, iv, key);
    assert_memory_equal(out, ct, sealed.len);
}

static void wycheproof_chacha20_poly1305(void **state) {
    (void)state;
    json_t *all = load("tests/vectors/chacha20_poly1305.json"), *t;
    size_t i;
    json_array_foreach(all, i, t) check_aead(t);
    assert_int_equal(json_array_size(all), 316);
    json_decref(all);
}

static void seals_in_place_and_wipes_on_a_bad_tag(void **state) {
    (void)state;
    const uint8_t key[32] = {7}, nonce[12] = {1}, zeros[20] = {0};
    uint8_t b[20 + CRYPTO_TAG], apart[20 + CRYPTO_TAG];
    memset(b, 's', sizeof b);
    crypto_seal(apart, slice_of(b, 20), NOTHING, nonce, key);
    crypto_seal(b, slice_of(b, 20), NOTHING, nonce, key);
    assert_memory_equal(b, apart, sizeof b);
    assert_true(crypto_open(b, slice_of(b, sizeof b), NOTHING, nonce, key));
    assert_memory_equal(b, "ssssssssssssssssssss", 20);
    apart[35] ^= 1;
    assert_false(crypto_open(b, slice_of(apart, 36), NOTHING, nonce, key));
    assert_memory_equal(b, zeros, 20);
    assert_false(crypto_open(b, slice_of(apart, 15), NOTHING, nonce, key));
}

static void blake2b(void **state) {
    (void)state;
    uint8_t h[64];
    const slice abc = slice_str("abc");
    crypto_blake2b(h, 64, abc); /* RFC 7693 appendix A */
    check_hex(
        h, 64,
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
    crypto_blake2b(h, 32, abc); /* (py) */
    check_hex(
        h, 32,
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    uint8_t joined[32];
    const slice parts[4] = {slice_str("a"), NOTHING, slice_str("b"),
                            slice_str("c")};
    crypto_blake2b_parts(joined, 32, parts, 4);
    assert_memory_equal(joined, h, 32);
}

static void blake2b_salted(void **state) {
    (void)state;
    uint8_t h[16], salt[16];
    for (uint8_t i = 0; i < 16; i++)
        salt[i] = i;
    crypto_blake2b_salted(h, slice_str("edge"), salt,
                          (const uint8_t *)"ecrdt-e16-perso1");
    check_hex(h, 16, "362eb5d9dd6495ad5a25883498d89d33"); /* (py) */
}

/* Keys shorter than, of, and longer than the block of 128 (py). */
static void hmac_blake2b(void **state) {
    (void)state;
    static const struct {
        size_t key_len;
        const char *want;
    } rows[] = {
        {0, "136f95d2eeae4fe08eccd925a57c3609705fe786f96c2c2051ffd859f05aef64"
            "150e767a4e1a21acb8f446ce4311add6abadcf233e62fa049d39b32a3fc024de"},
        {64, "e33fddf8992f619b8fc74af98a787f16606b9a7f588bda065006ac8c7e6fd3f4"
             "5ff64fd7ea59c43847f32dd569d7db654d7b77715e7bf2d0fe7afa0f0ec75bc"
             "4"},
        {128, "a23f247c5af57f819850774dc67d6b1690225e444f738035a8a9a1ac663f47d"
              "ebe4db2941371f6095c614338d316cc29773d41c7af9e714e7b052676358d59"
              "0b"},
        {129, "74852d0002da0bf835ad81d34198a478aec54b997c614e9a4af590611558cf6"
              "05dc04245e80e0c82f9a790a20218e9c8b8f81ebec7ebfd2bdeb51afe04e854"
              "37"},
    };
    uint8_t key[129], h[64];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        crypto_hmac_blake2b(h, slice_of(key, rows[i].key_len),
                            slice_str("what do ya want for nothing?"));
        check_hex(h, 64, rows[i].want);
    }
}

static void signs_what_it_checks(void **state) {
    (void)state;
    uint8_t pk[32], sk[64], other[32], sig[64], seed[32];
    for (uint8_t i = 0; i < 32; i++)
        seed[i] = i;
    crypto_sign_key_from_seed(pk, sk, seed); /* (py: cryptography) */
    check_hex(
        pk, 32,
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    crypto_sign_make(sig, slice_str("m"), sk);
    assert_true(crypto_sign_check(sig, slice_str("m"), pk));
    assert_false(crypto_sign_check(sig, slice_str("n"), pk));
    crypto_sign_key_new(other, sk);
    assert_memory_not_equal(other, pk, 32);
    assert_false(crypto_sign_check(sig, slice_str("m"), other));
}

static void dh_meets(void **state) {
    (void)state;
    const uint8_t a[32] = {1, 2, 3}, b[32] = {4, 5, 6};
    uint8_t pa[32], pb[32], ab[32], ba[32];
    crypto_dh_public(pa, a);
    crypto_dh_public(pb, b);
    assert_true(crypto_dh(ab, a, pb));
    assert_true(crypto_dh(ba, b, pa));
    assert_memory_equal(ab, ba, 32);
}

static void random_is_not_constant(void **state) {
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    crypto_random(a, 32);
    crypto_random(b, 32);
    assert_memory_not_equal(a, b, 32);
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t v = crypto_random_below(5);
        assert_true(v < 5);
        seen |= 1u << v;
    }
    assert_int_equal(seen, 31);
    assert_int_equal(crypto_random_below(1), 0);
}

static void wipes_and_compares(void **state) {
    (void)state;
    uint8_t a[9] = "abcdefgh", b[9] = "abcdefgi";
    assert_true(crypto_equal(a, b, 7));
    assert_false(crypto_equal(a, b, 8));
    crypto_wipe(a, 8);
    assert_memory_equal(a, "\0\0\0\0\0\0\0\0", 8);
}

static void base64_round_trip(void **state) {
    (void)state;
    uint8_t in[40], back[40];
    char out[64];
    for (uint8_t i = 0; i < 40; i++)
        in[i] = (uint8_t)(255 - 3 * i);
    for (size_t n = 0; n <= 40; n++) {
        memset(out, '!', sizeof out);
        crypto_base64(out, in, n);
        size_t len = (n * 4 + 2) / 3;
        assert_int_equal(strlen(out), len);
        assert_int_equal(out[len + 1], '!');
        assert_true(crypto_unbase64(back, n, out, len));
        assert_memory_equal(back, in, n);
    }
    crypto_base64(out, (const uint8_t *)"\xfb\xff\xfe", 3);
    assert_string_equal(out, "-__-");
}

static void base64_is_strict(void **state) {
    (void)state;
    uint8_t b[4];
    assert_true(crypto_unbase64(b, 2, "AAA", 3));
    static const char *const bad[] = {"AAB",
                                      "AA",
                                      "AAAA",
                                      "A",
                                      "",
                                      "AAA=",
                                      "AA ",
                                      "AA+",
                                      "AA\n",
                                      "A=A",
                                      "A\xc5"
                                      "A",
                                      "\x9d"
                                      "AA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (crypto_unbase64(b, 2, bad[i], strlen(bad[i])))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(crypto_unbase64(b, 3, "++++", 4));
    assert_false(crypto_unbase64(b, 3, "////", 4));
}

static int setup(void **state) {
    (void)state;
    return crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wycheproof_x25519),
        cmocka_unit_test(wycheproof_ed25519),
        cmocka_unit_test(wycheproof_chacha20_poly1305),
        cmocka_unit_test(seals_in_place_and_wipes_on_a_bad_tag),
        cmocka_unit_test(blake2b),
        cmocka_unit_test(blake2b_salted),
        cmocka_unit_test(hmac_blake2b),
        cmocka_unit_test(signs_what_it_checks),
        cmocka_unit_test(dh_meets),
        cmocka_unit_test(random_is_not_constant),
        cmocka_unit_test(wipes_and_compares),
        cmocka_unit_test(base64_round_trip),
        cmocka_unit_test(base64_is_strict),
    };
    return TEST_RUN_WITH(tests, setup, NULL);
}

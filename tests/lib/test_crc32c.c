/* test_crc32c.c: known answers, and both implementations against each other. */
#include "lib/crc32c.h"
#include "tests/support/test.h"
#include <string.h>

/* RFC 3720 B.4, and the check value of the catalogue of CRCs. */
static void known_answers(void **state) {
    (void)state;
    uint8_t b[32];
    memset(b, 0, sizeof b);
    assert_int_equal(crc32c(0, b, sizeof b), 0x8a9136aa);
    memset(b, 0xff, sizeof b);
    assert_int_equal(crc32c(0, b, sizeof b), 0x62a8ab43);
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, b, sizeof b), 0x46dd794e);
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(0, b, sizeof b), 0x113fdb5c);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
}

static void of_nothing_is_the_start(void **state) {
    (void)state;
    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0x12345678, "", 0), 0x12345678);
    assert_int_equal(crc32c_portable(0x12345678, "", 0), 0x12345678);
}

static void both_agree_at_any_length_and_alignment(void **state) {
    (void)state;
    struct rng r = rng_seed();
    uint8_t b[320];
    rng_bytes(&r, b, sizeof b);
    for (size_t n = 0; n <= 300; n++)
        for (size_t at = 0; at < 9; at++)
            assert_int_equal(crc32c((uint32_t)n, b + at, n),
                             crc32c_portable((uint32_t)n, b + at, n));
}

static void goes_on_at_any_split(void **state) {
    (void)state;
    struct rng r = rng_seed();
    uint8_t b[100];
    rng_bytes(&r, b, sizeof b);
    uint32_t whole = crc32c(0, b, sizeof b);
    for (size_t n = 0; n <= sizeof b; n++) {
        uint32_t c = crc32c(0, b, n);
        assert_int_equal(crc32c(c, b + n, sizeof b - n), whole);
    }
}

static void sees_every_flipped_bit(void **state) {
    (void)state;
    uint8_t b[100] = {1, 2, 3};
    uint32_t whole = crc32c(0, b, sizeof b);
    for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(crc32c(0, b, sizeof b), whole);
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(of_nothing_is_the_start),
        cmocka_unit_test(both_agree_at_any_length_and_alignment),
        cmocka_unit_test(goes_on_at_any_split),
        cmocka_unit_test(sees_every_flipped_bit),
    };
    return TEST_RUN(tests);
}

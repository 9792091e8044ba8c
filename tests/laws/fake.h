/* fake.h: randomness that a seed decides, for a program that includes this
 * once. */
#ifndef TESTS_LAWS_FAKE_H
#define TESTS_LAWS_FAKE_H
#include "tests/support/test.h"
#include <sodium.h>

static struct rng fake_random = {1};

static const char *fake_name(void) {
    return "converge";
}
static uint32_t fake_u32(void) {
    return (uint32_t)(rng_u64(&fake_random) >> 32);
}
static void fake_bytes(void *const out, const size_t n) {
    rng_bytes(&fake_random, out, n);
}

/* From now on libsodium's randomness is fake_random's. */
static void fake_begin(void) {
    static randombytes_implementation fake = {.implementation_name = fake_name,
                                              .random = fake_u32,
                                              .buf = fake_bytes};
    randombytes_set_implementation(&fake);
}
#endif

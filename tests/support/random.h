/* random.h: the library's randomness becomes a stream that a seed gives:
 * libsodium takes it from here. */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H
#include <sodium.h>
#include <stdint.h>
#include <string.h>

static uint64_t random_state = 1;

/* splitmix64: any seed is a good one. */
static inline uint64_t random_next(void) {
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static const char *random_name(void) {
    return "seeded";
}
static uint32_t random_word(void) {
    return (uint32_t)(random_next() >> 32);
}
static void random_fill(void *const out, const size_t n) {
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = random_next();
        memcpy(p + i, &v, n - i < 8 ? n - i : 8);
    }
}

/* From now on, in this process; before the first use of libsodium. */
static inline void random_install(uint64_t seed) {
    static struct randombytes_implementation seeded = {
        .implementation_name = random_name,
        .random = random_word,
        .buf = random_fill,
    };
    random_state = seed;
    randombytes_set_implementation(&seeded);
}
#endif

/* crc32c.c: CRC-32C by SSE4.2 where the processor has it, else slice-by-8. */
#include "lib/crc32c.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { POLY_REFLECTED = (int)0x82f63b78, SLICES = 8 };

static uint32_t table[SLICES][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void build_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? (uint32_t)POLY_REFLECTED : 0);
        table[0][i] = c;
    }
    for (int s = 1; s < SLICES; s++)
        for (int i = 0; i < 256; i++) {
            uint32_t c = table[s - 1][i];
            table[s][i] = c >> 8 ^ table[0][c & 0xff];
        }
}

/* Expects the table built. Reads bytes one by one, so it is right on either
 * byte order; the compiler joins them where it may. */
static uint32_t by_table(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t c = ~crc;
    for (; n >= 8; p += 8, n -= 8) {
        c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
             (uint32_t)p[3] << 24;
        c = table[7][c & 0xff] ^ table[6][c >> 8 & 0xff] ^
            table[5][c >> 16 & 0xff] ^ table[4][c >> 24] ^ table[3][p[4]] ^
            table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    while (n--)
        c = c >> 8 ^ table[0][(c ^ *p++) & 0xff];
    return ~c;
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n) {
    pthread_once(&table_once, build_table);
    return by_table(crc, p, n);
}

#if defined(__x86_64__)
/* The tail goes by 4, 2 and 1 bytes: at most three steps, where a loop over
 * bytes would cost up to seven dependent ones on a short record. */
__attribute__((target("sse4.2"))) static uint32_t
by_sse42(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = data;
    uint64_t c = (uint32_t)~crc;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        c = __builtin_ia32_crc32di(c, v);
    }
    uint32_t r = (uint32_t)c;
    if (n & 4) {
        uint32_t v;
        memcpy(&v, p, 4);
        r = __builtin_ia32_crc32si(r, v);
        p += 4;
    }
    if (n & 2) {
        uint16_t v;
        memcpy(&v, p, 2);
        r = __builtin_ia32_crc32hi(r, v);
        p += 2;
    }
    if (n & 1)
        r = __builtin_ia32_crc32qi(r, *p);
    return ~r;
}
#endif

typedef uint32_t crc_fn(uint32_t crc, const void *p, size_t n);

static uint32_t resolve(uint32_t crc, const void *p, size_t n);

/* The first call replaces resolve() by what this processor runs best. */
static _Atomic(crc_fn *) chosen = resolve;

static uint32_t resolve(uint32_t crc, const void *p, size_t n) {
    crc_fn *fn = by_table;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2"))
        fn = by_sse42;
#endif
    if (fn == by_table)
        pthread_once(&table_once, build_table);
    atomic_store_explicit(&chosen, fn, memory_order_release);
    return fn(crc, p, n);
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n) {
    return atomic_load_explicit(&chosen, memory_order_acquire)(crc, p, n);
}

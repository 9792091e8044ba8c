/* bytes.h: slices, big-endian loads and stores, varints, checked sums. */
#ifndef LIB_BYTES_H
#define LIB_BYTES_H
#include "edgecrdt.h"
#include <endian.h>
#include <stdbool.h>
#include <string.h>

typedef ecrdt_slice slice;

static inline slice slice_of(const void *data, size_t len) {
    return (slice){data, len};
}

static inline bool slice_eq(slice a, slice b) {
    return a.len == b.len && (a.len == 0 || !memcmp(a.data, b.data, a.len));
}

/* Bytewise order, a prefix before what it begins: LMDB's order. */
static inline int slice_cmp(slice a, slice b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static inline bool slice_starts(slice a, slice prefix) {
    return a.len >= prefix.len &&
           (prefix.len == 0 || !memcmp(a.data, prefix.data, prefix.len));
}

/* How many bytes both begin with. */
static inline size_t slice_shared(slice a, slice b) {
    const uint8_t *p = a.data, *q = b.data;
    size_t n = 0;
    while (n < a.len && n < b.len && p[n] == q[n])
        n++;
    return n;
}

static inline uint16_t load16(const void *p) {
    const uint8_t *b = p;
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline uint32_t load32(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return be32toh(v);
}

static inline uint64_t load64(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return be64toh(v);
}

static inline void store16(void *p, uint16_t v) {
    uint8_t *b = p;
    b[0] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)v;
}

static inline void store32(void *p, uint32_t v) {
    v = htobe32(v);
    memcpy(p, &v, 4);
}

static inline void store64(void *p, uint64_t v) {
    v = htobe64(v);
    memcpy(p, &v, 8);
}

enum { VARINT_MAX = 10 };

/* LEB128; returns the bytes written, at most VARINT_MAX. */
static inline size_t varint_put(uint8_t *p, uint64_t v) {
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

/* Reads one varint from [p, end): bytes used, 0 if it is cut off, too long
 * or not in its shortest form. */
static inline size_t varint_get(const uint8_t *p, const uint8_t *end,
                                uint64_t *v) {
    uint64_t r = 0;
    if (p < end && *p < 0x80) { /* nearly all */
        *v = *p;
        return 1;
    }
    for (size_t n = 0; n < VARINT_MAX && p + n < end; n++) {
        uint8_t b = p[n];
        if (n == 9 && b > 1)
            return 0;
        r |= (uint64_t)(b & 0x7f) << (7 * n);
        if (!(b & 0x80)) {
            *v = r;
            return n && !b ? 0 : n + 1;
        }
    }
    return 0;
}

/* *sum += v; false, and no change, if that overflows. */
static inline bool add_u64(uint64_t *sum, uint64_t v) {
    return !__builtin_add_overflow(*sum, v, sum);
}

static inline bool mul_size(size_t a, size_t b, size_t *r) {
    return !__builtin_mul_overflow(a, b, r);
}
#endif

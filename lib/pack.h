/* pack.h: bounded msgpack: a writer onto a buffer and a strict streaming
 * reader that accepts one canonical encoding and allocates nothing.
 * Format: github.com/msgpack/msgpack/blob/master/spec.md, the subset nil,
 * bool, uint, bin, array in their shortest forms. */
#ifndef LIB_PACK_H
#define LIB_PACK_H
#include "lib/buf.h"

enum { PACK_DEPTH = 8 };

/* Each appends one value in its shortest form; failures stick to b. */
void pack_nil(struct buf *b);
void pack_bool(struct buf *b, bool v);
void pack_uint(struct buf *b, uint64_t v);
void pack_bin(struct buf *b, slice s);
/* Header of n bytes that the caller appends itself. */
void pack_bin_header(struct buf *b, size_t n);
void pack_array(struct buf *b, uint32_t n);

/* Array whose length is known only later: pack_array_begin() returns the
 * place of a 5-byte header, pack_array_end() fills it in and takes back the
 * bytes that the canonical header does not need. */
size_t pack_array_begin(struct buf *b);
void pack_array_end(struct buf *b, size_t place, uint32_t n);

/* Reader over borrowed bytes. The first failure sticks in err
 * (ECRDT_ECORRUPT); what is read after it is zero or empty. */
struct unpack {
    const uint8_t *p, *end;
    int err;
    unsigned depth;
};

/* Begins to read s, which must outlive u and what it hands out. */
void unpack_init(struct unpack *u, slice s);
/* The next value, which must have this type. */
bool unpack_bool(struct unpack *u);
uint64_t unpack_uint(struct unpack *u);
/* A uint of at most max. */
uint64_t unpack_uint_max(struct unpack *u, uint64_t max);
/* Borrowed bytes, at most max of them. */
slice unpack_bin(struct unpack *u, size_t max);
/* Exactly n bytes; NULL after a failure. */
const uint8_t *unpack_bin_exact(struct unpack *u, size_t n);
/* True, and consumed, if a nil comes next. */
bool unpack_nil(struct unpack *u);
/* Length of an array, at most max; counts are checked against the bytes
 * left. Each array entered is left with unpack_leave(). */
uint32_t unpack_array(struct unpack *u, uint32_t max);
void unpack_leave(struct unpack *u);
/* An array of exactly n. */
void unpack_array_exact(struct unpack *u, uint32_t n);
/* Marks the input as malformed. */
void unpack_fail(struct unpack *u);
/* 0 if everything was read well and nothing is left. */
int unpack_end(struct unpack *u);
#endif

/* buf.h: a growing byte buffer with a sticky error. */
#ifndef LIB_BUF_H
#define LIB_BUF_H
#include "lib/bytes.h"

enum { BUF_KEEP = 65536 };

/* Zero-initialise, use, buf_free(). After the first failure err stays set,
 * later calls do nothing, and the end reports it. */
struct buf {
    uint8_t *data;
    size_t len, cap;
    int err; /* 0 or a negative code */
};

/* Room for n more bytes, counted in; NULL after a failure. */
uint8_t *buf_extend(struct buf *b, size_t n);

/* Appends n bytes. */
void buf_put(struct buf *b, const void *data, size_t n);

/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

/* Empties b and forgets its error; keeps the memory. */
void buf_clear(struct buf *b);

/* Gives memory back if it grew large; the content is lost then. */
void buf_trim(struct buf *b);

/* Frees the memory; b is as new. */
void buf_free(struct buf *b);

static inline slice buf_slice(const struct buf *b) {
    return slice_of(b->data, b->len);
}
#endif

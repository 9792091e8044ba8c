/* buf.c: growth, consumption and release of byte buffers. */
#include "lib/buf.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"

uint8_t *buf_extend(struct buf *b, size_t n) {
    if (b->err)
        return NULL;
    if (n > SIZE_MAX / 2 - b->len) {
        b->err = err_nomem(n);
        return NULL;
    }
    size_t want = b->len + n;
    b->err = alloc_grow(&b->data, &b->cap, want ? want : 1, 1);
    if (b->err)
        return NULL;
    uint8_t *p = b->data + b->len;
    b->len += n;
    return p;
}

void buf_put(struct buf *b, const void *data, size_t n) {
    if (!n)
        return;
    uint8_t *p = buf_extend(b, n);
    if (p)
        memcpy(p, data, n);
}

void buf_consume(struct buf *b, size_t n) {
    INVARIANT(n <= b->len);
    b->len -= n;
    if (b->len && n)
        memmove(b->data, b->data + n, b->len);
}

void buf_clear(struct buf *b) {
    b->len = 0;
    b->err = 0;
}

void buf_trim(struct buf *b) {
    if (b->cap > BUF_KEEP)
        buf_free(b);
}

void buf_free(struct buf *b) {
    alloc_free(b->data);
    *b = (struct buf){0};
}

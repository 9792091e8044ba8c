/* frame.c: cuts a stream of bytes into frames and puts frames onto one. */
#include "replication/link/frame.h"
#include "lib/assert.h"
#include "lib/err.h"

int frame_feed(struct frame_reader *r, slice bytes) {
    INVARIANT(r->at <= r->in.len);
    buf_consume(&r->in, r->at);
    r->at = 0;
    buf_put(&r->in, bytes.data, bytes.len);
    return r->in.err;
}

size_t frame_pending(const struct frame_reader *r) {
    return r->in.len - r->at;
}

/* Length of the frame that comes next; its header must be here. */
static size_t next_length(const struct frame_reader *r) {
    return load16(r->in.data + r->at);
}

size_t frame_missing(const struct frame_reader *r) {
    size_t have = frame_pending(r);
    if (have < FRAME_HEADER)
        return FRAME_HEADER - have;
    size_t want = FRAME_HEADER + next_length(r);
    return want > have ? want - have : 0;
}

int frame_take(struct frame_reader *r, uint8_t **body, size_t *len) {
    INVARIANT(r->max > 0 && r->max <= FRAME_MAX);
    if (frame_pending(r) < FRAME_HEADER)
        return 0;
    size_t n = next_length(r);
    if (n == 0 || n > r->max)
        return err_set(ECRDT_EPEER,
                       "the peer announces a frame of %zu bytes: 1 to %zu are "
                       "accepted at this point",
                       n, r->max);
    if (frame_missing(r))
        return 0;
    *body = r->in.data + r->at + FRAME_HEADER;
    *len = n;
    r->at += FRAME_HEADER + n;
    return 1;
}

void frame_shrink(struct frame_reader *r, size_t keep) {
    if (frame_pending(r) == 0 && r->in.cap > keep)
        frame_free(r);
}

void frame_free(struct frame_reader *r) {
    buf_free(&r->in);
    r->at = 0;
}

uint8_t *frame_put(struct buf *out, size_t n) {
    INVARIANT(n > 0 && n <= FRAME_MAX);
    uint8_t *p = buf_extend(out, FRAME_HEADER + n);
    if (!p)
        return NULL;
    store16(p, (uint16_t)n);
    return p + FRAME_HEADER;
}

/* frame.h: length-prefixed frames cut from a stream of bytes: 2 bytes of
 * length, big-endian, then that many bytes, at least 1. */
#ifndef REPLICATION_LINK_FRAME_H
#define REPLICATION_LINK_FRAME_H
#include "lib/buf.h"

enum {
    FRAME_HEADER = 2,
    FRAME_MAX = 65535,                       /* bytes behind the length */
    FRAME_MAX_STRANGER = 4096 - FRAME_HEADER /* before authentication   */
};

/* Zero-initialise and set max; frame_free(). */
struct frame_reader {
    struct buf in;
    size_t at;  /* first byte of in that was not taken yet */
    size_t max; /* longest frame accepted now */
};

/* Adds bytes of the stream; 0 or ECRDT_ENOMEM. Ends the life of frames taken
 * before. */
int frame_feed(struct frame_reader *r, slice bytes);

/* How many more bytes complete what is known of the next frame; 0 if it is
 * whole. Feeding no more than that keeps memory to one frame. */
size_t frame_missing(const struct frame_reader *r);

/* Takes the next whole frame: 1 with *body borrowed until the next feed or
 * shrink, 0 if there is none yet, ECRDT_EPEER for an empty one or one over
 * max, as soon as its length is here. */
int frame_take(struct frame_reader *r, uint8_t **body, size_t *len);

/* Bytes that were fed but not taken. */
size_t frame_pending(const struct frame_reader *r);

/* Gives memory of more than keep bytes back if nothing is pending. */
void frame_shrink(struct frame_reader *r, size_t keep);

/* Frees the memory. */
void frame_free(struct frame_reader *r);

/* Appends the header of a frame of n bytes, 1 to FRAME_MAX, and room for
 * them; NULL, the error in out, without memory. */
uint8_t *frame_put(struct buf *out, size_t n);
#endif

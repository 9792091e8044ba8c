/* clockdiff.h: a bucket's whole clock as one value that several holders
 * share, and the difference between two of them (PROTOCOL 9). */
#ifndef CRDT_CLOCKDIFF_H
#define CRDT_CLOCKDIFF_H
#include "crdt/ranges.h"

/* Ranges and floor as one moment had them. Never changed while shared. */
struct clock_state {
    size_t refs;
    struct ranges ranges; /* at least one */
    struct vv floor;
};

/* An empty clock with one holder; NULL without memory. */
struct clock_state *clock_state_new(void);

/* One holder more, and one less: the last one frees it. NULL is fine. */
struct clock_state *clock_state_ref(struct clock_state *s);
void clock_state_unref(struct clock_state *s);

/* Same cuts, clocks and floor? */
bool clock_state_eq(const struct clock_state *a, const struct clock_state *b);

/* Memory that it takes. */
size_t clock_state_bytes(const struct clock_state *s);

/* msgpack: what turns from into to: [[gap, seq, h | nil, ...], new]; the gaps
 * count the entries of from that stay, seq 0 takes one out, new is a vector
 * of origins that from lacks. */
void vv_diff_encode(struct buf *out, const struct vv *from,
                    const struct vv *to);

/* Into the empty to, which the caller frees in any case; sticky error in u.
 * 0 or a negative code. */
int vv_diff_decode(struct unpack *u, const struct vv *from, struct vv *to);

/* msgpack: an origin as bin: its place in v, 1 to 4 bytes, or all of it. */
void vv_origin_encode(struct buf *out, const struct vv *v,
                      const uint8_t origin[ORIGIN_SIZE]);

/* Copies it to origin; sticky error in u. */
void vv_origin_decode(struct unpack *u, const struct vv *v,
                      uint8_t origin[ORIGIN_SIZE]);

/* msgpack: [floor, recut, [...]]: differences of the floor, then of the
 * ranges: [gap, clock, ...] of those that changed, or, if the cuts differ
 * (recut), [lower bound, clock, ...] of all, each against the clock that
 * from has at the bound. */
void clock_diff_encode(struct buf *out, const struct clock_state *from,
                       const struct clock_state *to);

/* *to is a fresh state, or NULL on an error, which sticks in u. */
int clock_diff_decode(struct unpack *u, const struct clock_state *from,
                      struct clock_state **to);
#endif

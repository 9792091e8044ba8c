/* vv.h: version vectors whose entries are chained heads: for an origin the
 * greatest sequence number known and the chain hash at it (PROTOCOL 1). */
#ifndef CRDT_VV_H
#define CRDT_VV_H
#include "lib/pack.h"

enum { ORIGIN_SIZE = 16, VV_MAX_ENTRIES = 1000000 };

struct head {
    uint8_t origin[ORIGIN_SIZE];
    uint64_t seq, h;
};

/* Sorted by origin, no entry with seq 0. Zero-initialise, vv_free(). */
struct vv {
    struct head *e;
    size_t n, cap;
};

/* The sequence number known of origin, 0 if none. */
uint64_t vv_seq(const struct vv *v, const uint8_t origin[ORIGIN_SIZE]);

/* Is (origin, seq) <= v? */
static inline bool vv_covers(const struct vv *v,
                             const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    return seq <= vv_seq(v, origin);
}

/* Raises origin's entry to (seq, h) if seq is greater. 0 or ECRDT_ENOMEM. */
int vv_raise(struct vv *v, const uint8_t origin[ORIGIN_SIZE], uint64_t seq,
             uint64_t h);

/* v = max(v, o), entry by entry. 0 or ECRDT_ENOMEM. */
int vv_join(struct vv *v, const struct vv *o);

/* Is every entry of a covered by b? */
bool vv_le(const struct vv *a, const struct vv *b);

/* Same entries, chain hashes included? */
bool vv_eq(const struct vv *a, const struct vv *b);

/* dst becomes a copy of src. 0 or ECRDT_ENOMEM. */
int vv_copy(struct vv *dst, const struct vv *src);

/* Frees the entries; v is empty again. */
void vv_free(struct vv *v);

/* Sum over the entries of a of what b lacks (events missing at b). */
uint64_t vv_missing(const struct vv *a, const struct vv *b);

/* msgpack: array of 3n: origin, seq, h as 8 bytes, sorted by origin. */
void vv_encode(struct buf *out, const struct vv *v);

/* Appends to the empty v; sticky error in u. 0 or a negative code. */
int vv_decode(struct unpack *u, struct vv *v);
#endif

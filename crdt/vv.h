/* vv.h: version vectors whose entries are chained heads: for an origin the
 * greatest sequence number known and the chain hash at it (PROTOCOL 1). */
#ifndef CRDT_VV_H
#define CRDT_VV_H
#include "lib/pack.h"

enum {
    ORIGIN_SIZE = 16,
    VV_MAX_ENTRIES = 1000000,
    VV_MAX_HEADS = 16 /* of one origin, after forks */
};

struct head {
    uint8_t origin[ORIGIN_SIZE];
    uint64_t seq, h;
};

/* Sorted by origin, no entry with seq 0. An origin has one entry, its head;
 * after a fork (PROTOCOL D6) it has one for each branch, the greatest seq
 * first. Zero-initialise, vv_free(). */
struct vv {
    struct head *e;
    size_t n, cap;
};

/* The sequence number known of origin, 0 if none. */
uint64_t vv_seq(const struct vv *v, const uint8_t origin[ORIGIN_SIZE]);

/* Heads of origin, borrowed; NULL and 0 if it has none. */
const struct head *vv_heads(const struct vv *v,
                            const uint8_t origin[ORIGIN_SIZE], size_t *n);

/* Is x one of n heads? Are the heads a those of b? */
bool vv_heads_have(const struct head *heads, size_t n, const struct head *x);
bool vv_heads_same(const struct head *a, size_t na, const struct head *b,
                   size_t nb);

/* How many heads the origin has whose first entry is number i. */
size_t vv_group(const struct vv *v, size_t i);

/* Replaces the heads of origin by n others, in order. 0 or ECRDT_ENOMEM. */
int vv_set_heads(struct vv *v, const uint8_t origin[ORIGIN_SIZE],
                 const struct head *heads, size_t n);

/* Adds n heads to those of an origin, without repeating any; past VV_MAX_HEADS
 * the lowest are left out. 0 or ECRDT_ENOMEM. */
int vv_unite(struct vv *v, const uint8_t origin[ORIGIN_SIZE],
             const struct head *heads, size_t n);

/* Is (origin, seq) <= v? */
static inline bool vv_covers(const struct vv *v,
                             const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    return seq <= vv_seq(v, origin);
}

/* The order of heads: by origin, the greater seq first, by h. */
int vv_head_order(const struct head *a, const struct head *b);

/* May the heads a of an origin lie on the chains of its heads b, as far as
 * numbers show? A chain has one hash at a seq, and two heads that do not lie
 * on one another need two that they lie on. */
bool vv_heads_le(const struct head *a, size_t na, const struct head *b,
                 size_t nb);

/* Makes (seq, h) the one head of origin if seq is greater. 0 or ECRDT_ENOMEM.
 */
int vv_raise(struct vv *v, const uint8_t origin[ORIGIN_SIZE], uint64_t seq,
             uint64_t h);

/* v = max(v, o), entry by entry, each of which covers the other or is covered
 * by it: branches are joined elsewhere. 0 or ECRDT_ENOMEM. */
int vv_join(struct vv *v, const struct vv *o);

/* Is every entry of a covered by b, as far as numbers and hashes alone show?
 * Equal seqs need equal hashes; entries without a hash (0) have only seqs. */
bool vv_le(const struct vv *a, const struct vv *b);

/* Has base all that a store at clk may have dropped below its floor? A floor
 * has numbers alone: where clk has branches the tomb may be of any of them. */
bool vv_floor_le(const struct vv *floor, const struct vv *base,
                 const struct vv *clk);

/* Same entries, chain hashes included? */
bool vv_eq(const struct vv *a, const struct vv *b);

/* Into the empty out: what of base is of use to a part at clock clk. What base
 * has beyond it and the floor decides nothing: left out, the part stays small
 * on a link and fits every peer that lacks the same. 0 or ECRDT_ENOMEM. */
int vv_within(struct vv *out, const struct vv *base, const struct vv *clk,
              const struct vv *floor);

/* dst becomes a copy of src. 0 or ECRDT_ENOMEM. */
int vv_copy(struct vv *dst, const struct vv *src);

/* Frees the entries; v is empty again. */
void vv_free(struct vv *v);

/* Sum over the entries of a of what b lacks (events missing at b); 1 for a
 * branch that shows in its hash alone. */
uint64_t vv_missing(const struct vv *a, const struct vv *b);

/* msgpack: array of 3n: origin, seq, h as 8 bytes, in order. */
void vv_encode(struct buf *out, const struct vv *v);

/* Appends to the empty v; sticky error in u. 0 or a negative code. */
int vv_decode(struct unpack *u, struct vv *v);
#endif

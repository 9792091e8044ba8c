/* fingerprint.h: range fingerprints as values (PROTOCOL 6): what FP, SAME and
 * WANT say about ranges of one bucket, and their bytes.
 *
 * msgpack [bucket, flags, gen, f, floor, [clock, ...], [part, ...], chains,
 *          items]
 *
 * part = [bytes shared with the lo before (the most), rest of lo, hi | nil,
 *         index of its clock, and of FP: count, sum (16)]
 *
 * hi is nil where the next part begins, and for "no upper bound" in the last
 * part. Parts stand in order and do not overlap. chains (chain_list.h) are
 * those below the clocks' heads down to heads of the receiver. */
#ifndef CRDT_FINGERPRINT_H
#define CRDT_FINGERPRINT_H
#include "crdt/chain_list.h"
#include "crdt/ranges.h"

enum {
    FP_PARTS_MAX = 4096,
    FP_CLOCKS_MAX = 4096,
    FP_ITEMS_MAX = 1 << 20, /* bytes of items */
    FP_SUM = 16
};

enum fp_flag {
    FP_AUDIT = 1, /* compare only: nothing is raised, nothing is sent */
    FP_MORE = 2,  /* of WANT: an FP of ours follows, the talk goes on */
    FP_FLAGS = 3
};

struct fp_part {
    struct item_id lo, hi;
    bool bounded; /* hi is meant */
    uint32_t clk; /* index into clks */
    uint64_t count;
    uint8_t sum[FP_SUM];
};

/* Zero-initialise, fp_free(). */
struct fp {
    slice bucket; /* borrowed */
    uint8_t flags;
    uint64_t gen;       /* of the FP's sender, in SAME too */
    struct vv f, floor; /* tombs <= f are left out; the sender's F */
    struct vv *clks;
    size_t n_clks, cap_clks;
    struct fp_part *parts;
    size_t n, cap;
    struct chain_lists chains;
    slice items; /* of an audit's SAME: a chunk that is not applied; borrowed */
};

/* Appends the bytes; sums: it is an FP. */
void fp_encode(struct buf *out, const struct fp *m, bool sums);

/* Strict, into the zeroed m, which is to be freed also on error; borrows from
 * bytes. 0, ECRDT_ECORRUPT (no sentence) or ECRDT_ENOMEM. */
int fp_decode(slice bytes, bool sums, struct fp *m);

/* Frees what m holds; m is as new. */
void fp_free(struct fp *m);

/* Appends a part [lo, hi) without sum at clock number clk; one that goes on
 * where the last one ends, at the same clock, lengthens it if join is set.
 * NULL without memory. */
struct fp_part *fp_add(struct fp *m, const struct item_id *lo,
                       const struct item_id *hi, uint32_t clk, bool join);

/* The number of a clock in m, added if it is not the last one. 0 or
 * ECRDT_ENOMEM. */
int fp_add_clock(struct fp *m, const struct vv *clk, uint32_t *no);

/* A part's end, NULL for "no upper bound". */
static inline const struct item_id *fp_hi(const struct fp_part *p) {
    return p->bounded ? &p->hi : NULL;
}
#endif

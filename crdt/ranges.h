/* ranges.h: range clocks: sorted cuts of the item ids, a version vector for
 * each range (PROTOCOL 0 and 1). A settled bucket has one. */
#ifndef CRDT_RANGES_H
#define CRDT_RANGES_H
#include "crdt/vv.h"

enum { ITEM_ID_MAX = 485, RANGES_MAX = 4096 };

/* An item id, or a bound between ids; len 0 = the lowest bound. */
struct item_id {
    uint16_t len;
    uint8_t b[ITEM_ID_MAX];
};

struct range {
    struct item_id lo;
    uint32_t no; /* of the range in this store; not sent */
    struct vv clk;
};

/* r[0].lo is empty and r is sorted by lo. Zero-initialise: no range at all
 * means one range with an empty clock. */
struct ranges {
    struct range *r;
    size_t n, cap;
};

static inline slice item_id_slice(const struct item_id *id) {
    return slice_of(id->b, id->len);
}
/* s.len must be <= ITEM_ID_MAX. */
void item_id_set(struct item_id *id, slice s);

struct spans; /* spans.h; NULL = everything */

/* Makes sure there is a first range. 0 or ECRDT_ENOMEM. */
int ranges_init(struct ranges *rs);

/* Index of the range that holds id; rs must have a first range. */
size_t ranges_find(const struct ranges *rs, slice id);

/* The pieces of [lo, hi) (an empty hi is no upper bound) that lie in one range
 * each: for (w = ranges_pieces(rs, lo, hi); ranges_piece(&w);) has number i of
 * the range and the bounds lo and hi of the piece, borrowed. */
struct ranges_walk {
    const struct ranges *rs;
    size_t i, next;
    slice lo, hi, end;
};
struct ranges_walk ranges_pieces(const struct ranges *rs, slice lo, slice hi);
bool ranges_piece(struct ranges_walk *w);

/* Makes a cut at id, unless there is one; *at is the index of the range that
 * begins there. The new range gets number no. 0 or ECRDT_ENOMEM. */
int ranges_cut(struct ranges *rs, slice id, uint32_t no, size_t *at);

/* Joins each range with its left neighbour if their clocks are equal. */
void ranges_join_equal(struct ranges *rs);

/* End of range i: the next one's lo, or NULL for "no upper bound". */
const struct item_id *ranges_hi(const struct ranges *rs, size_t i);

/* dst becomes a copy of src. 0 or ECRDT_ENOMEM. */
int ranges_copy(struct ranges *dst, const struct ranges *src);

/* Same cuts and same clocks? */
bool ranges_eq(const struct ranges *a, const struct ranges *b);

/* Makes a cut at each bound of at; new ranges get number 0. 0 or
 * ECRDT_ENOMEM. */
int ranges_cut_at(struct ranges *rs, const struct spans *at);

/* Has it one clock within? */
bool ranges_settled(const struct ranges *rs, const struct spans *within);

/* Is a's clock <= b's at every id (within)? */
bool ranges_le_in(const struct ranges *a, const struct ranges *b,
                  const struct spans *within);
bool ranges_le(const struct ranges *a, const struct ranges *b);

/* The number of events of origin that every range covers. */
uint64_t ranges_least(const struct ranges *rs,
                      const uint8_t origin[ORIGIN_SIZE]);

/* Has every range that meets [lo, hi) (NULL = no bound) the clock clk? */
bool ranges_at(const struct ranges *rs, const struct item_id *lo,
               const struct item_id *hi, const struct vv *clk);

/* Upper bound of the events (within) of a that b lacks: over the ranges of a,
 * the greatest number missing in one of them. */
uint64_t ranges_missing_in(const struct ranges *a, const struct ranges *b,
                           const struct spans *within);
uint64_t ranges_missing(const struct ranges *a, const struct ranges *b);

/* Frees the ranges and their clocks; rs is as new. */
void ranges_free(struct ranges *rs);

/* What a node says of one bucket: msgpack [name, floor, [lo, clock, ...]]. */
void clock_encode(struct buf *out, slice bucket, const struct ranges *rs,
                  const struct vv *floor);

/* Strict; *bucket is borrowed from u. rs and floor must be empty and are to
 * be freed by the caller also on error. 0 or ECRDT_ECORRUPT, ECRDT_ENOMEM. */
int clock_decode(struct unpack *u, slice *bucket, struct ranges *rs,
                 struct vv *floor);
#endif

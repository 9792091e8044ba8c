/* chain_list.h: pairs of chains as they travel: what chunks and fingerprints
 * tell of the chains below the heads of a clock (PROTOCOL 7, D5).
 *
 * msgpack [origin, seq, h, since, pairs, ...], by vv_head_order() of the heads
 *
 * pairs = for each pair of the chain below the head (origin, seq, h), by
 * rising seq: varint seq - seq of the one before, h (8); none from since on is
 * missing. */
#ifndef CRDT_CHAIN_LIST_H
#define CRDT_CHAIN_LIST_H
#include "crdt/vv.h"

enum {
    CHAIN_LISTS_MAX = 65536,
    CHAIN_PAIRS_MAX = 262144 /* of all lists of a message */
};

struct chain_pair {
    uint64_t seq, h;
};

/* Pairs that are told below a head of some clock. */
struct chain_list {
    struct head top;
    uint64_t since;  /* from this seq on none is missing */
    size_t first, n; /* in chain_lists.pairs, by rising seq */
};

/* Zero-initialise, chain_lists_free(). */
struct chain_lists {
    struct chain_list *l; /* by vv_head_order() of their tops */
    size_t n, cap;
    struct buf pairs; /* struct chain_pair */
};
void chain_lists_free(struct chain_lists *ls);

/* The list below the head top; NULL if there is none. */
const struct chain_list *chain_lists_of(const struct chain_lists *ls,
                                        const struct head *top);

/* The pairs of list l. */
const struct chain_pair *chain_lists_pairs(const struct chain_lists *ls,
                                           const struct chain_list *l);

/* Is x one of the pairs of l, which may be NULL? */
bool chain_lists_have(const struct chain_lists *ls, const struct chain_list *l,
                      const struct head *x);

/* Adds a list whose pairs are in ls->pairs. 0 or ECRDT_ENOMEM. */
int chain_lists_add(struct chain_lists *ls, const struct chain_list *l);

/* Makes x, below its top, one of the pairs of list top. 0 or ECRDT_ENOMEM. */
int chain_lists_put(struct chain_lists *ls, const struct head *top,
                    const struct head *x);

/* Appends the bytes; strictly back, into the zeroed ls, which is to be freed
 * also on error: sticky in u. */
void chain_lists_encode(struct buf *out, const struct chain_lists *ls);
void chain_lists_decode(struct unpack *u, struct chain_lists *ls);
#endif

/* forget.h: takes a range of items out of a store, as if it had never known
 * them, so that they are pulled again from a peer (PROTOCOL 7). */
#ifndef CRDT_FORGET_H
#define CRDT_FORGET_H
#include "crdt/store.h"

enum { FORGET_ITEMS = 4096 }; /* of one transaction of ecrdt_forget() */

struct forgotten {
    uint64_t items;
    bool all;            /* the whole range is forgotten ...           */
    struct item_id next; /* ... else it goes on here, in another txn   */
};

/* Forgets at most max_items items with lo <= id < hi (hi empty: no upper
 * bound) of a bucket, in the write transaction t: the items go and the clock
 * of what was forgotten is empty. If this store's present origin has events
 * in the bucket it takes a new incarnation, for its own entry would claim
 * them. Several calls in one transaction take one. */
int forget_range(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi,
                 uint64_t max_items, struct forgotten *out);

/* The same, but the incarnation stays: for who knows that the present one has
 * no event there and the range's clocks are loaded. */
int forget_items(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi,
                 uint64_t max_items, struct forgotten *out);

/* Is there any item in the range? 1, 0, < 0. */
int forget_any(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi);

/* Calls fn with each item of the range; nonzero stops and is returned. */
int forget_look(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi,
                int (*fn)(void *ctx, const struct item_key *k,
                          const struct item *it),
                void *ctx);
#endif

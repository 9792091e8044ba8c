/* narrow.h: forgets what a store has outside of its subscription, once a node
 * that keeps it is known to have it durably (PROTOCOL 7). */
#ifndef CRDT_NARROW_H
#define CRDT_NARROW_H
#include "crdt/held.h"
#include "crdt/place.h"

enum {
    NARROW_ITEMS = 256, /* forgotten in one transaction, at most   */
    NARROW_RENEWALS = 3 /* new incarnations of one act, at most    */
};

/* Has the bucket of h items, or clocks of others, outside of h? 1, 0, < 0. */
int narrow_outside(ecrdt_txn *t, const struct held *h);

/* A node that keeps what it holds, and the clock of the bucket that it has
 * shown: durable there. */
struct keeper {
    const char *name; /* for people */
    const struct ranges *clock;
    const struct spans *holds;
    const struct said *said; /* which heads lie on its chains; NULL: none */
};

struct narrowed {
    uint64_t items;              /* forgotten */
    bool waits;                  /* a range is covered by no keeper: */
    const struct keeper *keeper; /* ... that has most of it; NULL: none holds
                                    all of the range */
    uint64_t missing;            /* ... and lacks so many events */
    bool asks;                   /* ... or is to be asked about these heads */
    struct placed ask;           /* the caller frees it */
};

/* Forgets one piece of what the bucket has outside of its subscription and a
 * keeper covers: 1 = call again, in another transaction; 0 = all is forgotten,
 * or what is left waits. First of all an act takes a new incarnation, if this
 * one has events in the bucket; what is written outside after that stays,
 * unless another one is due. t is a write transaction without changes of its
 * own. */
int narrow_step(ecrdt_txn *t, const char *bucket, const struct keeper *keepers,
                size_t n, struct narrowed *out);

/* Would it, as far as clocks tell? 1, or 0 and why not; t may be a read
 * transaction. */
int narrow_look(ecrdt_txn *t, const char *bucket, const struct keeper *keepers,
                size_t n, struct narrowed *out);
#endif

/* held.h: what this store holds: the subscription's records in the meta
 * table, 's' and a bucket's name, 's' alone for the buckets not named. */
#ifndef CRDT_HELD_H
#define CRDT_HELD_H
#include "crdt/store.h"
#include "crdt/subscription.h"

/* What t's snapshot holds of a bucket by name, by its own record or that of
 * the others, into the zeroed h: 1 it has a record, 0 not, < 0. */
int held_load(ecrdt_txn *t, const char *bucket, struct held *h);

/* Writes the record; one that only follows the others and has nothing to
 * forget goes. */
int held_save(ecrdt_txn *t, const struct held *h);

/* The ids held of a bucket, into the empty sp. 0 or < 0. */
int held_spans_of(ecrdt_txn *t, const char *bucket, struct spans *sp);

/* Calls fn with each record, in the order of buckets; nonzero stops and is
 * returned. fn may write. */
int held_each(ecrdt_txn *t, int (*fn)(void *ctx, const struct held *h),
              void *ctx);

/* All of them, into the zeroed s. 0 or < 0. */
int subscription_load(ecrdt_txn *t, struct subscription *s);

/* Holds want of its bucket from the commit on. Data here that lies outside is
 * marked to be forgotten: 1 if there is any, else 0; < 0. */
int subscription_put(ecrdt_txn *t, const struct held *want);

/* The same of all buckets that nobody named: all of each, or nothing. */
int subscription_put_others(ecrdt_txn *t, bool all);

/* Holds exactly want from the commit on; what is held already as want says
 * stays untouched. 1, 0, < 0 as above. */
int subscription_replace(ecrdt_txn *t, const struct subscription *want);

/* After a twin of this store has shown itself: what was written outside of what
 * is held may look covered by the twin's numbers and would not be sent; it is
 * narrowed again, for then a keeper is asked. 0 or < 0. */
int subscription_doubt(ecrdt_txn *t);
#endif

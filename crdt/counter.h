/* counter.h: the counter: each origin's totals of adds, and of what resets
 * took back; the value is their sum over the entries. */
#ifndef CRDT_COUNTER_H
#define CRDT_COUNTER_H
#include "crdt/store.h"

/* Adds by; *now (may be NULL) is the value after it. ECRDT_ERANGE, and no
 * change, if it would leave int64. */
int counter_add(ecrdt_txn *t, const char *bucket, slice key, int64_t by,
                int64_t *now);

/* Would an add or reset that is part of a batch be in range? Keeps the
 * batch's sums beside the head; batch (not 0) tells one batch from another.
 * Changes nothing. */
int counter_plan(ecrdt_txn *t, const ecrdt_op *op, uint64_t batch);

/* 1 and the value, 0 if absent; ECRDT_ERANGE and the nearest end of int64 if
 * it lies outside. */
int counter_get(ecrdt_txn *t, const char *bucket, slice key, int64_t *now);

/* Takes back every add that is seen. */
int counter_reset(ecrdt_txn *t, const char *bucket, slice key);

/* Makes events of the adds that wait in the transaction. */
int counter_flush(ecrdt_txn *t);
#endif

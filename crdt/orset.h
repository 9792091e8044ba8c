/* orset.h: the add-wins set: an element is in it while it has a live
 * sibling. */
#ifndef CRDT_ORSET_H
#define CRDT_ORSET_H
#include "crdt/store.h"

/* 1 if elem was new, 0 if it was there (an event all the same), < 0. */
int orset_add(ecrdt_txn *t, const char *bucket, slice key, slice elem);
/* 1 if elem was there, 0 if not. */
int orset_remove(ecrdt_txn *t, const char *bucket, slice key, slice elem);
int orset_has(ecrdt_txn *t, const char *bucket, slice key, slice elem);
int orset_size(ecrdt_txn *t, const char *bucket, slice key, uint64_t *n);
/* Removes every element that is seen. */
int orset_clear(ecrdt_txn *t, const char *bucket, slice key);
#endif

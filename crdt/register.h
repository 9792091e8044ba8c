/* register.h: the register: of its live siblings the greatest is read. */
#ifndef CRDT_REGISTER_H
#define CRDT_REGISTER_H
#include "crdt/store.h"

/* Set, and delete what is seen: 1 if there was a value, 0, < 0. */
int register_set(ecrdt_txn *t, const char *bucket, slice key, slice value);
int register_del(ecrdt_txn *t, const char *bucket, slice key);

/* 1 and the value that is read (borrowed), 0 if absent. who may be NULL. */
int register_get(ecrdt_txn *t, const char *bucket, slice key, slice *value,
                 ecrdt_stamp *who);

/* The live siblings of an item record in the order of reading: the greatest
 * (hlc, origin id, seq) first. it borrows from rec. 0 or < 0 (stuck). */
int register_order(ecrdt_txn *t, slice rec, struct item *it);
#endif

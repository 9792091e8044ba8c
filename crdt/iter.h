/* iter.h: iterators inside a transaction. */
#ifndef CRDT_ITER_H
#define CRDT_ITER_H
#include "edgecrdt.h"

/* Closes and frees every iterator of t. */
void iter_close_all(ecrdt_txn *t);
#endif

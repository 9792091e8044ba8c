/* fold.h: counter entries of origins that are gone move into that of one
 * incarnation, the heir (PROTOCOL 8). */
#ifndef CRDT_FOLD_H
#define CRDT_FOLD_H
#include "crdt/store.h"

enum {
    FOLD_BATCH = 256,    /* the most entries of one write transaction */
    FOLD_LOOK_MS = 5,    /* time for finding them */
    FOLD_YIELD_US = 1000 /* between two while local writers wait */
};

/* Is the present incarnation the heir? 1, 0, < 0. */
int fold_right(ecrdt_txn *t);

/* Makes it the heir. */
int fold_claim(ecrdt_txn *t);

/* What is folded. An entry that said goodbye is emptied first and removed
 * keep_ms later (0: at once). Until then a copy of its store that nobody saw,
 * and which counted on, is measured against what was taken over; beside a tomb
 * all that it ever counted would be counted again (mutant foldtomb). */
struct fold_policy {
    bool all; /* also of origins that may still count */
    uint64_t keep_ms;
};

/* Folds the entry k of another origin into our own: 1 if it changed, 0 if
 * there is nothing to do. */
int fold_entry(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
               const struct fold_policy *p);
#endif

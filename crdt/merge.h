/* merge.h: an item with many concurrent events gets one that stands for them
 * all: a core makes it, with the value that is read anyway (PROTOCOL 5). */
#ifndef CRDT_MERGE_H
#define CRDT_MERGE_H
#include "crdt/chunk.h"
#include "crdt/store.h"

enum {
    MERGE_SIBLINGS = 16,               /* live ones that a core leaves alone */
    MERGE_BYTES = CHUNK_MAX_BYTES / 2, /* of them that anybody does: more
                                          could not be sent in one chunk */
    MERGE_NAMED = 8                    /* losers that the log line names */
};

/* Looks at what t has just stored for item k, t->after, and supersedes it by
 * a local event if it is too much. */
int merge_if_many(ecrdt_txn *t, struct bucket *bk, struct item_key *k);
#endif

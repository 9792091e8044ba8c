/* acks.h: writes down what peers have durably, for those who wait for a
 * receipt, and only while somebody does. */
#ifndef REPLICATION_ACKS_H
#define REPLICATION_ACKS_H
#include "crdt/receipt.h"

enum {
    ACKS_MAX_WANTS = 1024,  /* more are not answered until some expire */
    ACKS_EVERY_MS = 5,      /* least time between two writes ... */
    ACKS_SHARE = 4,         /* ... and so many times what a write takes */
    ACKS_BUSY_MS = 1,       /* the writer lock was taken: next attempt, ... */
    ACKS_LOCK_MS = 2,       /* ... which stands in its queue so long */
    ACKS_RESOLVE_MS = 100,  /* between two looks for a bucket's name */
    ACKS_OWN_LOCK_MS = 1000 /* acks_note_own() waits so long for the lock */
};

/* One want and what was written down for it. */
struct ack_list {
    struct want want;
    char bucket[ECRDT_MAX_BUCKET_NAME + 1]; /* "" = not known yet */
    struct ack *ack;
    size_t n, cap;
    bool listed; /* in the store at the last look */
};

/* Zero-initialise, acks_free(). */
struct acks {
    struct ack_list *list;
    size_t n, cap;
    uint64_t snapshot; /* wants were read at this transaction */
    bool busy;         /* the writer lock was taken at the last attempt */
    uint64_t write_at_ms, resolve_at_ms; /* UINT64_MAX = all have names */
};

struct node;

/* Reads the wants, compares what they ask for with what the node's peers
 * have told, and writes what changed. When it has to be called again;
 * UINT64_MAX = after the next commit or message. */
uint64_t acks_run(struct node *n, uint64_t now_ms);

/* Writes down what the peers have of this store's own events in all buckets:
 * for a node that ends. 0 or a negative code of the store. */
int acks_note_own(struct node *n);

/* Frees all; a is empty again. */
void acks_free(struct acks *a);
#endif

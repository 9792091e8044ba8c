/* gc.h: drops tombs that have lain here long enough (PROTOCOL 6). The floor
 * rule alone keeps it safe, at any moment and under any policy: F covers a
 * tomb from the transaction on that drops it. The policy decides the cost: who
 * is below F gets complete chunks. */
#ifndef CRDT_GC_H
#define CRDT_GC_H
#include "crdt/store.h"

enum {
    GC_KEEP_BYTES = 2 << 20, /* of free pages that stay allocated */
    GC_BATCH = 512,          /* the most tombs of one write transaction ... */
    GC_TXN_MS = 5,           /* ... which ends after this time */
    GC_YIELD_US = 1000       /* between two while local writers wait */
};
#define GC_RETENTION_MS (UINT64_C(30) * 24 * 3600 * 1000)

/* Is what has stayed since then old enough? Overflow stands for "never". */
static inline bool gc_outlived(uint64_t since_ms, uint64_t retention_ms,
                               uint64_t now_ms) {
    return add_u64(&since_ms, retention_ms) && since_ms <= now_ms;
}

/* Which tombs may go. */
struct gc_policy {
    uint64_t retention_ms; /* by the time of their arrival here */
    /* Do all known cores have (origin, seq), an event on item id, durably?
     * NULL: none is known, the retention alone decides. */
    bool (*covered)(void *ctx, const char *bucket, slice id,
                    const uint8_t origin[ORIGIN_SIZE], uint64_t seq);
    void *ctx;
};

struct gc_batch;

/* One pass over a store in short steps. Read its counts, change it by the
 * functions below. */
struct gc {
    ecrdt_store *s;
    struct gc_policy policy;
    uint64_t now_ms; /* wall clock at its beginning: younger is not due */
    uint64_t dropped, held; /* held: due, but some core lacks them  */
    uint64_t bytes;         /* of records that are gone             */
    struct gc_batch *batch;
    char bucket[ECRDT_MAX_BUCKET_NAME + 1]; /* where it goes on ... */
    struct buf at;                          /* ... and at which row */
};

/* Begins a pass; gc_end() in any case. 0 or ECRDT_ENOMEM. */
int gc_begin(struct gc *g, ecrdt_store *s, const struct gc_policy *policy);

/* Looks at some tombs in a read transaction and drops those that are due in a
 * short write one, for whose lock it waits so long: 1 = go on, 0 = the pass is
 * over, < 0 (ECRDT_EBUSY too: the next step does the same again). */
int gc_step(struct gc *g, uint32_t lock_ms);

/* Frees what the pass holds. */
void gc_end(struct gc *g);

/* Behind a pass: gives room that nothing will need soon back to the
 * filesystem, a piece at a time, under the writer lock, for which it waits so
 * long. *from is 0 at first. 1 = go on, 0 = done, < 0. */
int gc_release(ecrdt_store *s, uint32_t lock_ms, uint64_t *from);

/* What all passes of this store did. */
struct gc_total {
    uint64_t dropped, bytes, last_ms; /* last_ms: wall clock, 0 = never */
};
int gc_total_read(ecrdt_txn *t, struct gc_total *out);
#endif

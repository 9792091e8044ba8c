/* chunk.h: the one message that moves data (PROTOCOL 4): build it from one
 * snapshot, apply it in one write transaction. */
#ifndef CRDT_CHUNK_H
#define CRDT_CHUNK_H
#include "crdt/clockdiff.h"

/* Past so many cuts a session makes no new one; tests build with 3. */
#ifndef CHUNK_MAX_CUTS
#define CHUNK_MAX_CUTS 256
#endif

/* How much one chunk may hold. An atomic push takes the first pair, a chunk
 * of a bulk session the second (PROTOCOL 5). */
enum {
    CHUNK_PUSH_BYTES = 1 << 20,
    CHUNK_PUSH_ITEMS = 2000,
    CHUNK_BULK_BYTES = 256 << 10,
    CHUNK_BULK_ITEMS = 256,
    CHUNK_MAX_BYTES = 64 << 20 /* one large item, alone */
};

struct chunk_budget {
    size_t max_bytes;
    uint32_t max_items;
};

/* Where the last push to one peer ended: lets the next one skip what the log
 * held before. Zero-initialise, chunk_tail_free(). */
struct chunk_tail {
    uint64_t arrival;
    struct ranges pushed;
    bool linked; /* set by a link that says the clock before each chunk */
    const struct ranges *heard; /* by a link: what the peer said that it has */
};
void chunk_tail_free(struct chunk_tail *t);

struct chunk_built {
    uint32_t items;
    bool cut;   /* the budget ended it: more remains */
    bool alone; /* it leaves out what this peer alone is known to have */
};

/* Appends to out the next chunk of a bucket for a peer that has the ranges
 * peer, and changes peer to what it will have then. t is any transaction
 * without changes of its own; its snapshot must be durable before the bytes
 * leave (PROTOCOL D1). tail may be NULL.
 * 1 = a chunk was written; 0 = the peer lacks nothing; < 0 an error. */
int chunk_build(ecrdt_txn *t, const char *bucket, struct ranges *peer,
                const struct chunk_budget *budget, struct chunk_tail *tail,
                struct buf *out, struct chunk_built *built);

/* The same for a peer that holds only the ids within: nothing else is listed
 * and nothing else claimed. */
int chunk_build_within(ecrdt_txn *t, const char *bucket,
                       const struct spans *within, struct ranges *peer,
                       const struct chunk_budget *budget,
                       struct chunk_tail *tail, struct buf *out,
                       struct chunk_built *built);

struct chunk_report {
    uint32_t applied, known; /* items that changed something, or nothing */
    uint32_t ahead;          /* parts that build on what is missing here */
    uint32_t refused;        /* parts refused; ecrdt_errmsg() says why   */
    uint32_t events;         /* events that were new                     */
    uint32_t complete;       /* complete parts for what was below a floor */
    uint64_t payload;        /* bytes of payload that came ...           */
    uint64_t repeated;       /* ... and of those that were here already  */
    uint32_t foreign;        /* parts with ids that are not held here    */
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
};

/* Applies a chunk inside the write transaction t, as far as its parts lie in
 * what the store holds. 0 when every part was applied, known, ahead, refused
 * or foreign as counted (adding to *r); a malformed
 * chunk is ECRDT_ECORRUPT before any change of it; other negative codes are
 * the store's and stick to t. */
int chunk_apply(ecrdt_txn *t, slice chunk, struct chunk_report *r);

/* The same for a chunk that came over a link of this bucket, on which its
 * sender had said the clock said before; linked or not. */
int chunk_apply_linked(ecrdt_txn *t, slice chunk, const char *bucket,
                       const struct clock_state *said, struct chunk_report *r);
#endif

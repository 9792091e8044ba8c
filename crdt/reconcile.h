/* reconcile.h: full reconciliation by range fingerprints (PROTOCOL 6): sums
 * over ranges from one snapshot, in slices; comparing an FP with what is
 * here; raising clocks where both sides are equal. */
#ifndef CRDT_RECONCILE_H
#define CRDT_RECONCILE_H
#include "crdt/chunk.h"
#include "crdt/fingerprint.h"
#include "crdt/items.h"
#include "crdt/store.h"

enum {
    RECONCILE_WIDE = 1024, /* parts that a lone range is split into */
    RECONCILE_FAN = 16,    /* ... and each of many */
    RECONCILE_LEAF = 8,    /* this few items go as they are ... */
    RECONCILE_DENSE = 128, /* ... or this few where most ranges differ */
    RECONCILE_KEY = 32
};

/* A stretch of ids that lies in one of our ranges, and the sum over it. */
struct fp_block {
    struct item_id lo;
    size_t range; /* index into bk->rs */
    uint64_t count;
    uint8_t sum[FP_SUM];
};

/* Sums over one stretch at a time, as blocks of about equal counts. */
struct fp_scan {
    ecrdt_txn *t;
    struct bucket *bk;
    struct items items;
    uint64_t *f; /* tombs <= it are left out; by origin number */
    uint32_t n_origins;
    uint8_t key[RECONCILE_KEY];
    struct fp_block *blocks;
    size_t n, cap, max;
    uint64_t size; /* items of a block */
    struct item_key next;
    struct item_id hi, last;
    bool bounded;
    struct buf text;
};

/* The last look at chains for one message: our clock of range, the peer's
 * clock clk of ask. */
struct reconcile_look {
    bool known, off; /* off: it has heads that are shown to lie elsewhere */
    size_t range, clk;
};

/* What is made of one FP. */
struct reconcile {
    struct fp ask;    /* decoded, or what we sum up; at the peer's clocks */
    struct buf bytes; /* that ask borrows from */
    bool compare;     /* ask has the peer's sums */
    bool here;        /* the bucket exists */
    struct fp_scan scan;
    size_t at, fan; /* the part being scanned; blocks of each */
    uint64_t leaf;  /* so few items are not split */
    size_t compared, differing;
    struct reconcile_look same_look, split_look;
    uint64_t gen;         /* of the snapshot */
    struct fp raise;      /* equal parts at the clocks in the FP, for our V */
    struct fp same;       /* equal parts at ours, for theirs */
    struct fp split;      /* parts to be compared next, with our sums */
    struct fp leaf_parts; /* small parts at the clocks in the FP: to be sent */
    struct fp want;       /* ... at our clocks: to be asked for; in an audit
                             the parts at another clock */
};

/* Takes the body of an FP (sums) to compare with t's snapshot, which must
 * be durable before an answer leaves; key is the link's. An audit (flag of
 * the FP) compares where the clocks are equal only. 0 or a negative code:
 * ECRDT_EPEER if it is malformed. To be freed in any case. */
int reconcile_compare(struct reconcile *r, ecrdt_txn *t, slice body,
                      const uint8_t key[RECONCILE_KEY]);

/* Begins to sum up the parts of ask (whose content is moved to r; the bucket's
 * name is copied) as fan parts each: split becomes the FP to send, but for what
 * is no matter for fingerprints: where the peer's clock in ask is shown to have
 * another branch than ours. */
int reconcile_sum(struct reconcile *r, ecrdt_txn *t, struct fp *ask, size_t fan,
                  const uint8_t key[RECONCILE_KEY]);

/* Goes on over so many items: 1 when it is done, 0 if more are left. */
int reconcile_step(struct reconcile *r, uint64_t items);

/* Frees what r holds; its transaction is the caller's. */
void reconcile_free(struct reconcile *r);

/* The first message of a talk: the stretches of the bucket in which a delta
 * cannot bring the peer (ranges peer) forward, for it is below our floor, each
 * at the peer's clock. f_peer is the peer's floor. m->n is 0 if there are none.
 */
int reconcile_ask(ecrdt_txn *t, const char *bucket, const struct ranges *peer,
                  const struct vv *f_peer, struct fp *m);

/* Items and tombs of a bucket in t's snapshot. */
int reconcile_items(ecrdt_txn *t, const char *bucket, uint64_t *n);

/* A stretch of about so many items around a random place, so that those near
 * the ends of the bucket are in as many as others: 1, 0 if it has none. */
int reconcile_random(ecrdt_txn *t, const char *bucket, uint64_t random,
                     uint64_t items, struct item_id *lo, struct item_id *hi,
                     bool *bounded);

struct raise_report {
    bool stale;        /* the bucket's gen is another one: nothing was raised */
    uint32_t refused;  /* parts that would cut too much */
    uint32_t doubtful; /* ranges of ours that may be of another branch; all, if
                          that is how this store learns of a twin */
};

/* In the write transaction t: raises the clock of the bucket on each part of
 * m to the part's clock, and the floor to max(f, floor of m); only if the
 * bucket's gen is still m's: local commits since then are harmless. And only
 * where our heads are known to lie on the chains of the part's clock, or it on
 * ours (fork_raise_by()). */
int reconcile_raise(ecrdt_txn *t, const struct fp *m, struct raise_report *r);

/* Appends to out the next chunk with the items of m's parts, complete, on the
 * base of their clocks (audit: on none, so that all payloads are in it); m
 * keeps what did not fit. 1 written, 0 nothing to write. */
int reconcile_chunk(ecrdt_txn *t, struct fp *m,
                    const struct chunk_budget *budget, struct buf *out,
                    struct chunk_built *built);
#endif

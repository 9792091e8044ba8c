/* push_cache.h: the chunks encoded last: peers that lack the same of a bucket
 * get the same bytes (PROTOCOL 9). */
#ifndef REPLICATION_PUSH_CACHE_H
#define REPLICATION_PUSH_CACHE_H
#include "replication/mirror.h"

enum { PUSH_CACHE = 4, PUSH_CACHE_BYTES = CHUNK_BULK_BYTES };

/* A chunk of view as of version, and for whom it fits. */
struct encoded {
    const struct view *view; /* NULL: empty */
    uint64_t version;
    struct chunk_budget budget;
    struct ranges base, after; /* the peer's clock before and after it */
    uint64_t arrival;
    struct chunk_built built;
    struct buf bytes;
};

/* Zero-initialise, push_cache_free(). */
struct push_cache {
    struct encoded e[PUSH_CACHE];
    size_t next;
    uint64_t builds, reuses;
};
void push_cache_free(struct push_cache *c);

/* The next chunk for the peer of m, from t, whose snapshot m's view shows: 1
 * and *e, which is good until the next call; 0 = the peer lacks nothing; < 0
 * an error. m->peer is what the peer has then. */
int push_cache_build(struct push_cache *c, ecrdt_txn *t, struct mirror *m,
                     const struct chunk_budget *budget,
                     const struct encoded **e);
#endif

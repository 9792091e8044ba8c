/* apply.h: takes the chunks that peers sent from the sessions' inboxes into
 * the store, without ever holding up the loop or the local writers. */
#ifndef REPLICATION_APPLY_H
#define REPLICATION_APPLY_H
#include "crdt/replica.h"
#include "replication/session.h"

enum {
    APPLY_BYTES = CHUNK_BULK_BYTES, /* after so many bytes or items ... */
    APPLY_ITEMS = CHUNK_BULK_ITEMS, /* ... a write transaction ends */
    APPLY_CHUNKS = 64,              /* the most chunks of one */
    APPLY_YIELD_MS = 1,             /* to local writers that wait */
    APPLY_BUSY_MS = 10,             /* retry while another holds the lock ... */
    APPLY_BUSY_MAX_MS = 200,        /* ... doubling up to this */
    APPLY_LOCK_MS = 2,              /* the most the loop waits for it */
    APPLY_STALL_MS = 500,           /* retry after the store failed ... */
    APPLY_STALL_MAX_MS = 10000,     /* ... doubling up to this */
    APPLY_BULK_IDLE_MS = 5000       /* a bulk this silent loses its turn */
};

/* Who fills a bucket in bulk now: one peer at a time (PROTOCOL 5). */
struct apply_bulk {
    struct session *owner;
    uint64_t last_ms;
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
};

struct apply {
    ecrdt_store *store;
    struct apply_bulk *bulk;
    size_t n_bulk, bulk_cap;
    uint64_t bulks;  /* begun, ever */
    size_t turn;     /* the session that comes first next time */
    uint64_t at_ms;  /* not before */
    unsigned busy;   /* attempts in a row that met a held lock */
    unsigned stalls; /* attempts in a row that failed otherwise */
    int error;       /* of the last attempt; 0 = fine, ECRDT_EFULL = full */
    char sentence[ERR_SENTENCE];
};

/* Applies into store; apply_free() frees what a holds. */
void apply_init(struct apply *a, ecrdt_store *store);
void apply_free(struct apply *a);

/* Applies what is due of the n sessions in at most one write transaction. */
void apply_run(struct apply *a, struct session *const *sessions, size_t n,
               uint64_t now_ms);

/* When apply_run() has something to do: an absolute time, 0 = now,
 * UINT64_MAX = nothing waits. */
uint64_t apply_at(const struct apply *a, struct session *const *sessions,
                  size_t n);

/* Who fills this bucket in bulk now; NULL = nobody, or it has stopped. */
const struct session *apply_bulk_owner(const struct apply *a,
                                       const char *bucket, uint64_t now_ms);

/* May the bucket of m, a mirror of s, come over other links alone? Not if
 * all others were pruned (PROTOCOL 9). */
bool apply_can_prune(struct session *const *sessions, size_t n,
                     const struct session *s, const struct mirror *m);

/* Session gone leaves the n others: its bulks end. */
void apply_leave(struct apply *a, const struct session *gone,
                 struct session *const *sessions, size_t n);
#endif

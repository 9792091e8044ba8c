/* gossip.h: all sessions of one node over one store: applies what came in,
 * lets every session push what it lacks, fairly, after each commit of
 * whichever process. No socket and no clock of its own. */
#ifndef REPLICATION_GOSSIP_H
#define REPLICATION_GOSSIP_H
#include "replication/apply.h"
#include "replication/reconciler.h"
#include "replication/narrowing.h"

enum {
    GOSSIP_GATHER_MS = 2,      /* a commit waits this long for company ... */
    GOSSIP_GATHER_MAX_MS = 10, /* ... and no longer than this */
    GOSSIP_ROUND_CHUNKS = 16,  /* chunks built from one snapshot */
    GOSSIP_FILLERS = 16,       /* links; with more, all may push at first */
    GOSSIP_GRAFT_MS = 500,     /* between two looks at pruned links */
    GOSSIP_KEEP_MS = 1500,     /* a grafted link is not pruned so soon */
    GOSSIP_RETRY_MS = 200      /* after the store could not be read */
};

struct gossip {
    ecrdt_store *store;
    struct apply apply;
    struct reconciler reconciler;
    struct push push; /* holds the views */
    struct narrowing narrowing;
    struct replica_marks seen; /* heads that the views show */
    size_t views_cap;
    uint64_t version;  /* of the newest view */
    uint64_t snapshot; /* that the views show; durable */
    struct session **sessions;
    size_t n, cap;
    size_t turn;                        /* who comes first next time */
    uint64_t wake_first_ms, wake_at_ms; /* 0 = no commit waits */
    uint64_t round_at_ms;               /* no push earlier than this */
    bool named;                         /* a view has a filler */
    uint64_t graft_at_ms;               /* of the next look, 0 = none */
};

/* Works on s until gossip_free(); sessions are the caller's. */
void gossip_init(struct gossip *g, ecrdt_store *s);
void gossip_free(struct gossip *g);

/* A session joins, and leaves before it is freed. 0 or ECRDT_ENOMEM. */
int gossip_add(struct gossip *g, struct session *s);
void gossip_remove(struct gossip *g, struct session *s);

/* A commit by any process may have happened. */
void gossip_wake(struct gossip *g, uint64_t now_ms);

/* Does what is due: at most one write transaction and one round of chunks.
 * Returns when it wants to be called again (absolute; 0 = at once). */
uint64_t gossip_run(struct gossip *g, uint64_t now_ms);

/* Do all views show the newest commit? */
bool gossip_current(const struct gossip *g);

/* Events missing on the two sides of a session. */
void gossip_lag(const struct session *s, uint64_t *here, uint64_t *there);
#endif

/* collect.h: garbage collection beside replication: passes of gc.h in short
 * steps between a node's other work, within a time budget. */
#ifndef REPLICATION_COLLECT_H
#define REPLICATION_COLLECT_H
#include "crdt/gc.h"

enum {
    COLLECT_INTERVAL_S = 10, /* between two passes, unless configured */
    COLLECT_BUDGET_MS = 500, /* of work in each interval, likewise */
    COLLECT_PAUSE_MS = 1,    /* between two steps: the loop's other work */
    COLLECT_BUSY_MS = 20,    /* until a held lock is tried again */
    COLLECT_RETRY_MS = 10000 /* after the store failed */
};

struct collect_conf {
    uint64_t interval_ms;
    uint64_t budget_ms; /* 0 = no collection */
};

struct collect {
    ecrdt_store *store;
    struct collect_conf conf;
    struct gc pass;
    bool running;      /* a pass is under way */
    bool releasing;    /* it is over, but for giving room back */
    uint64_t page;     /* where that goes on */
    uint64_t at_ms;    /* not before */
    uint64_t from_ms;  /* when this interval began ... */
    uint64_t spent_ms; /* ... and how much of it was spent */
};

/* Collects in store; the first pass begins one interval after now_ms. */
void collect_init(struct collect *c, ecrdt_store *store,
                  const struct collect_conf *conf, uint64_t now_ms);

/* Takes over other numbers; a pass under way goes on. */
void collect_configure(struct collect *c, const struct collect_conf *conf);

/* Does one step if it is due. policy says what the cores have; its retention
 * is the store's setting. Returns when it wants to be called again (absolute;
 * UINT64_MAX = never). */
uint64_t collect_run(struct collect *c, const struct gc_policy *policy,
                     uint64_t now_ms);

/* Frees a pass under way. */
void collect_free(struct collect *c);
#endif

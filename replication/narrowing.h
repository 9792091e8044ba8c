/* narrowing.h: lets go of what a store holds outside of its subscription as
 * soon as a connected core that keeps it has shown that it has it. */
#ifndef REPLICATION_NARROWING_H
#define REPLICATION_NARROWING_H
#include "crdt/narrow.h"
#include "replication/session.h"

enum {
    NARROWING_KEEPERS = 64,       /* peers looked at                   */
    NARROWING_EVERY_MS = 200,     /* while it waits for one ...        */
    NARROWING_ASK_MS = 20,        /* ... for its answer ...            */
    NARROWING_PATIENCE_MS = 5000, /* ... before that is logged   */
    NARROWING_IDLE_MS = 2000,     /* ... and while there is none       */
    NARROWING_YIELD_MS = 1,       /* to local writers between pieces   */
    NARROWING_LOG_MS = 600000     /* the same wait is logged so seldom */
};

struct narrowing {
    uint64_t at_ms;    /* not before */
    uint64_t asked_ms; /* since when one is asked, again and again */
    size_t cores;      /* that were ready at the last look: one more is news */
    size_t turn;       /* which bucket comes next */
    bool busy;         /* something is still to be forgotten, and may be now */
    uint64_t items;    /* forgotten, ever */
    char sentence[ERR_SENTENCE]; /* for whom it waits, "" = for nobody */
    char logged[ERR_SENTENCE];   /* the wait that was logged last ... */
    uint64_t logged_ms;          /* ... and when */
};

/* Takes at most one step for one bucket in a write transaction. */
void narrowing_run(struct narrowing *w, ecrdt_store *store,
                   const struct push *p, struct session *const *sessions,
                   size_t n, uint64_t now_ms);

/* When narrowing_run() has something to do: an absolute time, UINT64_MAX =
 * nothing is to be forgotten. */
uint64_t narrowing_at(const struct narrowing *w, const struct push *p);
#endif

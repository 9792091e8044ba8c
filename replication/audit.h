/* audit.h: compares a range with a peer at equal clocks, by fingerprints that
 * change nothing, and names the first keys that differ (PROTOCOL 10). */
#ifndef REPLICATION_AUDIT_H
#define REPLICATION_AUDIT_H
#include "crdt/compare.h"
#include "crdt/reconcile.h"
#include "replication/session.h"

enum {
    AUDIT_LEVELS = 16,      /* splits in a row */
    AUDIT_PARTS = 64,       /* that differ and are looked into at a time */
    AUDIT_FINDINGS = 10,    /* keys that are named */
    AUDIT_RETRY_MS = 50,    /* after parts at another clock */
    AUDIT_ANSWER_MS = 30000 /* silence that ends it */
};

enum audit_state {
    AUDIT_IDLE,     /* nothing to do, or done */
    AUDIT_DUE,      /* parts are to be summed up and sent */
    AUDIT_SENT,     /* ... and were: the answer is awaited */
    AUDIT_ANSWERED, /* it came, to be looked at */
};

struct audit_finding {
    struct item_id id;
    struct difference d; /* d.id is set when it is told */
};

/* One audit of one session; its owner hangs it into session.audit. */
struct audit {
    enum audit_state state;
    struct mirror *m;
    struct fp parts; /* due: bounds only; sent: ours, with sums */
    struct fp same, want, shown, next, later;
    struct buf same_body, want_body;
    unsigned level, patience; /* splits so far; retries left */
    uint64_t due_ms, end_ms;
    /* results */
    uint64_t compared; /* ranges at equal clocks */
    uint64_t skipped;  /* ranges that never had equal clocks */
    uint32_t findings; /* in order: the first keys that differ */
    struct audit_finding list[AUDIT_FINDINGS];
    int error;
    /* Called at the end, for each in order. */
    void (*found)(void *ctx, const struct difference *d);
    void *ctx;
};

/* Begins with [lo, hi) of m's bucket; NULL = no bound. retries: how often
 * ranges at unequal clocks are tried again. 0 or ECRDT_ENOMEM. */
int audit_begin(struct audit *a, struct mirror *m, const struct item_id *lo,
                const struct item_id *hi, unsigned retries, uint64_t now_ms);

/* Ends it and frees what it holds; results stay. */
void audit_end(struct audit *a);

/* Are parts to be summed up now? Into how many blocks each? */
bool audit_due(const struct audit *a, uint64_t now_ms);
size_t audit_fan(const struct audit *a);

/* Ours were summed up as m (moved) and sent. */
void audit_sent(struct audit *a, struct fp *m, uint64_t now_ms);

/* Messages with FP_AUDIT: m and body are moved; false if none was awaited. */
bool audit_on_same(struct audit *a, struct fp *m, struct buf *body);
bool audit_on_want(struct audit *a, struct fp *m, struct buf *body);

/* Looks at an answer that came, and gives up what got none. 0 or a negative
 * code of the store. */
int audit_step(struct audit *a, ecrdt_store *s, uint64_t now_ms);

/* When audit_step() or audit_due() has something to do. */
uint64_t audit_at(const struct audit *a);
#endif

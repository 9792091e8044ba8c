/* reconciler.h: the fingerprint work of a node: scans in slices that hold up
 * neither the loop nor writers, answers, and clocks raised in short write
 * transactions. */
#ifndef REPLICATION_RECONCILER_H
#define REPLICATION_RECONCILER_H
#include "crdt/reconcile.h"
#include "replication/session.h"

enum {
    RECONCILER_SLICE = 8192, /* items scanned in one step of the loop */
    RECONCILER_BUSY_MS = 10, /* retry while another holds the writer lock */
    RECONCILER_RETRY_MS = 500
};

struct reconciler {
    ecrdt_store *store;
    ecrdt_txn *txn; /* of the work in hand; NULL: there is none */
    struct session *s;
    struct mirror *m; /* whose it is */
    enum reconciler_work {
        WORK_TALK,   /* the first FP of a talk of ours */
        WORK_ANSWER, /* to an FP or WANT */
        WORK_AUDIT   /* an FP of an audit of ours */
    } work;
    struct reconcile job;
    struct buf scratch, items, message;
    uint64_t talks, raised, stale; /* begun; SAMEs and equal parts; too late */
    size_t turn;
    uint64_t work_at_ms, raise_at_ms; /* not before, after a failure */
};

/* Works on store; reconciler_free() ends what is in hand. */
void reconciler_init(struct reconciler *r, ecrdt_store *store);
void reconciler_free(struct reconciler *r);

/* Raises what is due and does one slice of the scan in hand. */
void reconciler_run(struct reconciler *r, struct session *const *sessions,
                    size_t n, uint64_t now_ms);

/* When reconciler_run() has something to do: an absolute time, 0 = now,
 * UINT64_MAX = nothing waits. */
uint64_t reconciler_at(const struct reconciler *r,
                       struct session *const *sessions, size_t n);

/* Session gone is about to be freed. */
void reconciler_leave(struct reconciler *r, const struct session *gone);
#endif

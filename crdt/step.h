/* step.h: one public call inside a transaction: checks the handle, and gives
 * an ecrdt_auto() handle a transaction for just this call. */
#ifndef CRDT_STEP_H
#define CRDT_STEP_H
#include "crdt/store.h"

struct step {
    ecrdt_txn *t;     /* the transaction to work in */
    ecrdt_txn *outer; /* the caller's handle */
    bool write;
};

/* Begins a call named for error sentences. 0 or < 0 (then no step_end()). */
int step_begin(ecrdt_txn *t, bool write, const char *call, struct step *st);

/* The same of a call that only reads. */
static inline int step_read(ecrdt_txn *t, const char *call, struct step *st) {
    if (!t || t->mode != TXN_READ || db_err(t->db) < 0 ||
        t->s->fork_generation != os_fork_generation_now())
        return step_begin(t, false, call, st);
    *st = (struct step){t, t, false};
    return ECRDT_OK;
}

/* Ends it with its result rc: an auto handle commits, or aborts on rc < 0.
 * Returns rc, or the commit's error. */
int step_end(struct step *st, int rc);

/* In an auto handle: copies *s to memory that lives until the next call.
 * 0 or ECRDT_ENOMEM. Before step_end(). */
int step_keep(struct step *st, slice *s);

/* Argument checks with their sentences. */
int check_key(slice key);
int check_value(slice value);
int check_elem(slice elem);
int check_out(const void *out, const char *call);
#endif

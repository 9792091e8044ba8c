/* trace_stores.h: the replicas of a history as real stores in a scratch
 * folder, which talk by deltas or by complete chunks. */
#ifndef FUZZ_SIM_TRACE_STORES_H
#define FUZZ_SIM_TRACE_STORES_H
#include "edgecrdt.h"
#include "fuzz/sim/trace_history.h"

/* How one replica learns from another. */
enum talk { BY_DELTAS, BY_COMPLETE_CHUNKS };

struct stores {
    char dir[64];
    ecrdt_store *s[HISTORY_MAX_REPLICAS]; /* by rising origin id */
    uint64_t wall_ms[HISTORY_MAX_REPLICAS];
    size_t n;
    enum talk talk;
    uint64_t parts[2]; /* that travelled: of deltas, complete */
};

/* Opens n new stores; the result and the errors are those of edgecrdt.h.
 * stores_close() must follow in any case. */
int stores_open(struct stores *c, size_t n, enum talk talk);

/* Closes them and removes their folder. */
void stores_close(struct stores *c);

/* Does one step of a history. */
int stores_step(struct stores *c, const struct step *step);

/* TO learns all that FROM knows. */
int stores_sync(struct stores *c, size_t from, size_t to);

/* What replica at shows, as the canonical text, which the caller frees. */
int stores_read(struct stores *c, size_t at, enum history_type type,
                char **text);

/* Digest of what replica at holds. */
int stores_digest(struct stores *c, size_t at, uint8_t out[16]);
#endif

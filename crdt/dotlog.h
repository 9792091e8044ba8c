/* dotlog.h: the dots log of a bucket: which item each recent event is on, in
 * the order of arrival. An accelerator: the items are the truth, the log is
 * bounded, and L says what it no longer covers (PROTOCOL 14). */
#ifndef CRDT_DOTLOG_H
#define CRDT_DOTLOG_H
#include "crdt/store.h"

enum {
    DOTLOG_RECORD_ENTRIES = 40,
    DOTLOG_RECORD_BYTES = 990,  /* four to a page of LMDB, which leaves three */
    DOTLOG_CAP_BYTES = 4 << 20, /* of closed records, unless set */
    DOTLOG_CAP_MIN = 4096,
    DOTLOG_CAP_MAX = 1 << 30
};

/* Appends (origin, seq) -> id; drops the oldest record past the cap. */
int dotlog_append(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
                  uint64_t seq, slice id);

struct dotlog_entry {
    uint64_t arrival, seq;
    uint32_t origin;
    slice id; /* borrowed from the record */
};

/* Calls fn for each entry with arrival >= from, oldest first; nonzero stops
 * and is returned. fn must not write. */
int dotlog_each(ecrdt_txn *t, struct bucket *bk, uint64_t from,
                int (*fn)(void *ctx, const struct dotlog_entry *e), void *ctx);
#endif

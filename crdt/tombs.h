/* tombs.h: the tombs of a store in the order of their arrival: one row for
 * each tomb sibling, so that what has lain here long is found without a scan.
 * Key: bucket as in keys.h, arrival u48 (ms since 1970), origin number u32, seq
 * u64; value: the item's id. */
#ifndef CRDT_TOMBS_H
#define CRDT_TOMBS_H
#include "crdt/store.h"

enum { TOMB_REST = 6 + 4 + 8, TOMB_KEY = BUCKET_PREFIX + TOMB_REST };

struct tomb_row {
    uint64_t arrival_ms, seq;
    uint32_t origin;
};

/* The row's key; returns it as a slice of b. */
slice tomb_key(uint8_t b[TOMB_KEY], uint32_t bucket, const struct tomb_row *r);

/* Takes a key apart: false if it is none, or of another bucket. */
bool tomb_parse(slice key, uint32_t bucket, struct tomb_row *out);

/* Dates the tombs of after that came just now. */
void tombs_date(struct item *after);

/* The rows follow when item k changes from before to after, whose tombs are
 * dated. */
int tombs_follow(ecrdt_txn *t, const struct bucket *bk,
                 const struct item_key *k, const struct item *before,
                 const struct item *after);

/* Arrival of the oldest tomb of a bucket: 1, 0 if it has none. */
int tombs_oldest(ecrdt_txn *t, const struct bucket *bk, uint64_t *arrival_ms);
#endif

/* fp_scan.h: sums over stretches of a bucket's items, in slices; between
 * reconcile.c and fp_scan.c. */
#ifndef CRDT_FP_SCAN_H
#define CRDT_FP_SCAN_H
#include "crdt/reconcile.h"

/* Opens a scan of bucket in t's snapshot that leaves out tombs <= f: 1, 0 if
 * there is no such bucket; to be ended in any case. */
int fp_scan_begin(struct fp_scan *s, ecrdt_txn *t, const char *bucket,
                  const struct vv *f, const uint8_t key[RECONCILE_KEY]);

/* Frees what s holds. */
void fp_scan_end(struct fp_scan *s);

/* Begins with the stretch [lo, hi); hi NULL = no bound. At most max blocks,
 * but at least one for each of our ranges. */
int fp_scan_range(struct fp_scan *s, const struct item_id *lo,
                  const struct item_id *hi, size_t max);

/* Goes on over *items items, which is counted down: 1 at the end of the
 * stretch, 0 if more are left. */
int fp_scan_step(struct fp_scan *s, uint64_t *items);

/* The sum over all blocks; returns the count. */
uint64_t fp_scan_total(const struct fp_scan *s, uint8_t sum[FP_SUM]);
#endif

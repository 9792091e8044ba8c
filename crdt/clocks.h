/* clocks.h: range clocks, the floor F and the log bound L of a bucket in the
 * clocks table: key bucket u32, range number u32, origin (16) -> seq, h. */
#ifndef CRDT_CLOCKS_H
#define CRDT_CLOCKS_H
#include "crdt/store.h"

/* Range numbers with a meaning of their own. */
enum clock_vector { CLOCK_LOG = 0x7fffffff, CLOCK_FLOOR = 0x7ffffffe };

/* Loads bk->rs (and bk->was), this store's own entry included; the head too.
 * Does nothing if they are loaded. */
int clocks_load(ecrdt_txn *t, struct bucket *bk);

/* Writes what differs from the disk; the last step of a commit. */
int clocks_save(ecrdt_txn *t, struct bucket *bk);

/* The number of events of origin that every range of the bucket covers,
 * without loading the clocks. */
int clocks_least(ecrdt_txn *t, struct bucket *bk,
                 const uint8_t origin[ORIGIN_SIZE], uint64_t *least);

/* A number for a range that none has, also on the disk. */
uint32_t clocks_new_no(struct bucket *bk);

/* Cuts at id unless there is a cut; *at is the range that begins there. 0 or
 * ECRDT_ENOMEM. */
int clocks_cut(struct bucket *bk, slice id, size_t *at);

/* The floor or the log bound, into the empty v. */
int clocks_vector(ecrdt_txn *t, struct bucket *bk, enum clock_vector which,
                  struct vv *v);

/* Raises it by one dot, or by every entry of by. */
int clocks_raise(ecrdt_txn *t, struct bucket *bk, enum clock_vector which,
                 const uint8_t origin[ORIGIN_SIZE], uint64_t seq);
int clocks_raise_all(ecrdt_txn *t, struct bucket *bk, enum clock_vector which,
                     const struct vv *by);
#endif

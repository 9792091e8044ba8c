/* door.h: the one door: every change of an item's siblings, by a local call
 * or a remote chunk, ends in door_put(). */
#ifndef CRDT_DOOR_H
#define CRDT_DOOR_H
#include "crdt/store.h"
#include "crdt/type.h"

/* Positions t on item k and reads its siblings into t->before: 1, 0 if there
 * is none, < 0 (stuck). What it borrows is valid until t's next write. */
int door_find(ecrdt_txn *t, struct item_key *k);

/* Position of t on the first item of the bucket with from <= id < hi (empty:
 * no bound): 1 and its key in k, 0 if there is none, < 0. */
int door_next(ecrdt_txn *t, const struct bucket *bk, slice from, slice hi,
              struct item_key *k);

/* The same as door_find() for an item by its names, whose key is left in k:
 * elem counts for a set element only. An absent bucket is made if create is
 * set, else the answer is 0 and *bk is not to be used. */
int door_item(ecrdt_txn *t, const char *bucket, bool create, uint8_t tag,
              slice key, slice elem, struct bucket **bk, struct item_key *k);

/* The record of an item, for reading it: 1, 0, < 0. */
int door_record(ecrdt_txn *t, const char *bucket, uint8_t tag, slice key,
                slice elem, struct item_key *k, slice *rec);

/* The e16 of an event on item id of bk, worked out anew. 0 or < 0 (stuck). */
int door_name(ecrdt_txn *t, const struct bucket *bk, slice id,
              const struct event *e, uint8_t e16[CRYPTO_E16]);

/* Replaces the siblings t->before of k by after: record, digest, counts, log
 * and key head follow. found is door_find()'s result, and t is still
 * positioned. after may borrow from t->before. logged: fresh events go to
 * the dots log. */
int door_put(ecrdt_txn *t, struct bucket *bk, struct item_key *k, bool found,
             struct item *after, bool logged);

/* Adds to after, from which the caller took what it supersedes, a local event
 * that says what w says: kind, time and payload. Not yet put. */
int door_restate(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                 struct item *after, const struct event *w);

/* A local event of kind (marks included) on k that supersedes all siblings of
 * t->before; one event per item and transaction. full_key and elem are the
 * caller's bytes (used if hashed), value the type's part of the payload. */
int door_local(ecrdt_txn *t, struct bucket *bk, struct item_key *k, bool found,
               uint8_t kind, slice full_key, slice elem, slice value);

/* The same with a time of its own, for an event that stands for others. */
int door_local_at(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                  bool found, uint8_t kind, uint64_t hlc,
                  const struct payload *p);
#endif

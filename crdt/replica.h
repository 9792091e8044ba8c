/* replica.h: the one door to a store's data: transactions, and the function
 * through which every change of an item goes, local or remote. What the
 * public calls and the replication layer stand on. */
#ifndef CRDT_REPLICA_H
#define CRDT_REPLICA_H
#include "crdt/ranges.h"

/* What each public call on a store begins with: EINVAL for NULL, EFORK in a
 * child of the process that opened s, with a sentence. */
int store_check(ecrdt_store *s, const char *call);

/* Begins a transaction; a write one waits lock_timeout_ms for the writer
 * lock (0 = only if it is free at once), else ECRDT_EBUSY with a sentence
 * that names the holder. Ended by ecrdt_commit() or ecrdt_abort(). */
int replica_begin(ecrdt_store *s, bool write, uint32_t lock_timeout_ms,
                  ecrdt_txn **t);

/* Begins a read transaction whose clocks may leave the store: counted before
 * it is begun, so that the pairs of its heads are kept (see chain.h). What
 * leaves must stem from such a one. ECRDT_EBUSY if writers overtake it all
 * the time. */
int replica_expose(ecrdt_store *s, ecrdt_txn **t);

/* Looks at the clock that a peer told of a bucket, in a snapshot begun after
 * it came: 1 = it shows that this store was copied or rolled back, call
 * replica_renew(); 0; < 0. Cheap if the peer's heads of ours are known. */
int replica_is_cloned(ecrdt_txn *t, const char *bucket,
                      const struct ranges *heard);

/* Looks again in the write transaction t and takes a new incarnation if need
 * be, with a line in the log: 1 = taken, 0, < 0. */
int replica_renew(ecrdt_txn *t, const char *bucket, const struct ranges *heard);

/* What t's snapshot holds of a bucket; an absent bucket gives one range with
 * an empty clock. rs and floor must be empty; the caller frees them. */
int replica_clock(ecrdt_txn *t, const char *bucket, struct ranges *rs,
                  struct vv *floor);

/* The origin id of this store's present incarnation. */
int replica_origin(ecrdt_txn *t, uint8_t id[ORIGIN_SIZE]);

/* Calls fn for each bucket in the order of names; nonzero stops and is
 * returned. */
int replica_each_bucket(ecrdt_txn *t, int (*fn)(void *ctx, const char *bucket),
                        void *ctx);

/* The head of each bucket that was seen last, by the bucket's number.
 * Zero-initialise, replica_marks_free(). */
struct replica_mark {
    uint64_t saves; /* of the head; 0 = never seen */
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
};
struct replica_marks {
    struct replica_mark *m;
    size_t n, cap;
};

/* Calls fn for each bucket whose clock or floor may not be what it was in the
 * snapshot for which the same marks were used last: all at first. Of the
 * others the head alone is read. t is a read transaction. Nonzero stops, that
 * bucket is called for again next time, and is returned. */
int replica_each_changed(ecrdt_txn *t, struct replica_marks *seen,
                         int (*fn)(void *ctx, const char *bucket), void *ctx);

/* Frees what seen holds; it is as new. */
void replica_marks_free(struct replica_marks *seen);

/* Says that this process replicates the store as a core, one of the nodes that
 * supersede the siblings of an item when they become many (PROTOCOL 5). */
void replica_core(ecrdt_store *s, bool core);

/* Digest of a bucket in t's snapshot; zeros if absent. */
int replica_digest(ecrdt_txn *t, const char *bucket, uint8_t out[16]);

/* PROTOCOL D1: makes every snapshot begun before this call durable. Cheap on
 * FULL (nothing to do) and EPHEMERAL (exempt). */
int replica_flush(ecrdt_store *s);

/* Branches merged and heads that could not be placed, by this handle. */
void replica_fork_counts(ecrdt_store *s, uint64_t *merges, uint64_t *unknown);

/* Number of the newest commit, by whichever process. */
uint64_t replica_txn_id(ecrdt_store *s);

/* Does t, a read transaction, hold the writer lock (where LMDB has no reader
 * slot for us)? Then it must be short. */
bool replica_holds_lock(const ecrdt_txn *t);

/* Number of t's snapshot. */
uint64_t replica_snapshot_id(ecrdt_txn *t);

/* Writers that wait for the lock now, in all processes. */
uint32_t replica_waiters(ecrdt_store *s);

/* From now on (until off) commits of any process write to the wake file. A
 * watcher that is killed costs the others one small write a commit. */
void replica_watch(ecrdt_store *s, bool on);

/* A file that is written after each commit of any process while someone
 * watches (use inotify); borrowed from the store. */
const char *replica_wake_path(const ecrdt_store *s);

/* The store's folder; borrowed from the store. */
const char *replica_path(const ecrdt_store *s);

/* Records of the relay about its peers, kept with the store under a name of
 * 1 to 256 bytes of text (PROTOCOL 14, database peers). An empty value
 * deletes. */
int replica_peer_put(ecrdt_txn *t, slice name, slice value);
int replica_each_peer(ecrdt_txn *t,
                      int (*fn)(void *ctx, slice name, slice value), void *ctx);

/* Signs msg (domain-separated by the caller) with the incarnation's own key,
 * and gives its public key: PROTOCOL D2. */
int replica_sign(ecrdt_store *s, slice msg, uint8_t sig[64], uint8_t pk[32]);
#endif

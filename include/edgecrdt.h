/* edgecrdt.h: local, durable, convergent state for code at the edge.
 *
 * Rules that hold for every call below:
 *
 * Results    int: < 0 error, 0 ok / no / none / end, 1 yes / one row.
 *            A function that returns a handle returns NULL on error. After
 *            any error ecrdt_errcode() and ecrdt_errmsg() tell what was
 *            tried, on what, why it failed and what to do.
 * NULL       Every call takes a NULL handle: it keeps this thread's last error
 *            and returns its code (EINVAL if there was none; the closing calls
 *            do nothing), so a chain of calls can be checked once, at its end.
 * Ownership  Slices passed in are copied before the call returns. Slices
 *            handed out are borrowed: from a read transaction until it ends,
 *            from a write transaction until its next call, from ecrdt_auto()
 *            until the next call on that handle, from an iterator until its
 *            next step. You free handles, each by its one closing call, and
 *            nothing else.
 * Threads    A store may be shared by threads. A transaction and what was
 *            opened in it belong to one thread at a time; a write transaction
 *            is ended by the thread that began it (else ECRDT_EINVAL, and it
 *            stays open). The library starts no thread, installs no signal
 *            handler and prints nothing.
 * fork()     A store does not cross fork(): in the child each call fails with
 *            ECRDT_EFORK; close it there (after the transactions) and open it
 *            again. exec() is fine.
 * Processes  Any number of processes on one machine share a store. Readers
 *            never wait. One transaction at a time writes, behind a timed
 *            lock. SIGKILL at any instruction loses at most the transaction
 *            that was not committed.
 */
#ifndef EDGECRDT_H
#define EDGECRDT_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* The version, written here only; ECRDT_VERSION_STR is "major.minor.patch". */
#define ECRDT_VERSION_MAJOR 0
#define ECRDT_VERSION_MINOR 1
#define ECRDT_VERSION_PATCH 0

#if defined(__GNUC__)
#define ECRDT_API __attribute__((visibility("default")))
#else
#define ECRDT_API
#endif

/* ---- limits -------------------------------------------------------------
 * A value at the limit is accepted, one past it is ECRDT_ETOOBIG (or
 * ECRDT_EINVAL for a bucket's name). */
#define ECRDT_MAX_BUCKET_NAME 64       /* bytes; 1 at least            */
#define ECRDT_MAX_BUCKETS     1024     /* buckets of one store         */
#define ECRDT_MAX_KEY         1024     /* bytes; 1 at least            */
#define ECRDT_MAX_ELEM        65536    /* bytes; an empty one is fine  */
#define ECRDT_MAX_VALUE       1048576  /* bytes; an empty one is fine  */
#define ECRDT_MAX_TXN         67108864 /* keys and values of a txn     */
#define ECRDT_MAX_BATCH       1000000  /* operations of ecrdt_apply()  */

/* ---- values ------------------------------------------------------------- */

/* Borrowed bytes; never freed by the caller. data may be NULL if len is 0. */
typedef struct ecrdt_slice {
    const void *data;
    size_t len;
} ecrdt_slice;

/* Id of a replica's incarnation: the origin of its events. */
typedef struct ecrdt_node {
    uint8_t b[16];
} ecrdt_node;

/* Who wrote a value, and when by the hybrid logical clock of its writer. */
typedef struct ecrdt_stamp {
    uint64_t wall_ms; /* milliseconds since 1970-01-01 UTC */
    uint32_t logical; /* orders events of one millisecond  */
    ecrdt_node by;
} ecrdt_stamp;

/* A string literal as a slice, without its final NUL. */
#ifdef __cplusplus
#define ECRDT_STR(lit) (ecrdt_slice{"" lit, sizeof(lit) - 1})
#else
#define ECRDT_STR(lit) ((ecrdt_slice){"" lit, sizeof(lit) - 1})
#endif

/* A NUL-terminated string as a slice that borrows it; NULL gives an empty
 * slice. Cannot fail. Any thread. */
ECRDT_API ecrdt_slice ecrdt_str(const char *nul_terminated);

typedef struct ecrdt_store ecrdt_store; /* shared by threads, not by fork() */
typedef struct ecrdt_txn ecrdt_txn;     /* one thread at a time             */
typedef struct ecrdt_iter ecrdt_iter;   /* lives inside its transaction     */

/* Takes len bytes at data, borrowed for the call. Nonzero stops the caller,
 * which then fails with ECRDT_ECANCELED. */
typedef int (*ecrdt_sink)(void *ctx, const void *data, size_t len);

/* ---- errors ------------------------------------------------------------- */

/* X(NAME, value, text): the one list of result codes. */
#define ECRDT_ERRORS(X)                                                        \
    X(OK, 0, "no error")                                                       \
    X(EINVAL, -1, "invalid argument")                                          \
    X(ENOMEM, -2, "out of memory")                                             \
    X(EIO, -3, "input/output error")                                           \
    X(EFULL, -4, "store or disk is full")                                      \
    X(EBUSY, -5, "held by another process or transaction")                     \
    X(ERDONLY, -6, "store or transaction is read-only")                        \
    X(ENOENT, -7, "no such store or file")                                     \
    X(ETOOBIG, -8, "over a size limit")                                        \
    X(ERANGE, -9, "counter would leave the range of int64")                    \
    X(ECORRUPT, -10, "data is damaged")                                        \
    X(EVERSION, -11, "format or protocol version is not supported")            \
    X(EFORK, -12, "handle was inherited over fork()")                          \
    X(ECANCELED, -13, "stopped by the caller's sink")                          \
    X(EAUTH, -14, "peer is not authenticated")                                 \
    X(EPEER, -15, "peer broke the protocol or closed the link")                \
    X(ETIMEOUT, -16, "deadline passed")                                        \
    X(ENOTSUP, -17, "not supported here")

enum ecrdt_result {
#define ECRDT_ENUM(name, value, text) ECRDT_##name = value,
    ECRDT_ERRORS(ECRDT_ENUM)
#undef ECRDT_ENUM
};

/* Code of this thread's last failed call; ECRDT_OK if none failed yet. */
ECRDT_API int ecrdt_errcode(void);

/* Full sentence of this thread's last failed call, "" if none failed yet.
 * Never NULL; borrowed until this thread's next failing call. */
ECRDT_API const char *ecrdt_errmsg(void);

/* Static "NAME: text" of a code; never NULL. Any thread. */
ECRDT_API const char *ecrdt_strerror(int code);

/* Static version of the library at run time, "1.2.3". Any thread. */
ECRDT_API const char *ecrdt_version(void);

/* ---- open --------------------------------------------------------------- */

/* Flags of ecrdt_options. A durability level is fixed when the store is
 * created; none at a later open means "as created", another one fails. */
enum ecrdt_flags {
    ECRDT_RDONLY = 1,    /* no writes through this handle                  */
    ECRDT_NOCREATE = 2,  /* fail with ECRDT_ENOENT if there is no store    */
    ECRDT_RELAXED = 4,   /* power loss may take the last commits, not more */
    ECRDT_EPHEMERAL = 8, /* no sync: tmpfs, re-fetchable replicas; a store
                            from another boot is discarded at open         */
    ECRDT_FULL = 16,     /* durable at commit; the default                 */
    ECRDT_CHECK = 32     /* read all pages first: no damaged one is used   */
};

/* Every field that is 0 means "default". Grows only at its end. */
typedef struct ecrdt_options {
    size_t size;              /* sizeof(ecrdt_options)                     */
    uint32_t flags;           /* of enum ecrdt_flags                       */
    uint32_t max_readers;     /* reader slots of the machine; 0 = 4096     */
    uint64_t max_bytes;       /* size limit of the store, and address space;
                                 0 = the largest that was asked for, 64 GiB
                                 if new (1 GiB on 32 bits). A larger one is
                                 for all, a smaller one for this handle    */
    uint32_t lock_timeout_ms; /* wait for the writer lock; 0 = 5000        */
    uint32_t mode;            /* of the folder; 0 = 02770. Files get its
                                 rw bits (0660)                            */
} ecrdt_options;
#define ECRDT_OPTIONS_INIT                                                     \
    { sizeof(ecrdt_options), 0, 0, 0, 0, 0 }

/* Opens the store in the folder path, creating it (one level) if need be.
 * opts may be NULL. A store that this process has open already is shared:
 * the same handle is returned and counts one more ecrdt_close(); RDONLY, level
 * and max_bytes must then agree (ECRDT_EINVAL if not), the rest is the first's.
 * The caller closes the handle with ecrdt_close(). Any thread.
 * NULL on error: EINVAL, ENOENT, ERDONLY, EIO, EFULL, ECORRUPT, EVERSION,
 * ENOTSUP (network filesystem), EBUSY, ENOMEM. */
ECRDT_API ecrdt_store *ecrdt_open(const char *path, const ecrdt_options *opts);

/* Closes one open of the store and frees it at the last. All transactions
 * must be ended before (else ECRDT_EBUSY and the store stays open), and calls
 * of other threads on it have returned. NULL is fine: it returns this thread's
 * ecrdt_errcode(), so the result of a program whose open failed is right. */
ECRDT_API int ecrdt_close(ecrdt_store *s);

/* Writes the origin id of this store's present incarnation to *out. */
ECRDT_API int ecrdt_node_id(ecrdt_store *s, ecrdt_node *out);

/* Makes all commits of all processes durable: one fdatasync. Needed only
 * with ECRDT_RELAXED; does nothing useful on an ECRDT_EPHEMERAL store. */
ECRDT_API int ecrdt_flush(ecrdt_store *s);

/* Copies the store, while in use, to the new folder path (must not exist or
 * be empty). The copy has no identity: opened, it becomes a replica of its
 * own that knows all this one knew. EIO, EFULL, EINVAL, EBUSY. */
ECRDT_API int ecrdt_backup(ecrdt_store *s, const char *path);

/* Takes what begins with prefix (0 to 192 bytes) out of a bucket, as if it had
 * never been known here, to pull it again from a peer: the repair of a replica
 * whose content is in doubt. Peers keep it; what no peer has is gone. The store
 * gets a new incarnation. Runs in many short transactions; *items (may be
 * NULL) counts what was taken out. */
ECRDT_API int ecrdt_forget(ecrdt_store *s, const char *bucket,
                           ecrdt_slice prefix, uint64_t *items);

/* Calls out(ctx, name, length) for each bucket, in the order of names. */
ECRDT_API int ecrdt_buckets(ecrdt_store *s, ecrdt_sink out, void *ctx);

/* 1 if all keys of the bucket stand at one clock (an absent bucket too),
 * 0 while a large catch-up is under way: then a remote transaction may be
 * visible for some keys and not yet for others. */
ECRDT_API int ecrdt_settled(ecrdt_store *s, const char *bucket);

/* Writes the digest of a bucket's content to out, in O(1): equal on all
 * replicas with equal content, zeros for an absent or empty bucket. */
ECRDT_API int ecrdt_digest(ecrdt_store *s, const char *bucket, uint8_t out[16]);

/* ---- transactions ------------------------------------------------------- */

/* Begins a read transaction: a snapshot; never waits, never makes anyone
 * wait. End it with ecrdt_abort() or ecrdt_commit(). Long ones keep the
 * store from reusing space. */
ECRDT_API ecrdt_txn *ecrdt_read(ecrdt_store *s);

/* Begins a write transaction once the machine-wide writer lock is free.
 * NULL with ECRDT_EBUSY (naming the holder) after lock_timeout_ms. Caller
 * errors inside (EINVAL, ETOOBIG, ERANGE) change nothing and leave it good;
 * EIO, EFULL, ENOMEM and ECORRUPT stick and ecrdt_commit() returns them.
 * A thread must not begin a second one before it ended the first. */
ECRDT_API ecrdt_txn *ecrdt_write(ecrdt_store *s);

/* A handle whose every call is a transaction of its own. No snapshot stays
 * open between calls, so a frozen process holds up nothing. One thread at a
 * time. Free it with ecrdt_abort() (ecrdt_commit() does the same). */
ECRDT_API ecrdt_txn *ecrdt_auto(ecrdt_store *s);

/* Commits, and frees t also when it fails. 0 = done, as durable as the store
 * is; on any error nothing of t happened (but see ecrdt_receipt_of()). NULL
 * returns ecrdt_errcode(). */
ECRDT_API int ecrdt_commit(ecrdt_txn *t);

/* Ends t without effect and frees it. NULL is fine. */
ECRDT_API void ecrdt_abort(ecrdt_txn *t);

/* ---- receipts ----------------------------------------------------------- */

/* Stands for what one transaction wrote to one bucket: 48 bytes that may be
 * stored and carried to any node of the realm (a cookie, a header). */
typedef struct ecrdt_receipt {
    uint8_t b[48];
} ecrdt_receipt;

/* The receipt of what the write transaction t wrote to a bucket: taken behind
 * the writes and before ecrdt_commit(), which then returns only when they are
 * durable, on an ECRDT_RELAXED store too (EIO: committed, but not known to be
 * durable). It is worth nothing unless t is committed. A transaction that
 * wrote nothing to the bucket gives one that is fulfilled everywhere. 0;
 * EINVAL for a read transaction, an auto handle or a bad name. */
ECRDT_API int ecrdt_receipt_of(ecrdt_txn *t, const char *bucket,
                               ecrdt_receipt *out);

/* Where ecrdt_wait() waits for it; a number > 0: at so many peers. */
enum { ECRDT_HERE = 0, ECRDT_AT_CORE = -1 };

/* Waits until the writes of a receipt, from whichever node, are
 *   ECRDT_HERE     visible in this store to transactions begun afterwards,
 *   ECRDT_AT_CORE  durable at a peer that is a core (on a core: here),
 *   k > 0          durable at k peers of this node,
 * for timeout_ms at most (0: one look). Peers are asked through the relay
 * that runs on this store; what an ecrdt_sync_once() has seen of this store's
 * own writes counts too. The calling thread must hold no write transaction.
 * 1 = it is so; 0 = not yet, and errmsg says what is missing; EINVAL, also
 * for damaged bytes; ERDONLY if peers would have to be asked on a read-only
 * handle; EIO and the like. */
ECRDT_API int ecrdt_wait(ecrdt_store *s, const ecrdt_receipt *r, int where,
                         int timeout_ms);

/* ---- LWW register --------------------------------------------------------
 * Concurrent sets are all kept until overwritten; the greatest by (hybrid
 * clock, origin, sequence) is read. A set survives a concurrent delete.
 * Multi-value register of Shapiro et al. 2011 (INRIA RR-7506), read as LWW;
 * hybrid logical clock: Kulkarni et al. 2014. */

/* Sets key to value. EINVAL, ETOOBIG, ERDONLY. */
ECRDT_API int ecrdt_reg_set(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                            ecrdt_slice value);

/* 1 and *value (borrowed) if key has a value, 0 if not. who may be NULL. */
ECRDT_API int ecrdt_reg_get(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                            ecrdt_slice *value, ecrdt_stamp *who);

/* Deletes what is seen now. 1 if key had a value, 0 if not. */
ECRDT_API int ecrdt_reg_del(ecrdt_txn *t, const char *bucket, ecrdt_slice key);

/* Iterator over the concurrent values of key, the one that is read first
 * (ecrdt_entry.val and .who); one row if there was no conflict, none if key
 * is absent. Close it with ecrdt_iter_close() or by ending t. */
ECRDT_API ecrdt_iter *ecrdt_reg_siblings(ecrdt_txn *t, const char *bucket,
                                         ecrdt_slice key);

/* ---- OR-set ---------------------------------------------------------------
 * A remove removes exactly the adds its replica had seen: add wins. Optimised
 * OR-set with dots: Bieniusa et al. 2012 (arXiv 1210.3368). */

/* Adds elem. 1 if it was not there, 0 if it was (still an event: it must win
 * against concurrent removes). */
ECRDT_API int ecrdt_set_add(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                            ecrdt_slice elem);

/* Removes elem. 1 if it was there, 0 if not. */
ECRDT_API int ecrdt_set_remove(ecrdt_txn *t, const char *bucket,
                               ecrdt_slice key, ecrdt_slice elem);

/* 1 if elem is in the set, 0 if not. */
ECRDT_API int ecrdt_set_has(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                            ecrdt_slice elem);

/* Writes the number of elements to *n, in O(1). */
ECRDT_API int ecrdt_set_size(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                             uint64_t *n);

/* Removes all elements that are seen now. */
ECRDT_API int ecrdt_set_clear(ecrdt_txn *t, const char *bucket,
                              ecrdt_slice key);

/* ---- counter --------------------------------------------------------------
 * Every add counts once, from whichever replica. A reset removes exactly what
 * its replica had seen; concurrent and later adds survive. PN-counter with
 * per-origin floors: observed-reset counter, Weidner and Almeida 2022. */

/* Adds by (may be negative). Writes this replica's view after the add to
 * *now unless now is NULL. ECRDT_ERANGE, and no change, if that would leave
 * int64. */
ECRDT_API int ecrdt_counter_add(ecrdt_txn *t, const char *bucket,
                                ecrdt_slice key, int64_t by, int64_t *now);

/* Writes this replica's view to *now, 0 for an absent counter. 1 if the
 * counter exists, 0 if not. If concurrent adds of several replicas left
 * int64, *now is its nearest end and the result ECRDT_ERANGE. */
ECRDT_API int ecrdt_counter_get(ecrdt_txn *t, const char *bucket,
                                ecrdt_slice key, int64_t *now);

/* Takes back all adds that are seen now. */
ECRDT_API int ecrdt_counter_reset(ecrdt_txn *t, const char *bucket,
                                  ecrdt_slice key);

/* ---- batch --------------------------------------------------------------- */

typedef enum ecrdt_type {
    ECRDT_REG = 1,
    ECRDT_SET = 2,
    ECRDT_COUNTER = 4,
    ECRDT_ANY = 7
} ecrdt_type;

typedef enum ecrdt_opcode {
    ECRDT_OP_REG_SET = 1,  /* val   */
    ECRDT_OP_REG_DEL,      /*       */
    ECRDT_OP_SET_ADD,      /* val   */
    ECRDT_OP_SET_REMOVE,   /* val   */
    ECRDT_OP_SET_CLEAR,    /*       */
    ECRDT_OP_COUNTER_ADD,  /* num   */
    ECRDT_OP_COUNTER_RESET /*       */
} ecrdt_opcode;

typedef struct ecrdt_op {
    ecrdt_opcode op;
    const char *bucket;
    ecrdt_slice key;
    ecrdt_slice val; /* value or element */
    int64_t num;     /* amount to add    */
} ecrdt_op;

/* Does n operations in order, all or none: all are checked before the first
 * change. The error names the first bad one by its index. */
ECRDT_API int ecrdt_apply(ecrdt_txn *t, const ecrdt_op *ops, size_t n);

/* ---- iteration ----------------------------------------------------------- */

/* One row of an iterator; slices are borrowed until its next step. */
typedef struct ecrdt_entry {
    ecrdt_slice key; /* the key                                           */
    ecrdt_slice val; /* register: its value; elements: the element        */
    ecrdt_type type; /* of the key                                        */
    int64_t num;     /* set: its size; counter: its value; else 0         */
    ecrdt_stamp who; /* registers and siblings only; else zeros           */
} ecrdt_entry;

/* Iterator over the keys that begin with prefix (empty: all) and have one of
 * the types (ECRDT_REG | ECRDT_SET ...), in bytewise order; keys over 256
 * bytes are ordered by their first 192. One row per key and type. */
ECRDT_API ecrdt_iter *ecrdt_keys(ecrdt_txn *t, const char *bucket,
                                 ecrdt_slice prefix, unsigned types);

/* Iterator over the elements of a set that begin with prefix, in bytewise
 * order; elements over 160 bytes are ordered by their first 160. */
ECRDT_API ecrdt_iter *ecrdt_elems(ecrdt_txn *t, const char *bucket,
                                  ecrdt_slice key, ecrdt_slice prefix);

/* 1 and the next row in *e, 0 at the end. In a write transaction rows follow
 * the changes made meanwhile. */
ECRDT_API int ecrdt_next(ecrdt_iter *it, ecrdt_entry *e);

/* Makes the next row the first one whose key (or element) is >= at. Forward
 * and backward, within the iterator's prefix. Not for siblings (EINVAL). */
ECRDT_API int ecrdt_seek(ecrdt_iter *it, ecrdt_slice at);

/* Closes the iterator; NULL is fine. Ending the transaction does it too. */
ECRDT_API void ecrdt_iter_close(ecrdt_iter *it);

/* ---- deltas for a transport of your own ----------------------------------
 * A summary says what a store knows. An export holds what the summary's
 * store lacks. Lost, doubled or reordered exports do no harm. */

/* Writes this store's summary (some hundred bytes) to the sink. */
ECRDT_API int ecrdt_summary(ecrdt_store *s, ecrdt_sink out, void *ctx);

/* Writes what the store of peer_summary lacks to the sink, in pieces that
 * make one delta together; about max_bytes at most (0 = 1 MiB, and one item
 * always fits). An empty summary asks for everything. Flushes before it
 * sends (PROTOCOL D1). 1 = more remains: import, then export again with a
 * new summary; 0 = that was all. */
ECRDT_API int ecrdt_export(ecrdt_store *s, ecrdt_slice peer_summary,
                           size_t max_bytes, ecrdt_sink out, void *ctx);

typedef struct ecrdt_import_report {
    uint32_t applied; /* items that changed this store                     */
    uint32_t known;   /* items that brought nothing new                    */
    uint32_t ahead;   /* parts that build on what is missing: ask again    */
    uint32_t refused; /* parts that do not fit this store (errmsg says why) */
    uint32_t foreign; /* parts of which some or all is not held here       */
} ecrdt_import_report;

/* Applies an export in one write transaction; repeats are harmless. r may be
 * NULL. ECORRUPT, and no change at all, if delta is not a whole export. */
ECRDT_API int ecrdt_import(ecrdt_store *s, ecrdt_slice delta,
                           ecrdt_import_report *r);

/* ---- a part of the data ---------------------------------------------------
 * A store holds of each bucket everything (unless told otherwise), nothing, or
 * the keys that begin with one of some prefixes: only that it asks for, takes
 * and passes on. A write outside goes to the peers like any other; a read
 * outside shows what was last held there and what was written here since. */

/* Holds of bucket only the keys that begin with one of the n prefixes (1 to
 * 192 bytes, 1024 of a bucket; one that ends in zero bytes may take shorter
 * keys too); n = 0: all its keys; bucket NULL (n = 0): all buckets that no call
 * named. What is new comes from the peers. What is no longer held is forgotten
 * when a connected core that holds it has shown all of it to be durable there
 * (a relay says for whom it waits): the store takes a new incarnation. The same
 * call again forgets what was written outside since. 1 = something is left to
 * forget, 0; EINVAL, ETOOBIG. */
ECRDT_API int ecrdt_subscribe(ecrdt_store *s, const char *bucket,
                              const ecrdt_slice *prefixes, size_t n);

/* Holds nothing of bucket; else as ecrdt_subscribe(). */
ECRDT_API int ecrdt_unsubscribe(ecrdt_store *s, const char *bucket);
typedef struct ecrdt_subscription {
    const char *bucket;          /* NULL: all that have no row of their own */
    const ecrdt_slice *prefixes; /* n of them; 0 and not all = nothing */
    size_t n;
    int all;     /* every key is held                             */
    int leaving; /* what lies outside is yet to be forgotten      */
} ecrdt_subscription;

/* Calls fn with a row, borrowed for the call, for each bucket with a record
 * of its own, by name, and then for the rest; nonzero is ECRDT_ECANCELED. */
typedef int (*ecrdt_subscription_fn)(void *ctx, const ecrdt_subscription *row);
ECRDT_API int ecrdt_subscriptions(ecrdt_store *s, ecrdt_subscription_fn fn,
                                  void *ctx);

/* Writes the digest of the keys that begin with prefix (up to 192 bytes) to
 * out, by reading them all: a part compares with the whole. */
ECRDT_API int ecrdt_digest_prefix(ecrdt_store *s, const char *bucket,
                                  ecrdt_slice prefix, uint8_t out[16]);

/* ---- operations ---------------------------------------------------------- */

typedef struct ecrdt_stats {
    size_t size;         /* sizeof(ecrdt_stats), set by the caller   */
    uint64_t bytes_used; /* of the file                              */
    uint64_t bytes_max;  /* limit                                    */
    uint64_t buckets;
    uint64_t items;               /* with a live event, all buckets           */
    uint64_t tombstones;          /* removal markers kept, all buckets        */
    uint64_t origins;             /* incarnations ever heard of               */
    uint64_t log_bytes;           /* of the dots logs                         */
    uint32_t readers;             /* reader slots in use on this machine      */
    int32_t oldest_reader_pid;    /* of the oldest snapshot; 0 = none         */
    uint64_t oldest_reader_txns;  /* commits since that snapshot            */
    uint64_t last_txn;            /* number of the last commit                */
    uint32_t durability;          /* ECRDT_FULL, _RELAXED or _EPHEMERAL       */
    uint32_t cleared_readers;     /* slots of dead processes freed by us      */
    uint64_t pidns_reads;         /* reads under the writer lock, for another
                                     PID namespace holds our pid              */
    uint64_t oldest_tombstone_ms; /* age of the oldest marker; 0 = none      */
    uint64_t floor_lag_ms;        /* by how long it has outlived the
                                     retention; 0 = gc keeps up              */
    uint64_t reclaimable_bytes; /* of the file that hold nothing             */
    uint64_t disk_bytes;        /* that the file takes up, without its holes */
    uint64_t gc_tombstones;     /* markers dropped, ever                     */
    uint64_t gc_bytes;          /* of their records                          */
    uint64_t gc_wall_ms;        /* when the last ones were; 0 = never        */
    uint64_t gc_retention_ms, log_cap_bytes; /* settings                     */
    uint64_t fork_merges;  /* chunks by which this handle merged branches    */
    uint64_t fork_unknown; /* heads it could not place, taken for lag        */
} ecrdt_stats;

/* Fills *out; out->size must be set. EINVAL, EIO. */
ECRDT_API int ecrdt_stat_read(ecrdt_store *s, ecrdt_stats *out);

/* Numbers that belong to a store; every process that opens it goes by them. */
enum ecrdt_setting {
    ECRDT_GC_RETENTION_MS = 1, /* removal markers stay so long; 30 days     */
    ECRDT_LOG_CAP_BYTES = 2    /* of a bucket's dots log; 4 MiB             */
};

/* Writes the setting's value, its default if it was never set. EINVAL. */
ECRDT_API int ecrdt_setting_get(ecrdt_store *s, enum ecrdt_setting which,
                                uint64_t *value);

/* Sets it, in a transaction of its own. EINVAL, ERANGE, EBUSY. */
ECRDT_API int ecrdt_setting_set(ecrdt_store *s, enum ecrdt_setting which,
                                uint64_t value);

typedef struct ecrdt_gc_report {
    uint64_t tombstones;        /* dropped                                  */
    uint64_t bytes;             /* of their records                         */
    uint64_t reclaimable_bytes; /* of the file that hold nothing now        */
    uint32_t stale_readers;     /* slots of dead processes, freed           */
    uint32_t more;              /* 1: the budget ended it before the end    */
} ecrdt_gc_report;

/* Drops the removal markers that have lain in this store for retention_ms or
 * longer (-1: for the store's setting), in short transactions that give way
 * to other writers, for about budget_ms (0: to the end). A replica that was
 * away for longer still gets every answer right; it only costs more bytes. r
 * may be NULL. 1 = more remains, 0 = done; EINVAL, EBUSY, EIO. */
ECRDT_API int ecrdt_gc(ecrdt_store *s, int64_t retention_ms, uint32_t budget_ms,
                       ecrdt_gc_report *r);

/* Says goodbye for this store: what it counted stays, and it will never count
 * again under its present identity, so that the heir may fold its counter
 * entries away. It takes a new identity, under which it may write again. Sync
 * once more before the store is removed. EINVAL for the heir itself. */
ECRDT_API int ecrdt_retire(ecrdt_store *s);

enum ecrdt_fold_flags {
    ECRDT_FOLD_CLAIM = 1, /* this store is the heir from now on */
    ECRDT_FOLD_ALL = 2    /* also empty those that said no goodbye */
};

typedef struct ecrdt_fold_report {
    uint64_t entries; /* emptied into this store's own, or removed */
    uint64_t removed; /* of them, those that are gone              */
} ecrdt_fold_report;

/* Moves the counter entries of replicas that said goodbye into this store's
 * own; no counter changes its value. It empties them; the first call that comes
 * ECRDT_GC_RETENTION_MS later removes them, and until then an unknown copy of
 * such a replica that turns up is still counted right. One store of all, the
 * heir, may do it: two heirs make counters count double. The right ends with
 * the store's identity: a restored heir may claim it again only when all that
 * the old one folded has arrived. r may be NULL. EINVAL if this is not it. */
ECRDT_API int ecrdt_fold(ecrdt_store *s, uint32_t flags, ecrdt_fold_report *r);

/* Reads every page and record and recomputes what is derived: checksums,
 * digests, sizes, totals, clocks. Each finding goes to the sink as one line of
 * text without a newline. 0 = sound, ECRDT_ECORRUPT = there were findings. */
ECRDT_API int ecrdt_verify(ecrdt_store *s, ecrdt_sink report, void *ctx);

/* ---- hooks of the process: set them before the first open ---------------- */

/* Replaces malloc/realloc/free for this library's own memory: re(NULL, n)
 * allocates, re(p, n) resizes, re(p, 0) frees and returns NULL. LMDB and
 * libsodium keep theirs. ECRDT_EBUSY once a store was opened. */
ECRDT_API int ecrdt_set_allocator(void *(*re)(void *p, size_t n, void *ctx),
                                  void *ctx);

/* Levels of log lines. */
enum ecrdt_level {
    ECRDT_LOG_ERROR = 0,
    ECRDT_LOG_WARN = 1,
    ECRDT_LOG_INFO = 2,
    ECRDT_LOG_DEBUG = 3
};

/* Receives lines up to level as logfmt ("msg=... k=v") without a newline;
 * NULL (the default) = silence. Called from whatever thread logs. Lines never
 * hold a value, nor a key outside of error messages. */
ECRDT_API void ecrdt_set_log(void (*fn)(int level, const char *logfmt,
                                        void *ctx),
                             void *ctx, int level);

#ifdef __cplusplus
}
#endif
#endif

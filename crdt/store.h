/* store.h: what a store, a transaction and a bucket are made of; private to
 * crdt/. */
#ifndef CRDT_STORE_H
#define CRDT_STORE_H
#include "crdt/item.h"
#include "crdt/keys.h"
#include "crdt/replica.h"
#include "lib/db.h"
#include "lib/err.h"
#include "lib/os.h"
#include <pthread.h>
#include <stdatomic.h>

enum { STORE_FORMAT = 5, BUCKET_SALT = 16 };

struct guard; /* guard.h */

struct ecrdt_store {
    struct ecrdt_store *next; /* in the process's table of open stores */
    struct db *db;
    struct os_lock *lock;     /* NULL if opened read-only */
    struct guard *guard;      /* of the session that this handle begins */
    bool renewed;             /* ... with a new incarnation */
    uint64_t looked_ms;       /* when guard_begin() looked at the data file */
    struct os_lock *exposing; /* of a read-only one, once it exposes */
    int wake_fd;              /* -1 if opened read-only */
    char *path, *wake_path;
    uint64_t dev, ino; /* of the folder: one handle per store and process */
    uint64_t max_bytes;
    uint32_t flags, durability, lock_timeout_ms, refs, fork_generation;
    uint32_t file_mode;
    atomic_uint txns;           /* transactions that are open */
    _Atomic(ecrdt_txn *) spare; /* an ended one, for the next to begin */
    atomic_ullong pidns_reads;  /* see ecrdt_stats */
    atomic_bool core;           /* see replica_core() */
    atomic_ullong fork_unknown, fork_merges; /* see ecrdt_stats */
};

/* The head record of a bucket: one writer function, head_save(). */
struct bucket_head {
    uint64_t saves;            /* how often it was: clocks change with it */
    uint32_t me;               /* origin number of the present incarnation */
    uint64_t seq, h, hlc;      /* of the newest local event               */
    uint64_t prev_seq, prev_h; /* the head before this one */
    uint64_t exposures;        /* count that the commit of this head saw */
    uint64_t gen;              /* + 1 in each txn that applies, forgets ... */
    uint8_t digest[16];
    uint64_t live, tombs;         /* live items, tomb siblings */
    uint64_t log_next, log_bytes; /* next arrival number, bytes on disk */
    uint32_t log_open_n;          /* entries in log_open */
    uint32_t range_next;          /* next free range number */
    struct buf cuts;              /* (no u32, len u16, lo) ...; empty = one */
    struct buf log_open;          /* the record that is still being filled */
};

struct bucket {
    uint32_t id;
    char name[ECRDT_MAX_BUCKET_NAME + 1];
    uint8_t salt[BUCKET_SALT];
    bool have_head, head_dirty, have_ranges, ranges_dirty;
    bool made; /* by this transaction */
    struct bucket_head head;
    uint64_t seq_before;   /* head.seq when the transaction began */
    uint64_t hlc_now;      /* time of this transaction's events, 0 = not yet */
    struct buf e16s;       /* of this transaction's own events, by seq */
    struct ranges rs, was; /* ranges, and as they are on disk */
};

enum txn_mode { TXN_READ, TXN_WRITE, TXN_AUTO };

struct keyheads; /* keyhead.h */

struct ecrdt_txn {
    ecrdt_store *s;
    struct db_txn *db;
    struct db_cursor *items; /* of a write transaction */
    enum txn_mode mode;
    uint32_t fork_generation; /* of the process that began it */
    pthread_t thread;         /* the one that holds the writer lock */
    char why[ERR_SENTENCE];   /* sentence of the failure that stuck */
    bool has_lock;
    bool begins_session; /* see guard.h */
    bool made_names;     /* buckets or origins that are lost by an abort */
    bool sync;           /* a receipt was taken: durable when commit returns */
    bool pending;        /* key heads or counter adds wait in keyheads */
    uint64_t bytes;      /* written by this transaction */
    uint64_t log_cap;    /* of the dots log; 0 = not read yet */
    struct bucket **buckets;
    size_t n_buckets, cap_buckets;
    struct bucket *last; /* the bucket of the last call */
    uint8_t (*origins)[ORIGIN_SIZE];
    size_t n_origins, cap_origins; /* ids by number, loaded on demand */
    struct keyheads *keyheads;
    struct item before, after, sole;
    struct buf rec, payload, scratch;
    ecrdt_iter *iters;
    /* of an auto handle */
    ecrdt_txn *reader; /* parked between calls */
    struct buf copy;   /* what the last call handed out */
};

/* ---- store.c ---- */

/* Bytes of the path of a store's folder; the names of files follow. */
enum { STORE_PATH_MAX = 3900 };

/* The lock whose count of exposures s takes part in; NULL if nobody can write
 * to this store. A read-only handle opens it now. */
int store_exposing(ecrdt_store *s, struct os_lock **out);

/* ---- txn.c ---- */

/* Frees a transaction object that is in no use. */
void txn_delete(ecrdt_txn *t);

/* Writes pending key heads and counters, so that cursors see them. */
int txn_flush(ecrdt_txn *t);

/* Counts n bytes that the caller writes: 0, or ECRDT_ETOOBIG if they would
 * take the transaction past ECRDT_MAX_TXN. */
int txn_take_room(ecrdt_txn *t, uint64_t n);

/* Forgets a bucket of t, in which nothing lies: the one made last, or one that
 * t has only looked at. */
int txn_unmake_bucket(ecrdt_txn *t, struct bucket *bk);

/* The same of all since t had n_buckets. */
int txn_unmake_buckets(ecrdt_txn *t, size_t n_buckets);

/* The bucket of that name: 1, 0 if absent (create: made), < 0. */
int txn_bucket(ecrdt_txn *t, const char *name, bool create,
               struct bucket **out);

/* The same for reading, with the bucket of the last call at hand. */
static inline int txn_read_bucket(ecrdt_txn *t, const char *name,
                                  struct bucket **out) {
    if (t->mode == TXN_WRITE || !t->last || !name ||
        strcmp(t->last->name, name) != 0)
        return txn_bucket(t, name, false, out);
    *out = t->last;
    return 1;
}

/* Loads the head; needs an existing bucket. */
int txn_head(ecrdt_txn *t, struct bucket *bk);

/* Parks a read transaction of an auto handle; wakes it again. */
void txn_park(ecrdt_txn *t);
int txn_unpark(ecrdt_txn *t);

/* ECRDT_ECORRUPT for a record that does not decode; sticks. */
int txn_corrupt(ecrdt_txn *t, const char *what);

/* ---- bucket.c ---- */

/* 0, or ECRDT_EINVAL for what cannot be the name of a bucket, NULL included. */
int bucket_check_name(const char *name);

/* Fills the zeroed bk with number, name and salt: 1, 0 if absent, < 0. */
int bucket_find(ecrdt_txn *t, const char *name, struct bucket *bk);

/* Makes the bucket, with a head that has yet to be saved. ECRDT_ETOOBIG past
 * ECRDT_MAX_BUCKETS. */
int bucket_create(ecrdt_txn *t, const char *name, struct bucket *bk);

/* Takes back bucket_create() of the bucket made last. */
int bucket_unmake(ecrdt_txn *t, const struct bucket *bk);

/* Reads the head record; see txn_head(). */
int head_load(ecrdt_txn *t, struct bucket *bk);

/* Ends the chain of the present incarnation: every range gets its entry, and
 * the head is as of one that has made no event. The ranges must be loaded. */
int head_close(ecrdt_txn *t, struct bucket *bk);

/* The one function that writes a head; extends the chain h first. */
int head_save(ecrdt_txn *t, struct bucket *bk);

/* Frees bk; NULL is fine. */
void bucket_free(struct bucket *bk);

/* Forgets what belongs to one snapshot; number, name and salt stay. */
void bucket_reset(struct bucket *bk);

/* ---- origin.c ---- */

/* The id of an origin number; NULL, error set and stuck, if unknown. */
const uint8_t *origin_id(ecrdt_txn *t, uint32_t no);

/* The number of an origin id: 1, 0 if unknown (create: made), < 0. */
int origin_no(ecrdt_txn *t, const uint8_t id[ORIGIN_SIZE], bool create,
              uint32_t *no);

/* Takes a new incarnation: a fresh key pair; the old origin stays in all
 * clocks as a foreign, closed one (PROTOCOL D2). */
int origin_renew(ecrdt_txn *t);

/* Number of the present incarnation. */
int origin_me(ecrdt_txn *t, uint32_t *no);

/* ---- twin.c ---- */

/* A new incarnation of a store that had one. There may be another store with
 * the one that ends here, and nothing will show it from now on: what was
 * written outside of the subscription may be of a branch that nobody who keeps
 * it has, and is narrowed again. 0 or < 0. */
int twin_renew(ecrdt_txn *t);

/* A new incarnation if a clock that a peer told holds a head of the present
 * one that is not on its chain: 1 = taken, 0 = no need, < 0 (PROTOCOL D5). */
int twin_check(ecrdt_txn *t, struct bucket *bk, const struct vv *heard);

/* ---- meta records ---- */

/* A number under a name of its own: 1, 0 if absent, < 0. */
int meta_get_u32(ecrdt_txn *t, const char *key, uint32_t *v);

/* Records under a letter and a bucket's name: the first at or behind key (of
 * *len bytes, the letter first), which is advanced to just behind it: 1, its
 * name (NUL-terminated) and value, borrowed until t changes; 0 at the end. */
enum { META_NAME_KEY = 2 + ECRDT_MAX_BUCKET_NAME };
int meta_next(ecrdt_txn *t, uint8_t key[META_NAME_KEY], size_t *len, char *name,
              slice *value);

/* Stores it. */
int meta_put_u32(ecrdt_txn *t, const char *key, uint32_t v);
#endif

/* txn.c: transactions: the writer lock, what they load once, and the order in
 * which a commit writes. */
#include "crdt/clocks.h"
#include "crdt/counter.h"
#include "crdt/guard.h"
#include "crdt/iter.h"
#include "crdt/keyhead.h"
#include "crdt/store.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mutant.h"
#include <unistd.h>

enum { EXPOSE_TRIES = 1000 };

int txn_corrupt(ecrdt_txn *t, const char *what) {
    return db_stick(t->db,
                    err_set(ECRDT_ECORRUPT,
                            "store %s: %s is damaged; run 'edgecrdt verify' "
                            "and restore from a backup or a peer",
                            t->s->path, what));
}

static int need_writable(ecrdt_store *s) {
    if (s->lock)
        return ECRDT_OK;
    return err_set(ECRDT_ERDONLY,
                   "cannot write to store %s: it was opened with "
                   "ECRDT_RDONLY",
                   s->path);
}

/* Another PID namespace holds our pid's reader lock: LMDB cannot give this
 * process a reader slot. A write transaction needs none. */
static int begin_without_slot(ecrdt_txn *t) {
    ecrdt_store *s = t->s;
    int rc = need_writable(s);
    if (rc < 0)
        return err_set(ECRDT_ENOTSUP,
                       "cannot read store %s: a process of another PID "
                       "namespace has this one's pid %d; share one PID "
                       "namespace, or open the store for writing (slower)",
                       s->path, (int)getpid());
    if (atomic_fetch_add(&s->pidns_reads, 1) == 0)
        log_line(ECRDT_LOG_WARN,
                 "msg=\"reads take the writer lock: a process of another PID "
                 "namespace has our pid\" store=\"%s\" pid=%d",
                 log_text(s->path).s, (int)getpid());
    rc = os_lock_take(s->lock, s->lock_timeout_ms, s->path);
    if (rc < 0)
        return rc;
    t->has_lock = true;
    t->thread = pthread_self();
    return db_begin(s->db, true, &t->db);
}

static int begin(ecrdt_txn *t, uint32_t lock_timeout_ms) {
    ecrdt_store *s = t->s;
    int rc;
    if (t->mode == TXN_READ) {
        rc = db_begin(s->db, false, &t->db);
        return rc == ECRDT_ENOTSUP ? begin_without_slot(t) : rc;
    }
    rc = need_writable(s);
    if (rc == ECRDT_OK)
        rc = os_lock_take(s->lock, lock_timeout_ms, s->path);
    if (rc < 0)
        return rc;
    t->has_lock = true;
    t->thread = pthread_self();
    rc = db_begin(s->db, true, &t->db);
    if (rc == ECRDT_OK)
        rc = db_cursor_open(t->db, DB_ITEMS, &t->items);
    return rc == ECRDT_OK ? guard_begin(t) : rc;
}

void txn_delete(ecrdt_txn *t) {
    if (!t)
        return;
    for (size_t i = 0; i < t->n_buckets; i++)
        bucket_free(t->buckets[i]);
    alloc_free(t->buckets);
    alloc_free(t->origins);
    item_free(&t->before);
    item_free(&t->after);
    item_free(&t->sole);
    buf_free(&t->rec);
    buf_free(&t->payload);
    buf_free(&t->scratch);
    buf_free(&t->copy);
    alloc_free(t);
}

/* Keeps what the next transaction can use: memory, and the numbers of
 * buckets and origins, which never change once they are committed. */
static void txn_reset(ecrdt_txn *t, bool committed) {
    if (t->made_names && !committed) {
        for (size_t i = 0; i < t->n_buckets; i++)
            bucket_free(t->buckets[i]);
        t->n_buckets = t->n_origins = 0;
    }
    for (size_t i = 0; i < t->n_buckets; i++)
        bucket_reset(t->buckets[i]);
    t->last = NULL;
    t->why[0] = 0;
    t->has_lock = t->made_names = t->pending = t->sync = false;
    t->begins_session = false;
    t->bytes = t->log_cap = 0;
    buf_trim(&t->rec);
    buf_trim(&t->payload);
    buf_trim(&t->scratch);
    buf_trim(&t->copy);
}

/* The end of t as a handle; its object may be kept for the next one. */
static void txn_end(ecrdt_txn *t, bool committed) {
    ecrdt_store *s = t->s;
    iter_close_all(t);
    keyhead_free(t->keyheads);
    t->keyheads = NULL;
    if (t->has_lock)
        os_lock_give(s->lock);
    txn_reset(t, committed);
    ecrdt_txn *none = NULL;
    if (!atomic_compare_exchange_strong(&s->spare, &none, t))
        txn_delete(t);
    atomic_fetch_sub(&s->txns, 1);
}

static ecrdt_txn *txn_new(ecrdt_store *s, enum txn_mode mode) {
    ecrdt_txn *t = atomic_exchange(&s->spare, NULL);
    if (!t)
        t = alloc_zeroed(1, sizeof *t);
    if (!t)
        return NULL;
    t->s = s;
    t->mode = mode;
    t->fork_generation = s->fork_generation;
    atomic_fetch_add(&s->txns, 1);
    return t;
}

int replica_begin(ecrdt_store *s, bool write, uint32_t lock_timeout_ms,
                  ecrdt_txn **out) {
    *out = NULL;
    ecrdt_txn *t = txn_new(s, write ? TXN_WRITE : TXN_READ);
    if (!t)
        return ECRDT_ENOMEM;
    int rc = begin(t, lock_timeout_ms);
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    *out = t;
    return ECRDT_OK;
}

int replica_expose(ecrdt_store *s, ecrdt_txn **t) {
    struct os_lock *lock;
    int rc = store_exposing(s, &lock);
    if (MUTANT(d1order) && rc == ECRDT_OK)
        rc = db_flush(s->db);
    for (int i = 0; i < EXPOSE_TRIES && rc == ECRDT_OK; i++) {
        uint64_t exposure = lock ? os_lock_expose(lock) : 0;
        rc = replica_begin(s, false, 0, t);
        if (rc < 0 || !lock || !os_lock_overtaken(lock, exposure))
            return rc;
        ecrdt_abort(*t); /* it may hold a head that has seen the count */
        *t = NULL;
    }
    return rc < 0 ? rc
                  : err_set(ECRDT_EBUSY,
                            "cannot take a snapshot of store %s to send: "
                            "writers overtook it %d times; try again",
                            s->path, EXPOSE_TRIES);
}

ecrdt_txn *ecrdt_read(ecrdt_store *s) {
    ecrdt_txn *t;
    if (store_check(s, "ecrdt_read()") < 0)
        return NULL;
    replica_begin(s, false, 0, &t);
    return t;
}

ecrdt_txn *ecrdt_write(ecrdt_store *s) {
    ecrdt_txn *t;
    if (store_check(s, "ecrdt_write()") < 0)
        return NULL;
    replica_begin(s, true, s->lock_timeout_ms, &t);
    return t;
}

ecrdt_txn *ecrdt_auto(ecrdt_store *s) {
    if (store_check(s, "ecrdt_auto()") < 0)
        return NULL;
    return txn_new(s, TXN_AUTO);
}

int txn_flush(ecrdt_txn *t) {
    if (!t->pending)
        return ECRDT_OK;
    t->pending = false;
    int rc = counter_flush(t);
    return rc < 0 ? rc : keyhead_save(t);
}

/* Counters become events, then key heads, clocks and at last the heads of
 * the buckets, so that peers never see half a commit. */
static int write_out(ecrdt_txn *t) {
    int rc = db_err(t->db);
    if (rc < 0 && t->why[0])
        err_set(rc, "%s", t->why);
    if (rc == ECRDT_OK)
        rc = txn_flush(t);
    for (size_t i = 0; i < t->n_buckets && rc >= 0; i++) {
        struct bucket *bk = t->buckets[i];
        if (bk->ranges_dirty)
            rc = clocks_save(t, bk);
        if (rc >= 0 && bk->head_dirty)
            rc = head_save(t, bk);
    }
    return rc;
}

static void close_cursors(ecrdt_txn *t) {
    db_cursor_close(t->items);
    t->items = NULL;
}

/* The writer lock belongs to a thread, LMDB's as well as ours. */
static int check_thread(const ecrdt_txn *t, const char *call) {
    if (!t->has_lock || pthread_equal(t->thread, pthread_self()))
        return ECRDT_OK;
    return err_set(ECRDT_EINVAL,
                   "%s: a write transaction is ended by the thread that began "
                   "it; it stays open",
                   call);
}

int ecrdt_commit(ecrdt_txn *t) {
    if (!t)
        return err_null("ecrdt_commit()");
    int rc = ECRDT_OK;
    if (t->fork_generation != os_fork_generation())
        rc = err_set(ECRDT_EFORK,
                     "ecrdt_commit(): the transaction was begun before "
                     "fork(): it is the parent's to commit");
    if (rc < 0 || t->mode != TXN_WRITE) {
        ecrdt_abort(t);
        return rc;
    }
    rc = check_thread(t, "ecrdt_commit()");
    if (rc < 0)
        return rc;
    iter_close_all(t);
    rc = write_out(t);
    close_cursors(t);
    if (rc < 0)
        db_abort(t->db);
    else
        rc = db_commit(t->db);
    t->db = NULL;
    bool committed = rc == ECRDT_OK;
    if (committed)
        guard_committed(t);
    if (committed && t->sync && !MUTANT(receiptsync)) /* receipt: D1 */
        rc = replica_flush(t->s);
    if (committed && os_lock_watched(t->s->lock))
        os_wake(t->s->wake_fd);
    txn_end(t, committed);
    return rc;
}

void ecrdt_abort(ecrdt_txn *t) {
    if (!t)
        return;
    if (t->fork_generation != os_fork_generation()) {
        alloc_free(t); /* the rest belongs to the parent */
        return;
    }
    if (check_thread(t, "ecrdt_abort()") < 0)
        return;
    iter_close_all(t);
    ecrdt_abort(t->reader);
    t->reader = NULL;
    close_cursors(t);
    if (t->db)
        db_abort(t->db);
    t->db = NULL;
    txn_end(t, false);
}

void txn_park(ecrdt_txn *t) {
    db_park(t->db);
}

int txn_unpark(ecrdt_txn *t) {
    for (size_t i = 0; i < t->n_buckets; i++) {
        bucket_reset(t->buckets[i]); /* it is of the old snapshot */
    }
    return db_unpark(t->db);
}

/* ---- buckets of a transaction -------------------------------------------- */

static struct bucket *find_bucket(ecrdt_txn *t, const char *name) {
    if (t->last && !strcmp(t->last->name, name))
        return t->last;
    for (size_t i = 0; i < t->n_buckets; i++)
        if (!strcmp(t->buckets[i]->name, name))
            return t->buckets[i];
    return NULL;
}

/* Looks it up, or makes it: 1, 0, < 0. */
static int load_bucket(ecrdt_txn *t, const char *name, bool create,
                       struct bucket *bk) {
    int rc = bucket_find(t, name, bk);
    if (rc != 0 || !create)
        return rc;
    t->made_names = true;
    rc = bucket_create(t, name, bk);
    return rc < 0 ? rc : 1;
}

int txn_bucket(ecrdt_txn *t, const char *name, bool create,
               struct bucket **out) {
    struct bucket *bk = name ? find_bucket(t, name) : NULL;
    if (!bk) {
        int rc = bucket_check_name(name);
        if (rc == ECRDT_OK)
            rc = alloc_grow(&t->buckets, &t->cap_buckets, t->n_buckets + 1,
                            sizeof *t->buckets);
        if (rc < 0)
            return rc;
        bk = alloc_zeroed(1, sizeof *bk);
        if (!bk)
            return ECRDT_ENOMEM;
        rc = load_bucket(t, name, create, bk);
        if (rc <= 0) {
            bucket_free(bk);
            return rc;
        }
        t->buckets[t->n_buckets++] = bk;
    }
    t->last = bk;
    *out = bk;
    int rc = t->mode == TXN_WRITE ? txn_head(t, bk) : ECRDT_OK;
    return rc < 0 ? rc : 1;
}

int txn_unmake_bucket(ecrdt_txn *t, struct bucket *bk) {
    size_t i = 0;
    while (t->buckets[i] != bk)
        i++;
    memmove(t->buckets + i, t->buckets + i + 1,
            (--t->n_buckets - i) * sizeof *t->buckets);
    t->last = NULL;
    int rc = bk->made ? bucket_unmake(t, bk) : ECRDT_OK;
    bucket_free(bk);
    return rc;
}

int txn_unmake_buckets(ecrdt_txn *t, size_t n_buckets) {
    int rc = ECRDT_OK;
    while (t->n_buckets > n_buckets && rc == ECRDT_OK)
        rc = txn_unmake_bucket(t, t->buckets[t->n_buckets - 1]);
    return rc;
}

int txn_take_room(ecrdt_txn *t, uint64_t n) {
    if (t->bytes + n > ECRDT_MAX_TXN)
        return err_set(ECRDT_ETOOBIG,
                       "cannot write %llu bytes more in this transaction: it "
                       "holds %llu, the limit is %d; commit it and begin "
                       "another",
                       (unsigned long long)n, (unsigned long long)t->bytes,
                       ECRDT_MAX_TXN);
    t->bytes += n;
    return ECRDT_OK;
}

int txn_head(ecrdt_txn *t, struct bucket *bk) {
    return bk->have_head ? ECRDT_OK : head_load(t, bk);
}

/* ---- for replication ------------------------------------------------------
 */

bool replica_holds_lock(const ecrdt_txn *t) {
    return t->has_lock;
}

uint64_t replica_snapshot_id(ecrdt_txn *t) {
    return db_txn_id(t->db);
}

int replica_digest(ecrdt_txn *t, const char *bucket, uint8_t out[16]) {
    memset(out, 0, 16);
    struct bucket *bk = NULL;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc == 1)
        rc = txn_head(t, bk);
    if (rc == ECRDT_OK && bk)
        memcpy(out, bk->head.digest, 16);
    return rc;
}

int replica_peer_put(ecrdt_txn *t, slice name, slice value) {
    if (!name.len || name.len > 256)
        return err_set(ECRDT_EINVAL, "a peer's record has a name of 1 to 256 "
                                     "bytes");
    if (!value.len) {
        int rc = db_del(t->db, DB_PEERS, name);
        return rc < 0 ? rc : ECRDT_OK;
    }
    buf_clear(&t->rec);
    buf_put(&t->rec, value.data, value.len);
    return db_put(t->db, DB_PEERS, name, &t->rec);
}

int replica_each_peer(ecrdt_txn *t,
                      int (*fn)(void *ctx, slice name, slice value),
                      void *ctx) {
    struct db_cursor *c;
    slice name = ECRDT_STR(" "), value; /* behind wants and acks */
    int rc = db_cursor_open(t->db, DB_PEERS, &c);
    if (rc < 0)
        return rc;
    for (rc = db_cursor_seek(c, &name, &value); rc == 1;
         rc = db_cursor_next(c, &name, &value)) {
        int stop = fn(ctx, name, value);
        if (stop) {
            rc = stop;
            break;
        }
    }
    db_cursor_close(c);
    return rc;
}

/* txn.c: transactions: the writer lock, what they load once, and the order in
 * which a commit writes. */
#include "crdt/clocks.h"
#include "crdt/counter.h"
#include "crdt/iter.h"
#include "crdt/keyhead.h"
#include "crdt/store.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/log.h"
#include <unistd.h>

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
                 s->path, (int)getpid());
    rc = os_lock_take(s->lock, s->lock_timeout_ms, s->path);
    if (rc < 0)
        return rc;
    t->has_lock = true;
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
    rc = db_begin(s->db, true, &t->db);
    if (rc == ECRDT_OK)
        rc = db_cursor_open(t->db, DB_ITEMS, &t->items);
    return rc;
}

static void txn_free(ecrdt_txn *t) {
    iter_close_all(t);
    db_cursor_close(t->items);
    for (size_t i = 0; i < t->n_buckets; i++)
        bucket_free(t->buckets[i]);
    alloc_free(t->buckets);
    alloc_free(t->origins);
    keyhead_free(t->keyheads);
    item_free(&t->before);
    item_free(&t->after);
    buf_free(&t->rec);
    buf_free(&t->payload);
    buf_free(&t->scratch);
    buf_free(&t->copy);
    if (t->has_lock)
        os_lock_give(t->s->lock);
    atomic_fetch_sub(&t->s->txns, 1);
    alloc_free(t);
}

static ecrdt_txn *txn_new(ecrdt_store *s, enum txn_mode mode) {
    ecrdt_txn *t = alloc_zeroed(1, sizeof *t);
    if (!t)
        return NULL;
    t->s = s;
    t->mode = mode;
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

int ecrdt_commit(ecrdt_txn *t) {
    if (!t)
        return err_null("ecrdt_commit()");
    int rc = ECRDT_OK;
    if (t->mode != TXN_WRITE) {
        ecrdt_abort(t);
        return rc;
    }
    rc = store_check(t->s, "ecrdt_commit()");
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    iter_close_all(t);
    rc = write_out(t);
    db_cursor_close(t->items);
    t->items = NULL;
    if (rc < 0)
        db_abort(t->db);
    else
        rc = db_commit(t->db);
    t->db = NULL;
    int wake_fd = rc < 0 ? -1 : t->s->wake_fd;
    txn_free(t);
    os_wake(wake_fd);
    return rc;
}

void ecrdt_abort(ecrdt_txn *t) {
    if (!t)
        return;
    if (t->s->fork_generation != os_fork_generation()) {
        alloc_free(t); /* the rest belongs to the parent */
        return;
    }
    iter_close_all(t);
    if (t->reader) {
        txn_unpark(t->reader);
        ecrdt_abort(t->reader);
    }
    db_cursor_close(t->items);
    t->items = NULL;
    if (t->db)
        db_abort(t->db);
    txn_free(t);
}

void txn_park(ecrdt_txn *t) {
    db_park(t->db);
}

int txn_unpark(ecrdt_txn *t) {
    for (size_t i = 0; i < t->n_buckets; i++) {
        struct bucket *bk = t->buckets[i]; /* of the old snapshot */
        bk->have_head = bk->have_ranges = false;
        ranges_free(&bk->rs);
    }
    return db_unpark(t->db);
}

/* ---- buckets of a transaction -------------------------------------------- */

static int check_name(const char *name) {
    size_t n = name ? strnlen(name, ECRDT_MAX_BUCKET_NAME + 1) : 0;
    if (n >= 1 && n <= ECRDT_MAX_BUCKET_NAME)
        return ECRDT_OK;
    return err_set(ECRDT_EINVAL,
                   "a bucket's name has 1 to %d bytes, this one %s",
                   ECRDT_MAX_BUCKET_NAME,
                   !name ? "is NULL" : n ? "has more" : "is empty");
}

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
    rc = bucket_create(t, name, bk);
    return rc < 0 ? rc : 1;
}

int txn_bucket(ecrdt_txn *t, const char *name, bool create,
               struct bucket **out) {
    struct bucket *bk = name ? find_bucket(t, name) : NULL;
    if (!bk) {
        int rc = check_name(name);
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

int txn_head(ecrdt_txn *t, struct bucket *bk) {
    return bk->have_head ? ECRDT_OK : head_load(t, bk);
}

/* ---- for replication ------------------------------------------------------ */

uint64_t replica_snapshot_id(ecrdt_txn *t) {
    return db_txn_id(t->db);
}

int replica_digest(ecrdt_txn *t, const char *bucket, uint8_t out[16]) {
    memset(out, 0, 16);
    struct bucket *bk;
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
    slice name = {0}, value;
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

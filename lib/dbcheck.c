/* dbcheck.c: holds a snapshot while all its pages are read as bytes, before
 * LMDB is let near them. */
#include "lib/db_inner.h"
#include "lib/dbwalk.h"
#include "lib/err.h"
#include "lib/os.h"
#include <stdio.h>

int db_check_pages(struct db_txn *t, int (*find)(void *ctx, const char *line),
                   void *ctx, uint64_t *findings) {
    struct db *db = db_of(t);
    struct dbwalk w = {.fd = db_env_fd(db),
                       .txn = db_txn_id(t) - db_is_write(t),
                       .tables = DB_NAMED,
                       .find = find,
                       .ctx = ctx};
    int rc = dbwalk(&w);
    *findings = w.broken + w.damaged;
    if (rc == ECRDT_EBUSY)
        err_set(rc,
                "cannot check store %s: its meta page is not that of the "
                "snapshot, or is damaged",
                db->path);
    return rc < 0 ? rc : !w.broken;
}

/* The first finding, for the sentence. */
static int keep_first(void *ctx, const char *line) {
    char *first = ctx;
    if (!*first)
        snprintf(first, DB_FINDING, "%s", line);
    return 0;
}

/* A snapshot to read: without a reader slot one behind the writer lock. */
static int begin(struct db *db, struct db_txn **t, bool *locked) {
    int rc = db_begin(db, false, t);
    *locked = rc == ECRDT_ENOTSUP && !db->rdonly && db->lock;
    if (!*locked)
        return rc;
    rc = os_lock_take(db->lock, db->wait_ms, db->path);
    if (rc == ECRDT_OK)
        rc = db_begin(db, true, t);
    if (rc < 0)
        os_lock_give(db->lock);
    return rc;
}

int db_check_all(struct db *db) {
    char first[DB_FINDING] = "";
    struct db_txn *t;
    uint64_t n = 0;
    bool locked;
    int rc = begin(db, &t, &locked);
    if (rc < 0)
        return rc;
    rc = db_check_pages(t, keep_first, first, &n);
    db_abort(t);
    if (locked)
        os_lock_give(db->lock);
    if (rc) /* damaged records are errors where they are read */
        return rc < 0 ? rc : ECRDT_OK;
    return err_set(ECRDT_ECORRUPT,
                   "cannot use store %s: %llu findings in its data file, the "
                   "first: %s; restore it from a backup or a peer",
                   db->path, (unsigned long long)n, first);
}

/* dbopen.c: opens an environment: checks and makes its files, each in the
 * order that leaves nothing half-made when the process is killed. */
#include "lib/alloc.h"
#include "lib/db_inner.h"
#include "lib/dbfile.h"
#include "lib/err.h"
#include "lib/os.h"
#include <errno.h>
#include <unistd.h>

enum { MAX_READERS = 1000000 };

/* Makes the data file in a folder of its own and puts it in place whole. */
static int make_file(struct db *db, const struct db_conf *conf) {
    char folder[4096];
    struct db_conf alone = *conf;
    alone.alone = true;
    int rc = dbfile_begin_new(db->path, folder, sizeof folder);
    if (rc == ECRDT_OK)
        rc = db_env_open(db, folder, &alone);
    if (rc == ECRDT_OK)
        rc = db_env_make_tables(db);
    db_env_close(db);
    if (rc < 0)
        dbfile_abort_new(folder);
    return rc < 0 ? rc : dbfile_end_new(db->path, folder, conf->file_mode);
}

static int lock(struct db *db) {
    return db->lock ? os_lock_take(db->lock, db->wait_ms, db->path) : ECRDT_OK;
}

static void unlock(struct db *db) {
    if (db->lock)
        os_lock_give(db->lock);
}

/* One process makes it; who waited for the lock finds it made. */
static int make_once(struct db *db, const struct db_conf *conf) {
    int rc = lock(db);
    if (rc < 0)
        return rc;
    rc = dbfile_check(db->path, DB_NAMED, NULL);
    if (rc == 0)
        rc = make_file(db, conf);
    unlock(db);
    return rc < 0 ? rc : ECRDT_OK;
}

/* By a read transaction; without a reader slot by a write one. */
static int find_tables(struct db *db) {
    int rc = db_env_find_tables(db, false);
    if (rc)
        return rc < 0 ? rc : ECRDT_OK;
    if (db->rdonly)
        return err_set(ECRDT_ENOTSUP,
                       "cannot read store %s: a process of another PID "
                       "namespace has this one's pid %d; share one PID "
                       "namespace, or open the store for writing (slower)",
                       db->path, (int)getpid());
    rc = lock(db);
    if (rc < 0)
        return rc;
    rc = db_env_find_tables(db, true);
    unlock(db);
    return rc < 0 ? rc : ECRDT_OK;
}

static int open_files(struct db *db, const struct db_conf *conf) {
    const char *const soon[] = {db_table_name(DB_META), db_table_name(DB_ITEMS),
                                NULL};
    int rc = dbfile_check(db->path, DB_NAMED, soon);
    if (rc == 0 && conf->rdonly)
        return err_set(ECRDT_ENOENT, "there is no store in %s", db->path);
    if (rc == 0)
        rc = make_once(db, conf);
    if (rc >= 0 && !conf->alone)
        rc = dbfile_make_lock(db->path, conf->file_mode, conf->max_readers,
                              conf->rdonly);
    if (rc >= 0)
        rc = db_env_open(db, db->path, conf);
    if (rc >= 0 && conf->check)
        rc = db_check_all(db);
    if (rc >= 0)
        rc = db_env_free_own_slots(db, conf);
    if (rc < 0)
        return rc;
    db->cleared += db_clear_readers(db);
    if (!conf->rdonly)
        db_room_keep(db, 0); /* a full disk shows at a commit */
    return find_tables(db);
}

int db_open(struct db **out, const char *path, const struct db_conf *conf) {
    *out = NULL;
    if (conf->max_readers > MAX_READERS)
        return err_set(ECRDT_EINVAL,
                       "cannot open store %s: max_readers %u is over the "
                       "limit of %d",
                       path, conf->max_readers, MAX_READERS);
    struct db *db = alloc_zeroed(1, sizeof *db);
    if (!db)
        return ECRDT_ENOMEM;
    db->lock = conf->lock;
    db->max_bytes = conf->max_bytes;
    db->wait_ms = conf->wait_ms;
    db->rdonly = conf->rdonly;
    gate_init(&db->gate);
    db->path = alloc_strdup(path);
    int rc = db->path ? open_files(db, conf) : ECRDT_ENOMEM;
    if (rc < 0) {
        db_close(db);
        return rc;
    }
    *out = db;
    return ECRDT_OK;
}

int db_check_root(struct db *db, unsigned table, const char *name) {
    if (db_is_sound(db, table))
        return ECRDT_OK;
    int rc = dbfile_check_root(db->path, db_env_fd(db), name);
    if (rc == 1)
        atomic_fetch_or(&db->sound, 1u << table);
    return rc == 1 ? ECRDT_OK : rc;
}

int db_flush(struct db *db) {
    while (fdatasync(db_env_fd(db))) /* mdb_env_sync() refuses a read-only
                                        environment */
        if (errno != EINTR)
            return err_errno(errno, "cannot flush store", db->path);
    return ECRDT_OK;
}

void db_close(struct db *db) {
    if (!db)
        return;
    gate_free(&db->gate);
    db_env_close(db);
    alloc_free(db->path);
    alloc_free(db);
}

void db_forget(struct db *db) {
    /* mdb_env_close() in a child would free the parent's reader slots. */
    if (!db)
        return;
    alloc_free(db->path);
    alloc_free(db);
}

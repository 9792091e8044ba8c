/* dbenv.c: LMDB's environment: opens it with its tables, tells its figures,
 * and maps LMDB's codes to ours. */
#include "lib/db_inner.h"
#include "lib/err.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* NULL: LMDB's main database, which also has a record of each table. */
static const char *const table_names[DB_TABLES] = {
    "meta", "items", "keys", NULL, "clocks", "log", "peers", "pairs", "tombs"};

const char *db_table_name(enum db_table table) {
    return table_names[table];
}

/* What LMDB's codes mean here, and what to do. */
static const struct meaning {
    int lmdb, code;
    const char *advice;
} meanings[] = {
    {MDB_MAP_FULL, ECRDT_EFULL,
     "it reached its max_bytes: open it with a larger one or delete data"},
    {ENOSPC, ECRDT_EFULL, "free space on the disk; no commit was lost"},
    {EDQUOT, ECRDT_EFULL, "free space on the disk; no commit was lost"},
    {EFBIG, ECRDT_EFULL, "raise the limit on file sizes"},
    {MDB_TXN_FULL, ECRDT_ETOOBIG, "commit smaller transactions"},
    {MDB_READERS_FULL, ECRDT_EBUSY,
     "too many snapshots are open on this machine: end some, or close the "
     "store everywhere and open it with more max_readers"},
    {MDB_PANIC, ECRDT_EIO,
     "the disk failed inside a commit: close the store and open it again"},
    {ENOMEM, ECRDT_ENOMEM, "a smaller max_bytes needs less address space"},
    {ENOENT, ECRDT_ENOENT, NULL},
    {EROFS, ECRDT_ERDONLY, NULL},
    {MDB_VERSION_MISMATCH, ECRDT_EVERSION, NULL},
    {MDB_INCOMPATIBLE, ECRDT_EVERSION, NULL},
    {MDB_NOTFOUND, ECRDT_ECORRUPT, NULL}, /* where there must be a table */
    {MDB_KEYEXIST, ECRDT_ECORRUPT, NULL}, /* an order that is not one */
    {MDB_BAD_TXN, ECRDT_ECORRUPT, NULL},  /* stopped by one of these */
    {MDB_CORRUPTED, ECRDT_ECORRUPT, NULL},
    {MDB_PAGE_NOTFOUND, ECRDT_ECORRUPT, NULL},
    {MDB_INVALID, ECRDT_ECORRUPT, NULL},
    {MDB_PAGE_FULL, ECRDT_ECORRUPT, NULL},
    {MDB_CURSOR_FULL, ECRDT_ECORRUPT, NULL}};

int db_fail(const struct db *db, int rc, const char *what) {
    struct meaning m = {rc, ECRDT_EIO, NULL};
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].lmdb == rc)
            m = meanings[i];
    if (m.code == ECRDT_ECORRUPT)
        m.advice = "run 'edgecrdt verify' and restore from a backup or a peer";
    return err_set(m.code, "%s store %s: %s%s%s", what, db->path,
                   mdb_strerror(rc), m.advice ? "; " : "",
                   m.advice ? m.advice : "");
}

/* ---- steps of opening ---------------------------------------------------- */

/* The limit of the file is part of the size of its map. */
static void set_limit(struct db *db) {
    MDB_envinfo info;
    mdb_env_info(db->env, &info);
    uint64_t map = info.me_mapsize;
    db->limit = db->max_bytes           ? db->max_bytes
                : map > DB_BEHIND_LIMIT ? map - DB_BEHIND_LIMIT
                                        : map;
}

int db_env_open(struct db *db, const char *path, const struct db_conf *conf) {
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD |
                     (conf->rdonly ? MDB_RDONLY : 0) |
                     (conf->alone ? MDB_NOLOCK : 0);
    int rc = mdb_env_create(&db->env);
    if (!rc)
        rc = mdb_env_set_maxdbs(db->env, DB_TABLES);
    if (!rc)
        rc = mdb_env_set_maxreaders(db->env, conf->max_readers);
    if (!rc && conf->max_bytes)
        rc = mdb_env_set_mapsize(db->env, conf->max_bytes + DB_BEHIND_LIMIT);
    if (!rc)
        rc = mdb_env_open(db->env, path, flags, conf->file_mode);
    if (rc)
        return db_fail(db, rc, "cannot open");
    fcntl(db_env_fd(db), F_SETFD, FD_CLOEXEC); /* 0.9.24 forgot it */
    MDB_stat st;
    mdb_env_stat(db->env, &st);
    db->page_size = st.ms_psize;
    set_limit(db);
    db->sound = 1u << DB_HEADS; /* by dbfile_check() */
    return ECRDT_OK;
}

void db_env_close(struct db *db) {
    if (db->env)
        mdb_env_close(db->env);
    db->env = NULL;
}

/* In a transaction, which is ended. */
static int open_tables(struct db *db, MDB_txn *txn, unsigned create) {
    int rc = 0;
    for (int i = 0; i < DB_TABLES && !rc; i++)
        rc = mdb_dbi_open(txn, table_names[i], create, &db->dbi[i]);
    if (!rc)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

int db_env_make_tables(struct db *db) {
    MDB_txn *txn;
    int rc = mdb_env_set_flags(db->env, MDB_NOSYNC, 1);
    if (!rc)
        rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (!rc)
        rc = open_tables(db, txn, MDB_CREATE);
    if (!rc)
        rc = mdb_env_sync(db->env, 1);
    return rc ? db_fail(db, rc, "cannot make") : ECRDT_OK;
}

int db_env_find_tables(struct db *db, bool write) {
    MDB_txn *txn;
    int rc = EINVAL;
    for (int tries = 0; rc == EINVAL && tries < DB_TRIES; tries++) {
        if (tries) /* LMDB 0.9.26-31 races with processes that close */
            usleep(DB_PAUSE_US);
        rc = mdb_txn_begin(db->env, NULL, write ? 0 : MDB_RDONLY, &txn);
    }
    if (rc == EAGAIN && !write)
        return 0;
    if (!rc)
        rc = open_tables(db, txn, 0);
    return rc ? db_fail(db, rc, "cannot open") : 1;
}

void db_env_remap(struct db *db) {
    if (!db->unmapped)
        db->unmapped = mdb_env_set_mapsize(db->env, 0) != 0;
    if (!db->unmapped)
        set_limit(db);
}

uint64_t db_env_used(const struct db *db) {
    MDB_envinfo info;
    return mdb_env_info(db->env, &info)
               ? 0
               : (info.me_last_pgno + 1) * (uint64_t)db->page_size;
}

int db_env_fd(struct db *db) {
    int fd;
    return mdb_env_get_fd(db->env, &fd) ? -1 : fd;
}

int db_set_sync(struct db *db, enum db_sync sync) {
    int rc = mdb_env_set_flags(db->env, MDB_NOSYNC, sync == DB_SYNC_NONE);
    if (!rc)
        rc =
            mdb_env_set_flags(db->env, MDB_NOMETASYNC, sync == DB_SYNC_RELAXED);
    return rc ? db_fail(db, rc, "cannot set the durability of") : ECRDT_OK;
}

/* ---- readers and figures --------------------------------------------------
 */

uint32_t db_clear_readers(struct db *db) {
    int dead = 0;
    mdb_reader_check(db->env, &dead);
    return dead > 0 ? (uint32_t)dead : 0;
}

static int count_own(const char *line, void *ctx) {
    unsigned *n = ctx;
    *n += strtol(line, NULL, 10) == getpid(); /* 0 in the header */
    return 0;
}

int db_env_free_own_slots(struct db *db, const struct db_conf *conf) {
    unsigned n = 0;
    mdb_reader_list(db->env, count_own, &n);
    int rc = n ? db_env_find_tables(db, false) : 0;
    if (rc <= 0) /* 0: they are of another PID namespace, and in use */
        return rc;
    db_env_close(db);
    db->cleared += n;
    return db_env_open(db, db->path, conf);
}

/* mdb_reader_list() tells only text: "pid thread txnid" a line, "-" for no
 * snapshot. */
static int note_reader(const char *line, void *ctx) {
    struct db_stat *st = ctx;
    int pid;
    unsigned long long txn;
    int fields = sscanf(line, "%d %*s %llu", &pid, &txn);
    st->readers += fields >= 1;
    if (fields == 2 && (!st->oldest_pid || txn < st->oldest_txn)) {
        st->oldest_pid = pid;
        st->oldest_txn = txn;
    }
    return 0;
}

int db_stat(struct db *db, struct db_stat *out) {
    *out = (struct db_stat){0};
    MDB_envinfo info;
    int rc = db_map_enter(db);
    if (rc < 0)
        return rc;
    db->cleared += db_clear_readers(db);
    rc = mdb_env_info(db->env, &info);
    if (!rc)
        mdb_reader_list(db->env, note_reader, out);
    out->bytes_max = db->limit;
    db_map_leave(db);
    if (rc)
        return db_fail(db, rc, "cannot inspect");
    out->bytes_used = (info.me_last_pgno + 1) * (uint64_t)db->page_size;
    out->last_txn = info.me_last_txnid;
    out->cleared_readers = db->cleared;
    return ECRDT_OK;
}

uint64_t db_last_txn(struct db *db) {
    MDB_envinfo info;
    if (db_map_enter(db) < 0)
        return 0;
    uint64_t txn = mdb_env_info(db->env, &info) ? 0 : info.me_last_txnid;
    db_map_leave(db);
    return txn;
}

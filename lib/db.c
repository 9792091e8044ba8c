/* db.c: LMDB behind lib/db.h: checks what LMDB does not, maps its codes to
 * ours, and adopts a map that another process has grown. */
#include "lib/db.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/crc32c.h"
#include "lib/err.h"
#include "lib/os.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKSUM = 4, OPEN_TRIES = 50, OPEN_PAUSE_US = 2000 };

/* NULL: LMDB's main database. */
static const char *const table_names[DB_TABLES] = {
    "meta", "items", "keys", NULL, "clocks", "log", "peers"};

static const char *name_of(enum db_table table) {
    return table_names[table] ? table_names[table] : "heads";
}

struct db {
    MDB_env *env;
    MDB_dbi dbi[DB_TABLES];
    char *path;
    uint64_t max_bytes;
    uint32_t resize_wait_ms, cleared;
    bool rdonly;
    pthread_mutex_t gate; /* guards the two below */
    pthread_cond_t ended;
    uint32_t active; /* transactions that use the map */
    bool resizing;
};

struct db_txn {
    struct db *db;
    MDB_txn *txn;
    int err;
    bool write, parked;
};

struct db_cursor {
    struct db_txn *t;
    MDB_cursor *mc;
    enum db_table table;
    bool deleted; /* stands behind a row just deleted */
};

static int code_of(int rc) {
    switch (rc) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return ECRDT_EFULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_INVALID:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
        return ECRDT_ECORRUPT;
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return ECRDT_EVERSION;
    case MDB_READERS_FULL:
        return ECRDT_EBUSY;
    case ENOMEM:
        return ECRDT_ENOMEM;
    case ENOENT:
        return ECRDT_ENOENT;
    case EROFS:
        return ECRDT_ERDONLY;
    default:
        return ECRDT_EIO;
    }
}

static const char *advice(int rc) {
    switch (rc) {
    case MDB_MAP_FULL:
        return "; the store reached its max_bytes: open it with a larger one "
               "or delete data";
    case ENOSPC:
    case EDQUOT:
        return "; free space on the disk, nothing was lost";
    case MDB_READERS_FULL:
        return "; too many processes read at once: open with more max_readers";
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return "; run 'edgecrdt verify' and restore from a backup or peer";
    default:
        return "";
    }
}

static int fail(const struct db *db, int rc, const char *what) {
    return err_set(code_of(rc), "%s store %s: %s%s", what, db->path,
                   mdb_strerror(rc), advice(rc));
}

static int txn_fail(struct db_txn *t, int rc, const char *what) {
    return db_stick(t, fail(t->db, rc, what));
}

/* ---- the file, before it is mapped ---------------------------------------
 * LMDB maps what the meta page claims; touching a page past the end of a
 * truncated file would be SIGBUS. Layout of LMDB 0.9 on this machine. */

struct raw_db {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch, leaf, overflow, entries, root;
};
struct raw_meta {
    uint8_t page_header[16];
    uint32_t magic, version;
    uint64_t address, mapsize;
    struct raw_db dbs[2];
    uint64_t last_pg, txnid;
};
enum { RAW_MAGIC = (int)0xBEEFC0DE, RAW_VERSION = 1 };

static int foreign(const char *file) {
    return err_set(ECRDT_ECORRUPT,
                   "cannot open %s: it is not a store's data file, or its "
                   "first pages are damaged; restore it from a backup or a "
                   "peer",
                   file);
}

static int check_metas(int fd, uint64_t size, const char *file) {
    struct raw_meta m[2];
    if (pread(fd, &m[0], sizeof m[0], 0) != (ssize_t)sizeof m[0])
        return foreign(file);
    uint64_t psize = m[0].dbs[0].pad;
    if (m[0].magic != (uint32_t)RAW_MAGIC || psize < 256 || psize > 65536 ||
        (psize & (psize - 1)))
        return foreign(file);
    if (pread(fd, &m[1], sizeof m[1], (off_t)psize) != (ssize_t)sizeof m[1] ||
        m[1].magic != (uint32_t)RAW_MAGIC)
        return foreign(file);
    if (m[0].version != RAW_VERSION || m[1].version != RAW_VERSION)
        return err_set(ECRDT_EVERSION,
                       "cannot open %s: written by another version of LMDB",
                       file);
    const struct raw_meta *newest = &m[m[1].txnid > m[0].txnid];
    if (newest->last_pg < size / psize)
        return ECRDT_OK;
    return err_set(ECRDT_ECORRUPT,
                   "cannot open %s: it is cut off at %llu bytes, its last "
                   "commit needs %llu; restore it from a backup or a peer",
                   file, (unsigned long long)size,
                   (unsigned long long)((newest->last_pg + 1) * psize));
}

static int check_file(const char *path) {
    char file[4096];
    snprintf(file, sizeof file, "%s/data.mdb", path);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ECRDT_OK
                               : err_errno(errno, "cannot read", file);
    struct stat st;
    int rc = ECRDT_OK;
    if (fstat(fd, &st))
        rc = err_errno(errno, "cannot read", file);
    else if (st.st_size)
        rc = check_metas(fd, (uint64_t)st.st_size, file);
    close(fd);
    return rc;
}

/* ---- open and close ------------------------------------------------------ */

static int open_tables(struct db *db, bool create) {
    MDB_txn *txn;
    int rc = mdb_txn_begin(db->env, NULL, create ? 0 : MDB_RDONLY, &txn);
    for (int tries = 0; (rc == EINVAL || rc == EAGAIN) && tries < OPEN_TRIES;
         tries++) { /* LMDB 0.9.26-31 races with closing processes */
        usleep(OPEN_PAUSE_US);
        rc = mdb_txn_begin(db->env, NULL, create ? 0 : MDB_RDONLY, &txn);
    }
    if (rc == EAGAIN) /* PID namespaces: see db_begin() */
        rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    if (rc)
        return rc;
    for (int i = 0; i < DB_TABLES && !rc; i++)
        rc = mdb_dbi_open(txn, table_names[i], create ? MDB_CREATE : 0,
                          &db->dbi[i]);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int open_env(struct db *db, const struct db_conf *conf) {
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (conf->rdonly ? MDB_RDONLY : 0);
    int rc = mdb_env_create(&db->env);
    if (!rc)
        rc = mdb_env_set_maxdbs(db->env, DB_TABLES);
    if (!rc)
        rc = mdb_env_set_maxreaders(db->env, conf->max_readers);
    if (!rc && conf->max_bytes)
        rc = mdb_env_set_mapsize(db->env, conf->max_bytes);
    if (!rc)
        rc = mdb_env_open(db->env, db->path, flags, conf->file_mode);
    if (rc)
        return rc;
    db->cleared += db_clear_readers(db);
    rc = open_tables(db, false);
    if (rc == MDB_NOTFOUND && !conf->rdonly)
        rc = open_tables(db, true);
    return rc;
}

static void db_free(struct db *db) {
    pthread_mutex_destroy(&db->gate);
    pthread_cond_destroy(&db->ended);
    alloc_free(db->path);
    alloc_free(db);
}

int db_open(struct db **out, const char *path, const struct db_conf *conf) {
    *out = NULL;
    int rc = check_file(path);
    if (rc < 0)
        return rc;
    struct db *db = alloc_zeroed(1, sizeof *db);
    if (!db)
        return ECRDT_ENOMEM;
    db->max_bytes = conf->max_bytes;
    db->resize_wait_ms = conf->resize_wait_ms;
    db->rdonly = conf->rdonly;
    os_cond_init(&db->gate, &db->ended);
    db->path = alloc_strdup(path);
    if (!db->path) {
        db_free(db);
        return ECRDT_ENOMEM;
    }
    int lmdb = open_env(db, conf);
    if (!lmdb) {
        *out = db;
        return ECRDT_OK;
    }
    rc = lmdb == MDB_NOTFOUND
             ? err_set(ECRDT_ECORRUPT, "cannot open store %s: its tables are "
                                       "missing", path)
             : fail(db, lmdb, "cannot open");
    if (db->env)
        mdb_env_close(db->env);
    db_free(db);
    return rc;
}

void db_close(struct db *db) {
    if (!db)
        return;
    INVARIANT(db->active == 0);
    mdb_env_close(db->env);
    db_free(db);
}

void db_forget(struct db *db) {
    /* mdb_env_close() in a child would free the parent's reader slots. */
    alloc_free(db->path);
    alloc_free(db);
}

int db_set_sync(struct db *db, enum db_sync sync) {
    int rc = mdb_env_set_flags(db->env, MDB_NOSYNC, sync == DB_SYNC_NONE);
    if (!rc)
        rc = mdb_env_set_flags(db->env, MDB_NOMETASYNC,
                               sync == DB_SYNC_RELAXED);
    return rc ? fail(db, rc, "cannot set the durability of") : ECRDT_OK;
}

int db_flush(struct db *db) {
    mdb_filehandle_t fd;
    int rc = 0;
    if (!db->rdonly)
        rc = mdb_env_sync(db->env, 1);
    else if (!(rc = mdb_env_get_fd(db->env, &fd)) && fdatasync(fd))
        rc = errno; /* LMDB refuses to sync a read-only environment */
    return rc ? fail(db, rc, "cannot flush") : ECRDT_OK;
}

int db_copy(struct db *db, const char *path) {
    int rc = mdb_env_copy2(db->env, path, MDB_CP_COMPACT);
    return rc ? err_set(code_of(rc), "cannot copy store %s to %s: %s",
                        db->path, path, mdb_strerror(rc))
              : ECRDT_OK;
}

uint32_t db_clear_readers(struct db *db) {
    int dead = 0;
    mdb_reader_check(db->env, &dead);
    return dead > 0 ? (uint32_t)dead : 0;
}

/* mdb_reader_list() tells only text: "pid thread txnid" a line. */
static int note_reader(const char *line, void *ctx) {
    struct db_stat *st = ctx;
    int pid;
    unsigned long long txn;
    if (sscanf(line, "%d %*s %llu", &pid, &txn) == 2 &&
        (!st->oldest_pid || txn < st->oldest_txn)) {
        st->oldest_pid = pid;
        st->oldest_txn = txn;
    }
    return 0;
}

int db_stat(struct db *db, struct db_stat *out) {
    *out = (struct db_stat){0};
    MDB_envinfo info;
    MDB_stat st;
    int rc = mdb_env_info(db->env, &info);
    if (!rc)
        rc = mdb_env_stat(db->env, &st);
    if (rc)
        return fail(db, rc, "cannot inspect");
    db->cleared += db_clear_readers(db);
    out->bytes_used = (info.me_last_pgno + 1) * (uint64_t)st.ms_psize;
    out->bytes_max = info.me_mapsize;
    out->last_txn = info.me_last_txnid;
    out->readers = info.me_numreaders;
    out->cleared_readers = db->cleared;
    mdb_reader_list(db->env, note_reader, out);
    return ECRDT_OK;
}

uint64_t db_last_txn(struct db *db) {
    MDB_envinfo info;
    return mdb_env_info(db->env, &info) ? 0 : info.me_last_txnid;
}

/* ---- transactions -------------------------------------------------------- */

static void gate_enter(struct db *db) {
    pthread_mutex_lock(&db->gate);
    while (db->resizing)
        pthread_cond_wait(&db->ended, &db->gate);
    db->active++;
    pthread_mutex_unlock(&db->gate);
}

static void gate_leave(struct db *db) {
    pthread_mutex_lock(&db->gate);
    INVARIANT(db->active > 0);
    if (--db->active == 0)
        pthread_cond_broadcast(&db->ended);
    pthread_mutex_unlock(&db->gate);
}

/* Another process has grown the map: take its size over, which is allowed
 * only while no transaction of this process uses the map. */
static int adopt_map(struct db *db) {
    pthread_mutex_lock(&db->gate);
    bool idle = os_cond_wait_zero(&db->gate, &db->ended, &db->active,
                                  db->resize_wait_ms);
    int rc = idle ? mdb_env_set_mapsize(db->env, 0) : 0;
    pthread_mutex_unlock(&db->gate);
    if (!idle)
        return err_set(ECRDT_EBUSY,
                       "store %s was grown by another process and this one "
                       "must map it anew: end its open transactions",
                       db->path);
    return rc ? fail(db, rc, "cannot map the grown") : ECRDT_OK;
}

static int begin_lmdb(struct db *db, bool write, MDB_txn **txn) {
    int rc = 0;
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        gate_enter(db);
        rc = mdb_txn_begin(db->env, NULL, write ? 0 : MDB_RDONLY, txn);
        if (!rc)
            return ECRDT_OK;
        gate_leave(db);
        if (rc == MDB_MAP_RESIZED) {
            int err = adopt_map(db);
            if (err < 0)
                return err;
        } else if (rc == MDB_READERS_FULL && db_clear_readers(db)) {
            continue;
        } else if (rc == EAGAIN && !write && tries > 2) {
            return ECRDT_ENOTSUP;
        } else if (rc == EINVAL || rc == EAGAIN) {
            usleep(OPEN_PAUSE_US);
        } else {
            break;
        }
    }
    return fail(db, rc, write ? "cannot write to" : "cannot read");
}

int db_begin(struct db *db, bool write, struct db_txn **out) {
    *out = NULL;
    struct db_txn *t = alloc_zeroed(1, sizeof *t);
    if (!t)
        return ECRDT_ENOMEM;
    t->db = db;
    t->write = write;
    int rc = begin_lmdb(db, write, &t->txn);
    if (rc < 0) {
        alloc_free(t);
        return rc;
    }
    *out = t;
    return ECRDT_OK;
}

static void txn_free(struct db_txn *t) {
    if (!t->parked)
        gate_leave(t->db);
    alloc_free(t);
}

int db_commit(struct db_txn *t) {
    int err = t->err;
    if (err < 0) {
        mdb_txn_abort(t->txn);
    } else {
        int rc = mdb_txn_commit(t->txn);
        if (rc)
            err = fail(t->db, rc, "cannot commit to");
    }
    txn_free(t);
    return err;
}

void db_abort(struct db_txn *t) {
    mdb_txn_abort(t->txn);
    txn_free(t);
}

void db_park(struct db_txn *t) {
    INVARIANT(!t->write && !t->parked);
    mdb_txn_reset(t->txn);
    t->parked = true;
    gate_leave(t->db);
}

int db_unpark(struct db_txn *t) {
    INVARIANT(t->parked);
    int rc = 0;
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        gate_enter(t->db);
        rc = mdb_txn_renew(t->txn);
        t->parked = rc != 0;
        if (!rc)
            return ECRDT_OK;
        gate_leave(t->db);
        if (rc != MDB_MAP_RESIZED)
            break;
        int err = adopt_map(t->db);
        if (err < 0)
            return err;
    }
    return fail(t->db, rc, "cannot read");
}

uint64_t db_txn_id(const struct db_txn *t) {
    return mdb_txn_id(t->txn);
}

int db_stick(struct db_txn *t, int err) {
    INVARIANT(err < 0);
    if (!t->err)
        t->err = err;
    return err;
}

int db_err(const struct db_txn *t) {
    return t->err;
}

/* ---- records --------------------------------------------------------------
 * Each ends in the CRC-32C of its key and value: LMDB has no checksums. */

static MDB_val val_of(slice s) {
    return (MDB_val){s.len, (void *)(uintptr_t)s.data};
}

static uint32_t checksum(const MDB_val *key, const void *data, size_t n) {
    return crc32c(crc32c(0, key->mv_data, key->mv_size), data, n);
}

static int checked(struct db_txn *t, enum db_table table, const MDB_val *key,
                   const MDB_val *val, slice *value) {
    const uint8_t *p = val->mv_data;
    size_t n = val->mv_size - CHECKSUM;
    if (val->mv_size < CHECKSUM || load32(p + n) != checksum(key, p, n))
        return db_stick(t, err_set(ECRDT_ECORRUPT,
                                   "store %s: a record of table '%s' is "
                                   "damaged (checksum); run 'edgecrdt "
                                   "verify' and restore from a backup or "
                                   "peer",
                                   t->db->path, name_of(table)));
    *value = slice_of(p, n);
    return 1;
}

static int seal_record(struct buf *value, const MDB_val *key) {
    uint32_t crc = checksum(key, value->data, value->len);
    uint8_t *p = buf_extend(value, CHECKSUM);
    if (!p)
        return value->err;
    store32(p, crc);
    return ECRDT_OK;
}

int db_get(struct db_txn *t, enum db_table table, slice key, slice *value) {
    MDB_val k = val_of(key), v;
    int rc = mdb_get(t->txn, t->db->dbi[table], &k, &v);
    if (!rc)
        return checked(t, table, &k, &v, value);
    return rc == MDB_NOTFOUND ? 0 : txn_fail(t, rc, "cannot read");
}

int db_put(struct db_txn *t, enum db_table table, slice key,
           struct buf *value) {
    if (t->err)
        return t->err;
    MDB_val k = val_of(key);
    if (seal_record(value, &k) < 0)
        return db_stick(t, value->err);
    MDB_val v = {value->len, value->data};
    int rc = mdb_put(t->txn, t->db->dbi[table], &k, &v, 0);
    return rc ? txn_fail(t, rc, "cannot write to") : ECRDT_OK;
}

int db_del(struct db_txn *t, enum db_table table, slice key) {
    if (t->err)
        return t->err;
    MDB_val k = val_of(key);
    int rc = mdb_del(t->txn, t->db->dbi[table], &k, NULL);
    if (!rc)
        return 1;
    return rc == MDB_NOTFOUND ? 0 : txn_fail(t, rc, "cannot delete from");
}

/* The main database also holds the records of the tables: only ours go. */
static int clear_heads(struct db_txn *t) {
    struct db_cursor *c;
    const uint8_t prefix = DB_HEAD_PREFIX;
    slice key = slice_of(&prefix, 1), value;
    int rc = db_cursor_open(t, DB_HEADS, &c);
    if (rc < 0)
        return rc;
    for (rc = db_cursor_seek(c, &key, &value);
         rc == 1 && *(const uint8_t *)key.data == prefix;
         rc = db_cursor_next(c, &key, &value)) {
        rc = db_cursor_del(c);
        if (rc < 0)
            break;
    }
    db_cursor_close(c);
    return rc < 0 && rc != ECRDT_ECORRUPT ? rc : ECRDT_OK;
}

int db_clear(struct db_txn *t, enum db_table table) {
    if (!table_names[table])
        return clear_heads(t);
    int rc = mdb_drop(t->txn, t->db->dbi[table], 0);
    return rc ? txn_fail(t, rc, "cannot empty a table of") : ECRDT_OK;
}

int db_count(struct db_txn *t, enum db_table table, uint64_t *n) {
    MDB_stat st;
    int rc = mdb_stat(t->txn, t->db->dbi[table], &st);
    *n = rc ? 0 : st.ms_entries;
    return rc ? txn_fail(t, rc, "cannot inspect") : ECRDT_OK;
}

/* ---- cursors ------------------------------------------------------------- */

int db_cursor_open(struct db_txn *t, enum db_table table,
                   struct db_cursor **out) {
    *out = NULL;
    struct db_cursor *c = alloc_zeroed(1, sizeof *c);
    if (!c)
        return ECRDT_ENOMEM;
    c->t = t;
    c->table = table;
    int rc = mdb_cursor_open(t->txn, t->db->dbi[table], &c->mc);
    if (rc) {
        alloc_free(c);
        return txn_fail(t, rc, "cannot read");
    }
    *out = c;
    return ECRDT_OK;
}

void db_cursor_close(struct db_cursor *c) {
    if (!c)
        return;
    mdb_cursor_close(c->mc);
    alloc_free(c);
}

static int move(struct db_cursor *c, MDB_cursor_op op, slice *key,
                slice *value) {
    MDB_val k = val_of(*key), v;
    int rc = mdb_cursor_get(c->mc, &k, &v, op);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc)
        return txn_fail(c->t, rc, "cannot read");
    *key = slice_of(k.mv_data, k.mv_size);
    return checked(c->t, c->table, &k, &v, value);
}

int db_cursor_find(struct db_cursor *c, slice key, slice *value) {
    c->deleted = false;
    return move(c, MDB_SET_KEY, &key, value);
}

int db_cursor_seek(struct db_cursor *c, slice *key, slice *value) {
    c->deleted = false;
    return move(c, key->len ? MDB_SET_RANGE : MDB_FIRST, key, value);
}

int db_cursor_next(struct db_cursor *c, slice *key, slice *value) {
    /* After a delete LMDB's cursor stands on the row behind it, and knows
     * that its next step must not move. */
    c->deleted = false;
    return move(c, MDB_NEXT, key, value);
}

int db_cursor_before(struct db_cursor *c, slice *key, slice *value) {
    c->deleted = false;
    MDB_val k = val_of(*key), v;
    int rc = mdb_cursor_get(c->mc, &k, &v, MDB_SET_RANGE);
    if (rc && rc != MDB_NOTFOUND)
        return txn_fail(c->t, rc, "cannot read");
    return move(c, rc ? MDB_LAST : MDB_PREV, key, value);
}

int db_cursor_put(struct db_cursor *c, slice key, struct buf *value,
                  bool found) {
    if (c->t->err)
        return c->t->err;
    MDB_val k = val_of(key);
    if (seal_record(value, &k) < 0)
        return db_stick(c->t, value->err);
    MDB_val v = {value->len, value->data};
    int rc = mdb_cursor_put(c->mc, &k, &v,
                            found && !c->deleted ? MDB_CURRENT : 0);
    return rc ? txn_fail(c->t, rc, "cannot write to") : ECRDT_OK;
}

int db_cursor_del(struct db_cursor *c) {
    if (c->t->err)
        return c->t->err;
    int rc = mdb_cursor_del(c->mc, 0);
    c->deleted = true;
    return rc ? txn_fail(c->t, rc, "cannot delete from") : ECRDT_OK;
}

/* db.c: transactions, records and cursors of LMDB: checks what LMDB does not,
 * and adopts a map that another process has grown. */
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/db_inner.h"
#include "lib/dbfile.h"
#include "lib/err.h"
#include "lib/os.h"
#include "lib/record.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <unistd.h>

/* Is it a row of the table, not the record of another one? */
static bool is_row(enum db_table table, const MDB_val *key) {
    return db_table_name(table) ||
           (key->mv_size && *(const uint8_t *)key->mv_data == DB_HEAD_PREFIX);
}

struct db_txn {
    struct db *db;
    MDB_txn *txn;
    uint64_t room, taken; /* for what adds to the data, and by it */
    struct db_low *low;   /* what is free if there is little; else NULL */
    int err;
    bool write, parked, charged;
};

struct db_cursor {
    struct db_txn *t;
    MDB_cursor *mc;
    enum db_table table;
    bool deleted; /* stands behind a row just deleted */
};

static int txn_fail(struct db_txn *t, int rc, const char *what) {
    return db_stick(t, db_fail(t->db, rc, what));
}

/* ---- transactions -------------------------------------------------------- */

/* After a failed attempt: 0 = try again, else < 0. */
static int retry(struct db *db, int rc, bool write, int tries) {
    uint32_t dead;
    if (rc == MDB_MAP_RESIZED)
        return db_map_adopt(db);
    if (rc == MDB_READERS_FULL && tries == 0) {
        dead = db_clear_readers(db);
        db->cleared += dead;
        if (dead)
            return ECRDT_OK;
    }
    if (rc == EAGAIN && !write)
        return ECRDT_ENOTSUP;
    if (rc != EINVAL || tries >= DB_TRIES)
        return db_fail(db, rc, write ? "cannot write to" : "cannot read");
    usleep(DB_PAUSE_US); /* see db_env_find_tables() */
    return ECRDT_OK;
}

static int begin_lmdb(struct db *db, bool write, MDB_txn **txn) {
    for (int tries = 0;; tries++) {
        int err = db_map_enter(db);
        if (err < 0)
            return err;
        int rc = mdb_txn_begin(db->env, NULL, write ? 0 : MDB_RDONLY, txn);
        if (!rc)
            return ECRDT_OK;
        db_map_leave(db);
        err = retry(db, rc, write, tries);
        if (err < 0)
            return err;
    }
}

int db_begin(struct db *db, bool write, struct db_txn **out) {
    *out = NULL;
    int rc = write ? db_check_root(db, DB_TABLES, NULL) : ECRDT_OK;
    if (rc < 0)
        return rc;
    struct db_txn *t = alloc_zeroed(1, sizeof *t);
    if (!t)
        return ECRDT_ENOMEM;
    t->db = db;
    t->write = write;
    t->room = write ? db_room_left(db, &t->low) : 0;
    rc = begin_lmdb(db, write, &t->txn);
    if (rc < 0) {
        alloc_free(t->low);
        alloc_free(t);
        return rc;
    }
    *out = t;
    return ECRDT_OK;
}

static void txn_free(struct db_txn *t) {
    if (!t->parked)
        db_map_leave(t->db);
    alloc_free(t->low);
    alloc_free(t);
}

static int commit_lmdb(struct db_txn *t) {
    struct db *db = t->db;
    int err = t->taken > DBFILE_RESERVE / 4 && !t->low
                  ? db_room_for(db, t->taken)
                  : ECRDT_OK;
    if (err < 0) {
        mdb_txn_abort(t->txn);
        return err;
    }
    int rc = mdb_txn_commit(t->txn);
    if (rc == EIO && dbfile_disk_full(db->path))
        rc = ENOSPC; /* LMDB's word for a short write */
    if (!rc && t->write)
        db_room_keep(db, 0);
    return rc ? db_fail(db, rc, "cannot commit to") : ECRDT_OK;
}

int db_commit(struct db_txn *t) {
    int err = t->err;
    if (err < 0)
        mdb_txn_abort(t->txn);
    else
        err = commit_lmdb(t);
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
    db_map_leave(t->db);
}

int db_unpark(struct db_txn *t) {
    INVARIANT(t->parked);
    for (int tries = 0;; tries++) {
        int err = db_map_enter(t->db);
        if (err < 0)
            return err;
        int rc = mdb_txn_renew(t->txn);
        t->parked = rc != 0;
        if (!rc)
            return ECRDT_OK;
        db_map_leave(t->db);
        err = retry(t->db, rc, false, tries);
        if (err < 0)
            return err;
    }
}

struct db *db_of(const struct db_txn *t) {
    return t->db;
}

bool db_is_write(const struct db_txn *t) {
    return t->write;
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

/* LMDB's table of free pages: the transaction that freed them -> a list, from
 * high to low, behind its length. Those of older transactions may be used. */
static void each_free(MDB_txn *txn, uint64_t oldest,
                      void (*fn)(void *ctx, uint64_t page, uint64_t n),
                      void *ctx) {
    enum { FREE_TABLE = 0 };
    MDB_cursor *c;
    MDB_val k, v;
    if (mdb_cursor_open(txn, FREE_TABLE, &c))
        return;
    while (!mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        const size_t *freed_by = k.mv_data, *page = v.mv_data;
        size_t n = page[0], run = 1;
        if (*freed_by >= oldest || n >= v.mv_size / sizeof n)
            continue;
        for (size_t i = n; i >= 1; i--, run++)
            if (i == 1 || page[i - 1] != page[i] + 1) {
                fn(ctx, page[i] + 1 - run, run);
                run = 0;
            }
    }
    mdb_cursor_close(c);
}

void db_env_each_free(struct db *db,
                      void (*fn)(void *ctx, uint64_t page, uint64_t n),
                      void *ctx) {
    struct db_stat st;
    struct db_txn *t;
    if (db_stat(db, &st) < 0 || db_begin(db, false, &t) < 0)
        return;
    each_free(t->txn, st.oldest_pid ? st.oldest_txn : st.last_txn, fn, ctx);
    db_abort(t);
}

/* ---- records --------------------------------------------------------------
 */

static MDB_val val_of(slice s) {
    return (MDB_val){s.len, (void *)(uintptr_t)s.data};
}

static int checked(struct db_txn *t, enum db_table table, const MDB_val *key,
                   const MDB_val *val, slice *value) {
    if (record_open(slice_of(key->mv_data, key->mv_size),
                    slice_of(val->mv_data, val->mv_size), t->db->page_size,
                    value))
        return 1;
    return db_damaged(t, table);
}

int db_damaged(struct db_txn *t, enum db_table table) {
    return db_stick(
        t, err_set(ECRDT_ECORRUPT,
                   "store %s: a record of table '%s' is damaged; "
                   "run 'edgecrdt verify' and restore from a "
                   "backup or a peer",
                   t->db->path,
                   db_table_name(table) ? db_table_name(table) : "heads"));
}

int db_cursor_damaged(struct db_cursor *c) {
    return db_damaged(c->t, c->table);
}

/* What each use of a table begins with. */
static int ready(struct db_txn *t, enum db_table table) {
    if (db_is_sound(t->db, table))
        return ECRDT_OK;
    int rc = db_check_root(t->db, table, db_table_name(table));
    return rc < 0 ? db_stick(t, rc) : ECRDT_OK;
}

int db_get(struct db_txn *t, enum db_table table, slice key, slice *value) {
    MDB_val k = val_of(key), v;
    int rc = ready(t, table);
    if (rc < 0)
        return rc;
    rc = mdb_get(t->txn, t->db->dbi[table], &k, &v);
    if (!rc)
        return checked(t, table, &k, &v, value);
    return rc == MDB_NOTFOUND ? db_absent(t, table, key)
                              : txn_fail(t, rc, "cannot read");
}

void db_charge(struct db_txn *t, bool on) {
    t->charged = on;
}

/* What each put begins with: the checksum, and room for it. */
static int prepare(struct db_txn *t, enum db_table table, slice key,
                   struct buf *value) {
    if (t->err || ready(t, table) < 0)
        return t->err;
    if (record_seal(value, key) < 0)
        return db_stick(t, value->err);
    if (!t->charged)
        return ECRDT_OK;
    t->taken += key.len + value->len;
    bool fits = t->taken <= t->room &&
                (!t->low || db_low_take(t->low, value->len, t->db->page_size));
    return fits ? ECRDT_OK : db_stick(t, db_room_none(t->db));
}

int db_put(struct db_txn *t, enum db_table table, slice key,
           struct buf *value) {
    int err = prepare(t, table, key, value);
    if (err < 0)
        return err;
    MDB_val k = val_of(key);
    MDB_val v = {value->len, value->data};
    int rc = mdb_put(t->txn, t->db->dbi[table], &k, &v, 0);
    return rc ? txn_fail(t, rc, "cannot write to") : ECRDT_OK;
}

int db_del(struct db_txn *t, enum db_table table, slice key) {
    if (t->err || ready(t, table) < 0)
        return t->err;
    MDB_val k = val_of(key);
    int rc = mdb_del(t->txn, t->db->dbi[table], &k, NULL);
    if (!rc)
        return 1;
    return rc == MDB_NOTFOUND ? 0 : txn_fail(t, rc, "cannot delete from");
}

int db_clear(struct db_txn *t, enum db_table table) {
    if (!db_table_name(table))
        return db_clear_rows(t, table); /* it has other records, too */
    int rc = ready(t, table);
    if (rc < 0)
        return rc;
    rc = mdb_drop(t->txn, t->db->dbi[table], 0);
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
    int rc = ready(t, table);
    struct db_cursor *c = rc < 0 ? NULL : alloc_zeroed(1, sizeof *c);
    if (!c)
        return rc < 0 ? rc : ECRDT_ENOMEM;
    c->t = t;
    c->table = table;
    rc = mdb_cursor_open(t->txn, t->db->dbi[table], &c->mc);
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
    if (rc == MDB_NOTFOUND || (!rc && !is_row(c->table, &k)))
        return 0;
    if (rc)
        return txn_fail(c->t, rc, "cannot read");
    *key = slice_of(k.mv_data, k.mv_size);
    return checked(c->t, c->table, &k, &v, value);
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

int db_cursor_prev(struct db_cursor *c, slice *key, slice *value, bool last) {
    MDB_val k;
    c->deleted = false;
    int rc = mdb_cursor_get(c->mc, &k, NULL, last ? MDB_LAST : MDB_PREV);
    while (!rc && !is_row(c->table, &k))
        rc = mdb_cursor_get(c->mc, &k, NULL, MDB_PREV);
    if (rc)
        return rc == MDB_NOTFOUND ? 0 : txn_fail(c->t, rc, "cannot read");
    return move(c, MDB_GET_CURRENT, key, value);
}

static int put_row(struct db_cursor *c, slice key, struct buf *value,
                   unsigned flags) {
    int err = prepare(c->t, c->table, key, value);
    if (err < 0)
        return err;
    MDB_val k = val_of(key);
    MDB_val v = {value->len, value->data};
    int rc = mdb_cursor_put(c->mc, &k, &v, flags);
    return rc ? txn_fail(c->t, rc, "cannot write to") : ECRDT_OK;
}

int db_cursor_put(struct db_cursor *c, slice key, struct buf *value,
                  bool found) {
    return put_row(c, key, value, found && !c->deleted ? MDB_CURRENT : 0);
}

int db_cursor_append(struct db_cursor *c, slice key, struct buf *value) {
    /* Heads have the records of the tables behind them. */
    return put_row(c, key, value, db_table_name(c->table) ? MDB_APPEND : 0);
}

int db_cursor_del(struct db_cursor *c) {
    if (c->t->err)
        return c->t->err;
    int rc = mdb_cursor_del(c->mc, 0);
    c->deleted = true;
    return rc ? txn_fail(c->t, rc, "cannot delete from") : ECRDT_OK;
}

/* db.h: the wall around LMDB: one environment with fixed tables, records
 * that end in a checksum, transactions with a sticky error. */
#ifndef LIB_DB_H
#define LIB_DB_H
#include "lib/buf.h"

/* DB_HEADS lives in LMDB's main database, whose page each commit writes
 * anyway; its keys must begin with DB_HEAD_PREFIX. */
enum db_table {
    DB_META,
    DB_ITEMS,
    DB_KEYS,
    DB_HEADS,
    DB_CLOCKS,
    DB_LOG,
    DB_PEERS,
    DB_PAIRS, /* chain hashes of origins: see chain.h  */
    DB_TOMBS, /* tombs in the order of arrival: see tombs.h */
    DB_TABLES
};
enum { DB_HEAD_PREFIX = 'H' };

enum db_sync { DB_SYNC_FULL, DB_SYNC_RELAXED, DB_SYNC_NONE };

struct os_lock;

struct db_conf {
    uint64_t max_bytes; /* 0 = as the file says */
    uint32_t max_readers;
    uint32_t file_mode;
    struct os_lock *lock; /* taken to make the files; NULL = nobody else is */
    uint32_t wait_ms;     /* for it, and for transactions of this process to
                             end when the map must grow */
    bool rdonly;
    bool alone; /* nobody else will open it: without lock.mdb */
    bool check; /* all pages are read as bytes before LMDB uses them */
};

struct db;
struct db_txn;
struct db_cursor;

/* Opens (and, unless rdonly, creates) the environment in the folder path.
 * The files are checked before they are mapped: a truncated, empty or foreign
 * one is ECRDT_ECORRUPT. It appears whole or not at all. */
int db_open(struct db **out, const char *path, const struct db_conf *conf);

/* Closes it; there must be no transaction. */
void db_close(struct db *db);

/* After fork(), in the child: frees our memory and leaves LMDB's alone. */
void db_forget(struct db *db);

/* Sets how much a commit waits for the disk. */
int db_set_sync(struct db *db, enum db_sync sync);

/* The open data file; -1 without one. */
int db_env_fd(struct db *db);

/* Flushes all commits of all processes to the disk. */
int db_flush(struct db *db);

struct db_stat {
    uint64_t bytes_used, bytes_max, last_txn;
    uint32_t readers;         /* slots in use, by all processes */
    uint32_t cleared_readers; /* slots of the dead that this handle freed */
    int32_t oldest_pid;       /* of the oldest snapshot; 0 = there is none */
    uint64_t oldest_txn;
};
/* Fills *out; frees the slots of dead readers. */
int db_stat(struct db *db, struct db_stat *out);

/* Bytes of the file that hold nothing and that the next commit may use. */
uint64_t db_free_bytes(struct db *db);

/* Bytes of the disk that the file takes up; 0 if that cannot be told. */
uint64_t db_bytes_held(struct db *db);

enum {
    DB_HOLE_STEP = 4 << 20, /* bytes that db_release() frees at once */
    DB_HOLE_SLACK = 1 << 20 /* less is not worth it */
};

/* Gives blocks of pages that hold nothing back to the filesystem, from page
 * *from on, which moves on. keep_bytes of them are left to the next commits,
 * and allocated: those must not fail because the disk is full meanwhile. The
 * caller is the only writer, inside a transaction that it will abort. 1 =
 * more remains, 0 = done, or too little to be worth it. */
int db_release(struct db *db, uint64_t keep_bytes, uint64_t *from);

/* Frees the reader slots of dead processes; returns how many. */
uint32_t db_clear_readers(struct db *db);

/* Number of the newest commit, by whichever process. */
uint64_t db_last_txn(struct db *db);

/* Begins a transaction. ECRDT_ENOTSUP if reading is not possible because
 * another PID namespace holds our pid's reader lock: use a write one. */
int db_begin(struct db *db, bool write, struct db_txn **out);

/* Ends t and frees it also when it fails; a sticky error is returned. */
int db_commit(struct db_txn *t);

/* Ends t without effect, parked or not, and frees it. */
void db_abort(struct db_txn *t);

/* Parks a read transaction: it keeps its reader slot and no snapshot. */
void db_park(struct db_txn *t);

/* Takes a new snapshot for a parked one; on an error it stays parked. */
int db_unpark(struct db_txn *t);

/* Number of t's snapshot; of the commit to be for a write transaction. */
uint64_t db_txn_id(const struct db_txn *t);

/* Sticks err (< 0) to t, unless it has one, and returns it. */
int db_stick(struct db_txn *t, int err);

/* The error that stuck to t, or 0. */
int db_err(const struct db_txn *t);

/* Says whether what t stores from now on adds to the data: it must find room
 * below max_bytes and on the disk (ECRDT_EFULL), and leaves the reserve to the
 * rest: deletes, and what each commit rewrites. Off at first. */
void db_charge(struct db_txn *t, bool on);

/* 1 and the value without its checksum (borrowed), 0 if absent. */
int db_get(struct db_txn *t, enum db_table table, slice key, slice *value);

/* Stores value; the checksum is appended to the buffer itself. */
int db_put(struct db_txn *t, enum db_table table, slice key, struct buf *value);

/* 1 if key was there and is gone, 0 if it was absent. */
int db_del(struct db_txn *t, enum db_table table, slice key);

/* Empties a table. */
int db_clear(struct db_txn *t, enum db_table table);

/* Number of records of a table. */
int db_count(struct db_txn *t, enum db_table table, uint64_t *n);

/* A cursor; close it before its transaction ends. */
int db_cursor_open(struct db_txn *t, enum db_table table,
                   struct db_cursor **out);

/* Closes it; NULL is fine. */
void db_cursor_close(struct db_cursor *c);

/* Position on the first key >= *key: 1 and the row, 0 at the end. */
int db_cursor_seek(struct db_cursor *c, slice *key, slice *value);

/* Position on the next key: 1 and the row, 0 at the end. On a new cursor that
 * is the first one. */
int db_cursor_next(struct db_cursor *c, slice *key, slice *value);

/* Stores value under key; found says that the cursor stands on key. */
int db_cursor_put(struct db_cursor *c, slice key, struct buf *value,
                  bool found);

/* Stores a row behind all rows of the table: pages get full. */
int db_cursor_append(struct db_cursor *c, slice key, struct buf *value);

/* Deletes the row that the cursor stands on; the next db_cursor_next()
 * gives the row behind it. */
int db_cursor_del(struct db_cursor *c);

/* ---- dbcheck.c ---- */

/* Reads all pages as bytes; at an open before LMDB reads any but the meta
 * pages. 0, ECRDT_ECORRUPT if LMDB must not read on, with the first finding. */
int db_check_all(struct db *db);

/* Reads every page of t's snapshot as bytes (see dbwalk.h); find gets each
 * finding as a line. 1 = LMDB may read it, 0 = it must not: a page is not what
 * it should be; < 0. *findings counts. */
int db_check_pages(struct db_txn *t, int (*find)(void *ctx, const char *line),
                   void *ctx, uint64_t *findings);

/* ---- dbfind.c ---- */

/* Position on key exactly: 1 and its value, 0 if absent. */
int db_cursor_find(struct db_cursor *c, slice key, slice *value);

/* Position on the last key < *key: 1 and the row, 0 if there is none. */
int db_cursor_before(struct db_cursor *c, slice *key, slice *value);

/* ---- dbcopy.c ---- */

/* Copies the rows of t's snapshot that keep() wants to a new environment in
 * the folder path, durably; every record is checked on the way. Nothing is
 * left there if it fails. */
int db_copy(struct db_txn *t, const char *path, const struct db_conf *conf,
            bool (*keep)(enum db_table table, slice key));
#endif

/* db_inner.h: what the files lib/db*.c share: the environment's handle and
 * the steps of opening it. */
#ifndef LIB_DB_INNER_H
#define LIB_DB_INNER_H
#include "lib/db.h"
#include "lib/gate.h"
#include <stdatomic.h>

/* What is free when there is little room: pages, and runs of them, by length;
 * a value that is larger than a page needs a run. */
enum { DB_RUN_MAX = 320 };
struct db_low {
    uint64_t pages;
    uint32_t runs[DB_RUN_MAX + 1];
};

struct db {
    struct MDB_env *env;
    unsigned dbi[DB_TABLES];
    char *path;
    struct os_lock *lock;
    uint32_t wait_ms;
    unsigned page_size;
    bool rdonly;
    atomic_uint cleared;    /* reader slots of dead processes */
    uint64_t max_bytes;     /* as asked for; 0 = as the file says */
    uint64_t limit;         /* of used bytes for what adds to the data */
    atomic_ullong reserved; /* end of what the data file has allocated */
    atomic_bool disk_full;  /* it could not be moved on */
    struct gate gate;       /* around users of the map */
    atomic_uint sound;      /* a bit for each table whose root was checked,
                               and one, DB_TABLES, for the free pages */
    bool unmapped;          /* the last attempt to grow it failed */
};

/* How often, and after which pause, an EINVAL of LMDB's is tried again. */
enum { DB_TRIES = 50, DB_PAUSE_US = 2000 };

/* LMDB's name of a table; NULL for the main database. */
const char *db_table_name(enum db_table table);

/* Our code for one of LMDB's, with a sentence. */
int db_fail(const struct db *db, int lmdb, const char *what);

/* Opens LMDB's environment in the folder path. */
int db_env_open(struct db *db, const char *path, const struct db_conf *conf);

/* Closes it if it is open. */
void db_env_close(struct db *db);

/* Makes the tables of a new environment, and the file durable. */
int db_env_make_tables(struct db *db);

/* Opens the tables in a transaction. 1, 0 if that needs a reader slot that
 * this process cannot have (see db_begin()), < 0. */
int db_env_find_tables(struct db *db, bool write);

/* Frees the reader slots of a process that had our pid and was killed, as in a
 * container that is started anew: to LMDB they are our own, and it frees those
 * when it closes. Before anything is read through db, which is opened again. */
int db_env_free_own_slots(struct db *db, const struct db_conf *conf);

/* Takes over the size of the map that another process has written; after a
 * failure LMDB has no map at all. */
void db_env_remap(struct db *db);

/* Bytes of the file that hold pages; inside the gate. */
uint64_t db_env_used(const struct db *db);

/* Calls fn for each run of n pages that a write transaction begun now may use
 * again; those that it takes first come first, more or less. */
void db_env_each_free(struct db *db,
                      void (*fn)(void *ctx, uint64_t page, uint64_t n),
                      void *ctx);

/* Checks the root of a table before its first use, since LMDB would trust
 * it; DB_TABLES stands for the free pages. 0 or < 0. */
int db_check_root(struct db *db, unsigned table, const char *name);

/* Was it checked? */
static inline bool db_is_sound(const struct db *db, unsigned table) {
    return atomic_load_explicit(&db->sound, memory_order_relaxed) >> table & 1;
}

/* Bytes of a finding of db_check_pages(); tables that have a name. */
enum { DB_FINDING = 256, DB_NAMED = DB_TABLES - 1 };

/* Bytes that LMDB may map behind the limit, for what may go past it. */
enum { DB_BEHIND_LIMIT = 64 << 20 };

/* ---- dbroom.c ---- */

/* Counts a user of the map in, or tells that there is none: < 0. */
int db_map_enter(struct db *db);

/* Counts it out. */
void db_map_leave(struct db *db);

/* Maps anew once nobody of this process uses the map. */
int db_map_adopt(struct db *db);

/* Keeps DBFILE_RESERVE and more bytes allocated behind the used ones. 0 or
 * ECRDT_EFULL, without a sentence. */
int db_room_keep(struct db *db, uint64_t more);

/* Bytes that a transaction begun now may add to the data; outside the gate.
 * *low, to be freed, is NULL unless that is little. */
uint64_t db_room_left(struct db *db, struct db_low **low);

/* Finds room for what a transaction has added, before it is committed: on the
 * disk, so that the reserve is left, or in free pages. */
int db_room_for(struct db *db, uint64_t bytes);

/* Gives low the pages that a write transaction begun now may use again. */
void db_env_free(struct db *db, struct db_low *low);

/* Counts a run of pages in. */
void db_low_add(struct db_low *low, uint64_t pages);

/* Takes the pages of a record of that size; false if there is no such run. */
bool db_low_take(struct db_low *low, size_t size, size_t page_size);

/* ECRDT_EFULL with the sentence why there is no room. */
int db_room_none(struct db *db);

/* The environment of a transaction. */
struct db *db_of(const struct db_txn *t);

/* Is it a write transaction? */
bool db_is_write(const struct db_txn *t);

/* Deletes the rows of a table one by one. */
int db_clear_rows(struct db_txn *t, enum db_table table);

/* Tells that key, which LMDB did not find, is absent: 0, or < 0. */
int db_absent(struct db_txn *t, enum db_table table, slice key);

/* Position on the row before, or on the last one: 1 and the row, 0 if there
 * is none. */
int db_cursor_prev(struct db_cursor *c, slice *key, slice *value, bool last);

/* Sticks ECRDT_ECORRUPT, with a sentence, and returns it. */
int db_damaged(struct db_txn *t, enum db_table table);

/* The same for the cursor's transaction and table. */
int db_cursor_damaged(struct db_cursor *c);
#endif

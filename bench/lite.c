/* lite.c: SQLite with prepared statements, WAL and tables WITHOUT ROWID. */
#include "bench/bench.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOAD_BATCH = 10000 };

struct lite_db {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *get, *put, *has, *add, *count, *increment;
};

static void good(struct lite_db *l, int rc, int want) {
    if (rc != want)
        die("SQLite: %s", sqlite3_errmsg(l->db));
}

static void prepare(struct lite_db *l, sqlite3_stmt **st, const char *sql) {
    good(
        l,
        sqlite3_prepare_v3(l->db, sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL),
        SQLITE_OK);
}

static void execute(struct lite_db *l, const char *sql) {
    good(l, sqlite3_exec(l->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void *open_db(const char *folder, enum sync sync) {
    struct lite_db *l = calloc(1, sizeof *l);
    char path[600];
    snprintf(path, sizeof path, "%s/db.sqlite", folder);
    if (!l || sqlite3_open(path, &l->db) != SQLITE_OK)
        die("SQLite: cannot open %s", path);
    execute(l, "PRAGMA journal_mode=WAL; PRAGMA cache_size=-400000");
    execute(l, sync == SYNC_FULL ? "PRAGMA synchronous=FULL"
                                 : "PRAGMA synchronous=OFF");
    execute(l, "CREATE TABLE reg(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID;"
               "CREATE TABLE elem(k BLOB, e BLOB, PRIMARY KEY(k, e)) WITHOUT "
               "ROWID;"
               "CREATE TABLE counter(k BLOB PRIMARY KEY, n INTEGER) WITHOUT "
               "ROWID;");
    prepare(l, &l->begin, "BEGIN");
    prepare(l, &l->commit, "COMMIT");
    prepare(l, &l->get, "SELECT v FROM reg WHERE k=?1");
    prepare(l, &l->put,
            "INSERT INTO reg VALUES(?1, ?2) ON CONFLICT(k) DO UPDATE SET "
            "v=excluded.v");
    prepare(l, &l->has, "SELECT 1 FROM elem WHERE k=?1 AND e=?2");
    prepare(l, &l->add, "INSERT OR IGNORE INTO elem VALUES(?1, ?2)");
    prepare(l, &l->count, "SELECT n FROM counter WHERE k=?1");
    prepare(l, &l->increment,
            "INSERT INTO counter VALUES(?1, 1) ON CONFLICT(k) DO UPDATE SET "
            "n=n+1");
    return l;
}

static void close_db(void *db) {
    struct lite_db *l = db;
    sqlite3_stmt *const all[] = {l->begin, l->commit, l->get,   l->put,
                                 l->has,   l->add,    l->count, l->increment};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sqlite3_finalize(all[i]);
    good(l, sqlite3_close(l->db), SQLITE_OK);
    free(l);
}

static void step(struct lite_db *l, sqlite3_stmt *st, int want) {
    good(l, sqlite3_step(st), want);
    if (want == SQLITE_ROW)
        consume(sqlite3_column_blob(st, 0),
                (size_t)sqlite3_column_bytes(st, 0));
    sqlite3_reset(st);
}

static void bind(sqlite3_stmt *st, int at, const void *data, int n) {
    sqlite3_bind_blob(st, at, data, n, SQLITE_STATIC);
}

static void put(struct lite_db *l, uint64_t i) {
    uint8_t key[KEY_BYTES], value[VALUE_BYTES];
    key_of(key, i);
    fresh_value(value);
    bind(l->put, 1, key, sizeof key);
    bind(l->put, 2, value, sizeof value);
    step(l, l->put, SQLITE_DONE);
}

/* A statement over (set, element) number i. */
static void member(struct lite_db *l, sqlite3_stmt *st, uint64_t i, int want) {
    uint8_t key[KEY_BYTES], elem[KEY_BYTES];
    key_of(key, i % SETS);
    key_of(elem, i);
    bind(st, 1, key, sizeof key);
    bind(st, 2, elem, sizeof elem);
    step(l, st, want);
}

static void by_key(struct lite_db *l, sqlite3_stmt *st, uint64_t i, int want) {
    uint8_t key[KEY_BYTES];
    key_of(key, i);
    bind(st, 1, key, sizeof key);
    step(l, st, want);
}

static void add(struct lite_db *l, uint64_t i) {
    member(l, l->add, i, SQLITE_DONE);
}
static void increment(struct lite_db *l, uint64_t i) {
    by_key(l, l->increment, i, SQLITE_DONE);
}
static void get(struct lite_db *l, uint64_t i) {
    by_key(l, l->get, i, SQLITE_ROW);
}
static void has(struct lite_db *l, uint64_t i) {
    member(l, l->has, i, SQLITE_ROW);
}
static void count(struct lite_db *l, uint64_t i) {
    by_key(l, l->count, i, SQLITE_ROW);
}

typedef void op_fn(struct lite_db *l, uint64_t i);

static void load(struct lite_db *l, const struct work *w, op_fn *op) {
    for (uint64_t i = 0; i < w->n;) {
        step(l, l->begin, SQLITE_DONE);
        for (int b = 0; b < LOAD_BATCH && i < w->n; b++)
            op(l, i++);
        step(l, l->commit, SQLITE_DONE);
    }
    execute(l, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void load_put(void *db, const struct work *w) {
    load(db, w, put);
}
static void load_add(void *db, const struct work *w) {
    load(db, w, add);
}
static void load_increment(void *db, const struct work *w) {
    load(db, w, increment);
}

static void write_n(struct lite_db *l, const struct work *w, uint64_t keys,
                    op_fn *op) {
    for (uint64_t i = 0; i < w->n; i += w->batch) {
        step(l, l->begin, SQLITE_DONE);
        for (unsigned b = 0; b < w->batch; b++)
            op(l, keys ? rng_next() % keys : rng_next());
        step(l, l->commit, SQLITE_DONE);
    }
}

static void write_put(void *db, const struct work *w) {
    write_n(db, w, w->keys, put);
}
static void write_add(void *db, const struct work *w) {
    write_n(db, w, 0, add);
}
static void write_increment(void *db, const struct work *w) {
    write_n(db, w, HOT_COUNTERS, increment);
}

/* In one transaction, or in the one that SQLite makes for each statement. */
static void read_n(struct lite_db *l, const struct work *w, op_fn *op,
                   bool each) {
    if (!each)
        step(l, l->begin, SQLITE_DONE);
    for (uint64_t i = 0; i < w->n; i++)
        op(l, rng_next() % w->keys);
    if (!each)
        step(l, l->commit, SQLITE_DONE);
}

static void read_get(void *db, const struct work *w) {
    read_n(db, w, get, false);
}
static void read_has(void *db, const struct work *w) {
    read_n(db, w, has, false);
}
static void read_count(void *db, const struct work *w) {
    read_n(db, w, count, false);
}
static void each_get(void *db, const struct work *w) {
    read_n(db, w, get, true);
}
static void each_has(void *db, const struct work *w) {
    read_n(db, w, has, true);
}
static void each_count(void *db, const struct work *w) {
    read_n(db, w, count, true);
}

const struct engine lite = {
    "SQLite",
    open_db,
    close_db,
    {load_put, load_add, load_increment},
    {read_get, read_has, read_count},
    {each_get, each_has, each_count},
    {write_put, write_add, write_increment},
};

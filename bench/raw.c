/* raw.c: LMDB by hand: the least that a user without this library writes. */
#include "bench/bench.h"
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

enum { LOAD_BATCH = 10000 };
static const size_t map_bytes = (size_t)16 << 30;

struct raw_db {
    MDB_env *env;
    MDB_dbi items, heads;
    uint64_t txn;                      /* number of the write transaction */
    uint64_t headed[HOT_COUNTERS + 1]; /* in which one a head was written */
};

static int good(int rc) {
    if (rc)
        die("LMDB: %s", mdb_strerror(rc));
    return 0;
}

static void *open_env(const char *folder, enum sync sync) {
    struct raw_db *db = calloc(1, sizeof *db);
    MDB_txn *t;
    if (!db)
        die("out of memory");
    good(mdb_env_create(&db->env));
    good(mdb_env_set_maxdbs(db->env, 8));
    good(mdb_env_set_mapsize(db->env, map_bytes));
    good(mdb_env_open(db->env, folder,
                      MDB_NORDAHEAD | (sync == SYNC_NONE ? MDB_NOSYNC : 0),
                      0600));
    good(mdb_txn_begin(db->env, NULL, 0, &t));
    good(mdb_dbi_open(t, "items", MDB_CREATE, &db->items));
    good(mdb_dbi_open(t, "heads", MDB_CREATE, &db->heads));
    good(mdb_txn_commit(t));
    return db;
}

static void close_env(void *db) {
    mdb_env_close(((struct raw_db *)db)->env);
    free(db);
}

static void put(struct raw_db *db, MDB_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES], value[VALUE_BYTES];
    MDB_val k = {sizeof key, key}, v = {sizeof value, value};
    key_of(key, i);
    fresh_value(value);
    good(mdb_put(t, db->items, &k, &v, 0));
}

/* The record that gives a set its size, or a counter its total, in O(1):
 * once per key and transaction. slot numbers the key. */
static void head(struct raw_db *db, MDB_txn *t, uint64_t slot,
                 uint8_t key[KEY_BYTES]) {
    uint64_t fresh[2] = {rng_next(), slot};
    MDB_val k = {KEY_BYTES, key}, v = {HEAD_BYTES, fresh};
    if (slot < HOT_COUNTERS) {
        if (db->headed[slot] == db->txn)
            return;
        db->headed[slot] = db->txn;
    }
    good(mdb_put(t, db->heads, &k, &v, 0));
}

static void add(struct raw_db *db, MDB_txn *t, uint64_t i) {
    uint8_t key[2 * KEY_BYTES];
    MDB_val k = {sizeof key, key}, v = {0, NULL};
    key_of(key, i % SETS);
    key_of(key + KEY_BYTES, i);
    good(mdb_put(t, db->items, &k, &v, 0));
    head(db, t, i % SETS, key);
}

static void increment(struct raw_db *db, MDB_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES];
    uint64_t n = 0;
    MDB_val k = {sizeof key, key}, v;
    key_of(key, i);
    int rc = mdb_get(t, db->items, &k, &v);
    if (rc == 0)
        memcpy(&n, v.mv_data, sizeof n);
    else if (rc != MDB_NOTFOUND)
        good(rc);
    n++;
    v = (MDB_val){sizeof n, &n};
    good(mdb_put(t, db->items, &k, &v, 0));
    head(db, t, i, key);
}

typedef void op_fn(struct raw_db *db, MDB_txn *t, uint64_t i);

static MDB_txn *begin(struct raw_db *db, unsigned flags) {
    MDB_txn *t;
    good(mdb_txn_begin(db->env, NULL, flags, &t));
    db->txn += !flags;
    return t;
}

static void load(struct raw_db *db, const struct work *w, op_fn *op) {
    for (uint64_t i = 0; i < w->n;) {
        MDB_txn *t = begin(db, 0);
        for (int b = 0; b < LOAD_BATCH && i < w->n; b++)
            op(db, t, i++);
        good(mdb_txn_commit(t));
    }
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

static void write_n(struct raw_db *db, const struct work *w, uint64_t keys,
                    op_fn *op) {
    for (uint64_t i = 0; i < w->n; i += w->batch) {
        MDB_txn *t = begin(db, 0);
        for (unsigned b = 0; b < w->batch; b++)
            op(db, t, keys ? rng_next() % keys : rng_next());
        good(mdb_txn_commit(t));
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

/* Reads one key of size bytes and its whole value. */
static void touch(struct raw_db *db, MDB_txn *t, void *key, size_t size) {
    MDB_val k = {size, key}, v;
    good(mdb_get(t, db->items, &k, &v));
    consume(v.mv_data, v.mv_size);
}

static void get(struct raw_db *db, MDB_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES];
    key_of(key, i);
    touch(db, t, key, sizeof key);
}

static void has(struct raw_db *db, MDB_txn *t, uint64_t i) {
    uint8_t key[2 * KEY_BYTES];
    key_of(key, i % SETS);
    key_of(key + KEY_BYTES, i);
    touch(db, t, key, sizeof key);
}

/* In one transaction, or in one that is reset and renewed for each. */
static void read_n(struct raw_db *db, const struct work *w, op_fn *op,
                   bool each) {
    MDB_txn *t = begin(db, MDB_RDONLY);
    for (uint64_t i = 0; i < w->n; i++) {
        if (each) {
            mdb_txn_reset(t);
            good(mdb_txn_renew(t));
        }
        op(db, t, rng_next() % w->keys);
    }
    mdb_txn_abort(t);
}

static void read_get(void *db, const struct work *w) {
    read_n(db, w, get, false);
}
static void read_has(void *db, const struct work *w) {
    read_n(db, w, has, false);
}
static void each_get(void *db, const struct work *w) {
    read_n(db, w, get, true);
}
static void each_has(void *db, const struct work *w) {
    read_n(db, w, has, true);
}

double raw_cold(const char *folder, uint64_t key) {
    double start = now();
    struct raw_db *db = open_env(folder, SYNC_FULL);
    MDB_txn *t = begin(db, MDB_RDONLY);
    get(db, t, key);
    double took = now() - start;
    mdb_txn_abort(t);
    close_env(db);
    return took;
}

const struct engine raw = {
    "raw LMDB",
    open_env,
    close_env,
    {load_put, load_add, load_increment},
    {read_get, read_has, read_get},
    {each_get, each_has, each_get},
    {write_put, write_add, write_increment},
};

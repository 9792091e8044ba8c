/* ours.c: libedgecrdt through its public calls. */
#include "bench/bench.h"
#include "edgecrdt.h"
#include <stdlib.h>

static const char bucket[] = "bench";

enum { LOAD_BATCH = 10000 };

struct our_db {
    ecrdt_store *s;
};

struct ecrdt_store *ours_store(void *db) {
    return ((struct our_db *)db)->s;
}

/* Results that mean failure end the benchmark. */
static int good(int rc) {
    if (rc < 0)
        die("libedgecrdt: %s", ecrdt_errmsg());
    return rc;
}

static void *open_store(const char *folder, enum sync sync) {
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    struct our_db *db = calloc(1, sizeof *db);
    opts.flags = sync == SYNC_FULL ? ECRDT_FULL : ECRDT_EPHEMERAL;
    if (!db || !(db->s = ecrdt_open(folder, &opts)))
        die("libedgecrdt: %s", ecrdt_errmsg());
    return db;
}

static void close_store(void *db) {
    good(ecrdt_close(ours_store(db)));
    free(db);
}

static ecrdt_slice bytes(const void *p, size_t n) {
    return (ecrdt_slice){p, n};
}

static void put(ecrdt_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES], value[VALUE_BYTES];
    key_of(key, i);
    fresh_value(value);
    good(ecrdt_reg_set(t, bucket, bytes(key, sizeof key),
                       bytes(value, sizeof value)));
}

/* Element i lies in set i % SETS. */
static void add(ecrdt_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES], elem[KEY_BYTES];
    key_of(key, i % SETS);
    key_of(elem, i);
    good(ecrdt_set_add(t, bucket, bytes(key, sizeof key),
                       bytes(elem, sizeof elem)));
}

static void increment(ecrdt_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES];
    key_of(key, i);
    good(ecrdt_counter_add(t, bucket, bytes(key, sizeof key), 1, NULL));
}

typedef void op_fn(ecrdt_txn *t, uint64_t i);

static void load(void *db, const struct work *w, op_fn *op) {
    for (uint64_t i = 0; i < w->n;) {
        ecrdt_txn *t = ecrdt_write(ours_store(db));
        for (int b = 0; b < LOAD_BATCH && i < w->n; b++)
            op(t, i++);
        good(ecrdt_commit(t));
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

/* Calls op for n numbers from the generator, below keys unless that is 0. */
static void write_n(void *db, const struct work *w, uint64_t keys, op_fn *op) {
    for (uint64_t i = 0; i < w->n; i += w->batch) {
        ecrdt_txn *t = ecrdt_write(ours_store(db));
        for (unsigned b = 0; b < w->batch; b++)
            op(t, keys ? rng_next() % keys : rng_next());
        good(ecrdt_commit(t));
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

void ours_add_many(void *db, const struct work *w) {
    write_n(db, w, w->keys, increment);
}

static void get(ecrdt_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES];
    ecrdt_slice value;
    key_of(key, i);
    if (good(ecrdt_reg_get(t, bucket, bytes(key, sizeof key), &value, NULL)) !=
            1 ||
        value.len != VALUE_BYTES)
        die("libedgecrdt: key %llu is missing", (unsigned long long)i);
    consume(value.data, value.len);
}

static void has(ecrdt_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES], elem[KEY_BYTES];
    key_of(key, i % SETS);
    key_of(elem, i);
    if (good(ecrdt_set_has(t, bucket, bytes(key, sizeof key),
                           bytes(elem, sizeof elem))) != 1)
        die("libedgecrdt: element %llu is missing", (unsigned long long)i);
}

static void count(ecrdt_txn *t, uint64_t i) {
    uint8_t key[KEY_BYTES];
    int64_t n;
    key_of(key, i);
    if (good(ecrdt_counter_get(t, bucket, bytes(key, sizeof key), &n)) != 1)
        die("libedgecrdt: counter %llu is missing", (unsigned long long)i);
}

static void read_n(const struct work *w, ecrdt_txn *t, op_fn *op) {
    for (uint64_t i = 0; i < w->n; i++)
        op(t, rng_next() % w->keys);
    ecrdt_abort(t);
}

static void read_put(void *db, const struct work *w) {
    read_n(w, ecrdt_read(ours_store(db)), get);
}
static void read_add(void *db, const struct work *w) {
    read_n(w, ecrdt_read(ours_store(db)), has);
}
static void read_increment(void *db, const struct work *w) {
    read_n(w, ecrdt_read(ours_store(db)), count);
}

static void each_put(void *db, const struct work *w) {
    read_n(w, ecrdt_auto(ours_store(db)), get);
}
static void each_add(void *db, const struct work *w) {
    read_n(w, ecrdt_auto(ours_store(db)), has);
}
static void each_increment(void *db, const struct work *w) {
    read_n(w, ecrdt_auto(ours_store(db)), count);
}

double ours_cold(const char *folder, uint64_t key) {
    double begin = now();
    void *db = open_store(folder, SYNC_FULL);
    ecrdt_txn *t = ecrdt_read(ours_store(db));
    get(t, key);
    double took = now() - begin;
    ecrdt_abort(t);
    close_store(db);
    return took;
}

const struct engine ours = {
    "libedgecrdt",
    open_store,
    close_store,
    {load_put, load_add, load_increment},
    {read_put, read_add, read_increment},
    {each_put, each_add, each_increment},
    {write_put, write_add, write_increment},
};

/* delta.c: the suite of deltas between two stores (applying what is new, and
 * what is known), their size, and many adds in one transaction. */
#include "bench/bench.h"
#include "edgecrdt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 2000, MANY_COUNTERS = 100, MANY_ADDS = 100000 };

struct bytes {
    char *data;
    size_t len, cap;
};

static int append(void *ctx, const void *data, size_t len) {
    struct bytes *b = ctx;
    if (b->len + len > b->cap) {
        b->cap = 2 * (b->len + len);
        b->data = realloc(b->data, b->cap);
        if (!b->data)
            die("out of memory");
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

static ecrdt_slice slice(const struct bytes *b) {
    return (ecrdt_slice){b->data, b->len};
}

/* What to lacks of from, as one delta; 1 if more remains. */
static int export_for(ecrdt_store *from, ecrdt_store *to, struct bytes *delta) {
    struct bytes summary = {NULL, 0, 0};
    delta->len = 0;
    int rc = ecrdt_summary(to, append, &summary);
    if (rc >= 0)
        rc = ecrdt_export(from, slice(&summary), 32 << 20, append, delta);
    free(summary.data);
    if (rc < 0)
        die("export: %s", ecrdt_errmsg());
    return rc;
}

/* Applies a delta; returns the seconds. items is how many it must change. */
static double import_timed(ecrdt_store *to, const struct bytes *delta,
                           uint32_t items) {
    ecrdt_import_report r = {0};
    double begin = now();
    int rc = ecrdt_import(to, slice(delta), &r);
    double took = now() - begin;
    if (rc < 0 || r.ahead || r.refused)
        die("import: %s", ecrdt_errmsg());
    if (items != UINT32_MAX && r.applied != items)
        die("import changed %u items, not %u", r.applied, items);
    return took;
}

/* Brings to up to from, however much that is. */
static void catch_up(ecrdt_store *from, ecrdt_store *to, struct bytes *delta) {
    int more;
    do {
        more = export_for(from, to, delta);
        import_timed(to, delta, UINT32_MAX);
    } while (more);
}

/* ITEMS different keys, from a random one on, in one transaction; returns the
 * seconds. */
static double local_writes(ecrdt_store *s) {
    uint64_t at = rng_next() % conf.keys;
    double begin = now();
    ecrdt_txn *t = ecrdt_write(s);
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint8_t key[KEY_BYTES], value[VALUE_BYTES];
        key_of(key, (at + i) % conf.keys);
        fresh_value(value);
        if (ecrdt_reg_set(t, "bench", (ecrdt_slice){key, sizeof key},
                          (ecrdt_slice){value, sizeof value}) < 0)
            die("set: %s", ecrdt_errmsg());
    }
    if (ecrdt_commit(t) < 0)
        die("commit: %s", ecrdt_errmsg());
    return now() - begin;
}

/* Times of one round: local write here, import there, the same again. */
static void apply_rounds(ecrdt_store *a, ecrdt_store *b) {
    struct bytes delta = {NULL, 0, 0};
    double fresh[MAX_ROUNDS], known[MAX_ROUNDS], local_s[MAX_ROUNDS],
        fresh_s[MAX_ROUNDS], known_s[MAX_ROUNDS];
    catch_up(a, b, &delta);
    for (int r = 0; r < conf.rounds; r++) {
        local_s[r] = local_writes(a) / ITEMS;
        if (export_for(a, b, &delta))
            die("a delta of %d items did not fit", ITEMS);
        fresh_s[r] = import_timed(b, &delta, ITEMS) / ITEMS;
        known_s[r] = import_timed(b, &delta, 0) / ITEMS;
        fresh[r] = local_s[r] / fresh_s[r];
        known[r] = fresh_s[r] / known_s[r];
    }
    free(delta.data);
    double base = 1 / stat_of(local_s, conf.rounds).median;
    double rate = 1 / stat_of(fresh_s, conf.rounds).median;
    row("applying a delta on tmpfs, vs local writes of the same",
        "2,000 new registers", stat_of(fresh, conf.rounds), AT_LEAST, 0.85,
        rate, base);
    row("applying a delta that is known, vs a new one", "2,000 registers",
        stat_of(known, conf.rounds), AT_LEAST, 4,
        1 / stat_of(known_s, conf.rounds).median, rate);
}

static void apply(void) {
    struct work all = {conf.keys, conf.keys, 1};
    void *a = ours.open(scratch(conf.mem, "a"), SYNC_NONE);
    void *b = ours.open(scratch(conf.mem, "b"), SYNC_NONE);
    ours.load[PUT](a, &all);
    apply_rounds(ours_store(a), ours_store(b));
    ours.close(a);
    ours.close(b);
}

/* Bytes of an export per event: n registers of 16 and 50 bytes. */
static double wire_bytes(unsigned n, unsigned per_txn) {
    struct bytes delta = {NULL, 0, 0};
    void *a = ours.open(scratch(conf.mem, "a"), SYNC_NONE);
    for (unsigned i = 0; i < n; i += per_txn) {
        ecrdt_txn *t = ecrdt_write(ours_store(a));
        for (unsigned k = i; k < i + per_txn && k < n; k++) {
            uint8_t key[KEY_BYTES], value[VALUE_BYTES];
            key_of(key, rng_next());
            fresh_value(value);
            ecrdt_reg_set(t, "bench", (ecrdt_slice){key, sizeof key},
                          (ecrdt_slice){value, 50});
        }
        if (ecrdt_commit(t) < 0)
            die("commit: %s", ecrdt_errmsg());
    }
    int rc = ecrdt_export(ours_store(a), (ecrdt_slice){NULL, 0}, 32 << 20,
                          append, &delta);
    if (rc)
        die("export of %u registers: %s", n, ecrdt_errmsg());
    free(delta.data);
    ours.close(a);
    return (double)delta.len / n;
}

static void wire(void) {
    static const char group[] = "bytes per event of an export, 16 + 50 bytes";
    double bulk = wire_bytes(10000, 100), ten = wire_bytes(10, 1);
    row(group, "10,000 events", (struct stat3){bulk, bulk, bulk}, AT_MOST, 85,
        0, 0);
    row(group, "10 events", (struct stat3){ten, ten, ten}, AT_MOST, 96, 0, 0);
}

/* Many adds to few counters in one transaction, against an event for each:
 * 1,000 adds per transaction over the 10,000 hot counters. */
static void many_adds(void) {
    struct work hot = {HOT_COUNTERS, HOT_COUNTERS, 1};
    struct work many = {MANY_ADDS, MANY_COUNTERS, MANY_ADDS};
    struct work each = {20000, HOT_COUNTERS, 1000};
    double v[MAX_ROUNDS], many_s[MAX_ROUNDS], each_s[MAX_ROUNDS];
    void *db = ours.open(scratch(conf.mem, "many"), SYNC_NONE);
    ours.load[INCREMENT](db, &hot);
    for (int r = 0; r < conf.rounds; r++) {
        double begin = now();
        ours_add_many(db, &many);
        many_s[r] = (now() - begin) / (double)many.n;
        begin = now();
        ours.write[INCREMENT](db, &each);
        each_s[r] = (now() - begin) / (double)each.n;
        v[r] = each_s[r] / many_s[r];
    }
    ours.close(db);
    row("many adds in one transaction, vs one event per add",
        "100,000 to 100 counters", stat_of(v, conf.rounds), AT_LEAST, 10,
        1 / stat_of(many_s, conf.rounds).median,
        1 / stat_of(each_s, conf.rounds).median);
}

void suite_delta(void) {
    many_adds();
    apply();
    wire();
}

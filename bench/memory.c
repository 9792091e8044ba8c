/* memory.c: the suite of reads and writes on tmpfs, where nobody flushes and
 * only the work of the processor is left. */
#include "bench/bench.h"
#include <stdio.h>

static const unsigned batches[] = {1, 10, 100, 1000};
enum { BATCHES = sizeof batches / sizeof *batches };

static const char *const read_name[KINDS] = {"register get", "set member",
                                             "counter get"};
static const char *const write_name[KINDS] = {"put", "add", "increment"};

/* First-release bars of DESIGN 8 for the median of the four batches. */
static const double write_bar[KINDS] = {0.85, 0.80, 0.70};

/* One data set in all engines. */
static void open_all(void *db[ENGINES], enum kind kind, uint64_t keys) {
    struct work w = {keys, keys, 1};
    for (int e = 0; e < ENGINES; e++) {
        db[e] =
            engines[e]->open(scratch(conf.mem, engines[e]->name), SYNC_NONE);
        engines[e]->load[kind](db[e], &w);
    }
}

static void close_all(void *db[ENGINES]) {
    for (int e = 0; e < ENGINES; e++) {
        char path[512];
        engines[e]->close(db[e]);
        snprintf(path, sizeof path, "%s/%s", conf.mem, engines[e]->name);
        scratch_remove(path);
    }
}

static void reads(void *const db[ENGINES], enum kind kind) {
    struct side sides[ENGINES];
    struct work w = {0, conf.keys, 1};
    struct times t;
    const char *name = read_name[kind];
    for (int e = 0; e < ENGINES; e++)
        sides[e] = (struct side){db[e], engines[e]->read[kind]};
    race(sides, ENGINES, w, &t);
    row_race("reads, warm, all in one transaction, vs raw LMDB", name, &t, OURS,
             RAW, AT_LEAST, 0.90);
    row_race("reads, warm, all in one transaction, vs SQLite", name, &t, OURS,
             LITE, NO_BAR, 0);
    for (int e = 0; e < ENGINES; e++)
        sides[e].run = engines[e]->each[kind];
    race(sides, ENGINES, w, &t);
    row_race("reads, warm, a transaction each, vs raw LMDB", name, &t, OURS,
             RAW, NO_BAR, 0);
    row_race("reads, warm, a transaction each, vs SQLite", name, &t, OURS, LITE,
             AT_LEAST, 3.5);
}

/* The cells of one kind against raw LMDB and SQLite. */
static void writes(void *const db[ENGINES], enum kind kind, uint64_t keys) {
    struct side sides[ENGINES];
    struct times t[BATCHES];
    double median[BATCHES];
    char name[64];
    for (int e = 0; e < ENGINES; e++)
        sides[e] = (struct side){db[e], engines[e]->write[kind]};
    for (int b = 0; b < BATCHES; b++) {
        race(sides, ENGINES, (struct work){0, keys, batches[b]}, &t[b]);
        snprintf(name, sizeof name, "%s, %u per transaction", write_name[kind],
                 batches[b]);
        median[b] = row_race("writes on tmpfs, no flush, vs raw LMDB", name,
                             &t[b], OURS, RAW, NO_BAR, 0);
    }
    snprintf(name, sizeof name, "%s, median of the four", write_name[kind]);
    row("writes on tmpfs, no flush, vs raw LMDB", name,
        stat_of(median, BATCHES), AT_LEAST, write_bar[kind], 0, 0);
    for (int b = 0; b < BATCHES; b++) {
        snprintf(name, sizeof name, "%s, %u per transaction", write_name[kind],
                 batches[b]);
        row_race("writes on tmpfs, no flush, vs SQLite", name, &t[b], OURS,
                 LITE, batches[b] >= 100 ? AT_LEAST : NO_BAR, 1.5);
    }
}

static void one_kind(enum kind kind) {
    void *db[ENGINES];
    open_all(db, kind, conf.keys);
    reads(db, kind);
    if (kind == INCREMENT) { /* the writes have a hot set of their own */
        close_all(db);
        open_all(db, kind, HOT_COUNTERS);
    }
    writes(db, kind, conf.keys);
    close_all(db);
}

void suite_memory(void) {
    for (int kind = 0; kind < KINDS; kind++)
        one_kind((enum kind)kind);
}

/* disk.c: the suite of writes that are durable at commit, and of cold opens;
 * a virtual disk throttles, so only the ratios of neighbours mean much. */
#include "bench/bench.h"
#include <stdio.h>

static const unsigned batches[] = {1, 10, 100, 1000};
enum { BATCHES = sizeof batches / sizeof *batches };

static const char *const write_name[KINDS] = {"put", "add", "increment"};

/* Races the four batches of one kind; lowers *worst to the worst median. */
static void durable_writes(enum kind kind, uint64_t keys, double *worst) {
    struct side sides[ENGINES];
    void *db[ENGINES];
    struct work all = {keys, keys, 1};
    for (int e = 0; e < ENGINES; e++) {
        db[e] =
            engines[e]->open(scratch(conf.disk, engines[e]->name), SYNC_FULL);
        engines[e]->load[kind](db[e], &all);
        sides[e] = (struct side){db[e], engines[e]->write[kind]};
    }
    for (int b = 0; b < BATCHES; b++) {
        struct times t;
        char name[64];
        race(sides, ENGINES, (struct work){0, keys, batches[b]}, &t);
        snprintf(name, sizeof name, "%s, %u per transaction", write_name[kind],
                 batches[b]);
        double median = row_race("durable writes on disk, vs raw LMDB", name,
                                 &t, OURS, RAW, NO_BAR, 0);
        row_race("durable writes on disk, vs SQLite FULL", name, &t, OURS, LITE,
                 NO_BAR, 0);
        *worst = median < *worst ? median : *worst;
    }
    for (int e = 0; e < ENGINES; e++)
        engines[e]->close(db[e]);
}

/* Seconds of open and first read with an empty page cache. */
static double cold(double (*run)(const char *folder, uint64_t key),
                   const char *folder) {
    char path[600];
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    drop_cache(path);
    return run(folder, rng_next() % conf.keys);
}

static void cold_opens(void) {
    struct work all = {conf.keys, conf.keys, 1};
    char folder[2][512];
    double v[MAX_ROUNDS], our_s[MAX_ROUNDS], raw_s[MAX_ROUNDS];
    int rounds = conf.quick ? conf.rounds : MAX_ROUNDS; /* 2 ms each */
    for (int e = 0; e < 2; e++) {
        snprintf(folder[e], sizeof *folder, "%s",
                 scratch(conf.disk, engines[e]->name));
        void *db = engines[e]->open(folder[e], SYNC_FULL);
        engines[e]->load[PUT](db, &all);
        engines[e]->close(db);
    }
    for (int r = 0; r < rounds; r++) {
        our_s[r] = cold(ours_cold, folder[OURS]);
        raw_s[r] = cold(raw_cold, folder[RAW]);
        v[r] = our_s[r] / raw_s[r];
    }
    row("cold open and first read, time vs raw LMDB NORDAHEAD",
        "open and get, page cache dropped", stat_of(v, rounds), AT_MOST, 1.3,
        1 / stat_of(our_s, rounds).median, 1 / stat_of(raw_s, rounds).median);
}

void suite_disk(void) {
    double worst = 1e9;
    for (int kind = 0; kind < KINDS; kind++)
        durable_writes((enum kind)kind,
                       kind == INCREMENT ? HOT_COUNTERS : conf.disk_keys,
                       &worst);
    row("durable writes on disk, vs raw LMDB", "the worst of all cells",
        (struct stat3){worst, worst, worst}, AT_LEAST, 0.60, 0, 0);
    cold_opens();
}

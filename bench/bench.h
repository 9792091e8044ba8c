/* bench.h: the parts of the benchmark: three engines behind one shape, races
 * between them in one interleaved process, rows with bars, the chart. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KEY_BYTES = 16,
    VALUE_BYTES = 64,
    HEAD_BYTES = 16, /* what a raw user keeps for O(1) sizes and totals */
    HOT_COUNTERS = 10000,
    SETS = 1000,
    MAX_ROUNDS = 101
};

/* What is measured; one data set each. */
enum kind { PUT, ADD, INCREMENT, KINDS };

/* How much a commit waits for the disk. */
enum sync { SYNC_NONE, SYNC_FULL };

/* The engines, in the order of their columns. */
enum { OURS, RAW, LITE, ENGINES };

/* Settings, from the environment. */
struct config {
    uint64_t keys;      /* BENCH_KEYS, 1,000,000 */
    uint64_t disk_keys; /* a tenth of that */
    int rounds;         /* BENCH_ROUNDS, 31; BENCH_QUICK 3 */
    double slice;       /* seconds of one side in one round */
    bool quick;
    char mem[256];  /* scratch folder on tmpfs */
    char disk[256]; /* and on the disk, beside the program */
    char build[256];
};
extern struct config conf;

/* ---- random and time: bench.c ---- */

/* A well mixed function of x; also the step of rng_next(). */
uint64_t mix(uint64_t x);
/* The next number of the process-wide generator. */
uint64_t rng_next(void);
/* Key number i of a data set: 16 bytes that look random. */
void key_of(uint8_t out[KEY_BYTES], uint64_t i);
/* 64 bytes that were never written before. */
void fresh_value(uint8_t out[VALUE_BYTES]);

/* Reads every byte of a value, as whoever asked for it does. */
void consume(const void *value, size_t n);
/* Monotonic seconds. */
double now(void);
/* Prints what failed and ends the program: a benchmark with a failed call
 * measures nothing. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Makes dir/name as a folder of its own; removes what lay there. The text is
 * valid until the fourth next call. */
const char *scratch(const char *dir, const char *name);
/* Removes such a folder with all it holds. */
void scratch_remove(const char *path);
/* Drops a file from the page cache, as far as the kernel follows. */
void drop_cache(const char *path);

/* ---- engines: ours.c raw.c lite.c ---- */

/* One piece of work: n operations in transactions of batch; the reads take
 * one transaction. keys = how many the data set has. */
struct work {
    uint64_t n, keys;
    unsigned batch;
};
typedef void run_fn(void *db, const struct work *w);

struct engine {
    const char *name;
    void *(*open)(const char *folder, enum sync sync);
    void (*close)(void *db);
    run_fn *load[KINDS];  /* n = keys, fills the data set */
    run_fn *read[KINDS];  /* get, has member, count; in one transaction */
    run_fn *each[KINDS];  /* the same, a transaction each */
    run_fn *write[KINDS]; /* set, add, increment */
};
extern const struct engine ours, raw, lite;
extern const struct engine *const engines[ENGINES];

/* One transaction of n adds to w->keys counters. */
void ours_add_many(void *db, const struct work *w);
struct ecrdt_store;
/* The store behind an engine's db. */
struct ecrdt_store *ours_store(void *db);
/* Opens and reads one key, then closes. Returns the seconds of open and
 * read. */
double ours_cold(const char *folder, uint64_t key);
double raw_cold(const char *folder, uint64_t key);

/* ---- races: race.c ---- */

/* One competitor of a race. */
struct side {
    void *db;
    run_fn *run;
};

/* Seconds per operation, by round and side. */
struct times {
    int rounds, sides;
    double t[MAX_ROUNDS][ENGINES];
};

/* Runs w on each side in turn, conf.rounds times, starting with another side
 * each round; w->n is chosen so that side 1 (the base) takes a slice. */
void race(const struct side *sides, int n, struct work w, struct times *out);

/* ---- rows: rows.c ---- */

struct stat3 {
    double min, median, max;
};

/* Sorts v and gives its least, middle and greatest. */
struct stat3 stat_of(double *v, int n);

/* How side a compares with side b, by speed. */
struct stat3 speed_ratio(const struct times *t, int a, int b);

/* What a row must reach. */
enum bar { NO_BAR, AT_LEAST, AT_MOST };

/* Adds a row; group must be static. ours and base are shown as operations per
 * second (0 = not shown). */
void row(const char *group, const char *name, struct stat3 ratio, enum bar bar,
         double limit, double our_rate, double base_rate);

/* A row of a race: side a against side b. Returns the median. */
double row_race(const char *group, const char *name, const struct times *t,
                int a, int b, enum bar bar, double limit);

/* Prints what is measured, and on what. */
void rows_begin(void);
/* Prints the table by groups and writes build/bench.json. */
void rows_end(void);

/* ---- suites ---- */

/* Reads and writes on tmpfs, nobody flushing. */
void suite_memory(void);
/* Writes that are durable at commit; cold opens. */
void suite_disk(void);
/* Deltas between stores, and many adds in one transaction. */
void suite_delta(void);
/* A bucket of 10,000 origins beside one of a single one. */
void suite_origins(void);

/* Draws the JSON file as SVG; 0, or an exit code after a message. */
int plot(const char *json_path, const char *svg_path);
#endif

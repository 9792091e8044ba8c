/* bench.c: runs the suites: libedgecrdt beside raw LMDB and SQLite, always in
 * one interleaved process, so that a machine that drifts moves all alike. */
#include "bench/bench.h"
#include "edgecrdt.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct config conf;
const struct engine *const engines[ENGINES] = {&ours, &raw, &lite};

static uint64_t rng_state = 0x9e3779b97f4a7c15;

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27;
    x *= 0x94d049bb133111eb;
    return x ^ x >> 31;
}

uint64_t rng_next(void) {
    return mix(rng_state += 0x9e3779b97f4a7c15);
}

void key_of(uint8_t out[KEY_BYTES], uint64_t i) {
    uint64_t a = mix(i + 1), b = mix(a ^ 0x5851f42d4c957f2d);
    memcpy(out, &a, 8);
    memcpy(out + 8, &b, 8);
}

void fresh_value(uint8_t out[VALUE_BYTES]) {
    for (size_t i = 0; i < VALUE_BYTES; i += 8) {
        uint64_t v = rng_next();
        memcpy(out + i, &v, 8);
    }
}

void consume(const void *value, size_t n) {
    static volatile uint64_t sink; /* keeps the loop from being removed */
    const uint8_t *p = value;
    uint64_t sum = 0, word;
    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        memcpy(&word, p, sizeof word);
        sum += word;
    }
    while (n--)
        sum += *p++;
    sink += sum;
}

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void clean_up(void) {
    scratch_remove(conf.mem);
    scratch_remove(conf.disk);
}

void die(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fputs("edgecrdt-bench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

const char *scratch(const char *dir, const char *name) {
    static char path[4][512];
    static unsigned at;
    char *p = path[at++ % 4];
    snprintf(p, sizeof *path, "%s/%s", dir, name);
    scratch_remove(p);
    if (mkdir(p, 0700) != 0)
        die("cannot create %s: %s", p, strerror(errno));
    return p;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void scratch_remove(const char *path) {
    if (*path)
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void drop_cache(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die("cannot open %s: %s", path, strerror(errno));
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static uint64_t env_number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    uint64_t v = text ? strtoull(text, NULL, 10) : 0;
    return v ? v : otherwise;
}

static void make_folder(char *out, size_t size, const char *in) {
    snprintf(out, size, "%s/edgecrdt-bench-XXXXXX", in);
    if (!mkdtemp(out))
        die("cannot create a folder in %s: %s", in, strerror(errno));
}

static void configure(const char *program) {
    const char *slash = strrchr(program, '/');
    conf.quick = env_number("BENCH_QUICK", 0) != 0;
    conf.keys = env_number("BENCH_KEYS", conf.quick ? 20000 : 1000000);
    if (conf.keys < HOT_COUNTERS)
        die("BENCH_KEYS must be %d at least", HOT_COUNTERS);
    conf.disk_keys = conf.keys / 10 < 10000 ? 10000 : conf.keys / 10;
    conf.rounds = (int)env_number("BENCH_ROUNDS", conf.quick ? 3 : 31);
    if (conf.rounds > MAX_ROUNDS)
        conf.rounds = MAX_ROUNDS;
    conf.slice = conf.quick ? 0.02 : 0.04;
    snprintf(conf.build, sizeof conf.build, "%.*s",
             slash ? (int)(slash - program) : 1, slash ? program : ".");
}

/* The scratch folders, removed at exit. */
static void make_folders(void) {
    atexit(clean_up);
    make_folder(conf.mem, sizeof conf.mem,
                access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    make_folder(conf.disk, sizeof conf.disk, conf.build);
}

static const struct {
    const char *name;
    void (*run)(void);
} suites[] = {{"memory", suite_memory},
              {"disk", suite_disk},
              {"delta", suite_delta},
              {"origins", suite_origins}};

/* Runs the suites named, all if none is. */
static void run_suites(char **names) {
    make_folders();
    rows_begin();
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        bool wanted = !*names;
        for (char **n = names; *n; n++)
            wanted = wanted || !strcmp(*n, suites[i].name);
        if (wanted)
            suites[i].run();
    }
    rows_end();
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"svg", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    const char *svg = NULL;
    char json[300];
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 's') {
            fprintf(stderr, "usage: edgecrdt-bench [memory] [disk] [delta] "
                            "[origins]\n"
                            "       edgecrdt-bench --svg FILE\n"
                            "BENCH_QUICK=1, BENCH_KEYS=N and BENCH_ROUNDS=N "
                            "make it shorter or longer.\n");
            return 64;
        }
        svg = optarg;
    }
    configure(argv[0]);
    snprintf(json, sizeof json, "%s/bench.json", conf.build);
    if (!svg || access(json, R_OK) != 0)
        run_suites(argv + optind);
    return svg ? plot(json, svg) : 0;
}

/* demo_watch.c: the live table of "make demo": looks into the stores of all
 * nodes, read-only and at the same time as their relays and functions. */
#include "edgecrdt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NODES = 4, FEEDERS = 16, HISTORY = 4096, PATIENCE_S = 60 };

static const char *const names[NODES] = {"core", "edge1", "edge2", "edge3"};
static const char *const buckets[] = {"hits", "status", "visitors", "agents"};

struct node {
    ecrdt_store *s;
    char relay[16], digest[24];
    int64_t seen; /* requests that this node knows of */
    double lag;   /* seconds since it last knew all that was served then */
};

static struct node nodes[NODES];
static struct {
    double at;
    int64_t served;
} history[HISTORY];
static int ticks;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The first word of dir/name, "" if there is no such file. */
static void read_word(const char *dir, const char *name, char out[16]) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    *out = '\0';
    if (f && fscanf(f, "%15s", out) != 1)
        *out = '\0';
    if (f)
        fclose(f);
}

/* Requests that the functions have answered, by their own count. */
static int64_t served(const char *dir) {
    char name[32], text[16];
    int64_t n = 0;
    for (int i = 0; i < FEEDERS; i++) {
        snprintf(name, sizeof name, "served.%d", i);
        read_word(dir, name, text);
        n += atoll(text);
    }
    return n;
}

static void fail(const char *what) {
    fprintf(stderr, "demo_watch: %s: %s\n", what, ecrdt_errmsg());
    exit(1);
}

/* Each request adds 1 to one of the status counters. */
static int64_t requests(ecrdt_store *s) {
    ecrdt_txn *t = ecrdt_read(s);
    ecrdt_iter *it =
        ecrdt_keys(t, "status", (ecrdt_slice){NULL, 0}, ECRDT_COUNTER);
    ecrdt_entry e;
    int64_t n = 0;
    int rc;
    while ((rc = ecrdt_next(it, &e)) > 0)
        n += e.num;
    ecrdt_abort(t);
    if (rc < 0)
        fail("status");
    return n;
}

/* Two bytes of each bucket's digest: enough to see whether nodes agree. */
static void digest(ecrdt_store *s, char out[24]) {
    uint8_t d[16];
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
        if (ecrdt_digest(s, buckets[i], d) < 0)
            fail("digest");
        snprintf(out + 5 * i, 6, "%02x%02x ", d[0], d[1]);
    }
}

/* Age of the newest total that the node has reached. */
static double lag_of(int64_t seen, double at) {
    int first = ticks > HISTORY ? ticks - HISTORY : 0;
    for (int i = ticks - 1; i >= first; i--)
        if (history[i % HISTORY].served <= seen)
            return at - history[i % HISTORY].at;
    return at - history[first % HISTORY].at;
}

/* Looks at every node; 1 if all agree. */
static int look(const char *dir, double at, int64_t total) {
    int same = 1;
    history[ticks % HISTORY].at = at;
    history[ticks++ % HISTORY].served = total;
    for (int i = 0; i < NODES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.state", names[i]);
        read_word(dir, name, nodes[i].relay);
        nodes[i].seen = requests(nodes[i].s);
        nodes[i].lag = lag_of(nodes[i].seen, at);
        digest(nodes[i].s, nodes[i].digest);
        same = same && !strcmp(nodes[i].digest, nodes[0].digest) &&
               nodes[i].seen >= total;
    }
    return same;
}

/* What the script has to say, below the table. */
static void show_notes(const char *dir) {
    char path[512], line[256];
    snprintf(path, sizeof path, "%s/notes", dir);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        printf("\033[K\n  %.*s\033[K", (int)strcspn(line, "\n"), line);
    if (f)
        fclose(f);
    printf("\033[K\n\033[J");
}

static void show(const char *dir, double elapsed, int64_t total, int screen) {
    printf(screen ? "\033[H%6.1f s   %lld requests served at the edges"
                    "\033[K\n\033[K\n"
                  : "%6.1f s   %lld requests served at the edges\n",
           elapsed, (long long)total);
    printf("  %-6s %-8s %8s %8s %9s   %s%s\n", "node", "relay", "events",
           "missing", "lag", "digest", screen ? "\033[K" : "");
    for (int i = 0; i < NODES; i++) {
        int64_t missing = total - nodes[i].seen;
        printf("  %-6s %-8s %8lld %8lld %7.1f s   %s%s\n", names[i],
               nodes[i].relay, (long long)nodes[i].seen,
               (long long)(missing > 0 ? missing : 0), nodes[i].lag,
               nodes[i].digest, screen ? "\033[K" : "");
    }
    if (screen)
        show_notes(dir);
    fflush(stdout);
}

static void open_all(const char *dir) {
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    char path[512];
    opts.flags = ECRDT_RDONLY | ECRDT_NOCREATE;
    for (int i = 0; i < NODES; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (!(nodes[i].s = ecrdt_open(path, &opts)))
            fail(path);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: demo_watch FOLDER_OF_THE_DEMO\n");
        return 64;
    }
    int screen = isatty(STDOUT_FILENO), same = 0;
    double begin = now(), shown = 0, done_at = 0;
    open_all(argv[1]);
    if (screen)
        printf("\033[2J");
    while (!same && (!done_at || now() < done_at + PATIENCE_S)) {
        char done[16];
        double at = now();
        read_word(argv[1], "done", done); /* all functions have ended */
        int64_t total = served(argv[1]);
        int equal = look(argv[1], at, total);
        if (*done && !done_at)
            done_at = at;
        same = *done && equal;
        if (screen || same || at > shown + 2) {
            show(argv[1], at - begin, total, screen);
            shown = at;
        }
        usleep(same ? 0 : 200000);
    }
    for (int i = 0; i < NODES; i++)
        ecrdt_close(nodes[i].s);
    return !same;
}

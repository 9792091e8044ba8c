/* rows.c: medians of ratios as a table for people and as JSON lines. */
#include "bench/bench.h"
#include "edgecrdt.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { MAX_ROWS = 256 };

struct record {
    const char *group; /* static */
    char name[64];
    struct stat3 ratio;
    enum bar bar;
    double limit, our_rate, base_rate;
    const char *result;
    bool written;
};

static struct record rows[MAX_ROWS];
static int n_rows;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct stat3 stat_of(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    double mid = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
    return (struct stat3){v[0], mid, v[n - 1]};
}

struct stat3 speed_ratio(const struct times *t, int a, int b) {
    double v[MAX_ROUNDS];
    for (int r = 0; r < t->rounds; r++)
        v[r] = t->t[r][b] / t->t[r][a];
    return stat_of(v, t->rounds);
}

/* Median operations per second of one side. */
static double rate(const struct times *t, int side) {
    double v[MAX_ROUNDS];
    for (int r = 0; r < t->rounds; r++)
        v[r] = 1 / t->t[r][side];
    return stat_of(v, t->rounds).median;
}

/* "512 k" and the like; "" for 0. */
static void short_number(char to[16], double v) {
    if (v <= 0)
        *to = '\0';
    else if (v >= 1e6)
        snprintf(to, 16, "%.2f M", v / 1e6);
    else if (v >= 1e4)
        snprintf(to, 16, "%.0f k", v / 1e3);
    else
        snprintf(to, 16, "%.0f", v);
}

void row(const char *group, const char *name, struct stat3 ratio, enum bar bar,
         double limit, double our_rate, double base_rate) {
    struct record *r = &rows[n_rows++];
    bool pass = bar == AT_LEAST ? ratio.median >= limit : ratio.median <= limit;
    if (n_rows == MAX_ROWS)
        die("more than %d rows", MAX_ROWS);
    *r =
        (struct record){group,     "",
                        ratio,     bar,
                        limit,     our_rate,
                        base_rate, bar == NO_BAR ? "" : pass ? "PASS" : "short",
                        false};
    snprintf(r->name, sizeof r->name, "%s", name);
    if (isatty(STDERR_FILENO)) /* the table comes at the end */
        fprintf(stderr, "  %-46s %6.2f %s\n", name, ratio.median, r->result);
}

static void print_row(const struct record *r) {
    char bar[16] = "", a[16], b[16];
    if (r->bar)
        snprintf(bar, sizeof bar, "%s %.2f",
                 r->bar == AT_LEAST ? ">=" : "<=", r->limit);
    short_number(a, r->our_rate);
    short_number(b, r->base_rate);
    printf("  %-44s %8s %8.2f  %6.2f..%-7.2f %8s %8s %s\n", r->name, bar,
           r->ratio.median, r->ratio.min, r->ratio.max, a, b, r->result);
}

static void json_row(FILE *json, const struct record *r) {
    fprintf(json,
            "{\"group\":\"%s\",\"row\":\"%s\",\"bar\":\"%s\","
            "\"limit\":%.2f,\"median\":%.4f,\"min\":%.4f,\"max\":%.4f,"
            "\"ours_per_s\":%.1f,\"base_per_s\":%.1f,\"result\":\"%s\"}\n",
            r->group, r->name,
            r->bar == AT_LEAST  ? ">="
            : r->bar == AT_MOST ? "<="
                                : "",
            r->limit, r->ratio.median, r->ratio.min, r->ratio.max, r->our_rate,
            r->base_rate, r->result);
}

/* All rows of the group of row i, wherever they were measured. */
static void write_group(FILE *json, int i) {
    const char *group = rows[i].group;
    printf("\n%s\n  %-44s %8s %8s  %-15s %8s %8s\n", group, "", "bar", "median",
           "min..max", "ours/s", "base/s");
    for (; i < n_rows; i++) {
        if (strcmp(rows[i].group, group))
            continue;
        print_row(&rows[i]);
        json_row(json, &rows[i]);
        rows[i].written = true;
    }
}

double row_race(const char *group, const char *name, const struct times *t,
                int a, int b, enum bar bar, double limit) {
    struct stat3 ratio = speed_ratio(t, a, b);
    row(group, name, ratio, bar, limit, rate(t, a), rate(t, b));
    return ratio.median;
}

void rows_begin(void) {
    struct utsname u;
    uname(&u);
    printf("libedgecrdt %s beside raw LMDB and SQLite, %llu keys, %d rounds, "
           "%ld cores, Linux %s\n",
           ecrdt_version(), (unsigned long long)conf.keys, conf.rounds,
           sysconf(_SC_NPROCESSORS_ONLN), u.release);
    fflush(stdout);
}

void rows_end(void) {
    char path[300];
    int bars = 0, met = 0;
    snprintf(path, sizeof path, "%s/bench.json", conf.build);
    FILE *json = fopen(path, "w");
    if (!json)
        die("cannot create %s: %s", path, strerror(errno));
    for (int i = 0; i < n_rows; i++) {
        bars += rows[i].bar != NO_BAR;
        met += !strcmp(rows[i].result, "PASS");
        if (!rows[i].written)
            write_group(json, i);
    }
    printf("\n%d of %d bars met; ratios are medians over interleaved rounds; "
           "JSON in %s\n",
           met, bars, path);
    if (fclose(json) != 0)
        die("cannot write %s: %s", path, strerror(errno));
}

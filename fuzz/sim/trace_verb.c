/* trace_verb.c: reads files of histories, runs each line and sums up. */
#include "fuzz/sim/sim.h"
#include "fuzz/sim/trace_run.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tally {
    unsigned long run, as_expected, differ, malformed, no_answer;
    uint64_t parts[2];
};

/* Where we are: FILE:LINE, and the ids of the file so far with their lines. */
struct place {
    const char *file;
    unsigned long line;
    json_t *ids;
};

static void complain(struct tally *t, const struct place *at,
                     const char *sentence) {
    fflush(stdout);
    fprintf(stderr, "%s:%lu: ", at->file, at->line);
    for (; *sentence; sentence++) /* a file's control bytes stay in it */
        fputc(iscntrl((unsigned char)*sentence) ? '?' : *sentence, stderr);
    fputc('\n', stderr);
    t->malformed++;
}

/* An id names one history of a file, or a difference could not be found. */
static bool is_new(struct place *at, const struct history *h, char *why) {
    json_t *before = json_object_get(at->ids, h->id);
    if (before)
        snprintf(why, HISTORY_MAX_WHY,
                 "the id %s is that of line %lld: each history of a file "
                 "needs its own",
                 h->id, (long long)json_integer_value(before));
    json_object_set_new(at->ids, h->id, json_integer((json_int_t)at->line));
    return !before;
}

static void run_history(struct tally *t, const struct place *at,
                        const struct history *h) {
    char *why;
    enum verdict v = trace_run(h, t->parts, &why);
    t->run++;
    t->as_expected += v == AS_EXPECTED;
    t->differ += v == DIFFERS;
    t->no_answer += v == NO_ANSWER;
    if (v != AS_EXPECTED)
        printf("%s:%lu: %s\n", at->file, at->line, why ? why : "(no memory)");
    free(why);
}

static bool is_blank(const char *s, size_t len) {
    while (len && isspace((unsigned char)s[len - 1]))
        len--;
    return len == 0;
}

static void run_line(struct tally *t, struct place *at, const char *line,
                     size_t len) {
    struct history h = {0};
    char why[HISTORY_MAX_WHY];
    if (is_blank(line, len))
        return;
    if (len > HISTORY_MAX_LINE)
        complain(t, at,
                 "the line is longer than 64 MiB: make more, smaller "
                 "histories");
    else if (!history_parse(&h, line, len, why) || !is_new(at, &h, why))
        complain(t, at, why);
    else
        run_history(t, at, &h);
    history_free(&h);
}

static bool run_file(struct tally *t, const char *path) {
    bool std = !strcmp(path, "-");
    struct place at = {std ? "standard input" : path, 0, json_object()};
    FILE *f = std ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    if (f)
        while ((len = getline(&line, &cap, f)) > 0) {
            at.line++;
            run_line(t, &at, line, (size_t)len);
        }
    bool ok = f && !ferror(f);
    if (!ok)
        fprintf(stderr, "edgecrdt-sim: cannot read %s: %s\n", at.file,
                strerror(errno));
    if (f && !std)
        fclose(f);
    free(line);
    json_decref(at.ids);
    return ok;
}

static void sum_up(const struct tally *t) {
    printf("%lu histor%s: %lu as expected, %lu different, %lu without an "
           "answer; %lu malformed line%s\n"
           "parts that travelled: %llu of deltas, %llu complete\n",
           t->run, t->run == 1 ? "y" : "ies", t->as_expected, t->differ,
           t->no_answer, t->malformed, plural(t->malformed),
           (unsigned long long)t->parts[0], (unsigned long long)t->parts[1]);
}

int sim_trace(int argc, char **argv) {
    struct tally t = {0};
    bool all_read = true;
    if (argc < 1 || (argv[0][0] == '-' && argv[0][1])) {
        fputs("usage: edgecrdt-sim trace FILE.jsonl...\n"
              "Runs each line of the files, a history of operations with the "
              "values it must end in\n(docs/traces.md), through real stores. "
              "\"-\" is standard input.\n",
              stderr);
        return SIM_USAGE;
    }
    for (int i = 0; i < argc; i++)
        all_read = run_file(&t, argv[i]) && all_read;
    sum_up(&t);
    if (t.differ)
        return SIM_BROKEN;
    if (t.malformed || !all_read)
        return SIM_USAGE;
    if (t.run && !t.no_answer)
        return SIM_PASS;
    if (!t.run)
        fputs("edgecrdt-sim: there is no history in it\n", stderr);
    return SIM_INCONCLUSIVE;
}

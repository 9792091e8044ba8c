/* run.c: the verb run: many seeds, each in a process of its own, and what they
 * exercised. */
#include "fuzz/sim/one.h"
#include "lib/err.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    JOBS_MOST = 64,
    AGAIN_EVERY = 20, /* every 20th seed is run twice */
    PROGRESS_MS = 500,
    ENOUGH_SEEDS = 1000, /* for everything to happen */
    SHOWN_MOST = 10      /* broken seeds that are told of, if it goes on */
};

struct run {
    struct plan_wish wish;
    uint64_t first, last, end_ms; /* seeds, and when no new one begins */
    unsigned jobs;
    bool go_on;   /* behind a seed that broke */
    FILE *hashes; /* a line for each seed; NULL: none */
    uint64_t next, done, broken, again, began_ms, shown_ms;
    int exit;
    struct figures fig;
    struct one_slot slot[JOBS_MOST];
};

static int usage(void) {
    fprintf(stderr,
            "run: --seeds A..B or --minutes M, --replicas 2..%d, --jobs J,\n"
            "     --profile NAME (%s), --go-on behind a broken seed,\n"
            "     --hashes FILE: how each seed ended, and its final state\n",
            PLAN_REPLICAS, plan_profiles());
    return SIM_USAGE;
}

static bool parse_seeds(struct run *r, const char *text) {
    char *end;
    errno = 0;
    r->first = r->last = strtoull(text, &end, 0);
    if (end != text && !strncmp(end, "..", 2)) {
        const char *from = end + 2;
        r->last = strtoull(from, &end, 0);
        if (end == from)
            return false;
    }
    return !errno && end != text && !*end && r->last >= r->first;
}

static bool parse(struct run *r, int argc, char **argv) {
    static const struct option options[] = {
        {"seeds", 1, NULL, 's'},    {"minutes", 1, NULL, 'm'},
        {"replicas", 1, NULL, 'r'}, {"profile", 1, NULL, 'p'},
        {"jobs", 1, NULL, 'j'},     {"go-on", 0, NULL, 'g'},
        {"hashes", 1, NULL, 'h'},   {NULL, 0, NULL, 0}};
    bool ok = true;
    double minutes = 0;
    optind = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (o) {
        case 's':
            ok = ok && parse_seeds(r, optarg);
            break;
        case 'm':
            minutes = strtod(optarg, NULL);
            ok = ok && minutes > 0;
            break;
        case 'r':
            r->wish.replicas = (uint32_t)atoi(optarg);
            ok = ok && r->wish.replicas >= 2 &&
                 r->wish.replicas <= PLAN_REPLICAS;
            break;
        case 'p':
            r->wish.profile = optarg;
            break;
        case 'j':
            r->jobs = (unsigned)atoi(optarg);
            ok = ok && r->jobs >= 1 && r->jobs <= JOBS_MOST;
            break;
        case 'g':
            r->go_on = true;
            break;
        case 'h':
            r->hashes = fopen(optarg, "w");
            ok = ok && r->hashes;
            break;
        default:
            return false;
        }
    if (minutes > 0) {
        r->end_ms = r->began_ms + (uint64_t)(minutes * 60000);
        if (!r->last)
            r->first = senses_real_ms() * 1000, r->last = UINT64_MAX - 1;
    } else if (!r->last) {
        r->first = 1, r->last = 100;
    }
    return ok && optind == argc;
}

/* ---- what is told ---- */

static void progress(struct run *r, bool always) {
    uint64_t now = senses_real_ms();
    if (!isatty(2) || (!always && now - r->shown_ms < PROGRESS_MS))
        return;
    r->shown_ms = now;
    fprintf(stderr, "\r%llu seed%s, %llu broken, %.1f seeds/s  ",
            (unsigned long long)r->done, plural(r->done),
            (unsigned long long)r->broken,
            (double)r->done * 1000 / (double)(now - r->began_ms + 1));
}

static void clear_progress(void) {
    if (isatty(2))
        fprintf(stderr, "\r\033[K");
}

static void judge(struct run *r, struct one_slot *s) {
    const struct outcome *o = s->out;
    if (o->exit == SIM_PASS)
        return;
    clear_progress();
    r->broken++;
    if (r->broken <= SHOWN_MOST)
        printf("seed %llu: %s\n    edgecrdt-sim replay %llu --replicas %u%s%s"
               " --verbose\n",
               (unsigned long long)s->seed, o->text,
               (unsigned long long)s->seed,
               r->wish.replicas ? r->wish.replicas : 4,
               r->wish.profile ? " --profile " : "",
               r->wish.profile ? r->wish.profile : "");
    fflush(stdout);
    if (r->exit == SIM_PASS || o->exit == SIM_CRASH ||
        (o->exit == SIM_BROKEN && r->exit == SIM_INCONCLUSIVE))
        r->exit = o->exit;
    if (!r->go_on)
        r->next = r->last + 1;
}

/* One row of the table. Of so many seeds of all kinds none must be 0. */
static unsigned row(const struct run *r, int width, const char *what,
                    uint64_t n) {
    bool all = !r->wish.profile || !strcmp(r->wish.profile, "all");
    bool none = !n && all && r->done >= ENOUGH_SEEDS;
    printf("  %-*s %10llu%s\n", width, what, (unsigned long long)n,
           none ? "   NONE" : "");
    return none;
}

/* What was exercised. */
static void table(const struct run *r) {
    static const char *const what[F_COUNT] = {
#define FEATURE_TEXT(name, text) text,
        CLUSTER_FEATURES(FEATURE_TEXT)
#undef FEATURE_TEXT
    };
    unsigned none = 0;
    for (unsigned k = 0; k < PLAN_KINDS; k++)
        none += row(r, 12, plan_do_name(k), r->fig.steps[k]);
    for (unsigned k = 0; k < F_COUNT; k++)
        none += row(r, 58, what[k], r->fig.feature[k]);
    if (none)
        printf("NOT EXERCISED: %u of these counts are 0\n", none);
}

static void summary(struct run *r) {
    double s = (double)(senses_real_ms() - r->began_ms) / 1000;
    clear_progress();
    printf("%llu seed%s in %.1f s: %.1f a second; %llu events, %llu events of "
           "the network, %.0f hours of virtual time, %llu run%s repeated\n",
           (unsigned long long)r->done, plural(r->done), s, (double)r->done / s,
           (unsigned long long)r->fig.events,
           (unsigned long long)r->fig.net_events,
           (double)r->fig.virtual_ms / 3600000, (unsigned long long)r->again,
           plural(r->again));
    table(r);
    printf("the slowest to come to rest took %.1f s of virtual time\n",
           (double)r->fig.settle_ms_most / 1000);
    printf("%s: %llu of %llu seed%s broke a property\n",
           r->broken ? "BROKEN" : "PASS", (unsigned long long)r->broken,
           (unsigned long long)r->done, plural(r->done));
}

/* ---- children ---- */

static bool begin(struct run *r, struct one_slot *s) {
    bool late = r->end_ms && senses_real_ms() >= r->end_ms;
    if (s->again) {
        r->wish.seed = s->seed;
    } else if (r->next > r->last || late) {
        return false;
    } else {
        r->wish.seed = r->next++;
    }
    if (one_begin(s, NULL, &r->wish) == 0)
        return true;
    fprintf(stderr, "%s\n", ecrdt_errmsg());
    r->exit = SIM_INCONCLUSIVE;
    r->next = r->last + 1;
    return false;
}

/* The same seed must end in the same state. */
static void ended(struct run *r, struct one_slot *s, int status) {
    one_end(s, status);
    if (s->again) {
        s->again = false;
        r->again++;
        if (s->out->exit == SIM_PASS && memcmp(s->first, s->out->hash, 16)) {
            s->out->exit = SIM_BROKEN;
            snprintf(s->out->text, sizeof s->out->text,
                     "two runs of it ended in different states");
            judge(r, s);
        }
        return;
    }
    r->done++;
    if (r->hashes)
        fprintf(r->hashes, "%llu %d %s %s\n", (unsigned long long)s->seed,
                s->out->exit, hash_text(s->out->hash), s->out->text);
    figures_add(&r->fig, &s->out->fig);
    judge(r, s);
    s->again = s->out->exit == SIM_PASS && s->seed % AGAIN_EVERY == 0;
    memcpy(s->first, s->out->hash, sizeof s->first);
    progress(r, false);
}

static void all(struct run *r) {
    unsigned running = 0;
    for (;;) {
        for (unsigned i = 0; i < r->jobs; i++)
            if (!r->slot[i].pid)
                running += begin(r, &r->slot[i]);
        if (!running)
            return;
        int status;
        pid_t pid = wait(&status);
        for (unsigned i = 0; i < r->jobs; i++)
            if (pid > 0 && r->slot[i].pid == pid) {
                running--;
                ended(r, &r->slot[i], status);
            }
        if (pid < 0 && errno != EINTR)
            return;
    }
}

int sim_run(int argc, char **argv) {
    static struct run r;
    r = (struct run){.began_ms = senses_real_ms(),
                     .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN)};
    r.jobs = r.jobs > JOBS_MOST ? JOBS_MOST : r.jobs;
    struct plan probe;
    if (!parse(&r, argc + 1, argv - 1))
        return usage();
    r.wish.seed = r.next = r.first;
    if (plan_make(&probe, &r.wish) < 0) {
        fprintf(stderr, "%s\n", ecrdt_errmsg());
        return SIM_USAGE;
    }
    plan_free(&probe);
    printf("seeds from %llu on, %u replicas\n", (unsigned long long)r.first,
           r.wish.replicas ? r.wish.replicas : 4);
    for (unsigned i = 0; i < r.jobs; i++)
        if (one_slot_open(&r.slot[i]) < 0)
            return SIM_INCONCLUSIVE;
    all(&r);
    for (unsigned i = 0; i < r.jobs; i++)
        one_slot_close(&r.slot[i]);
    if (r.hashes && fclose(r.hashes))
        return SIM_INCONCLUSIVE;
    summary(&r);
    return r.exit;
}

/* replay.c: the verb replay: one seed, or the steps of a file. */
#include "fuzz/sim/one.h"
#include "lib/err.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

static int usage(void) {
    fprintf(
        stderr,
        "replay: SEED or FILE, --until STEP, --verbose, --journal FILE,\n"
        "        --replicas N and --profile NAME of a seed, --write FILE\n");
    return SIM_USAGE;
}

int plan_load(struct plan *p, const char *what, struct plan_wish *wish) {
    char *end;
    errno = 0;
    wish->seed = strtoull(what, &end, 0);
    int rc = end != what && !*end && !errno ? plan_make(p, wish)
                                            : plan_read(p, what);
    if (rc < 0)
        fprintf(stderr, "%s\n", ecrdt_errmsg());
    return rc;
}

struct replay {
    struct plan_wish wish;
    struct one one;
    const char *what, *write;
};

static bool parse(struct replay *r, int argc, char **argv) {
    static const struct option options[] = {
        {"until", 1, NULL, 'u'},    {"verbose", 0, NULL, 'v'},
        {"journal", 1, NULL, 'j'},  {"write", 1, NULL, 'w'},
        {"replicas", 1, NULL, 'r'}, {"profile", 1, NULL, 'p'},
        {NULL, 0, NULL, 0}};
    optind = 0;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (o) {
        case 'u':
            r->one.until = atoll(optarg);
            break;
        case 'v':
            r->one.verbose = true;
            break;
        case 'j':
            r->one.journal = optarg;
            break;
        case 'w':
            r->write = optarg;
            break;
        case 'r':
            r->wish.replicas = (uint32_t)atoi(optarg);
            break;
        case 'p':
            r->wish.profile = optarg;
            break;
        default:
            return false;
        }
    r->what = argv[optind];
    return optind + 1 == argc && r->wish.replicas <= PLAN_REPLICAS &&
           r->wish.replicas != 1;
}

/* What a person types to see the same again. */
static void command(char *out, size_t size, const struct replay *r) {
    int n = snprintf(out, size, "edgecrdt-sim replay %s", r->what);
    if (r->wish.replicas && n < (int)size)
        n += snprintf(out + n, size - (size_t)n, " --replicas %u",
                      r->wish.replicas);
    if (r->wish.profile && n < (int)size)
        snprintf(out + n, size - (size_t)n, " --profile %s", r->wish.profile);
}

int sim_replay(int argc, char **argv) {
    struct replay r = {.one = {.until = -1}};
    struct plan plan;
    struct one_slot slot;
    char text[400];
    if (!parse(&r, argc + 1, argv - 1))
        return usage();
    if (plan_load(&plan, r.what, &r.wish) < 0)
        return SIM_USAGE;
    printf("seed %llu, %zu step%s, %u replicas\n",
           (unsigned long long)plan.seed, plan.n_steps, plural(plan.n_steps),
           plan.replicas);
    if (r.write && plan_write(&plan, r.write) < 0) {
        fprintf(stderr, "%s\n", ecrdt_errmsg());
        return SIM_INCONCLUSIVE;
    }
    command(text, sizeof text, &r);
    r.one.command = text;
    r.one.plan = &plan;
    if (one_slot_open(&slot) < 0 || one_fork(&slot, &r.one) < 0) {
        fprintf(stderr, "%s\n", ecrdt_errmsg());
        return SIM_INCONCLUSIVE;
    }
    const struct outcome *o = slot.out;
    printf("%s: %s\n", o->exit == SIM_PASS ? "PASS" : "BROKEN", o->text);
    if (o->exit == SIM_PASS && r.one.until < 0)
        printf("final state %s\n", hash_text(o->hash));
    int rc = o->exit;
    one_slot_close(&slot);
    plan_free(&plan);
    return rc;
}

/* min.c: the verb min: leaves out steps, operations, replicas and bytes as
 * long as what remains still breaks a property. */
#include "fuzz/sim/one.h"
#include "lib/err.h"
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

struct min {
    struct plan best;
    struct one_slot slot;
    struct outcome found; /* of best */
    unsigned tries;
};

/* What broke, without the places and numbers in its sentence. */
static void kind_of(const char *text, char out[64]) {
    const char *p = strstr(text, "ms: ");
    size_t n = 0;
    for (p = p ? p + 4 : text; *p && n < 40; p++)
        if ((*p >= 'a' && *p <= 'z') || *p == ' ')
            out[n++] = *p;
    out[n] = 0;
}

/* Does it break as it did at first? Then it is the best one; p is taken over
 * or freed. Steps that now name nobody go: a file must not have them. */
static bool try(struct min *m, struct plan *p) {
    struct one one = {.plan = p, .until = -1, .command = "min"};
    char want[64], got[64];
    plan_prune(p);
    m->tries++;
    bool same =
        one_fork(&m->slot, &one) == 0 && m->slot.out->exit == m->found.exit;
    kind_of(m->found.text, want);
    kind_of(m->slot.out->text, got);
    same = same && !strncmp(want, got, 12);
    if (isatty(2))
        fprintf(stderr, "\r%zu step%s, %u tries ", m->best.n_steps,
                plural(m->best.n_steps), m->tries);
    if (!same) {
        plan_free(p);
        return false;
    }
    plan_free(&m->best);
    m->best = *p;
    m->found = *m->slot.out;
    return true;
}

/* Without the steps from to to. */
static bool without(struct min *m, size_t from, size_t to) {
    struct plan p;
    uint8_t *skip = calloc(m->best.n_steps + 1, 1);
    for (size_t i = from; skip && i < to; i++)
        skip[i] = 1;
    int rc = skip ? plan_copy(&p, &m->best, skip) : ECRDT_ENOMEM;
    free(skip);
    return rc == 0 && try(m, &p);
}

/* What comes behind the failure, then halves, quarters ... single steps. */
static bool fewer_steps(struct min *m) {
    size_t was = m->best.n_steps, tail = 0;
    while (tail < m->best.n_steps && m->best.steps[tail].n <= m->found.at)
        tail++;
    without(m, tail, m->best.n_steps);
    for (size_t n = m->best.n_steps / 2; n; n /= 2)
        for (size_t end = m->best.n_steps; end > 0;) {
            size_t from = end > n ? end - n : 0;
            without(m, from, end);
            end = from < m->best.n_steps ? from : m->best.n_steps;
        }
    return m->best.n_steps < was;
}

static bool without_ops(struct min *m, size_t step, size_t from, size_t n) {
    struct plan p;
    if (plan_copy(&p, &m->best, NULL) < 0)
        return false;
    struct plan_step *s = &p.steps[step];
    memmove(s->ops + from, s->ops + from + n,
            (s->n_ops - from - n) * sizeof *s->ops);
    s->n_ops -= n;
    return try(m, &p);
}

static bool fewer_ops(struct min *m) {
    bool any = false;
    for (size_t i = 0; i < m->best.n_steps; i++)
        for (size_t n = (m->best.steps[i].n_ops + 1) / 2; n; n /= 2)
            for (size_t at = 0; at + n <= m->best.steps[i].n_ops &&
                                m->best.steps[i].n_ops > 1;) {
                bool gone =
                    n < m->best.steps[i].n_ops && without_ops(m, i, at, n);
                any = any || gone;
                at += gone ? 0 : n;
            }
    return any;
}

static bool smaller_numbers(struct min *m) {
    bool any = false;
    for (size_t i = 0; i < m->best.n_steps; i++) {
        const struct plan_step *s = &m->best.steps[i];
        bool big = s->what == DO_wait && s->a > 1;
        for (size_t k = 0; k < s->n_ops; k++)
            big = big || (s->ops[k].code == OP_set && s->ops[k].num > 8);
        struct plan p;
        if (!big || plan_copy(&p, &m->best, NULL) < 0)
            continue;
        p.steps[i].a = s->what == DO_wait ? s->a / 2 : s->a;
        for (size_t k = 0; k < s->n_ops; k++)
            if (s->ops[k].code == OP_set && s->ops[k].num > 8)
                p.steps[i].ops[k].num = 8;
        any = try(m, &p) || any;
    }
    return any;
}

/* The last replica, if no step is at it; then a calmer world. */
static bool smaller_world(struct min *m) {
    struct plan p;
    uint32_t last = m->best.replicas - 1;
    bool used = last < 2, any = false;
    for (size_t i = 0; i < m->best.n_steps; i++)
        used = used || m->best.steps[i].r >= last;
    if (!used && plan_copy(&p, &m->best, NULL) == 0) {
        p.replicas--;
        for (uint32_t r = 0; r < last; r++)
            p.at[r].dials &= ~(1u << last);
        any = try(m, &p);
    }
    uint32_t busy =
        m->best.audit_ms + m->best.gc_ms + m->best.log_cap + m->best.delay_hi;
    if (busy && plan_copy(&p, &m->best, NULL) == 0) {
        p.audit_ms = p.gc_ms = p.log_cap = p.delay_lo = p.delay_hi = 0;
        any = try(m, &p) || any;
    }
    return any;
}

static int usage(void) {
    fprintf(stderr, "min: SEED or FILE, -o FILE (min.json), --replicas N and "
                    "--profile NAME of a seed\n");
    return SIM_USAGE;
}

static int minimize(struct min *m, const char *out) {
    m->found = (struct outcome){.exit = SIM_BROKEN};
    struct one one = {.plan = &m->best, .until = -1, .command = "min"};
    if (one_fork(&m->slot, &one) < 0)
        return SIM_INCONCLUSIVE;
    m->found = *m->slot.out;
    if (m->found.exit != SIM_BROKEN && m->found.exit != SIM_CRASH) {
        printf("nothing to look for: %s\n", m->found.text);
        return SIM_INCONCLUSIVE;
    }
    size_t was = m->best.n_steps;
    for (bool any = true; any;) { /* each of them, then all again */
        any = fewer_steps(m);
        any = fewer_ops(m) || any;
        any = smaller_numbers(m) || any;
        any = smaller_world(m) || any;
    }
    if (isatty(2))
        fprintf(stderr, "\r\033[K");
    if (plan_write(&m->best, out) < 0) {
        fprintf(stderr, "%s\n", ecrdt_errmsg());
        return SIM_INCONCLUSIVE;
    }
    printf("%s\n%zu step%s of %zu and %u replicas left after %u tries\n"
           "    edgecrdt-sim replay %s --verbose --journal run.jsonl\n"
           "    edgecrdt-sim report run.jsonl -o report.html\n",
           m->found.text, m->best.n_steps, plural(m->best.n_steps), was,
           m->best.replicas, m->tries, out);
    return SIM_PASS;
}

int sim_min(int argc, char **argv) {
    static const struct option options[] = {{"replicas", 1, NULL, 'r'},
                                            {"profile", 1, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    static struct min m;
    struct plan_wish wish = {0};
    const char *out = "min.json";
    optind = 0;
    for (int o;
         (o = getopt_long(argc + 1, argv - 1, "o:", options, NULL)) != -1;)
        if (o == 'o')
            out = optarg;
        else if (o == 'r')
            wish.replicas = (uint32_t)atoi(optarg);
        else if (o == 'p')
            wish.profile = optarg;
        else
            return usage();
    if (optind != argc || wish.replicas == 1 || wish.replicas > PLAN_REPLICAS)
        return usage();
    if (plan_load(&m.best, argv[optind - 1], &wish) < 0)
        return SIM_USAGE;
    printf("seed %llu, %zu step%s\n", (unsigned long long)m.best.seed,
           m.best.n_steps, plural(m.best.n_steps));
    if (one_slot_open(&m.slot) < 0)
        return SIM_INCONCLUSIVE;
    int rc = minimize(&m, out);
    one_slot_close(&m.slot);
    plan_free(&m.best);
    return rc;
}

/* plan_who.c: which replicas a step names, and whether they are there when its
 * turn comes: those of the plan, and copies that a clone before it makes. */
#include "fuzz/sim/plan.h"
#include "lib/err.h"
#include <stdlib.h>

/* What is wrong with a step, and by which of its members. */
struct stray {
    const char *member, *why; /* why: NULL if nothing is */
    int64_t value;
};

static const char nobody[] = "no replica of that number is there when its turn "
                             "comes";

static bool among(uint32_t there, int64_t r) {
    return r >= 0 && r < NET_NODES && there >> r & 1;
}

static uint32_t those_of(const struct plan *p) {
    return (1u << p->replicas) - 1;
}

/* Those that a step makes, as bits. */
static uint32_t made_by(const struct plan_step *s) {
    bool makes = s->what == DO_clone && s->b >= 0 && s->b < NET_NODES;
    return makes ? 1u << s->b : 0;
}

/* All that there ever are. */
static uint32_t all_of(const struct plan *p) {
    uint32_t all = those_of(p);
    for (size_t i = 0; i < p->n_steps; i++)
        all |= made_by(&p->steps[i]);
    return all;
}

static bool has_other_side(uint8_t what) {
    return what == DO_export || what == DO_cut || what == DO_stall ||
           what == DO_slow || what == DO_peers;
}

static struct stray stray_of(const struct plan *p, const struct plan_step *s,
                             uint32_t there) {
    if (!among(there, s->r))
        return (struct stray){"at", nobody, s->r};
    if (has_other_side(s->what) && !among(there, s->a))
        return (struct stray){"a", nobody, s->a};
    if (has_other_side(s->what) && s->a == s->r)
        return (struct stray){"a", "it is the replica itself", s->a};
    if (s->what == DO_clone && !(made_by(s) & ~those_of(p)))
        return (struct stray){"b",
                              "a copy has a number behind the plan's "
                              "replicas, up to 9",
                              s->b};
    return (struct stray){0};
}

/* A side may have copies that are still to be made. */
static struct stray stray_side(const struct plan_step *s, uint32_t all) {
    if (s->what == DO_partition && s->a & ~(int64_t)all)
        return (struct stray){"a",
                              "it has the bit of a replica that is never "
                              "there",
                              s->a};
    return (struct stray){0};
}

int plan_check(const struct plan *p) {
    uint32_t there = those_of(p), all = all_of(p);
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct plan_step *s = &p->steps[i];
        struct stray x = stray_of(p, s, there);
        if (!x.why)
            x = stray_side(s, all);
        if (x.why)
            return err_set(ECRDT_EINVAL,
                           "step number %zu (from 0), \"%s\", cannot have "
                           "\"%s\": %lld: %s; the plan has %u replicas, "
                           "numbered from 0",
                           i, plan_do_name(s->what), x.member,
                           (long long)x.value, x.why, p->replicas);
        there |= made_by(s);
    }
    return ECRDT_OK;
}

void plan_prune(struct plan *p) {
    uint32_t there = those_of(p), all;
    size_t n = 0;
    for (size_t i = 0; i < p->n_steps; i++)
        if (stray_of(p, &p->steps[i], there).why) {
            free(p->steps[i].ops);
        } else {
            there |= made_by(&p->steps[i]);
            p->steps[n++] = p->steps[i];
        }
    p->n_steps = n;
    all = all_of(p);
    for (size_t i = 0; i < n; i++)
        if (p->steps[i].what == DO_partition)
            p->steps[i].a &= all;
}

/* plan_maker.h: what a plan is made with: between plan_make.c, which draws
 * single steps, and plan_stories.c, which draws some that belong together. */
#ifndef FUZZ_SIM_PLAN_MAKER_H
#define FUZZ_SIM_PLAN_MAKER_H
#include "fuzz/sim/plan.h"

struct maker {
    struct plan *p;
    struct rng rng;
    unsigned n;           /* replicas, copies too */
    uint32_t down, saved; /* replicas, as bits */
    uint16_t keys[3][4], elems[8], wide, wide_elems[256];
    unsigned n_wide, fills, ops_most;
    void (*theme)(struct maker *m); /* the story it tells most; NULL: none */
};

#define PLAN_BIT(kind) (UINT32_C(1) << DO_##kind)

/* A random number below n. */
static inline uint64_t maker_below(struct maker *m, uint64_t n) {
    return rng_below(&m->rng, n);
}

/* True once in n times. */
static inline bool maker_one_in(struct maker *m, uint64_t n) {
    return maker_below(m, n) == 0;
}

/* A replica other than r. */
static inline unsigned maker_another(struct maker *m, unsigned r) {
    return (r + 1 + (unsigned)maker_below(m, m->n - 1)) % m->n;
}

/* A random transaction of r. */
void maker_txn(struct maker *m, unsigned r);

/* plan_stories.c: some plans have a theme, if these kinds of steps allow it:
 * a story that they tell more often than others. */
void maker_theme(struct maker *m, uint32_t kinds);

/* A story that this plan may tell; or none. */
void maker_story(struct maker *m);
#endif

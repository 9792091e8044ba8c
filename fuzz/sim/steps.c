/* steps.c: one step of a plan, whichever it is. */
#include "fuzz/sim/cluster.h"

static bool on_network(uint8_t what) {
    return what == DO_wait || what == DO_export || what == DO_import ||
           what == DO_cut || what == DO_partition || what == DO_stall ||
           what == DO_slow || what == DO_heal;
}

static bool on_store(uint8_t what) {
    return what == DO_crash || what == DO_stop || what == DO_start ||
           what == DO_save || what == DO_restore || what == DO_clone ||
           what == DO_wipe;
}

/* What works whether the replica runs or not. */
static bool needs_store(uint8_t what) {
    return what == DO_txn || what == DO_export;
}

static void tell(struct cluster *c, const struct plan_step *s) {
    char text[400];
    bool nobody = s->what == DO_wait || s->what == DO_import ||
                  s->what == DO_heal || s->what == DO_partition;
    if (!c->journal.f && !c->verbose)
        return;
    plan_say(c->plan, s, text, sizeof text);
    journal_step(&c->journal, s->n, nobody ? -1 : s->r, plan_do_name(s->what),
                 text);
    if (c->verbose)
        printf("%6llu ms  step %-4u %-10s at %d  %s\n",
               (unsigned long long)c->net.now_ms, s->n, plan_do_name(s->what),
               nobody ? -1 : s->r, text);
}

bool step_do(struct cluster *c, const struct plan_step *s) {
    c->doing = plan_do_name(s->what);
    c->at = (int)s->n;
    c->rng.s = (c->plan->seed ^ s->n * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    if (s->r >= NET_NODES || !c->r[s->r].used ||
        (needs_store(s->what) && !replica_up(c, s->r)))
        return false;
    tell(c, s);
    cluster_enter(c, s->r);
    bool done = s->what == DO_txn     ? step_txn(c, s)
                : on_network(s->what) ? step_net(c, s)
                : on_store(s->what)   ? step_store(c, s)
                                      : step_admin(c, s);
    if (replica_up(c, s->r))
        look_if_new(c, s->r);
    c->fig.steps[s->what] += done;
    return done;
}

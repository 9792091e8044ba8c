/* collect.c: one step of a pass at a time, as the budget allows. */
#include "replication/collect.h"
#include "lib/log.h"

void collect_init(struct collect *c, ecrdt_store *store,
                  const struct collect_conf *conf, uint64_t now_ms) {
    *c = (struct collect){.store = store,
                          .conf = *conf,
                          .at_ms = now_ms + conf->interval_ms,
                          .from_ms = now_ms};
}

void collect_configure(struct collect *c, const struct collect_conf *conf) {
    c->conf = *conf;
    if (c->at_ms > c->from_ms + conf->interval_ms)
        c->at_ms = c->from_ms + conf->interval_ms;
}

void collect_free(struct collect *c) {
    if (c->running)
        gc_end(&c->pass);
    c->running = c->releasing = false;
    c->page = 0;
}

static int begin(struct collect *c, const struct gc_policy *policy) {
    struct gc_policy p = *policy;
    int rc =
        ecrdt_setting_get(c->store, ECRDT_GC_RETENTION_MS, &p.retention_ms);
    if (rc == ECRDT_OK)
        rc = gc_begin(&c->pass, c->store, &p);
    c->running = rc == ECRDT_OK;
    return rc;
}

static void end(struct collect *c) {
    const struct gc *g = &c->pass;
    if (g->dropped)
        log_line(ECRDT_LOG_INFO,
                 "msg=\"dropped tombstones\" tombstones=%llu bytes=%llu "
                 "held=%llu",
                 (unsigned long long)g->dropped, (unsigned long long)g->bytes,
                 (unsigned long long)g->held);
    collect_free(c);
}

/* The next interval, if the present one is over. */
static void turn(struct collect *c, uint64_t now_ms) {
    if (now_ms - c->from_ms < c->conf.interval_ms)
        return;
    c->from_ms = now_ms;
    c->spent_ms = 0;
}

static void failed(struct collect *c, int rc, uint64_t now_ms) {
    c->at_ms =
        now_ms + (rc == ECRDT_EBUSY ? COLLECT_BUSY_MS : COLLECT_RETRY_MS);
    if (rc != ECRDT_EBUSY)
        log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(),
                  "msg=\"cannot drop tombstones\"");
}

/* One step of the pass, or of giving room back behind it: 1 = go on, 0 = the
 * pass is over. */
static int step(struct collect *c) {
    int rc = c->releasing ? 0 : gc_step(&c->pass, 0);
    if (rc != 0)
        return rc;
    c->releasing = true;
    return gc_release(c->store, 0, &c->page);
}

uint64_t collect_run(struct collect *c, const struct gc_policy *policy,
                     uint64_t now_ms) {
    if (!c->conf.budget_ms)
        return UINT64_MAX;
    if (now_ms < c->at_ms)
        return c->at_ms;
    turn(c, now_ms);
    uint64_t began = os_mono_ms();
    int rc = c->running ? ECRDT_OK : begin(c, policy);
    if (rc == ECRDT_OK) {
        c->pass.policy.covered = policy->covered;
        c->pass.policy.ctx = policy->ctx;
        rc = step(c);
    }
    c->spent_ms += os_mono_ms() - began;
    if (rc < 0) {
        failed(c, rc, now_ms);
        return c->at_ms;
    }
    if (rc == 0)
        end(c);
    bool rest = rc == 0 || c->spent_ms >= c->conf.budget_ms;
    c->at_ms =
        rest ? c->from_ms + c->conf.interval_ms : now_ms + COLLECT_PAUSE_MS;
    return c->at_ms;
}

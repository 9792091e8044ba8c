/* api_gc.c: the public call that drops tombs on demand. */
#include "crdt/gc.h"
#include "crdt/setting.h"
#include "crdt/step.h"
#include <unistd.h>

static int policy_of(ecrdt_store *s, int64_t retention_ms,
                     struct gc_policy *p) {
    *p = (struct gc_policy){.retention_ms = (uint64_t)retention_ms};
    return retention_ms < 0
               ? ecrdt_setting_get(s, ECRDT_GC_RETENTION_MS, &p->retention_ms)
               : ECRDT_OK;
}

/* Steps of a pass, then of giving room back, within the budget; 1 = more
 * remains. */
static int run(struct gc *g, uint32_t budget_ms) {
    uint64_t end = os_mono_ms() + budget_ms, from = 0;
    uint32_t lock_ms = g->s->lock_timeout_ms;
    bool dropping = true;
    for (;;) {
        int rc =
            dropping ? gc_step(g, lock_ms) : gc_release(g->s, lock_ms, &from);
        if (rc < 0 || (rc == 0 && !dropping))
            return rc;
        dropping = dropping && rc == 1;
        if (budget_ms && os_mono_ms() >= end)
            return 1;
        if (replica_waiters(g->s))
            usleep(GC_YIELD_US);
    }
}

int ecrdt_gc(ecrdt_store *s, int64_t retention_ms, uint32_t budget_ms,
             ecrdt_gc_report *r) {
    ecrdt_gc_report none;
    struct gc_policy p;
    struct gc g = {0};
    int rc = store_check(s, "ecrdt_gc()");
    if (rc == ECRDT_OK && retention_ms < -1)
        rc = err_set(ECRDT_EINVAL,
                     "ecrdt_gc(): a retention of %lld ms is none: 0 or more, "
                     "or -1 for the store's setting",
                     (long long)retention_ms);
    if (rc == ECRDT_OK)
        rc = policy_of(s, retention_ms, &p);
    if (rc < 0)
        return rc;
    r = r ? r : &none;
    *r = (ecrdt_gc_report){.stale_readers = db_clear_readers(s->db)};
    rc = gc_begin(&g, s, &p);
    if (rc == ECRDT_OK)
        rc = run(&g, budget_ms);
    r->tombstones = g.dropped;
    r->bytes = g.bytes;
    r->more = rc == 1;
    gc_end(&g);
    if (rc >= 0) /* else the sentence is that of rc */
        r->reclaimable_bytes = db_free_bytes(s->db);
    return rc;
}

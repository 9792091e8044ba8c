/* gossip.c: the rounds of a node: look at the clocks after each commit, push
 * what peers lack; apply.c does the other half. */
#include "replication/gossip.h"
#include "crdt/held.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mutant.h"
#include <stdio.h>

void gossip_init(struct gossip *g, ecrdt_store *s) {
    *g = (struct gossip){.store = s};
    subscription_init(&g->push.holds);
    g->push.holds_version = 1;
    apply_init(&g->apply, s);
    reconciler_init(&g->reconciler, s);
}

void gossip_free(struct gossip *g) {
    for (size_t i = 0; i < g->push.n; i++) {
        clock_state_unref(g->push.views[i]->state);
        alloc_free(g->push.views[i]);
    }
    alloc_free(g->push.views);
    replica_marks_free(&g->seen);
    subscription_free(&g->push.holds);
    buf_free(&g->push.scratch);
    buf_free(&g->push.word);
    push_cache_free(&g->push.cache);
    alloc_free(g->sessions);
    apply_free(&g->apply);
    reconciler_free(&g->reconciler);
    *g = (struct gossip){0};
}

int gossip_add(struct gossip *g, struct session *s) {
    int rc = alloc_grow(&g->sessions, &g->cap, g->n + 1, sizeof *g->sessions);
    if (!rc)
        g->sessions[g->n++] = s;
    return rc;
}

void gossip_remove(struct gossip *g, struct session *s) {
    for (size_t i = 0; i < g->n; i++)
        if (g->sessions[i] == s) {
            memmove(g->sessions + i, g->sessions + i + 1,
                    (--g->n - i) * sizeof(*g->sessions));
            break;
        }
    apply_leave(&g->apply, s, g->sessions, g->n);
    reconciler_leave(&g->reconciler, s);
}

struct refresh {
    struct gossip *g;
    ecrdt_txn *txn;
};

/* Index of the first view whose bucket is >= name. */
static size_t view_bound(const struct push *p, const char *name) {
    size_t lo = 0, hi = p->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (strcmp(p->views[mid]->bucket, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The bucket's view, made if need be; NULL without memory. */
static struct view *view_get(struct gossip *g, const char *bucket) {
    struct push *p = &g->push;
    size_t at = view_bound(p, bucket);
    if (at < p->n && !strcmp(p->views[at]->bucket, bucket))
        return p->views[at];
    if (alloc_grow(&p->views, &g->views_cap, p->n + 1, sizeof *p->views) < 0)
        return NULL;
    struct view *v = alloc_zeroed(1, sizeof *v);
    if (!v)
        return NULL;
    snprintf(v->bucket, sizeof v->bucket, "%s", bucket);
    memmove(p->views + at + 1, p->views + at, (p->n - at) * sizeof(*p->views));
    p->n++;
    return p->views[at] = v;
}

static int refresh_bucket(void *ctx, const char *bucket) {
    struct refresh *r = ctx;
    struct view *v = view_get(r->g, bucket);
    struct clock_state *now = v ? clock_state_new() : NULL;
    if (!now)
        return ECRDT_ENOMEM;
    int rc = replica_clock(r->txn, bucket, &now->ranges, &now->floor);
    if (!rc && (!v->state || !clock_state_eq(now, v->state))) {
        struct clock_state *old = v->state;
        v->state = now;
        v->version = ++r->g->version;
        now = old;
    }
    clock_state_unref(now);
    return rc;
}

/* What we hold, as the snapshot says. */
static int refresh_holds(struct push *p, ecrdt_txn *txn) {
    struct subscription now = {0};
    int rc = subscription_load(txn, &now);
    if (!rc) {
        struct subscription old = p->holds;
        p->holds_version += !subscription_eq(&now, &old);
        p->holds = now;
        now = old;
    }
    subscription_free(&now);
    return rc;
}

/* Makes the views show txn's snapshot, durable before any of it leaves. */
static int refresh(struct gossip *g, ecrdt_txn *txn) {
    uint64_t id = replica_snapshot_id(txn);
    if (id == g->snapshot)
        return 0;
    struct refresh r = {g, txn};
    int rc = replica_flush(g->store);
    if (!rc)
        rc = replica_origin(txn, g->push.me);
    if (!rc)
        rc = refresh_holds(&g->push, txn);
    if (!rc)
        rc = replica_each_changed(txn, &g->seen, refresh_bucket, &r);
    if (!rc)
        g->snapshot = id;
    return rc;
}

bool gossip_current(const struct gossip *g) {
    return g->snapshot && g->snapshot == replica_txn_id(g->store);
}

static void push_failed(struct session *s, uint64_t now_ms) {
    char why[ERR_SENTENCE];
    snprintf(why, sizeof why, "%s", ecrdt_errmsg());
    session_bye(s, BYE_STORE, now_ms, why);
}

/* One step for each session that has something to push; the chunks made. */
static int push_pass(struct gossip *g) {
    int made = 0;
    for (size_t i = 0; i < g->n; i++) {
        struct session *s = g->sessions[(g->turn + i) % g->n];
        int rc = session_push(s, &g->push);
        if (rc < 0)
            push_failed(s, g->push.now_ms);
        else
            made += rc;
    }
    if (g->n)
        g->turn = (g->turn + 1) % g->n;
    return made;
}

/* Is s about to bring what we lack of the bucket? So it is if it has not told
 * its clock yet; but not for ever. */
static bool brings(const struct session *s, const char *bucket,
                   uint64_t now_ms) {
    const struct mirror *m = mirrors_find(&s->mirrors, bucket);
    if (s->state != SESSION_SYNCING && s->state != SESSION_LIVE)
        return false;
    if (now_ms >= s->opened_ms + APPLY_BULK_IDLE_MS || (m && m->hold))
        return false;
    return m && m->known ? mirror_missing_here(m) > SESSION_HELD_ITEMS
                         : s->told_all && s->state == SESSION_SYNCING;
}

/* Who fills each bucket: peers that come meanwhile are told to wait, so that
 * a node that comes back to a mesh is not sent everything by each. */
static void name_filler(struct gossip *g, struct view *v, uint64_t now_ms) {
    v->filler = apply_bulk_owner(&g->apply, v->bucket, now_ms);
    for (size_t i = 0; i < g->n && g->n <= GOSSIP_FILLERS && !v->filler; i++)
        if (brings(g->sessions[i], v->bucket, now_ms))
            v->filler = g->sessions[i];
    for (size_t i = 0; i < g->n && !v->filler; i++) {
        struct mirror *m = mirrors_find(&g->sessions[i]->mirrors, v->bucket);
        if (m)
            m->hold = false;
    }
}

/* Costs nothing while there are no new links and nobody waits. */
static void name_fillers(struct gossip *g, uint64_t now_ms) {
    bool any = g->apply.n_bulk;
    for (size_t i = 0; i < g->n && g->n <= GOSSIP_FILLERS; i++)
        any |= now_ms < g->sessions[i]->opened_ms + APPLY_BULK_IDLE_MS;
    any = any || g->named;
    g->named = false;
    for (size_t i = 0; i < g->push.n && any; i++) {
        name_filler(g, g->push.views[i], now_ms);
        g->named |= g->push.views[i]->filler != NULL;
    }
}

/* A snapshot that was exposed before need not be counted again. */
static int begin_round(struct gossip *g) {
    int rc = replica_begin(g->store, false, 0, &g->push.txn);
    if (rc < 0 || replica_snapshot_id(g->push.txn) == g->snapshot)
        return rc;
    ecrdt_abort(g->push.txn);
    g->push.txn = NULL;
    return replica_expose(g->store, &g->push.txn);
}

/* The first mirror whose clock shows that this store was copied or rolled
 * back (PROTOCOL D5); NULL if there is none. */
static int find_clone(struct gossip *g, struct mirror **out) {
    *out = NULL;
    for (size_t i = 0; i < g->n; i++) {
        const struct mirrors *ms = &g->sessions[i]->mirrors;
        for (size_t k = 0; k < ms->n; k++) {
            struct mirror *m = ms->m[k];
            int rc = m->unchecked ? replica_is_cloned(g->push.txn, m->bucket,
                                                      &m->heard->ranges)
                                  : 0;
            m->unchecked = rc != 0;
            if (rc < 0)
                return rc;
            if (rc == 1) {
                *out = m;
                return 0;
            }
        }
    }
    return 0;
}

/* Takes a new incarnation; nothing is sent before. 1 = the writer lock is
 * held: try again soon. */
static int renew(struct gossip *g, const struct mirror *m) {
    ecrdt_txn *t;
    int rc = replica_begin(g->store, true, APPLY_LOCK_MS, &t);
    if (rc < 0)
        return rc == ECRDT_EBUSY ? 1 : rc;
    rc = replica_renew(t, m->bucket, &m->heard->ranges);
    if (rc < 0)
        ecrdt_abort(t);
    return rc < 0 ? rc : ecrdt_commit(t);
}

static int push_round(struct gossip *g, uint64_t now_ms) {
    int rc = begin_round(g);
    if (rc < 0)
        return rc;
    g->push.now_ms = now_ms;
    struct mirror *clone = NULL;
    rc = refresh(g, g->push.txn);
    if (!rc)
        rc = find_clone(g, &clone);
    for (int made = 0; !rc && !clone && made < GOSSIP_ROUND_CHUNKS;) {
        int n = push_pass(g);
        made += n;
        if (!n)
            break;
    }
    ecrdt_abort(g->push.txn);
    g->push.txn = NULL;
    return !rc && clone ? renew(g, clone) : rc;
}

void gossip_wake(struct gossip *g, uint64_t now_ms) {
    if (gossip_current(g))
        return;
    if (!g->wake_at_ms)
        g->wake_first_ms = now_ms;
    uint64_t soon = now_ms + GOSSIP_GATHER_MS;
    uint64_t latest = g->wake_first_ms + GOSSIP_GATHER_MAX_MS;
    g->wake_at_ms = soon < latest ? soon : latest;
}

static uint64_t push_at(const struct gossip *g) {
    uint64_t at = g->wake_at_ms ? g->wake_at_ms : UINT64_MAX;
    for (size_t i = 0; i < g->n && at; i++) {
        uint64_t t = session_push_at(g->sessions[i], g->push.n);
        at = t < at ? t : at;
    }
    return at > g->round_at_ms ? at : g->round_at_ms;
}

static void push_when_due(struct gossip *g, uint64_t now_ms) {
    if (now_ms < push_at(g))
        return;
    g->wake_at_ms = 0;
    g->round_at_ms = 0;
    int rc = push_round(g, now_ms);
    if (rc > 0)
        g->round_at_ms = now_ms + APPLY_BUSY_MS;
    if (rc < 0) {
        g->round_at_ms = now_ms + GOSSIP_RETRY_MS;
        log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(),
                  "msg=\"cannot read the store\"");
    }
}

static uint64_t tick_all(struct gossip *g, uint64_t now_ms) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < g->n; i++) {
        session_tick(g->sessions[i], now_ms);
        uint64_t at = session_deadline(g->sessions[i]);
        next = at < next ? at : next;
    }
    return next;
}

/* Asks one peer of each bucket to push again, if what it told half a second
 * ago and more has not come another way; all that it had is then behind. */
static void graft_session(struct gossip *g, struct session *s,
                          uint64_t now_ms) {
    for (size_t i = 0; i < s->mirrors.n && s->state == SESSION_LIVE; i++) {
        struct mirror *m = s->mirrors.m[i];
        if (!m->pruned || !mirror_late(m) ||
            apply_bulk_owner(&g->apply, m->bucket, now_ms) || MUTANT(nograft))
            continue;
        if (m->view && m->view->grafted_ms == now_ms)
            continue; /* another link brings the bucket again */
        if (m->view)
            m->view->grafted_ms = now_ms;
        m->pruned = false;
        m->keep_until_ms = now_ms + GOSSIP_KEEP_MS;
    }
}

/* A link is pruned and grafted both ways, lest a circle is cut in one sense
 * here and in the other there, and some node gets nothing at all. */
static void follow_peers(struct gossip *g, uint64_t now_ms) {
    for (size_t i = 0; i < g->n; i++) {
        struct session *s = g->sessions[i];
        for (size_t k = 0; k < s->mirrors.n && s->turned; k++) {
            struct mirror *m = s->mirrors.m[k];
            if (m->turned && !MUTANT(oneway))
                m->pruned = m->lazy && apply_can_prune(g->sessions, g->n, s, m);
            if (m->turned && !m->lazy)
                m->keep_until_ms = now_ms + GOSSIP_KEEP_MS;
            m->turned = false;
        }
        s->turned = false;
    }
}

static void graft_when_due(struct gossip *g, uint64_t now_ms) {
    if (now_ms < g->graft_at_ms)
        return;
    g->graft_at_ms = now_ms + GOSSIP_GRAFT_MS;
    for (size_t i = 0; i < g->n; i++)
        graft_session(g, g->sessions[(g->turn + i) % g->n], now_ms);
}

uint64_t gossip_run(struct gossip *g, uint64_t now_ms) {
    reconciler_run(&g->reconciler, g->sessions, g->n, now_ms);
    apply_run(&g->apply, g->sessions, g->n, now_ms);
    name_fillers(g, now_ms);
    follow_peers(g, now_ms);
    graft_when_due(g, now_ms);
    push_when_due(g, now_ms);
    narrowing_run(&g->narrowing, g->store, &g->push, g->sessions, g->n, now_ms);
    uint64_t next = tick_all(g, now_ms);
    if (g->n > 1)
        next = g->graft_at_ms < next ? g->graft_at_ms : next;
    uint64_t apply = apply_at(&g->apply, g->sessions, g->n);
    uint64_t push = push_at(g);
    uint64_t narrow = narrowing_at(&g->narrowing, &g->push);
    next = narrow < next ? narrow : next;
    next = apply < next ? apply : next;
    next = push < next ? push : next;
    uint64_t compare = reconciler_at(&g->reconciler, g->sessions, g->n);
    next = compare < next ? compare : next;
    return next <= now_ms ? 0 : next;
}

void gossip_lag(const struct session *s, uint64_t *here, uint64_t *there) {
    *here = *there = 0;
    for (size_t i = 0; i < s->mirrors.n; i++) {
        *here += mirror_missing_here(s->mirrors.m[i]);
        *there += mirror_missing_there(s->mirrors.m[i]);
    }
}

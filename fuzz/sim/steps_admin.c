/* steps_admin.c: what people and machines do to a store in use. */
#include "fuzz/sim/cluster.h"

static bool skew(struct cluster *c, unsigned r, int64_t ms) {
    struct replica *me = &c->r[r];
    journal_end(&c->journal, me->skew_fault);
    me->skew_fault =
        ms ? journal_fault(&c->journal, "skew", 1u << r, 0, ms) : 0;
    me->skew_ms = ms;
    return true;
}

/* Where the reserve is not real, its blocks were never made. */
static bool full(struct cluster *c, const struct plan_step *s) {
    struct replica *me = &c->r[s->r];
    char path[160];
    snprintf(path, sizeof path, "%s/data.mdb", me->dir);
    journal_end(&c->journal, me->full_fault);
    me->full_fault =
        s->a ? journal_fault(&c->journal, "full", 1u << s->r, 0, 0) : 0;
    me->full = s->a != 0;
    senses.file[s->r].full = me->full;
    if (me->full)
        senses_fill(s->r, path, (off_t)s->c << 10, !s->b);
    return true;
}

/* The same for what people do by hand, which is counted. */
static bool refused_act(struct cluster *c, unsigned r, int rc,
                        const char *what) {
    bool yes = refused(c, r, rc, what);
    c->fig.feature[F_full_other] += yes;
    return yes;
}

static bool gc(struct cluster *c, unsigned r, int64_t retention_ms) {
    ecrdt_gc_report rep = {0};
    int rc = ecrdt_gc(c->r[r].s, retention_ms, 0, &rep);
    c->fig.feature[F_full_gc] += refused(c, r, rc, "ecrdt_gc()");
    c->fig.feature[F_tombs_dropped] += rep.tombstones;
    return rep.tombstones > 0;
}

static bool subscribe(struct cluster *c, const struct plan_step *s) {
    ecrdt_slice list[PLAN_PREFIXES];
    size_t n = 0;
    const char *bucket = cluster_buckets[s->b & 1];
    ecrdt_store *st = c->r[s->r].s;
    for (size_t i = 0; i < PLAN_PREFIXES; i++)
        if (s->a >> i & 1)
            list[n++] = slice_of(&plan_prefix[i], 1);
    if (!s->r) /* holds everything */
        return false;
    int rc = s->a == PLAN_NOTHING ? ecrdt_unsubscribe(st, bucket)
                                  : ecrdt_subscribe(st, bucket, list, n);
    return !refused_act(c, s->r, rc, "ecrdt_subscribe()");
}

static bool peers(struct cluster *c, const struct plan_step *s) {
    unsigned a = s->r, b = (unsigned)s->a;
    if (b >= NET_NODES || a == b || !c->r[b].used)
        return false;
    for (int turn = 0; turn < 2; turn++) {
        unsigned r = turn ? b : a, o = turn ? a : b;
        c->r[r].knows &= ~(1u << o);
        c->r[r].knows |= (uint32_t)(s->b != 0) << o;
        if (!turn && s->b && !(c->r[o].dials >> r & 1))
            c->r[r].dials |= 1u << o;
        cluster_enter(c, r);
        if (replica_up(c, r))
            replica_peers(c, r);
    }
    return true;
}

/* Emptied entries are kept for copies that turn up; where there are none they
 * may be removed at once. False if the disk is full. */
static bool keep_emptied(struct cluster *c, unsigned r, bool yes) {
    int rc = ecrdt_setting_set(c->r[r].s, ECRDT_GC_RETENTION_MS,
                               yes ? GC_RETENTION_MS : 0);
    return !refused_act(c, r, rc, "ecrdt_setting_set()");
}

/* One store of all, replica 0, is the heir, as long as it has the identity
 * under which it claimed it; whoever else folds is refused. */
static bool fold(struct cluster *c, unsigned r, bool all) {
    struct replica *me = &c->r[r];
    if (!keep_emptied(c, r, c->copied))
        return false;
    ecrdt_fold_report rep = {0};
    bool claims = r == 0 && !me->claimed;
    bool may = claims || (r == 0 && !memcmp(me->heir, me->me, ORIGIN_SIZE));
    int rc = ecrdt_fold(
        me->s, (all ? ECRDT_FOLD_ALL : 0) | (claims ? ECRDT_FOLD_CLAIM : 0),
        &rep);
    bool kept = keep_emptied(c, r, true);
    if ((rc == ECRDT_EFULL && refused_act(c, r, rc, "ecrdt_fold()")) || !kept)
        return false;
    /* A crash may have taken the claim. */
    HOLDS(c, rc == ECRDT_EINVAL || c->o.twins || (may && rc >= 0),
          "fold at %u, which %s, gave %d", r, may ? "is the heir" : "is not",
          rc);
    if (claims)
        memcpy(me->heir, me->me, sizeof me->heir);
    me->claimed = me->claimed || claims;
    c->fig.feature[F_folded] += rep.entries;
    c->fig.feature[F_fold_removed] += rep.removed;
    return rc >= 0;
}

static bool retire(struct cluster *c, unsigned r) {
    int rc = ecrdt_retire(c->r[r].s);
    if (rc == ECRDT_EFULL && refused_act(c, r, rc, "ecrdt_retire()"))
        return false;
    HOLDS(c, rc >= 0 || rc == ECRDT_EINVAL, "retire failed: %s",
          ecrdt_errmsg());
    return rc >= 0;
}

static bool forget(struct cluster *c, const struct plan_step *s) {
    struct replica *me = &c->r[s->r];
    if (s->a >= PLAN_PREFIXES)
        return false;
    int rc = ecrdt_forget(me->s, cluster_buckets[s->b & 1],
                          slice_of(&plan_prefix[s->a], 1), NULL);
    if (refused_act(c, s->r, rc, "ecrdt_forget()"))
        return false;
    me->may_fall = true;
    me->seen_txn = 0;
    return true;
}

static int finding(void *ctx, const void *line, size_t n) {
    broken(ctx, "verify: %.*s", (int)n, (const char *)line);
}

bool step_admin(struct cluster *c, const struct plan_step *s) {
    if (!replica_up(c, s->r))
        return s->what == DO_skew && skew(c, s->r, s->a);
    switch (s->what) {
    case DO_skew:
        return skew(c, s->r, s->a);
    case DO_gc:
        return gc(c, s->r, s->a);
    case DO_subscribe:
        return subscribe(c, s);
    case DO_peers:
        return peers(c, s);
    case DO_retire:
        return retire(c, s->r);
    case DO_fold:
        return fold(c, s->r, s->a);
    case DO_forget:
        return forget(c, s);
    case DO_full:
        return full(c, s);
    default:
        MUST(c, ecrdt_verify(c->r[s->r].s, finding, c));
        return true;
    }
}

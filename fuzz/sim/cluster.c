/* cluster.c: replicas begin, run and end. */
#include "fuzz/sim/cluster.h"
#include "crdt/held.h"
#include "lib/dbfile.h"
#include "lib/err.h"
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { EVENTS_AT_ONCE = 50000 };

const char *const cluster_buckets[PLAN_BUCKETS] = {"a", "b"};

void broken(struct cluster *c, const char *format, ...) {
    va_list args;
    int n = snprintf(c->text, sizeof c->text, "step %d (%s), %llu ms: ", c->at,
                     c->doing, (unsigned long long)c->net.now_ms);
    va_start(args, format);
    vsnprintf(c->text + n, sizeof c->text - (size_t)n, format, args);
    va_end(args);
    longjmp(c->over, 1);
}

void cluster_enter(struct cluster *c, unsigned r) {
    senses.skew_ms = c->r[r].skew_ms;
}

static void on_enter(void *ctx, unsigned r) {
    struct cluster *c = ctx;
    c->journal.now_ms = c->net.now_ms;
    cluster_enter(c, r);
}

bool refused(struct cluster *c, unsigned r, int rc, const char *call) {
    if (rc == ECRDT_EFULL && c->r[r].full)
        return true;
    HOLDS(c, rc >= 0, "%s failed: %s", call, ecrdt_errmsg());
    return false;
}

/* Does its relay wait for room on the disk? */
static void note_stuck(struct cluster *c, struct replica *me) {
    bool stuck = me->node && me->node->gossip.apply.error == ECRDT_EFULL;
    c->fig.feature[F_full_apply] += stuck && !me->stuck;
    c->fig.feature[F_full_over] += me->stuck && !stuck && me->node;
    me->stuck = stuck;
}

/* After whatever a node did. */
static void on_done(void *ctx, unsigned r) {
    struct cluster *c = ctx;
    if (!replica_up(c, r))
        return;
    note_stuck(c, &c->r[r]);
    look_if_new(c, r);
}

/* ---- what leaves ----------------------------------------------------------
 */

static const struct link *link_of(const struct node *n,
                                  const struct loop_conn *conn) {
    for (size_t i = 0; i < n->n_links; i++)
        if (n->links[i]->conn == conn)
            return n->links[i];
    return NULL;
}

static const char *kind_of(struct replica *me, const struct link *l, size_t n) {
    static const char handshake[] = "HANDSHAKE";
    if (!l || !l->s || l->s->state == SESSION_HANDSHAKE)
        return handshake;
    unsigned chunks = 0, fps = 0;
    for (size_t i = 0; i < me->node->n_links; i++) {
        const struct session *s = me->node->links[i]->s;
        chunks += s ? (unsigned)s->stats.chunks_out : 0;
        fps += s ? (unsigned)s->stats.fps_out : 0;
    }
    const char *kind = chunks > me->chunks              ? "CHUNK"
                       : fps > me->fps                  ? "FP"
                       : l->s->state >= SESSION_CLOSING ? "BYE"
                       : l->s->state == SESSION_SYNCING ? "HELLO"
                       : n > 40                         ? "CLOCK"
                                                        : "OTHER";
    me->chunks = chunks;
    me->fps = fps;
    return kind;
}

static uint64_t on_left(void *ctx, unsigned a, unsigned b,
                        const struct loop_conn *conn, size_t n) {
    struct cluster *c = ctx;
    struct replica *me = &c->r[a];
    const char *kind =
        me->node ? kind_of(me, link_of(me->node, conn), n) : "OTHER";
    c->fig.feature[F_chunks] += *kind == 'C' && kind[1] == 'H';
    c->fig.feature[F_fps] += *kind == 'F';
    return journal_msg(&c->journal, a, b, kind, n);
}

static void on_arrived(void *ctx, uint64_t id) {
    struct cluster *c = ctx;
    journal_recv(&c->journal, id);
}

/* ---- replicas -------------------------------------------------------------
 */

bool replica_up(const struct cluster *c, unsigned r) {
    return r < NET_NODES && c->r[r].used && c->r[r].s;
}

void replica_peers(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    struct node_peer list[NET_NODES];
    size_t n = 0;
    for (unsigned o = 0; o < NET_NODES; o++) {
        if (o == r || !c->r[o].used || !(me->knows >> o & 1))
            continue;
        struct node_peer *p = &list[n++];
        *p = (struct node_peer){0};
        memcpy(p->key, c->r[o].self.pk, sizeof p->key);
        snprintf(p->name, sizeof p->name, "r%u", o);
        p->address.port = NET_PORT;
        if (me->dials >> o & 1)
            snprintf(p->address.host, sizeof p->address.host, "10.0.0.%u", o);
    }
    if (me->node)
        MUST(c, node_set_peers(me->node, list, n));
}

static uint32_t level_flag(uint8_t level) {
    return level == LEVEL_full      ? ECRDT_FULL
           : level == LEVEL_relaxed ? ECRDT_RELAXED
                                    : ECRDT_EPHEMERAL;
}

/* A file that was made just now has set its reserve aside. */
static void watch_new(struct replica *me, unsigned r, const char *path) {
    struct senses_file *f = &senses.file[r];
    struct stat st;
    if (!senses_watch(r, path) || stat(path, &st))
        return;
    f->promised = st.st_size + DBFILE_RESERVE;
    f->end = f->promised;
    f->full = me->full;
}

static bool open_store(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    char path[160];
    uint64_t cap = 0;
    snprintf(path, sizeof path, "%s/data.mdb", me->dir);
    senses.file[r].full = me->full;
    bool there = senses_watch(r, path);
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = level_flag(me->level);
    o.max_readers = 16;
    o.max_bytes = 1 << 26;
    me->s = ecrdt_open(me->dir, &o);
    if (!me->s && refused(c, r, ecrdt_errcode(), "ecrdt_open()"))
        return false;
    HOLDS(c, me->s, "the store of %u cannot be opened: %s", r, ecrdt_errmsg());
    if (!there)
        watch_new(me, r, path);
    MUST(c, ecrdt_setting_get(me->s, ECRDT_LOG_CAP_BYTES, &cap));
    if (c->plan->log_cap && cap != c->plan->log_cap)
        REFUSED(
            c, r,
            ecrdt_setting_set(me->s, ECRDT_LOG_CAP_BYTES, c->plan->log_cap));
    return true;
}

static bool open_node(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    struct node_conf conf = {
        .store = me->s,
        .self = &me->self,
        .realm = "sim",
        .name = "sim",
        .role = me->core ? PEER_CORE : PEER_EDGE,
        .audit_ms = c->plan->audit_ms,
        .talk = {.items = c->plan->talk_items,
                 .leaf = c->plan->talk_leaf,
                 .fan = c->plan->talk_items ? RECONCILE_FAN : 0},
        .record = c->plan->gc_ms > 0,
        .gc = {.interval_ms = c->plan->gc_ms,
               .budget_ms = c->plan->gc_ms ? 500 : 0},
    };
    struct node_address any = {.port = NET_PORT};
    snprintf(any.host, sizeof any.host, "10.0.0.%u", r);
    me->loop = net_loop_open(&c->net, r);
    HOLDS(c, me->loop, "no memory for a loop");
    if (REFUSED(c, r, node_open(&conf, me->loop, &me->node)))
        return false;
    MUST(c, node_listen(me->node, &any, 1));
    me->chunks = me->fps = 0;
    me->audits = 0;
    replica_peers(c, r);
    return true;
}

static void close_store(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    if (me->loop)
        me->loop->t->close(me->loop);
    me->loop = NULL;
    look_if_new(c, r);
    MUST(c, ecrdt_close(me->s));
    me->s = NULL;
    senses.file[r].ino = 0;
}

bool replica_start(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    cluster_enter(c, r);
    if (!open_store(c, r)) {
        senses.file[r].ino = 0;
        c->fig.feature[F_full_other]++;
        return false;
    }
    look(c, r);
    if (!open_node(c, r)) {
        close_store(c, r);
        c->fig.feature[F_full_other]++;
        return false;
    }
    journal_end(&c->journal, me->down_fault);
    me->down_fault = 0;
    look_if_new(c, r);
    return true;
}

static void count_node(struct cluster *c, struct replica *me) {
    for (size_t i = 0; i < me->node->n_links; i++) {
        const struct session *s = me->node->links[i]->s;
        for (size_t k = 0; s && k < s->mirrors.n; k++)
            c->fig.feature[F_prunes] += s->mirrors.m[k]->pruned;
    }
    for (size_t i = 0; i < me->node->peers.n; i++) {
        const struct peer_record *p = &me->node->peers.p[i]->r;
        c->fig.feature[F_links] += p->links;
        c->fig.feature[F_audits] += p->audits;
        c->fig.feature[F_wholes] += p->complete_parts;
        HOLDS(c, !p->mismatches, "an audit found a difference");
    }
    const struct reconciler *rec = &me->node->gossip.reconciler;
    c->fig.feature[F_talks] += rec->talks;
    c->fig.feature[F_sames] += rec->raised;
    c->fig.feature[F_stale] += rec->stale;
    ecrdt_stats st = {.size = sizeof st};
    MUST(c, ecrdt_stat_read(me->s, &st));
    c->fig.feature[F_forks] += st.fork_merges;
    c->fig.feature[F_tombs_dropped] += st.gc_tombstones;
}

void replica_stop(struct cluster *c, unsigned r, bool in_order) {
    struct replica *me = &c->r[r];
    cluster_enter(c, r);
    node_status(me->node);
    count_node(c, me);
    if (in_order) {
        node_stop(me->node, "stopped");
        cluster_run(c, 5);
    }
    cluster_enter(c, r);
    look_if_new(c, r);
    node_free(me->node);
    me->node = NULL;
    me->stuck = false;
    close_store(c, r);
    if (!me->down_fault)
        me->down_fault = journal_fault(&c->journal, "down", 1u << r, 0, 0);
}

void replica_make(struct cluster *c, unsigned r, bool core, uint8_t level) {
    struct replica *me = &c->r[r];
    uint8_t seed[32] = {0};
    store64(seed, c->plan->seed);
    seed[8] = (uint8_t)(r + 1);
    me->used = true;
    me->core = core;
    me->level = level;
    for (unsigned b = 0; b < PLAN_BUCKETS; b++)
        me->own[b] = -1;
    snprintf(me->dir, sizeof me->dir, "%s/%u", c->dir, r);
    identity_init(&me->self, seed);
}

static void net_begin(struct cluster *c) {
    c->net.rng.s = c->plan->seed * UINT64_C(0xbf58476d1ce4e5b9) | 1;
    c->net.enter = on_enter;
    c->net.done = on_done;
    c->net.left = on_left;
    c->net.arrived = on_arrived;
    c->net.ctx = c;
    cluster_heal(c);
}

void cluster_open(struct cluster *c, struct plan *p, const char *dir) {
    c->plan = p;
    c->doing = "open";
    c->at = -1;
    snprintf(c->dir, sizeof c->dir, "%s", dir);
    senses_begin(p->seed);
    c->clocks = calloc(CLUSTER_CLOCKS, sizeof *c->clocks);
    c->planned = calloc(PLAN_OPS, sizeof *c->planned);
    HOLDS(c, c->clocks && c->planned && oracle_init(&c->o) == 0, "no memory");
    MUST(c, crypto_init());
    net_begin(c);
    for (unsigned r = 0; r < p->replicas; r++) {
        replica_make(c, r, p->at[r].core, p->at[r].level);
        c->r[r].dials = p->at[r].dials;
        for (unsigned o = 0; o < p->replicas; o++)
            if (p->at[r].dials >> o & 1 || p->at[o].dials >> r & 1)
                c->r[r].knows |= 1u << o;
    }
    for (unsigned r = 0; r < p->replicas; r++)
        replica_start(c, r);
}

/* ---- time -----------------------------------------------------------------
 */

void cluster_run(struct cluster *c, uint64_t ms) {
    uint64_t end = c->net.now_ms + ms, at = c->net.now_ms, n = 0;
    do {
        c->journal.now_ms = c->net.now_ms;
        n = c->net.now_ms == at ? n + 1 : 0;
        at = c->net.now_ms;
        HOLDS(c, n < EVENTS_AT_ONCE,
              "a node works without end: %d events in "
              "one millisecond",
              EVENTS_AT_ONCE);
    } while (net_step(&c->net, end));
    c->journal.now_ms = c->net.now_ms;
}

void cluster_heal(struct cluster *c) {
    for (unsigned a = 0; a < NET_NODES; a++)
        for (unsigned b = 0; b < NET_NODES; b++) {
            c->net.way[a][b] = (struct net_way){.delay_lo = c->plan->delay_lo,
                                                .delay_hi = c->plan->delay_hi};
            journal_end(&c->journal, c->way_fault[a][b]);
            c->way_fault[a][b] = 0;
        }
    journal_end(&c->journal, c->part_fault);
    c->part_fault = 0;
}

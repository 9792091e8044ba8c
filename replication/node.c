/* node.c: the work of a node: one step at a time, whenever something came in,
 * was committed or is due. */
#include "replication/node.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/log.h"
#include <stdio.h>
#include <unistd.h>

static uint64_t loop_now(const struct node *n) {
    return n->loop->t->now_ms(n->loop);
}

static uint64_t wall_ms(const struct node *n) {
    return n->loop->t->wall_ms(n->loop);
}

void node_kick(struct node *n) {
    n->loop->t->timer_set(n->work, 0);
}

static void on_wake(void *ctx) {
    struct node *n = ctx;
    gossip_wake(&n->gossip, loop_now(n));
    node_kick(n);
}

/* Dials every peer whose time has come; when the next one's comes. */
static uint64_t dial_due(struct node *n, uint64_t now_ms) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < n->peers.n && !n->draining; i++) {
        struct peer *p = n->peers.p[i];
        if (!p->host[0] || p->link || p->dial || p->gone)
            continue;
        if (now_ms >= p->attempt_at_ms)
            link_dial(n, p, now_ms);
        else if (p->attempt_at_ms < next)
            next = p->attempt_at_ms;
    }
    return next;
}

static void step_links(struct node *n, uint64_t now_ms) {
    for (size_t i = 0; i < n->n_links;)
        if (link_step(n->links[i], now_ms))
            i++;
}

/* When a link's own clock runs out, those before READY too. */
static uint64_t links_deadline(const struct node *n) {
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < n->n_links; i++) {
        const struct link *l = n->links[i];
        uint64_t at =
            l->s ? session_deadline(l->s) : l->opened_ms + NODE_CONNECT_MS;
        next = at < next ? at : next;
    }
    return next;
}

static void status_of(struct node *n, struct peer *p) {
    struct link *l = p->link;
    if (!l)
        return;
    uint64_t here, there;
    bool same =
        gossip_current(&n->gossip) && session_in_sync(l->s, n->gossip.push.n);
    gossip_lag(l->s, &here, &there);
    if (here != p->r.missing_here || there != p->r.missing_there)
        p->dirty = true;
    p->r.missing_here = here;
    p->r.missing_there = there;
    if (l->s->heard_ms)
        p->r.seen_ms = wall_ms(n) - (loop_now(n) - l->s->heard_ms);
    link_count(l);
    peer_state_set(p, same ? PEER_IN_SYNC : PEER_SYNCING, NULL, wall_ms(n));
}

/* What the node counts by itself goes into its record. */
static void count_self(struct node *n) {
    struct relay_record *self = &n->peers.self;
    uint64_t before = self->bulks + self->fork_merges + self->fork_unknown;
    self->links = n->n_links;
    self->bulks = n->gossip.apply.bulks;
    replica_fork_counts(n->conf.store, &self->fork_merges, &self->fork_unknown);
    if (before != self->bulks + self->fork_merges + self->fork_unknown)
        n->peers.self_dirty = true;
}

void node_status(struct node *n) {
    n->status_ms = loop_now(n);
    count_self(n);
    for (size_t i = 0; i < n->peers.n; i++)
        status_of(n, n->peers.p[i]);
}

/* Our own condition as one sentence for the record. */
static void note_condition(struct node *n) {
    struct relay_record *self = &n->peers.self;
    char now[PEER_ERROR_MAX + 1];
    const char *narrow = n->gossip.narrowing.sentence;
    if (n->gossip.apply.error)
        snprintf(now, sizeof now, "%.*s", PEER_ERROR_MAX,
                 n->gossip.apply.sentence);
    else
        snprintf(now, sizeof now, "%s%s%.*s",
                 n->stopping   ? "stopped"
                 : n->draining ? "draining"
                               : "running",
                 *narrow ? "; to forget what is left: " : "",
                 PEER_ERROR_MAX - 64, narrow);
    if (!strcmp(now, self->status) && self->running != n->stopping)
        return;
    memcpy(self->status, now, sizeof now);
    self->running = !n->stopping;
    n->peers.self_dirty = true;
}

static void record(struct node *n, uint64_t now_ms) {
    if (now_ms - n->status_ms >= NODE_STATUS_MS)
        node_status(n);
    note_condition(n);
    if (n->conf.record &&
        peers_write(&n->peers, n->conf.store, false, now_ms, wall_ms(n)) < 0)
        log_error(ECRDT_LOG_WARN, ecrdt_errmsg(),
                  "msg=\"cannot write the peers' records\"");
}

/* ---- tombs ----------------------------------------------------------------
 * A core that is configured and was ever met must have told that it has a tomb
 * before it may go; while it is away it has told nothing. Out of the
 * configuration it holds up nothing. */

static bool is_core(const struct peer *p) {
    return !p->gone && p->r.role == PEER_CORE;
}

static bool cores_have(void *ctx, const char *bucket, slice id,
                       const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    const struct node *n = ctx;
    for (size_t i = 0; i < n->peers.n; i++) {
        const struct peer *p = n->peers.p[i];
        const struct link *l = p->link;
        if (!is_core(p))
            continue;
        const struct mirror *m =
            l && l->s ? mirrors_find(&l->s->mirrors, bucket) : NULL;
        if (m && !spans_have(&m->theirs, id))
            continue; /* it does not hold the item */
        if (!m || !mirror_covers(m, id, origin, seq))
            return false;
    }
    return true;
}

static uint64_t collect_due(struct node *n, uint64_t now_ms) {
    struct gc_policy policy = {.covered = cores_have, .ctx = n};
    if (!n->peers.purged || n->draining)
        return UINT64_MAX;
    return collect_run(&n->collect, &policy, now_ms);
}

void node_set_gc(struct node *n, const struct collect_conf *conf) {
    collect_configure(&n->collect, conf);
    node_kick(n);
}

static void work(void *ctx) {
    struct node *n = ctx;
    uint64_t now_ms = loop_now(n);
    if (now_ms - n->checked_ms >= NODE_CHECK_MS) {
        n->checked_ms = now_ms;
        gossip_wake(&n->gossip, now_ms);
    }
    step_links(n, now_ms); /* a new session joins the round below */
    uint64_t audit = node_audit_step(n, now_ms);
    uint64_t next = gossip_run(&n->gossip, now_ms);
    step_links(n, now_ms);
    uint64_t dial = dial_due(n, now_ms), link = links_deadline(n);
    record(n, now_ms);
    uint64_t acks = n->conf.record ? acks_run(n, now_ms) : UINT64_MAX;
    uint64_t collect = collect_due(n, now_ms);
    if (next) {
        uint64_t check = now_ms + NODE_CHECK_MS;
        next = dial < next ? dial : next;
        next = link < next ? link : next;
        next = acks < next ? acks : next;
        next = audit < next ? audit : next;
        next = collect < next ? collect : next;
        next = check < next ? check : next;
    }
    n->loop->t->timer_set(n->work, next > now_ms ? next - now_ms : 0);
    if (n->conf.worked)
        n->conf.worked(n->conf.ctx);
}

static void fill_self(struct node *n) {
    struct relay_record *self = &n->peers.self;
    identity_text(self->key, n->conf.self->pk);
    snprintf(self->name, sizeof self->name, "%s", n->name);
    snprintf(self->realm, sizeof self->realm, "%s", n->realm);
    snprintf(self->version, sizeof self->version, "%s", ecrdt_version());
    self->role = n->conf.role;
    self->pid = (uint64_t)getpid();
    self->started_ms = wall_ms(n);
    self->running = true;
}

/* The host's name, which stands for none, may be empty. */
static int check_names(const struct node_conf *conf) {
    size_t realm = strlen(conf->realm), name = strlen(conf->name);
    if (realm >= 1 && realm <= PEER_NAME_MAX && name <= PEER_NAME_MAX)
        return ECRDT_OK;
    return err_set(ECRDT_EINVAL,
                   "a realm has 1 to %d bytes and a node's name at most as "
                   "many, these have %zu and %zu",
                   PEER_NAME_MAX, realm, name);
}

int node_open(const struct node_conf *conf, struct loop *loop,
              struct node **out) {
    if (check_names(conf) < 0)
        return ECRDT_EINVAL;
    struct node *n = alloc_zeroed(1, sizeof *n);
    if (!n)
        return ECRDT_ENOMEM;
    n->conf = *conf;
    n->loop = loop;
    if (!n->conf.max_links)
        n->conf.max_links = NODE_LINKS_MAX;
    snprintf(n->name, sizeof n->name, "%s", conf->name);
    snprintf(n->realm, sizeof n->realm, "%s", conf->realm);
    gossip_init(&n->gossip, conf->store);
    collect_init(&n->collect, conf->store, &conf->gc, loop_now(n));
    fill_self(n);
    int rc = loop->t->timer_new(loop, work, n, &n->work);
    if (!rc)
        rc = loop->t->watch_new(loop, replica_wake_path(conf->store), on_wake,
                                n, &n->watch);
    if (rc < 0) {
        node_free(n);
        return rc;
    }
    replica_watch(conf->store, true);
    replica_core(conf->store, conf->role == PEER_CORE);
    on_wake(n);
    *out = n;
    return 0;
}

/* ---- configuration --------------------------------------------------------
 */

static const struct node_listener *
find_listener(const struct node_listener *list, size_t count,
              const struct node_address *a) {
    for (size_t i = 0; i < count; i++)
        if (list[i].address.port == a->port &&
            !strcmp(list[i].address.host, a->host))
            return &list[i];
    return NULL;
}

static void close_unlisted(struct node *n, const struct node_listener *from,
                           size_t count, const struct node_listener *keep,
                           size_t n_keep) {
    for (size_t i = 0; i < count; i++)
        if (!find_listener(keep, n_keep, &from[i].address))
            n->loop->t->listener_close(from[i].listener);
}

int node_listen_begin(struct node *n, const struct node_address *list,
                      size_t count, struct node_listener *next) {
    if (count > RELAY_LISTEN_MAX)
        return err_set(ECRDT_EINVAL, "cannot listen on more than %d addresses",
                       RELAY_LISTEN_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct node_listener *old =
            find_listener(n->listeners, n->n_listeners, &list[i]);
        next[i] = old ? *old : (struct node_listener){.address = list[i]};
        int rc = old ? 0
                     : n->loop->t->listen(n->loop, list[i].host, list[i].port,
                                          link_accept, n, next[i].bound,
                                          &next[i].listener);
        if (rc < 0) {
            node_listen_end(n, next, i, false);
            return rc;
        }
    }
    return 0;
}

void node_listen_end(struct node *n, const struct node_listener *next,
                     size_t count, bool take) {
    if (!take) {
        close_unlisted(n, next, count, n->listeners, n->n_listeners);
        return;
    }
    close_unlisted(n, n->listeners, n->n_listeners, next, count);
    memcpy(n->listeners, next, count * sizeof *next);
    n->n_listeners = count;
    n->peers.self.n_listen = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        memcpy(n->peers.self.listen[i], next[i].bound, sizeof next[i].bound);
    n->peers.self_dirty = true;
}

int node_listen(struct node *n, const struct node_address *list, size_t count) {
    struct node_listener next[RELAY_LISTEN_MAX];
    int rc = node_listen_begin(n, list, count, next);
    if (rc == 0)
        node_listen_end(n, next, count, true);
    return rc;
}

static bool listed(const struct node_peer *list, size_t count,
                   const struct peer *p) {
    for (size_t i = 0; i < count; i++)
        if (!memcmp(list[i].key, p->key, 32))
            return true;
    return false;
}

static void drop_peer(struct node *n, struct peer *p, uint64_t now_ms) {
    for (size_t i = 0; i < n->n_links; i++) {
        struct link *l = n->links[i];
        if (l->peer != p)
            continue;
        link_stop(l, BYE_STOP, "the configuration lists this peer no more",
                  now_ms);
        l->peer = NULL;
        p->dial = p->dial == l ? NULL : p->dial;
    }
    p->link = NULL;
    peers_drop(&n->peers, p);
}

/* A peer whose address changed is dialed there at once. */
static int put_peer(struct node *n, const struct node_peer *c,
                    uint64_t now_ms) {
    struct peer *p = peers_find(&n->peers, c->key);
    bool moved = p && (p->port != c->address.port ||
                       strcmp(p->host, c->address.host) != 0);
    int rc = peers_put(&n->peers, c->key, c->name, c->address.host,
                       c->address.port, &p);
    if (rc < 0 || !moved)
        return rc;
    p->attempt_at_ms = 0;
    p->failed = 0;
    for (size_t i = 0; i < n->n_links; i++)
        if (n->links[i]->peer == p && n->links[i]->dialed)
            link_stop(n->links[i], BYE_STOP, "the peer's address has changed",
                      now_ms);
    return 0;
}

int node_set_peers(struct node *n, const struct node_peer *list, size_t count) {
    uint64_t now_ms = loop_now(n);
    for (size_t i = 0; i < n->peers.n; i++)
        if (!n->peers.p[i]->gone && !listed(list, count, n->peers.p[i]))
            drop_peer(n, n->peers.p[i], now_ms);
    for (size_t i = 0; i < count; i++) {
        int rc = put_peer(n, &list[i], now_ms);
        if (rc < 0)
            return rc;
    }
    node_kick(n);
    return 0;
}

/* ---- ending ----------------------------------------------------------------
 */

void node_drain(struct node *n) {
    n->draining = true;
    for (size_t i = 0; i < n->n_listeners; i++)
        n->loop->t->listener_close(n->listeners[i].listener);
    n->n_listeners = 0;
    n->peers.self.n_listen = 0;
    n->peers.self_dirty = true;
    on_wake(n);
}

bool node_drained(const struct node *n) {
    if (!gossip_current(&n->gossip))
        return false;
    for (size_t i = 0; i < n->peers.n; i++) {
        const struct link *l = n->peers.p[i]->link;
        if (l && !session_pushed(l->s, n->gossip.push.n))
            return false;
    }
    return true;
}

size_t node_away(const struct node *n) {
    size_t away = 0;
    for (size_t i = 0; i < n->peers.n; i++)
        away += !n->peers.p[i]->gone && !n->peers.p[i]->link;
    return away;
}

bool node_in_sync(const struct node *n) {
    if (!gossip_current(&n->gossip))
        return false;
    for (size_t i = 0; i < n->peers.n; i++) {
        const struct peer *p = n->peers.p[i];
        const struct link *l = p->link;
        if (!p->gone && (!l || !session_in_sync(l->s, n->gossip.push.n)))
            return false;
    }
    return true;
}

void node_stop(struct node *n, const char *why) {
    uint64_t now_ms = loop_now(n);
    if (!n->draining)
        node_drain(n);
    n->stopping = true;
    node_status(n);
    for (size_t i = 0; i < n->n_links; i++)
        link_stop(n->links[i], BYE_STOP, why, now_ms);
    for (size_t i = 0; i < n->peers.n; i++)
        peer_state_set(n->peers.p[i],
                       n->peers.p[i]->host[0] ? PEER_DOWN : PEER_WAITING, NULL,
                       wall_ms(n));
    node_kick(n);
}

bool node_idle(const struct node *n) {
    return !n->n_links;
}

void node_free(struct node *n) {
    if (!n)
        return;
    uint64_t now_ms = loop_now(n);
    if (n->conf.record && n->stopping) {
        note_condition(n);
        peers_write(&n->peers, n->conf.store, true, now_ms, wall_ms(n));
    }
    for (size_t i = 0; i < n->n_listeners; i++)
        n->loop->t->listener_close(n->listeners[i].listener);
    while (n->n_links) {
        n->links[0]->over = true;
        link_step(n->links[0], now_ms);
    }
    node_audit_leave(n, NULL);
    n->loop->t->handle_free(n->work);
    replica_watch(n->conf.store, false);
    n->loop->t->handle_free(n->watch);
    peers_free(&n->peers);
    acks_free(&n->acks);
    gossip_free(&n->gossip);
    collect_free(&n->collect);
    alloc_free(n->links);
    alloc_free(n);
}

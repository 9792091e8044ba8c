/* sync_once.c: ecrdt_sync_once(): a node on a private loop that lives until
 * its peers are in sync. */
#include "edgecrdt_sync.h"
#include "lib/err.h"
#include "lib/log.h"
#include "replication/node.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { SYNC_LINGER_MS = 1000, SYNC_PEERS_MAX = 64 };

struct sync_run {
    struct loop *loop;
    struct node *node;
    struct loop_handle *deadline;
    bool stopping, all, late;
    bool synced[SYNC_PEERS_MAX];
    int code; /* why not all, told before the links are closed */
    char why[ERR_SENTENCE];
};

static int check_conf(const ecrdt_sync_conf *conf, int timeout_ms,
                      const ecrdt_sync_report *report) {
    if (!conf || conf->size != sizeof *conf ||
        (report && report->size != sizeof *report))
        return err_set(ECRDT_EINVAL,
                       "ecrdt_sync_once needs a conf from "
                       "ECRDT_SYNC_CONF_INIT and a report with its size set");
    if (!conf->key_file || !conf->peers || !conf->npeers)
        return err_set(ECRDT_EINVAL,
                       "ecrdt_sync_once needs a key_file and at least one "
                       "peer, \"ed25519:KEY@host:port\"");
    if (conf->npeers > SYNC_PEERS_MAX)
        return err_set(ECRDT_EINVAL,
                       "ecrdt_sync_once talks to %d peers at most, not %zu",
                       SYNC_PEERS_MAX, conf->npeers);
    if (timeout_ms <= 0)
        return err_set(ECRDT_EINVAL,
                       "ecrdt_sync_once needs a timeout of at least 1 ms");
    return 0;
}

static int parse_peers(const ecrdt_sync_conf *conf, struct node_peer *out) {
    for (size_t i = 0; i < conf->npeers; i++) {
        struct peer_address a;
        int rc = peer_address_parse(&a, conf->peers[i]);
        if (rc < 0)
            return rc;
        memcpy(out[i].key, a.pk, sizeof out[i].key);
        memcpy(out[i].address.host, a.host, sizeof a.host);
        out[i].address.port = a.port;
    }
    return 0;
}

static void note_synced(struct sync_run *r) {
    const struct node *n = r->node;
    bool current = gossip_current(&n->gossip);
    for (size_t i = 0; i < n->peers.n && i < SYNC_PEERS_MAX; i++) {
        const struct link *l = n->peers.p[i]->link;
        r->synced[i] = current && l && session_in_sync(l->s, n->gossip.push.n);
    }
}

/* The sentence that names who is not in sync and why; the first one's code. */
static void note_missing(struct sync_run *r) {
    const struct peers *ps = &r->node->peers;
    const struct apply *a = &r->node->gossip.apply;
    char list[ERR_SENTENCE / 2] = "";
    size_t n = 0;
    for (size_t i = 0; i < ps->n && n < sizeof list; i++) {
        const struct peer *p = ps->p[i];
        if (r->synced[i])
            continue;
        if (!r->code)
            r->code = a->error ? a->error : p->error;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s (%s%s%s)",
                              n ? ", " : "", p->r.address,
                              peer_state_name(p->r.state),
                              *p->r.error ? ": " : "", p->r.error);
    }
    snprintf(r->why, sizeof r->why, "not in sync%s: %s%s%.400s",
             r->late ? " before the deadline" : "", list, a->error ? "; " : "",
             a->sentence);
}

static void finish(struct sync_run *r) {
    if (r->stopping)
        return;
    note_synced(r);
    note_missing(r);
    if (acks_note_own(r->node) < 0)
        log_error(ECRDT_LOG_WARN, ecrdt_errmsg(),
                  "msg=\"cannot write down what peers have\"");
    r->stopping = true;
    node_stop(r->node, "done");
    r->loop->t->timer_set(r->deadline, SYNC_LINGER_MS);
}

/* Waiting longer is of no use: every peer has refused us. */
static bool hopeless(const struct node *n) {
    for (size_t i = 0; i < n->peers.n; i++)
        if (n->peers.p[i]->r.state != PEER_REFUSED)
            return false;
    return true;
}

static void worked(void *ctx) {
    struct sync_run *r = ctx;
    if (r->stopping) {
        if (node_idle(r->node))
            r->loop->t->stop(r->loop);
        return;
    }
    r->all = node_in_sync(r->node) && !r->node->gossip.narrowing.busy;
    if (r->all || hopeless(r->node))
        finish(r);
}

static void on_deadline(void *ctx) {
    struct sync_run *r = ctx;
    r->late = true;
    if (r->stopping)
        r->loop->t->stop(r->loop);
    else
        finish(r);
}

static uint32_t fill_report(const struct sync_run *r, ecrdt_sync_report *out) {
    ecrdt_sync_report sum = {.size = sizeof sum};
    const struct peers *ps = &r->node->peers;
    for (size_t i = 0; i < ps->n; i++) {
        const struct peer_record *p = &ps->p[i]->r;
        sum.peers_reached += p->links > 0;
        sum.peers_synced += i < SYNC_PEERS_MAX && r->synced[i];
        sum.items_applied += p->items_in;
        sum.items_sent += p->items_out;
        sum.bytes_received += p->bytes_in;
        sum.bytes_sent += p->bytes_out;
    }
    if (out)
        *out = sum;
    return sum.peers_synced;
}

/* 0 with a sentence, or what the first peer failed for if none is in sync. */
static int explain(const struct sync_run *r, uint32_t synced) {
    int code = synced ? 0 : r->code;
    err_set(code ? code : ECRDT_ETIMEOUT, "%s", r->why);
    return code;
}

static int run(struct sync_run *r, const struct node_conf *conf,
               const struct node_peer *peers, size_t count, int timeout_ms) {
    int rc = node_open(conf, r->loop, &r->node);
    if (!rc)
        rc = node_set_peers(r->node, peers, count);
    if (!rc)
        rc = r->loop->t->timer_new(r->loop, on_deadline, r, &r->deadline);
    if (rc < 0)
        return rc;
    r->loop->t->timer_set(r->deadline, (uint64_t)timeout_ms);
    return r->loop->t->run(r->loop);
}

static int sync_with(ecrdt_store *s, const ecrdt_sync_conf *conf,
                     const struct identity *self, int timeout_ms,
                     ecrdt_sync_report *report) {
    struct node_peer peers[SYNC_PEERS_MAX] = {0};
    struct sync_run r = {0};
    char host[PEER_NAME_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    struct node_conf nc = {.store = s,
                           .self = self,
                           .realm = conf->realm ? conf->realm : "default",
                           .name = conf->name ? conf->name : host,
                           .worked = worked,
                           .ctx = &r};
    int rc = parse_peers(conf, peers);
    if (!rc)
        rc = loop_uv_open(&r.loop, false);
    if (rc < 0)
        return rc;
    rc = run(&r, &nc, peers, conf->npeers, timeout_ms);
    if (!rc) {
        uint32_t synced = fill_report(&r, report);
        rc = r.all ? 1 : explain(&r, synced);
    }
    r.loop->t->handle_free(r.deadline);
    node_free(r.node);
    r.loop->t->close(r.loop);
    return rc;
}

/* A peer that goes away must not kill the caller's process by SIGPIPE, and
 * its signal handlers are not ours to change: the signal is held in this
 * thread and one that came of our writes is taken away. False: the caller
 * has one pending, all stays as it is. */
static bool block_sigpipe(sigset_t *old) {
    sigset_t pending, pipe_only;
    sigemptyset(&pending);
    sigpending(&pending);
    if (sigismember(&pending, SIGPIPE))
        return false;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    return pthread_sigmask(SIG_BLOCK, &pipe_only, old) == 0;
}

static void restore_sigpipe(const sigset_t *old) {
    sigset_t pipe_only;
    const struct timespec now = {0};
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigtimedwait(&pipe_only, NULL, &now);
    pthread_sigmask(SIG_SETMASK, old, NULL);
}

int ecrdt_sync_once(ecrdt_store *s, const ecrdt_sync_conf *conf, int timeout_ms,
                    ecrdt_sync_report *report) {
    struct identity self;
    int rc = store_check(s, "ecrdt_sync_once()");
    if (!rc)
        rc = check_conf(conf, timeout_ms, report);
    if (!rc)
        rc = identity_load(&self, conf->key_file);
    if (rc < 0)
        return rc;
    sigset_t old;
    bool blocked = block_sigpipe(&old);
    rc = sync_with(s, conf, &self, timeout_ms, report);
    if (blocked)
        restore_sigpipe(&old);
    identity_free(&self);
    return rc;
}

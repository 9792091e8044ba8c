/* relay.c: a node under the signals of an operator: HUP reads the
 * configuration again, TERM drains, USR1 logs the state. */
#include "replication/relay/relay.h"
#include "crdt/held.h"
#include "crdt/setting.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "replication/relay/lock.h"
#include "replication/relay/log.h"
#include "replication/relay/notify.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SIGNALS = 4,
    STOP_MS = 2000,
    STATUS_EVERY_MS = 1000,
    START_LOCK_MS = 5000,  /* nothing runs yet: it may wait */
    RELOAD_RETRY_MS = 20,  /* while somebody has the writer lock ... */
    RELOAD_LOCK_MS = 30000 /* ... and for how long */
};

/* A configuration that was read, and waits for the writer lock to be taken
 * over. */
struct reload {
    bool waits, told; /* that it waits */
    struct config conf;
    struct node_listener listen[RELAY_LISTEN_MAX];
    uint64_t until_ms;
};

struct relay {
    const char *path; /* of the configuration */
    struct config conf;
    struct identity self;
    ecrdt_store *store;
    int lock; /* file descriptor, -1 = none */
    struct loop *loop;
    struct node *node;
    struct loop_handle *timer; /* drain and stop deadlines */
    struct loop_handle *watchdog;
    struct loop_handle *retry;
    struct reload next;
    struct loop_handle *signals[SIGNALS];
    bool draining, stopping;
    uint64_t status_ms;
    char status[64];
};

/* Prints the thread's error and gives the exit status that fits. */
static int failed(int status) {
    fprintf(stderr, "edgecrdtd: %s\n", ecrdt_errmsg());
    return status;
}

static bool is_permission(const char *path) {
    struct stat st;
    return stat(path, &st) == 0
               ? access(path, R_OK) < 0 || (st.st_mode & 077) != 0
               : errno == EACCES;
}

/* It would dial itself, and each of the two links would end the other. */
static int check_peers(const struct config *c, const struct identity *self,
                       const char *path) {
    for (size_t i = 0; i < c->n_peers; i++)
        if (!memcmp(c->peers[i].key, self->pk, sizeof self->pk))
            return err_set(ECRDT_EINVAL,
                           "%s: peer \"%s\" has the key of this node, of %s: "
                           "take the section out, or give one of the two nodes "
                           "a key of its own",
                           path, c->peers[i].name, c->key_file);
    return 0;
}

static int load(struct config *c, struct identity *self, const char *path) {
    if (crypto_init() < 0)
        return failed(RELAY_IO);
    if (config_load(c, path) < 0)
        return failed(RELAY_CONFIG);
    if (identity_load(self, c->key_file) == 0)
        return check_peers(c, self, path) < 0 ? failed(RELAY_CONFIG) : RELAY_OK;
    return failed(is_permission(c->key_file) ? RELAY_NOPERM : RELAY_CONFIG);
}

int relay_check(const char *path) {
    struct config c;
    struct identity self = {0};
    char key[IDENTITY_TEXT];
    int status = load(&c, &self, path);
    if (status == RELAY_OK)
        printf("%s: ok: %s \"%s\" of realm \"%s\", %zu listener%s, %zu peer%s, "
               "store %s, key %s\n",
               path, peer_role_name(c.role), c.name, c.realm, c.n_listen,
               c.n_listen == 1 ? "" : "s", c.n_peers, c.n_peers == 1 ? "" : "s",
               c.store, identity_text(key, self.pk));
    identity_free(&self);
    config_free(&c);
    return status;
}

/* ---- state ----------------------------------------------------------------
 */

static void count_peers(const struct node *n, size_t *all, size_t *synced) {
    *all = *synced = 0;
    for (size_t i = 0; i < n->peers.n; i++) {
        *all += !n->peers.p[i]->gone;
        *synced += n->peers.p[i]->r.state == PEER_IN_SYNC;
    }
}

/* Tells the service manager when the number of peers in sync changed. */
static void tell_status(struct relay *r) {
    char now[sizeof r->status];
    size_t all, synced;
    uint64_t now_ms = r->loop->t->now_ms(r->loop);
    if (now_ms - r->status_ms < STATUS_EVERY_MS)
        return;
    r->status_ms = now_ms;
    count_peers(r->node, &all, &synced);
    snprintf(now, sizeof now, "%zu of %zu peers in sync", synced, all);
    if (!strcmp(now, r->status))
        return;
    memcpy(r->status, now, sizeof now);
    notify_send("STATUS=%s", now);
}

static void log_peer(const struct peer *p) {
    const struct peer_record *q = &p->r;
    log_error(ECRDT_LOG_INFO, q->error,
              "msg=\"peer state\" peer=\"%s\" key=%s address=\"%s\" "
              "direction=%s state=\"%s\" missing_here=%llu missing_there=%llu "
              "bytes_in=%llu bytes_out=%llu links=%llu failures=%llu",
              log_text(q->name).s, q->key, q->address,
              peer_direction_name(q->direction), peer_state_name(q->state),
              (unsigned long long)q->missing_here,
              (unsigned long long)q->missing_there,
              (unsigned long long)q->bytes_in, (unsigned long long)q->bytes_out,
              (unsigned long long)q->links, (unsigned long long)q->failures);
}

static void on_usr1(void *ctx) {
    struct relay *r = ctx;
    const struct relay_record *self = &r->node->peers.self;
    node_status(r->node);
    log_line(ECRDT_LOG_INFO,
             "msg=\"relay state\" status=\"%s\" links=%llu refused_keys=%llu "
             "malformed=%llu buckets=%zu",
             log_text(self->status).s, (unsigned long long)self->links,
             (unsigned long long)self->refused_keys,
             (unsigned long long)self->malformed, r->node->gossip.push.n);
    for (size_t i = 0; i < r->node->peers.n; i++)
        log_peer(r->node->peers.p[i]);
}

/* ---- reload ---------------------------------------------------------------
 */

/* What the configuration says that belongs to the store: what it holds, and the
 * retention, for gc by hand goes by it too. One transaction: all or nothing;
 * ECRDT_EBUSY if somebody has the lock so long. */
static int put_store(ecrdt_store *s, const struct config *c, uint32_t wait_ms) {
    ecrdt_txn *t;
    if (!c->has_holds && c->gc_retention_ms < 0)
        return 0;
    int rc = replica_begin(s, true, wait_ms, &t);
    if (rc < 0)
        return rc;
    if (c->has_holds)
        rc = subscription_replace(t, &c->holds);
    if (rc >= 0 && c->gc_retention_ms >= 0)
        rc = setting_write(t, ECRDT_GC_RETENTION_MS,
                           (uint64_t)c->gc_retention_ms);
    if (rc >= 0)
        return ecrdt_commit(t);
    ecrdt_abort(t);
    return rc;
}

/* The rest, where only memory can be missing. */
static int put_node(struct relay *r, const struct config *c) {
    r->node->conf.max_links = c->max_links;
    r->node->conf.audit_ms = c->audit_ms;
    r->node->audit.next_ms = 0;
    node_set_gc(r->node, &c->gc);
    return node_set_peers(r->node, c->peers, c->n_peers);
}

/* Reads and checks the file, and opens what is to listen. */
static int begin_reload(struct relay *r, struct reload *next) {
    int rc = config_load(&next->conf, r->path);
    const char *fixed =
        rc < 0 ? NULL : config_needs_restart(&r->conf, &next->conf);
    if (fixed)
        rc = err_set(ECRDT_EINVAL,
                     "%s: %s cannot change while the relay runs: restart it",
                     r->path, fixed);
    if (!rc)
        rc = check_peers(&next->conf, &r->self, r->path);
    if (!rc)
        rc = node_listen_begin(r->node, next->conf.listen, next->conf.n_listen,
                               next->listen);
    next->waits = !rc;
    next->told = false;
    if (rc < 0)
        config_free(&next->conf);
    return rc;
}

/* Puts what was read in force, or drops it. */
static void end_reload(struct relay *r, bool take) {
    struct reload *next = &r->next;
    if (!next->waits)
        return;
    next->waits = false;
    node_listen_end(r->node, next->listen, next->conf.n_listen, take);
    config_free(take ? &r->conf : &next->conf);
    if (!take)
        return;
    r->conf = next->conf;
    relay_log_open(r->conf.log_level);
    if (put_node(r, &r->conf) < 0)
        log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(),
                  "msg=\"cannot take over all peers: reload again\"");
}

static void tell_reload(const struct relay *r, int rc) {
    if (rc < 0)
        log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(),
                  "msg=\"kept the old configuration\"");
    else
        log_line(ECRDT_LOG_INFO, "msg=\"read the configuration\" peers=%zu",
                 r->conf.n_peers);
    notify_send("READY=1");
}

static void wait_for_lock(struct relay *r) {
    r->loop->t->timer_set(r->retry, RELOAD_RETRY_MS);
    if (!r->next.told)
        log_error(ECRDT_LOG_INFO, ecrdt_errmsg(),
                  "msg=\"the configuration waits for a writer\"");
    r->next.told = true;
}

/* The loop does not wait for a writer: it comes back. */
static void try_reload(void *ctx) {
    struct relay *r = ctx;
    if (!r->next.waits)
        return;
    int rc = put_store(r->store, &r->next.conf, 0);
    if (rc == ECRDT_EBUSY && r->loop->t->now_ms(r->loop) < r->next.until_ms) {
        wait_for_lock(r);
        return;
    }
    end_reload(r, rc == 0);
    tell_reload(r, rc);
}

static void on_hup(void *ctx) {
    struct relay *r = ctx;
    if (r->draining)
        return;
    notify_reloading();
    end_reload(r, false); /* what waits is out of date */
    int rc = begin_reload(r, &r->next);
    r->next.until_ms = r->loop->t->now_ms(r->loop) + RELOAD_LOCK_MS;
    if (rc < 0)
        tell_reload(r, rc);
    else
        try_reload(r);
}

/* ---- stopping -------------------------------------------------------------
 */

static void stop_now(struct relay *r, const char *why) {
    if (r->stopping)
        return;
    r->stopping = true;
    log_line(ECRDT_LOG_INFO, "msg=\"stopping\" reason=\"%s\"", why);
    node_stop(r->node, "the node stops");
    r->loop->t->timer_set(r->timer, STOP_MS);
}

static void on_term(void *ctx) {
    struct relay *r = ctx;
    if (r->stopping) {
        r->loop->t->stop(r->loop);
    } else if (r->draining) {
        stop_now(r, "second signal");
    } else {
        r->draining = true;
        end_reload(r, false);
        notify_send("STOPPING=1");
        log_line(ECRDT_LOG_INFO, "msg=\"draining\" timeout_ms=%llu",
                 (unsigned long long)r->conf.drain_timeout_ms);
        node_drain(r->node);
        r->loop->t->timer_set(r->timer, r->conf.drain_timeout_ms);
    }
}

static void on_timer(void *ctx) {
    struct relay *r = ctx;
    if (r->stopping)
        r->loop->t->stop(r->loop);
    else
        stop_now(r, "drain_timeout passed before all peers had everything");
}

/* All who are connected have everything. */
static void stop_drained(struct relay *r) {
    char why[80] = "drained";
    size_t away = node_away(r->node);
    if (away)
        snprintf(why, sizeof why, "drained; %zu of %zu peers not connected",
                 away, r->conf.n_peers);
    stop_now(r, why);
}

static void worked(void *ctx) {
    struct relay *r = ctx;
    tell_status(r);
    if (r->draining && !r->stopping && node_drained(r->node))
        stop_drained(r);
    if (r->stopping && node_idle(r->node))
        r->loop->t->stop(r->loop);
}

static void on_watchdog(void *ctx) {
    struct relay *r = ctx;
    notify_send("WATCHDOG=1");
    r->loop->t->timer_set(r->watchdog, notify_watchdog_ms());
}

/* ---- starting -------------------------------------------------------------
 */

static int catch_signals(struct relay *r) {
    static const struct {
        int signum;
        loop_fn fn;
    } all[SIGNALS] = {{SIGHUP, on_hup},
                      {SIGTERM, on_term},
                      {SIGINT, on_term},
                      {SIGUSR1, on_usr1}};
    int rc = 0;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a store at its limit is a full one */
    for (size_t i = 0; !rc && i < SIGNALS; i++)
        rc = r->loop->t->signal_new(r->loop, all[i].signum, all[i].fn, r,
                                    &r->signals[i]);
    return rc;
}

static int open_node(struct relay *r) {
    struct node_conf nc = {.store = r->store,
                           .self = &r->self,
                           .realm = r->conf.realm,
                           .name = r->conf.name,
                           .role = r->conf.role,
                           .max_links = r->conf.max_links,
                           .audit_ms = r->conf.audit_ms,
                           .record = true,
                           .gc = r->conf.gc,
                           .worked = worked,
                           .ctx = r};
    const struct loop_table *t;
    int rc = loop_uv_open(&r->loop, true);
    if (rc < 0)
        return rc;
    t = r->loop->t;
    rc = catch_signals(r);
    if (!rc)
        rc = t->timer_new(r->loop, on_timer, r, &r->timer);
    if (!rc)
        rc = t->timer_new(r->loop, on_watchdog, r, &r->watchdog);
    if (!rc)
        rc = t->timer_new(r->loop, try_reload, r, &r->retry);
    if (!rc && notify_watchdog_ms())
        t->timer_set(r->watchdog, notify_watchdog_ms());
    return rc < 0 ? rc : node_open(&nc, r->loop, &r->node);
}

/* The exit status of a store that does not open. */
static int store_status(void) {
    switch (ecrdt_errcode()) {
    case ECRDT_ERDONLY:
        return RELAY_NOPERM;
    case ECRDT_EBUSY:
        return RELAY_UNAVAILABLE;
    default:
        return errno == EACCES || errno == EPERM ? RELAY_NOPERM : RELAY_IO;
    }
}

static int start(struct relay *r) {
    int status = load(&r->conf, &r->self, r->path);
    if (status != RELAY_OK)
        return status;
    relay_log_open(r->conf.log_level);
    r->store = ecrdt_open(r->conf.store, NULL);
    if (!r->store || lock_take(r->conf.store, &r->lock) < 0)
        return failed(store_status());
    if (open_node(r) < 0)
        return failed(RELAY_IO);
    if (node_listen(r->node, r->conf.listen, r->conf.n_listen) < 0 ||
        put_store(r->store, &r->conf, START_LOCK_MS) < 0 ||
        put_node(r, &r->conf) < 0)
        return failed(RELAY_UNAVAILABLE);
    return RELAY_OK;
}

static void announce(const struct relay *r) {
    const struct node *n = r->node;
    for (size_t i = 0; i < n->n_listeners; i++)
        log_line(ECRDT_LOG_INFO, "msg=\"listening on %s\" address=%s",
                 n->listeners[i].bound, n->listeners[i].bound);
    log_line(
        ECRDT_LOG_INFO,
        "msg=\"ready\" node=\"%s\" role=%s realm=\"%s\" key=%s store=\"%s\" "
        "peers=%zu version=%s",
        log_text(n->name).s, peer_role_name(n->conf.role), log_text(n->realm).s,
        n->peers.self.key, log_text(r->conf.store).s, r->conf.n_peers,
        ecrdt_version());
    notify_send("READY=1\nSTATUS=listening, %zu peers", r->conf.n_peers);
}

static void finish(struct relay *r) {
    sigset_t all;
    sigfillset(&all); /* a late TERM must not spoil an orderly end */
    sigprocmask(SIG_BLOCK, &all, NULL);
    end_reload(r, false);
    node_free(r->node);
    for (size_t i = 0; r->loop && i < SIGNALS; i++)
        r->loop->t->handle_free(r->signals[i]);
    if (r->loop) {
        r->loop->t->handle_free(r->timer);
        r->loop->t->handle_free(r->watchdog);
        r->loop->t->handle_free(r->retry);
        r->loop->t->close(r->loop);
    }
    if (r->store)
        ecrdt_close(r->store);
    if (r->lock >= 0)
        close(r->lock);
    identity_free(&r->self);
    config_free(&r->conf);
}

int relay_run(const char *path) {
    struct relay r = {.path = path, .lock = -1};
    int status = start(&r);
    if (status == RELAY_OK) {
        announce(&r);
        r.loop->t->run(r.loop);
        log_line(ECRDT_LOG_INFO, "msg=\"stopped\"");
    }
    finish(&r);
    return status;
}

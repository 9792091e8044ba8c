/* verify_against.c: a node on a private loop, an auditor, which compares one
 * bucket after the other over a link of its own. */
#include "replication/verify_against.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "replication/node.h"
#include <stdio.h>

enum { LINGER_MS = 500 };

struct run {
    struct verify_against *v;
    ecrdt_store *store;
    struct loop *loop;
    struct node *node;
    struct loop_handle *deadline;
    struct audit audit;
    struct session *s;                      /* that the audit hangs on */
    char bucket[ECRDT_MAX_BUCKET_NAME + 1]; /* the one under way or done */
    struct spans both;                      /* what both sides hold of it ... */
    size_t at;                              /* ... and the stretch under way */
    bool stopping, all;
    int error;
    char sentence[ERR_SENTENCE];
};

static void finish(struct run *r) {
    if (r->stopping)
        return;
    r->stopping = true;
    const struct link *l = r->node->peers.p[0]->link;
    if (l)
        link_count((struct link *)(uintptr_t)l);
    if (r->s)
        r->s->audit = NULL;
    r->s = NULL;
    node_stop(r->node, "done");
    r->loop->t->timer_set(r->deadline, LINGER_MS);
}

static void fail(struct run *r, int error, const char *sentence) {
    r->error = error;
    snprintf(r->sentence, sizeof r->sentence, "%s", sentence);
    finish(r);
}

static void take_results(struct run *r) {
    r->v->ranges += r->audit.compared;
    r->v->findings += r->audit.findings;
}

/* The bucket that follows the last one by name; NULL: that was all. */
static struct mirror *next_bucket(const struct run *r, struct session *s) {
    for (size_t i = 0; i < s->mirrors.n; i++)
        if (strcmp(s->mirrors.m[i]->bucket, r->bucket) > 0)
            return s->mirrors.m[i];
    return NULL;
}

static bool empty(const struct ranges *rs) {
    for (size_t i = 0; i < rs->n; i++)
        if (rs->r[i].clk.n)
            return false;
    return true;
}

/* Compares the stretch at r->at. */
static void begin(struct run *r, struct session *s, struct mirror *m,
                  uint64_t now_ms) {
    const struct id_span *p = r->both.some ? &r->both.s[r->at] : NULL;
    if (audit_begin(&r->audit, m, p ? &p->lo : NULL,
                    p && p->hi.len ? &p->hi : NULL, UINT32_MAX, now_ms) < 0) {
        fail(r, ECRDT_ENOMEM, ecrdt_strerror(ECRDT_ENOMEM));
        return;
    }
    r->audit.found = r->v->found;
    r->audit.ctx = r->v->ctx;
    s->audit = &r->audit;
    r->s = s;
}

static void next(struct run *r, struct session *s, uint64_t now_ms) {
    if (r->s && ++r->at < r->both.n) {
        begin(r, s, r->audit.m, now_ms);
        return;
    }
    struct mirror *m = next_bucket(r, s);
    if (!m) {
        r->all = true;
        finish(r);
        return;
    }
    snprintf(r->bucket, sizeof r->bucket, "%s", m->bucket);
    r->s = NULL;
    r->at = 0;
    spans_free(&r->both);
    if (empty(&m->heard->ranges) &&
        (!m->view || empty(&m->view->state->ranges)))
        return; /* nothing was ever written to it, here or there */
    if (spans_common(&r->both, &m->ours, &m->theirs) < 0)
        fail(r, ECRDT_ENOMEM, ecrdt_strerror(ECRDT_ENOMEM));
    else if (r->both.n) {
        r->v->buckets++;
        begin(r, s, m, now_ms);
    }
}

/* A bucket that is not here yet is tried again like unequal clocks. */
static void step(struct run *r, struct session *s, uint64_t now_ms) {
    if (r->s && r->audit.state != AUDIT_IDLE)
        return;
    if (r->s && r->audit.error) {
        fail(r, r->audit.error, ecrdt_errmsg());
        return;
    }
    if (r->s && r->audit.skipped) {
        begin(r, s, r->audit.m, now_ms + AUDIT_RETRY_MS);
        return;
    }
    if (r->s)
        take_results(r);
    next(r, s, now_ms);
    node_kick(r->node);
}

static void worked(void *ctx) {
    struct run *r = ctx;
    struct node *n = r->node;
    if (r->stopping) {
        if (node_idle(n))
            r->loop->t->stop(r->loop);
        return;
    }
    struct peer *p = n->peers.n ? n->peers.p[0] : NULL;
    const struct link *l = p ? p->link : NULL;
    if (r->s && (!l || l->s != r->s)) {
        audit_end(&r->audit);
        r->s = NULL; /* it is gone */
        fail(r, ECRDT_EPEER, p && *p->r.error ? p->r.error : "the link broke");
    } else if (l && l->s->state == SESSION_LIVE && l->s->told_all &&
               gossip_current(&n->gossip)) {
        step(r, l->s, r->loop->t->now_ms(r->loop));
    } else if (p && p->r.state == PEER_REFUSED) {
        fail(r, p->error ? p->error : ECRDT_EPEER, p->r.error);
    }
}

static void on_deadline(void *ctx) {
    struct run *r = ctx;
    if (r->stopping) {
        r->loop->t->stop(r->loop);
        return;
    }
    const struct peer *p = r->node->peers.p[0];
    if (r->s)
        err_set(ECRDT_ETIMEOUT,
                "bucket '%s' was at equal clocks on both sides at no moment: "
                "they are written to, or do not replicate; let the relay "
                "bring them in sync, or give more time with --timeout",
                r->bucket);
    else
        err_set(ECRDT_ETIMEOUT, "%s: %s%s%s", p->r.address,
                peer_state_name(p->r.state), *p->r.error ? ": " : "",
                p->r.error);
    fail(r, ECRDT_ETIMEOUT, ecrdt_errmsg());
}

static int run(struct run *r, const struct node_conf *conf,
               const struct node_peer *peer) {
    int rc = node_open(conf, r->loop, &r->node);
    if (!rc)
        rc = node_set_peers(r->node, peer, 1);
    if (!rc)
        rc = r->loop->t->timer_new(r->loop, on_deadline, r, &r->deadline);
    if (rc < 0)
        return rc;
    r->loop->t->timer_set(r->deadline, (uint64_t)r->v->timeout_ms);
    return r->loop->t->run(r->loop);
}

static int with_loop(struct run *r, const struct identity *self) {
    struct node_peer peer = {0};
    struct peer_address a;
    struct node_conf conf = {.store = r->store,
                             .self = self,
                             .realm = r->v->realm ? r->v->realm : "default",
                             .name = r->v->name ? r->v->name : "auditor",
                             .role = PEER_AUDITOR,
                             .worked = worked,
                             .ctx = r};
    int rc = peer_address_parse(&a, r->v->peer);
    if (!rc)
        rc = loop_uv_open(&r->loop, false);
    if (rc < 0)
        return rc;
    memcpy(peer.key, a.pk, sizeof peer.key);
    memcpy(peer.address.host, a.host, sizeof a.host);
    peer.address.port = a.port;
    rc = run(r, &conf, &peer);
    if (r->node && r->node->peers.n)
        r->v->bytes =
            r->node->peers.p[0]->r.bytes_in + r->node->peers.p[0]->r.bytes_out;
    r->loop->t->handle_free(r->deadline);
    node_free(r->node);
    r->loop->t->close(r->loop);
    audit_end(&r->audit);
    return rc;
}

int verify_against(ecrdt_store *s, struct verify_against *v) {
    struct run r = {.v = v, .store = s};
    struct identity self;
    int rc = crypto_init();
    if (!rc)
        rc = identity_load(&self, v->key_file);
    if (rc < 0)
        return rc;
    rc = with_loop(&r, &self);
    identity_free(&self);
    spans_free(&r.both);
    if (rc < 0)
        return rc;
    if (r.error)
        return err_set(r.error, "%s", r.sentence);
    return v->findings == 0;
}

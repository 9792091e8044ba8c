/* links.c: the connections of a node: dialing, accepting, and what becomes of
 * a peer when its link comes up, goes or is one too many. */
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/log.h"
#include "replication/node.h"
#include <stdio.h>

static const struct loop_table *table(const struct link *l) {
    return l->n->loop->t;
}

static uint64_t wall_ms(const struct node *n) {
    return n->loop->t->wall_ms(n->loop);
}

static uint32_t random_u32(const struct node *n) {
    uint32_t v;
    n->loop->t->random(n->loop, &v, sizeof v);
    return v;
}

/* ---- events of the connection -------------------------------------------- */

static int session_begin(struct link *l, uint64_t now_ms);

static void on_opened(void *ctx) {
    struct link *l = ctx;
    uint64_t now_ms = table(l)->now_ms(l->n->loop);
    if (l->over)
        return; /* the peer has left the configuration meanwhile */
    bool ok = session_begin(l, now_ms) == 0;
    l->over = !ok;
    peer_state_set(l->peer, PEER_HANDSHAKE, ok ? NULL : ecrdt_errmsg(),
                   wall_ms(l->n));
    node_kick(l->n);
}

static void on_data(void *ctx, slice bytes) {
    struct link *l = ctx;
    session_feed(l->s, bytes, table(l)->now_ms(l->n->loop));
    if (l->reading && !session_wants_read(l->s)) {
        l->reading = false;
        table(l)->conn_read(l->conn, false);
    }
    node_kick(l->n);
}

static void on_drained(void *ctx) {
    struct link *l = ctx;
    node_kick(l->n);
}

static void on_ended(void *ctx, int error, const char *sentence) {
    struct link *l = ctx;
    l->over = true;
    if (l->s)
        session_lost(l->s, error ? error : ECRDT_EIO, sentence);
    else if (l->peer)
        peer_state_set(l->peer, PEER_UNREACHABLE, sentence, wall_ms(l->n));
    node_kick(l->n);
}

static const struct loop_conn_events events = {on_opened, on_data, on_drained,
                                               on_ended};

/* ---- beginning ------------------------------------------------------------
 */

static int allow(void *ctx, const uint8_t key[32]) {
    struct link *l = ctx;
    struct relay_record *self = &l->n->peers.self;
    if (peers_find(&l->n->peers, key))
        return 1;
    self->refused_keys++;
    identity_text(self->refused_key, key);
    snprintf(self->refused_address, sizeof self->refused_address, "%s",
             l->address);
    l->n->peers.self_dirty = true;
    log_line(ECRDT_LOG_WARN,
             "msg=\"refused an unknown key\" key=%s address=%s total=%llu",
             self->refused_key, l->address,
             (unsigned long long)self->refused_keys);
    return 0;
}

static int session_begin(struct link *l, uint64_t now_ms) {
    const struct node_conf *nc = &l->n->conf;
    struct session_conf conf = {
        .channel = {.self = nc->self,
                    .initiator = l->dialed,
                    .allow = allow,
                    .allow_ctx = l,
                    .realm = l->n->realm},
        .talk = nc->talk,
    };
    /* Made anew for each link: the incarnation may have changed. */
    int rc = hello_make(&conf.hello, nc->store, l->n->name, nc->role,
                        nc->self->pk, nc->self->sk);
    if (rc < 0)
        return rc;
    if (l->dialed)
        memcpy(conf.channel.expect, l->peer->key, CRYPTO_PK);
    table(l)->random(l->n->loop, conf.channel.ephemeral,
                     sizeof conf.channel.ephemeral);
    rc = session_open(&conf, now_ms, &l->s);
    if (rc < 0)
        return rc;
    l->s->owner = l;
    l->reading = true;
    table(l)->conn_read(l->conn, true);
    return 0;
}

static struct link *link_new(struct node *n, bool dialed, uint64_t now_ms) {
    struct link *l = NULL;
    if (alloc_grow(&n->links, &n->links_cap, n->n_links + 1,
                   sizeof(struct link *)) < 0)
        return NULL;
    l = alloc_zeroed(1, sizeof *l);
    if (!l)
        return NULL;
    l->n = n;
    l->dialed = dialed;
    l->opened_ms = now_ms;
    n->links[n->n_links++] = l;
    return l;
}

void link_dial(struct node *n, struct peer *p, uint64_t now_ms) {
    struct link *l = link_new(n, true, now_ms);
    int rc = l ? 0 : ECRDT_ENOMEM;
    if (!rc) {
        snprintf(l->address, sizeof l->address, "%s", p->r.address);
        rc = n->loop->t->connect(n->loop, p->host, p->port, &events, l,
                                 &l->conn);
        l->peer = p;
        p->dial = l;
        l->over = rc < 0;
    }
    peer_state_set(p, rc < 0 ? PEER_UNREACHABLE : PEER_CONNECTING,
                   rc < 0 ? ecrdt_errmsg() : NULL, wall_ms(n));
    if (!l)
        peer_failed(p, now_ms, random_u32(n));
}

/* Why a stranger's connection is not even begun; NULL = it is. */
static const char *too_many(struct node *n, const char *address,
                            uint64_t now_ms) {
    if (n->draining)
        return "stopping";
    if (n->half_open >= NODE_HALF_OPEN_MAX)
        return "too many handshakes at once";
    if (n->n_links >= n->conf.max_links)
        return "too many links; see max_links";
    if (!limiter_take(&n->limiter, address, now_ms))
        return "too many handshakes from this address";
    return NULL;
}

void link_accept(void *node, struct loop_conn *c, const char *address) {
    struct node *n = node;
    const struct loop_table *t = n->loop->t;
    uint64_t now_ms = t->now_ms(n->loop);
    const char *why = too_many(n, address, now_ms);
    struct link *l = why ? NULL : link_new(n, false, now_ms);
    if (!l) {
        log_line(ECRDT_LOG_WARN, "msg=\"closed a connection\" reason=\"%s\"",
                 why ? why : "out of memory");
        t->conn_close(c);
        return;
    }
    l->conn = c;
    snprintf(l->address, sizeof l->address, "%s", address);
    n->half_open++;
    t->conn_events(c, &events, l);
    if (session_begin(l, now_ms) < 0)
        l->over = true;
    node_kick(n);
}

/* ---- ready ----------------------------------------------------------------
 */

/* Of two good links between the same two nodes both sides keep the same one:
 * the newer of two in one direction, else that of the smaller key. */
static bool newer_wins(const struct link *old, const struct link *new) {
    if (old->dialed == new->dialed)
        return true;
    bool ours_is_less =
        memcmp(new->n->conf.self->pk, new->peer->key, CRYPTO_PK) < 0;
    return new->dialed == ours_is_less;
}

static void adopt(struct link *l, uint64_t now_ms) {
    struct peer *p = l->peer;
    struct peer_record *r = &p->r;
    p->link = l;
    r->holds[0] = 0; /* it is told anew on each link */
    r->direction = l->dialed ? PEER_DIAL : PEER_ACCEPT;
    r->role = l->s->peer.role;
    r->has_origin = true;
    hello_origin(&l->s->peer, r->origin);
    if (!*r->name)
        snprintf(r->name, sizeof r->name, "%s", l->s->peer.name);
    if (!l->dialed)
        snprintf(r->address, sizeof r->address, "%s", l->address);
    peer_up(p, now_ms);
    peer_state_set(p, PEER_SYNCING, "", wall_ms(l->n));
    log_line(ECRDT_LOG_INFO, "msg=\"link up\" peer=\"%s\" address=%s key=%s",
             log_text(r->name).s, l->address, r->key);
}

/* Two nodes that dial each other meet this once; see the README for more. */
static const char duplicate[] =
    "another link with this key is kept; again and again: two machines use "
    "one key";

/* The handshake is over and the peer known. */
static void on_ready(struct link *l, uint64_t now_ms) {
    bool auditor = l->s->peer.role == PEER_AUDITOR;
    l->ready = true;
    if (!l->dialed)
        l->n->half_open--;
    struct peer *p = peers_find(&l->n->peers, l->s->peer_key);
    l->peer = p;
    if (l->dialed && p)
        p->dial = NULL;
    struct link *old = p ? p->link : NULL;
    if (!p) {
        link_stop(l, BYE_STOP, "this key is configured no more", now_ms);
    } else if (auditor) { /* beside the link that replicates, if any */
        if (gossip_add(&l->n->gossip, l->s) < 0)
            link_stop(l, BYE_STORE, ecrdt_errmsg(), now_ms);
        log_line(ECRDT_LOG_INFO,
                 "msg=\"a store is compared with this one\" peer=\"%s\" "
                 "address=%s",
                 log_text(p->r.name).s, l->address);
    } else if (old && !newer_wins(old, l)) {
        link_stop(l, BYE_DUPLICATE, duplicate, now_ms);
    } else if (gossip_add(&l->n->gossip, l->s) < 0) {
        link_stop(l, BYE_STORE, ecrdt_errmsg(), now_ms);
    } else {
        if (old)
            link_stop(old, BYE_DUPLICATE, duplicate, now_ms);
        adopt(l, now_ms);
    }
}

void link_stop(struct link *l, enum bye_code code, const char *why,
               uint64_t now_ms) {
    if (l->s)
        node_audit_leave(l->n, l->s);
    if (l->s)
        session_bye(l->s, code, now_ms, why);
    else
        l->over = true;
    if (l->peer && l->peer->link == l) {
        link_count(l);
        l->peer->link = NULL;
    }
}

/* ---- counting and ending ---------------------------------------------------
 */

static void add(uint64_t *total, uint64_t *counted, uint64_t now) {
    *total += now - *counted;
    *counted = now;
}

/* What the peer holds, when it said so anew. */
static void note_holds(struct link *l) {
    const struct session *s = l->s;
    if (*l->peer->r.holds && l->subs_seen == s->subs_heard)
        return;
    l->subs_seen = s->subs_heard;
    l->peer->dirty = true;
    subscription_text(l->peer->r.holds, sizeof l->peer->r.holds,
                      &s->their_holds);
}

void link_count(struct link *l) {
    if (!l->peer || !l->s)
        return;
    note_holds(l);
    struct peer_record *r = &l->peer->r;
    struct link_count *c = &l->counted;
    const struct session_stats *st = &l->s->stats;
    const struct channel_stats *ch = channel_stats(l->s->channel);
    uint64_t before = r->chunks_in + r->chunks_out + r->fp_refused;
    add(&r->bytes_in, &c->bytes_in, ch->bytes_in);
    add(&r->bytes_out, &c->bytes_out, ch->bytes_out);
    add(&r->chunks_in, &c->chunks_in, st->chunks_in);
    add(&r->chunks_out, &c->chunks_out, st->chunks_out);
    add(&r->items_in, &c->items_in, st->items_in);
    add(&r->items_out, &c->items_out, st->items_out);
    add(&r->refused_parts, &c->refused_parts, st->refused_parts);
    add(&r->payload_in, &c->payload_in, st->payload_in);
    add(&r->repeated_in, &c->repeated_in, st->repeated_in);
    add(&r->foreign_parts, &c->foreign_parts, st->foreign_parts);
    add(&r->ahead_parts, &c->ahead_parts, st->ahead_parts);
    add(&r->complete_parts, &c->complete_parts, st->complete_parts);
    add(&r->fp_refused, &c->fp_refused, st->fp_refused);
    r->buckets = l->s->mirrors.n;
    if (before != r->chunks_in + r->chunks_out + r->fp_refused)
        l->peer->dirty = true;
}

/* Did the peer send what it must not? Then it is counted, whoever it is. */
static bool misbehaved(const struct link *l) {
    const struct session *s = l->s;
    return s && !s->bye_received &&
           (s->bye == BYE_PROTOCOL || s->bye == BYE_LIMIT ||
            (!s->bye && s->error == ECRDT_EPEER));
}

static bool refused(const struct session *s) {
    return s->error == ECRDT_EAUTH || s->error == ECRDT_EVERSION ||
           s->bye == BYE_PROTOCOL || s->bye == BYE_LIMIT;
}

/* What the end of a link means to its peer. */
static void peer_lost(struct link *l, uint64_t now_ms) {
    struct peer *p = l->peer;
    const struct session *s = l->s;
    bool no = s && refused(s);
    enum peer_state state = no                ? PEER_REFUSED
                            : !s || !l->ready ? PEER_UNREACHABLE
                            : p->host[0]      ? PEER_DOWN
                                              : PEER_WAITING;
    link_count(l);
    p->error = s ? s->error : ECRDT_EIO;
    peer_state_set(p, state, s && *s->sentence ? s->sentence : NULL,
                   wall_ms(l->n));
    peer_failed(p, now_ms, random_u32(l->n));
    log_error(no ? ECRDT_LOG_WARN : ECRDT_LOG_INFO, p->r.error,
              "msg=\"link down\" peer=\"%s\" address=%s state=\"%s\"",
              log_text(p->r.name).s, l->address, peer_state_name(state));
}

static void stranger_lost(const struct link *l) {
    if (!l->s || l->ready || l->peer || !l->s->error)
        return;
    log_error(ECRDT_LOG_WARN, l->s->sentence,
              "msg=\"a handshake failed\" address=%s", l->address);
}

static void forget(struct node *n, const struct link *l) {
    for (size_t i = 0; i < n->n_links; i++)
        if (n->links[i] == l) {
            n->links[i] = n->links[--n->n_links];
            return;
        }
}

static void link_free(struct link *l, uint64_t now_ms) {
    struct node *n = l->n;
    struct peer *p = l->peer;
    bool known = p && (p->link == l || p->dial == l);
    if (p && p->link == l)
        p->link = NULL;
    if (p && p->dial == l)
        p->dial = NULL;
    if (misbehaved(l)) {
        n->peers.self.malformed++;
        n->peers.self_dirty = true;
    }
    if (known && !p->link)
        peer_lost(l, now_ms);
    stranger_lost(l);
    if (!l->dialed && !l->ready)
        n->half_open--;
    if (l->s) {
        node_audit_leave(n, l->s);
        gossip_remove(&n->gossip, l->s);
    }
    n->loop->t->conn_close(l->conn);
    session_free(l->s);
    forget(n, l);
    alloc_free(l);
}

/* Moves what the session has to say to the socket. */
static void pump(struct link *l) {
    struct buf *out = session_out(l->s);
    if (!out->len || table(l)->conn_unsent(l->conn) >= NODE_WRITE_MAX)
        return;
    if (table(l)->conn_write(l->conn, out) < 0)
        l->over = true;
}

static void set_reading(struct link *l) {
    bool on = session_wants_read(l->s);
    if (on == l->reading)
        return;
    l->reading = on;
    table(l)->conn_read(l->conn, on);
}

static void step_session(struct link *l, uint64_t now_ms) {
    struct session *s = l->s;
    if (!l->ready && channel_accepted(s->channel) &&
        (s->state == SESSION_SYNCING || s->state == SESSION_LIVE))
        on_ready(l, now_ms);
    session_tick(s, now_ms);
    pump(l);
    set_reading(l);
    bool silent = !session_out(s)->len && !table(l)->conn_unsent(l->conn);
    if (s->state == SESSION_CLOSED || (s->state == SESSION_CLOSING && silent))
        l->over = true;
}

bool link_step(struct link *l, uint64_t now_ms) {
    if (!l->s && !l->over && now_ms >= l->opened_ms + NODE_CONNECT_MS) {
        peer_state_set(l->peer, PEER_UNREACHABLE,
                       "no connection after 10 seconds: is the address right "
                       "and the port open?",
                       wall_ms(l->n));
        l->over = true;
    }
    if (l->s && !l->over)
        step_session(l, now_ms);
    if (!l->over)
        return true;
    link_free(l, now_ms);
    return false;
}

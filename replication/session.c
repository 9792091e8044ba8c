/* session.c: the states of a conversation and what each message does in
 * them; what is told and sent while it lives is in session_push.c. */
#include "replication/peers.h"
#include "replication/session_place.h"
#include "replication/session_reconcile.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/mutant.h"
#include <stdio.h>

static const char *const state_names[SESSION_STATES] = {
    "handshake", "syncing", "live", "closing", "closed"};

const char *session_state_name(enum session_state state) {
    return state_names[state];
}

int session_open(const struct session_conf *conf, uint64_t now_ms,
                 struct session **out) {
    struct buf hello = {0};
    struct session *s = alloc_zeroed(1, sizeof *s);
    if (!s)
        return ECRDT_ENOMEM;
    s->inbox_end = &s->inbox;
    subscription_init(&s->their_holds);
    s->initiator = conf->channel.initiator;
    s->talk_conf = conf->talk;
    if (!s->talk_conf.items)
        s->talk_conf.items = SESSION_TALK_ITEMS;
    s->audit_only = conf->hello.role == PEER_AUDITOR;
    s->opened_ms = s->heard_ms = s->spoke_ms = now_ms;
    hello_encode(&hello, &conf->hello);
    struct channel_conf channel = conf->channel;
    channel.max_message = MESSAGE_MAX;
    channel.hello = buf_slice(&hello);
    int rc = hello.err ? hello.err : channel_open(&s->channel, &channel);
    buf_free(&hello);
    if (rc < 0) {
        alloc_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void chunk_free(struct session_chunk *c) {
    buf_free(&c->body);
    clock_state_unref(c->said);
    alloc_free(c);
}

static void drop_inbox(struct session *s) {
    while (s->inbox) {
        struct session_chunk *c = s->inbox;
        s->inbox = c->next;
        chunk_free(c);
    }
    s->inbox_end = &s->inbox;
    s->inbox_bytes = 0;
}

void session_free(struct session *s) {
    if (!s)
        return;
    drop_inbox(s);
    session_talks_drop(s);
    session_place_drop(s);
    mirrors_free(&s->mirrors);
    subscription_free(&s->their_holds);
    channel_close(s->channel);
    alloc_free(s);
}

struct buf *session_out(struct session *s) {
    return channel_out(s->channel);
}

void session_lost(struct session *s, int error, const char *sentence) {
    if (s->state == SESSION_CLOSED)
        return;
    if (s->state != SESSION_CLOSING && !s->error) {
        s->error = error;
        snprintf(s->sentence, sizeof s->sentence, "%s", sentence);
    }
    s->state = SESSION_CLOSED;
    drop_inbox(s);
}

void session_bye(struct session *s, enum bye_code code, uint64_t now_ms,
                 const char *sentence) {
    if (s->state >= SESSION_CLOSING)
        return;
    if (s->state == SESSION_HANDSHAKE) {
        session_lost(s, ECRDT_EPEER, sentence);
        s->bye = (uint8_t)code;
        return;
    }
    struct buf body = {0};
    message_bye_encode(&body, (uint8_t)code, sentence);
    if (!body.err)
        channel_send(s->channel, MESSAGE_BYE, buf_slice(&body), now_ms);
    buf_free(&body);
    s->bye = (uint8_t)code;
    s->error = code == BYE_STOP || code == BYE_DUPLICATE ? 0 : ECRDT_EPEER;
    snprintf(s->sentence, sizeof s->sentence, "%s", sentence);
    s->state = SESSION_CLOSING;
    s->closing_ms = now_ms;
    drop_inbox(s);
}

/* The channel failed; what it still has to say (a refusal) may leave. The
 * reason is the thread's last error. */
static void channel_failed(struct session *s, int rc, uint64_t now_ms) {
    s->error = rc;
    snprintf(s->sentence, sizeof s->sentence, "%s", ecrdt_errmsg());
    s->state = session_out(s)->len ? SESSION_CLOSING : SESSION_CLOSED;
    s->closing_ms = now_ms;
    drop_inbox(s);
}

/* Ends the session for what the peer sent; the reason is the thread's last
 * error. */
static void refuse(struct session *s, enum bye_code code, uint64_t now_ms) {
    char why[ERR_SENTENCE];
    snprintf(why, sizeof why, "%s", ecrdt_errmsg());
    session_bye(s, code, now_ms, why);
}

/* Pops the chunks that the peer has consumed; *n counts those of m. */
static int take_acks(struct session *s, uint64_t acked, const struct mirror *m,
                     uint32_t *n) {
    if (acked < s->acked || acked > s->sent)
        return err_set(ECRDT_EPEER,
                       "the peer acknowledges %llu chunks, but %llu were sent "
                       "and %llu acknowledged before",
                       (unsigned long long)acked, (unsigned long long)s->sent,
                       (unsigned long long)s->acked);
    for (; s->acked < acked; s->acked++) {
        size_t i = s->acked % SESSION_FLIGHT_MAX;
        s->flight_bytes -= s->flight[i].bytes;
        if (s->flight[i].mirror == m)
            ++*n;
        else
            s->flight[i].mirror->in_flight--;
    }
    return 0;
}

int session_mirror(struct session *s, const char *bucket, struct mirror **m) {
    *m = mirrors_find(&s->mirrors, bucket);
    if (*m)
        return 0;
    int rc = mirrors_get(&s->mirrors, bucket, m);
    return rc < 0 ? rc
                  : mirror_hold(&s->mirrors, *m, s->our_holds, &s->their_holds);
}

/* The decoded c is about the bucket of m. */
static int hear(struct session *s, struct mirror *m, struct clock *c,
                uint64_t now_ms) {
    uint32_t n = 0;
    int rc = take_acks(s, c->acked, m, &n);
    if (!m->wait && c->flags & CLOCK_WAIT)
        s->held_ms = now_ms;
    if (m->lazy != !!(c->flags & CLOCK_LAZY))
        s->turned = m->turned = true;
    return rc < 0 ? rc : mirror_hear(&s->mirrors, m, c, n, now_ms);
}

static int on_clock(struct session *s, slice body, uint64_t now_ms) {
    struct clock c = {0};
    struct mirror *m = NULL;
    int rc = message_clock_decode(body, &c);
    if (!rc)
        rc = session_mirror(s, c.bucket, &m);
    if (!rc)
        session_heard_whole(s, m);
    if (!rc)
        rc = hear(s, m, &c, now_ms);
    clock_free(&c);
    return rc;
}

static int on_clock_diff(struct session *s, slice body, uint64_t now_ms) {
    struct clock c = {0};
    struct mirror *m = NULL;
    struct unpack u;
    int rc = message_diff_begin(body, &u, &c);
    if (!rc)
        rc = session_mirror(s, c.bucket, &m);
    if (!rc)
        rc = message_diff_end(&u, m->heard, &c);
    if (!rc)
        rc = hear(s, m, &c, now_ms);
    clock_free(&c);
    return rc;
}

static int on_clocks_done(struct session *s, slice body, uint64_t now_ms) {
    (void)body, (void)now_ms;
    s->state = SESSION_LIVE;
    for (size_t i = 0; i < s->mirrors.n; i++)
        session_heard_whole(s, s->mirrors.m[i]);
    s->waits = false;
    return 0;
}

static int on_chunk(struct session *s, slice body, uint64_t now_ms) {
    if (s->audit_only)
        return err_set(ECRDT_EPEER, "the peer sent a chunk over a link that "
                                    "only compares");
    struct session_chunk *c = alloc_zeroed(1, sizeof *c);
    if (!c)
        return ECRDT_ENOMEM;
    buf_put(&c->body, body.data, body.len);
    int rc = c->body.err;
    if (!rc)
        rc = message_chunk_decode(buf_slice(&c->body), &c->message);
    if (!rc && c->message.word.len)
        rc = on_clock_diff(s, c->message.word, now_ms);
    if (!rc)
        rc = session_mirror(s, c->message.bucket, &c->mirror);
    if (rc < 0) {
        chunk_free(c);
        return rc;
    }
    c->said = clock_state_ref(c->mirror->heard);
    c->bytes = body.len;
    if (!s->inbox || s->inbox_said != c->said) /* it keeps this clock alive */
        c->bytes += clock_state_bytes(c->said);
    s->inbox_said = c->said;
    *s->inbox_end = c;
    s->inbox_end = &c->next;
    s->inbox_bytes += c->bytes;
    s->stats.chunks_in++;
    return 0;
}

/* The numbers leave no doubt about what the other side knows. */
static int on_subscribe(struct session *s, slice body, uint64_t now_ms) {
    struct subscribe m = {0};
    (void)now_ms;
    int rc = message_subscribe_decode(body, &m);
    if (!rc && (m.number != s->subs_heard + m.told || m.seen < s->subs_seen ||
                m.seen > s->subs_sent))
        rc = err_set(ECRDT_EPEER,
                     "the peer counts its subscribe messages wrongly: number "
                     "%llu, seen %llu",
                     (unsigned long long)m.number, (unsigned long long)m.seen);
    if (rc < 0 || !m.told) {
        if (!rc)
            s->subs_seen = m.seen;
        subscription_free(&m.holds);
        return rc;
    }
    subscription_free(&s->their_holds);
    s->their_holds = m.holds;
    s->subs_heard = m.number;
    s->subs_seen = m.seen;
    for (size_t i = 0; i < s->mirrors.n && !rc; i++) {
        struct mirror *mirror = s->mirrors.m[i];
        rc = mirror_hold(&s->mirrors, mirror, s->our_holds, &s->their_holds);
        mirror->stale = mirror->known;
        said_free(&mirror->placed);
    }
    return rc;
}

static int on_keepalive(struct session *s, slice body, uint64_t now_ms) {
    (void)s, (void)body, (void)now_ms;
    return 0;
}

static int on_bye(struct session *s, slice body, uint64_t now_ms) {
    struct bye bye;
    (void)now_ms;
    int rc = message_bye_decode(body, &bye);
    if (rc < 0)
        return rc;
    s->bye = bye.code;
    s->bye_received = true;
    bool orderly = bye.code == BYE_STOP || bye.code == BYE_DUPLICATE;
    session_lost(s, orderly ? 0 : ECRDT_EPEER, bye.sentence);
    return 0;
}

/* What may come in which state; no entry: the peer broke the protocol. */
typedef int (*handler)(struct session *s, slice body, uint64_t now_ms);
static const handler handlers[SESSION_STATES][MESSAGE_TYPES] = {
    [SESSION_SYNCING] = {[MESSAGE_CLOCK] = on_clock,
                         [MESSAGE_CLOCK_FP] = session_hear_fp,
                         [MESSAGE_SUBSCRIBE] = on_subscribe,
                         [MESSAGE_CLOCKS_DONE] = on_clocks_done,
                         [MESSAGE_KEEPALIVE] = on_keepalive,
                         [MESSAGE_BYE] = on_bye},
    [SESSION_LIVE] = {[MESSAGE_CLOCK] = on_clock,
                      [MESSAGE_CLOCK_DIFF] = on_clock_diff,
                      [MESSAGE_CHUNK] = on_chunk,
                      [MESSAGE_FP] = session_on_fp,
                      [MESSAGE_SAME] = session_on_same,
                      [MESSAGE_WANT] = session_on_want,
                      [MESSAGE_PLACE] = session_on_place,
                      [MESSAGE_PLACED] = session_on_placed,
                      [MESSAGE_SUBSCRIBE] = on_subscribe,
                      [MESSAGE_KEEPALIVE] = on_keepalive,
                      [MESSAGE_BYE] = on_bye},
};

static void on_message(struct session *s, uint8_t type, slice body,
                       uint64_t now_ms) {
    handler fn = type < MESSAGE_TYPES ? handlers[s->state][type] : NULL;
    if (!fn) {
        err_set(ECRDT_EPEER,
                "the peer sent a message of type %u (%s) while the link was "
                "%s",
                type, message_name(type), session_state_name(s->state));
        refuse(s, BYE_PROTOCOL, now_ms);
        return;
    }
    if (body.len > message_limit(type)) {
        err_set(ECRDT_EPEER,
                "the peer sent a %s message of %zu bytes, the limit is %zu",
                message_name(type), body.len, message_limit(type));
        refuse(s, BYE_LIMIT, now_ms);
        return;
    }
    int rc = fn(s, body, now_ms);
    if (rc < 0)
        refuse(s, rc == ECRDT_ENOMEM ? BYE_STORE : BYE_PROTOCOL, now_ms);
}

static void on_ready(struct session *s, const struct channel_event *e,
                     uint64_t now_ms) {
    memcpy(s->peer_key, e->peer, sizeof s->peer_key);
    s->state = SESSION_SYNCING;
    if (hello_decode(e->body, s->peer_key, &s->peer) < 0)
        refuse(s, BYE_PROTOCOL, now_ms);
    s->audit_only = s->audit_only || s->peer.role == PEER_AUDITOR;
}

bool session_wants_read(const struct session *s) {
    return s->state < SESSION_CLOSING && s->inbox_bytes < SESSION_INBOX_MAX;
}

void session_resume(struct session *s, uint64_t now_ms) {
    struct channel_event e;
    while (session_wants_read(s)) {
        int rc = channel_next(s->channel, &e);
        if (rc < 0)
            channel_failed(s, rc, now_ms);
        if (rc <= 0)
            return;
        if (e.kind == CHANNEL_READY)
            on_ready(s, &e, now_ms);
        else
            on_message(s, e.type, e.body, now_ms);
    }
}

void session_feed(struct session *s, slice bytes, uint64_t now_ms) {
    if (s->state >= SESSION_CLOSING)
        return;
    s->heard_ms = now_ms;
    int rc = channel_feed(s->channel, bytes, now_ms);
    if (rc < 0)
        channel_failed(s, rc, now_ms);
    else
        session_resume(s, now_ms);
}

void session_consumed(struct session *s, const struct chunk_report *r) {
    struct session_chunk *c = s->inbox;
    INVARIANT(c != NULL);
    struct mirror *m = c->mirror;
    s->inbox = c->next;
    if (!s->inbox)
        s->inbox_end = &s->inbox;
    s->inbox_bytes -= c->bytes;
    s->consumed++;
    m->ack_due = true;
    m->reset_due = m->reset_due || r->ahead;
    s->stats.items_in += r->applied;
    s->stats.ahead_parts += r->ahead;
    s->stats.complete_parts += r->complete;
    s->stats.payload_in += r->payload;
    s->stats.repeated_in += r->repeated;
    s->stats.refused_parts += r->refused;
    s->stats.foreign_parts += r->foreign;
    chunk_free(c);
}

bool session_knows_holds(const struct session *s) {
    return s->told_all && (s->subs_seen == s->subs_sent || MUTANT(narrowecho));
}

static bool said_all(const struct session *s, size_t n_views) {
    return s->state == SESSION_LIVE && s->told_all &&
           s->views_seen == n_views && !s->flight_bytes;
}

bool session_in_sync(const struct session *s, size_t n_views) {
    if (!said_all(s, n_views) || s->inbox)
        return false;
    for (size_t i = 0; i < s->mirrors.n; i++)
        if (!mirror_in_sync(s->mirrors.m[i]))
            return false;
    return true;
}

bool session_pushed(const struct session *s, size_t n_views) {
    if (!said_all(s, n_views))
        return false;
    for (size_t i = 0; i < s->mirrors.n; i++)
        if (mirror_missing_there(s->mirrors.m[i]))
            return false;
    return true;
}

void session_tick(struct session *s, uint64_t now_ms) {
    if (now_ms < session_deadline(s) || s->state == SESSION_CLOSED)
        return;
    if (s->state == SESSION_CLOSING)
        session_lost(s, 0, "");
    else if (s->state == SESSION_HANDSHAKE &&
             now_ms >= s->opened_ms + SESSION_HANDSHAKE_MS)
        session_lost(s, ECRDT_ETIMEOUT,
                     "the handshake was not complete after 5 seconds: the "
                     "other end is no edgecrdt node, or the network drops "
                     "packets");
    else if (!session_wants_read(s))
        s->heard_ms = now_ms; /* we do not listen: silence means nothing */
    else if (now_ms >= s->heard_ms + SESSION_DEAD_MS)
        session_bye(s, BYE_SILENT, now_ms,
                    "nothing was heard from the peer for 45 seconds");
    if (s->state != SESSION_SYNCING && s->state != SESSION_LIVE)
        return;
    if (now_ms >= s->spoke_ms + SESSION_KEEPALIVE_MS) {
        s->spoke_ms = now_ms;
        channel_send(s->channel, MESSAGE_KEEPALIVE, slice_of(NULL, 0), now_ms);
    }
}

uint64_t session_deadline(const struct session *s) {
    if (s->state == SESSION_CLOSED)
        return UINT64_MAX;
    if (s->state == SESSION_CLOSING)
        return s->closing_ms + SESSION_LINGER_MS;
    if (s->state == SESSION_HANDSHAKE)
        return s->opened_ms + SESSION_HANDSHAKE_MS;
    uint64_t dead = s->heard_ms + SESSION_DEAD_MS;
    uint64_t speak = s->spoke_ms + SESSION_KEEPALIVE_MS;
    return dead < speak ? dead : speak;
}

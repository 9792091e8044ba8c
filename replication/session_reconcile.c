/* session_reconcile.c: what a session does with FP, SAME and WANT. At most
 * one talk of either side is under way on a link; when both begin one on the
 * same bucket, that of the link's initiator goes on. */
#include "replication/session_reconcile.h"
#include "crdt/reconcile.h"
#include "lib/alloc.h"
#include "replication/audit.h"

#define KEY_DOMAIN "edgecrdt-fingerprints-1"

void session_fp_key(const struct session *s, uint8_t key[32]) {
    slice parts[2] = {ecrdt_str(KEY_DOMAIN),
                      slice_of(channel_handshake_hash(s->channel), 64)};
    crypto_blake2b_parts(key, 32, parts, 2);
}

/* ---- the queues -----------------------------------------------------------
 */

void session_raise_pop(struct session *s) {
    struct session_raise *r = s->raises;
    s->raises = r->next;
    s->n_raises--;
    fp_free(&r->m);
    buf_free(&r->body);
    alloc_free(r);
}

void session_ask_pop(struct session *s) {
    struct session_ask *a = s->asks;
    s->asks = a->next;
    s->n_asks--;
    buf_free(&a->body);
    alloc_free(a);
}

void session_talks_drop(struct session *s) {
    while (s->raises)
        session_raise_pop(s);
    while (s->asks)
        session_ask_pop(s);
    s->ours = s->theirs = (struct session_talk){0};
}

static int too_many(const char *what) {
    return err_set(ECRDT_EPEER,
                   "the peer sent more than %d %s messages before it had an "
                   "answer to the first",
                   SESSION_ASKS_MAX, what);
}

int session_raise_add(struct session *s, struct fp *m, struct buf *body) {
    struct session_raise **end = &s->raises;
    struct session_raise *r = alloc_zeroed(1, sizeof *r);
    if (!r)
        return ECRDT_ENOMEM;
    r->m = *m;
    r->body = *body;
    *m = (struct fp){0};
    *body = (struct buf){0};
    while (*end)
        end = &(*end)->next;
    *end = r;
    s->n_raises++;
    return 0;
}

int session_ask_add(struct session *s, struct mirror *m, uint8_t type,
                    slice body) {
    struct session_ask **end = &s->asks;
    if (s->n_asks >= SESSION_ASKS_MAX)
        return too_many(message_name(type));
    struct session_ask *a = alloc_zeroed(1, sizeof *a);
    if (!a)
        return ECRDT_ENOMEM;
    buf_put(&a->body, body.data, body.len);
    if (a->body.err) {
        alloc_free(a);
        return ECRDT_ENOMEM;
    }
    a->type = type;
    a->mirror = m;
    while (*end)
        end = &(*end)->next;
    *end = a;
    s->n_asks++;
    return 0;
}

/* ---- talks ----------------------------------------------------------------
 */

static struct session_talk *talk_of(struct session *s, const struct mirror *m) {
    return s->ours.m == m ? &s->ours : s->theirs.m == m ? &s->theirs : NULL;
}

static void begin(struct session_talk *t, struct mirror *m, uint64_t now_ms) {
    *t = (struct session_talk){.m = m, .end_ms = now_ms + SESSION_TALK_MS};
    m->talk.on = true;
}

void session_talk_begin(struct session *s, struct mirror *m, uint64_t now_ms) {
    begin(&s->ours, m, now_ms);
    m->talk.due = false;
    m->talk.tries++;
}

void session_talk_touch(struct session *s, struct mirror *m, uint64_t now_ms) {
    struct session_talk *t = talk_of(s, m);
    if (t)
        t->end_ms = now_ms + SESSION_TALK_MS;
}

/* The peer's next CLOCK tells what came of it; a push, or another talk, waits
 * for that one. Ours is told even if nothing changed. */
void session_talk_end(struct session *s, struct mirror *m, uint64_t now_ms) {
    struct session_talk *t = talk_of(s, m);
    if (!t)
        return;
    *t = (struct session_talk){0};
    m->talk.on = m->talk.due = false;
    m->talk.settling = m->ack_due = m->look = true;
    m->talk.at_ms = now_ms + SESSION_TALK_WAIT_MS;
}

void session_talks_tick(struct session *s, uint64_t now_ms) {
    if (s->ours.m && now_ms >= s->ours.end_ms)
        session_talk_end(s, s->ours.m, now_ms);
    if (s->theirs.m && now_ms >= s->theirs.end_ms)
        session_talk_end(s, s->theirs.m, now_ms);
}

bool session_talk_quiet(const struct session *s, const struct mirror *m) {
    if (m->talk.on)
        return !m->ack_due || s->raises;
    return m->talk.settling && (s->raises || s->asks || s->inbox);
}

/* Is the peer, somewhere, below our floor and yet not empty? */
static bool peer_below(const struct mirror *m) {
    const struct vv *floor = &m->view->state->floor;
    for (size_t i = 0; i < m->peer.n && floor->n; i++)
        if (m->peer.r[i].clk.n && !vv_le(floor, &m->peer.r[i].clk))
            return true;
    return false;
}

/* Where one side holds a part only, complete parts go as they are: a talk is
 * about what both hold. */
int session_talk_due(struct session *s, ecrdt_txn *t, struct mirror *m) {
    uint64_t items = 0;
    if (m->ours.some || m->theirs.some || !peer_below(m)) {
        m->talk.tries = 0;
        return 0;
    }
    if (m->talk.tries >= SESSION_TALKS_MAX ||
        ranges_le(&m->view->state->ranges, &m->peer))
        return 0;
    int rc = reconcile_items(t, m->bucket, &items);
    if (rc < 0 || items < s->talk_conf.items)
        return rc;
    m->talk.due = s->talk_due = true;
    return 1;
}

struct mirror *session_talk_next(struct session *s) {
    if (s->state != SESSION_LIVE || s->ours.m || !s->talk_due)
        return NULL;
    s->talk_due = false;
    for (size_t i = 0; i < s->mirrors.n; i++) {
        struct mirror *m = s->mirrors.m[i];
        s->talk_due = s->talk_due || m->talk.due;
        if (m->talk.due && !m->talk.on && !m->in_flight)
            return m;
    }
    return NULL;
}

/* ---- what comes in --------------------------------------------------------
 */

static int malformed(uint8_t type) {
    return err_set(ECRDT_EPEER,
                   "the peer sent a malformed %s message: it runs another "
                   "implementation or version; see the versions of both",
                   message_name(type));
}

int session_take_fp(struct session *s, uint8_t type, slice body, struct fp *m,
                    struct mirror **mirror) {
    char name[ECRDT_MAX_BUCKET_NAME + 1] = {0};
    int rc = fp_decode(body, type == MESSAGE_FP, m);
    if (rc < 0)
        return rc == ECRDT_ENOMEM ? rc : malformed(type);
    memcpy(name, m->bucket.data, m->bucket.len);
    return session_mirror(s, name, mirror);
}

/* Does this FP belong to a talk, an old one or one that it begins? */
static bool accepted(struct session *s, struct mirror *m, uint64_t now_ms) {
    struct session_talk *t = talk_of(s, m);
    if (t && t->more) {
        t->more = false;
        return true;
    }
    if (t == &s->ours && s->initiator)
        return false; /* both began: theirs ends there */
    if (t == &s->ours)
        s->ours = (struct session_talk){0};
    else if (s->theirs.m)
        session_talk_end(s, s->theirs.m, now_ms);
    begin(&s->theirs, m, now_ms);
    return true;
}

int session_on_fp(struct session *s, slice body, uint64_t now_ms) {
    struct fp m = {0};
    struct mirror *mirror;
    int rc = session_take_fp(s, MESSAGE_FP, body, &m, &mirror);
    bool audit = m.flags & FP_AUDIT;
    fp_free(&m);
    if (rc < 0)
        return rc;
    s->stats.fps_in++;
    if (!audit && s->audit_only)
        return err_set(ECRDT_EPEER, "the peer began a reconciliation over a "
                                    "link that only compares");
    if (!audit && !accepted(s, mirror, now_ms))
        return 0;
    if (!audit)
        session_talk_touch(s, mirror, now_ms);
    return session_ask_add(s, mirror, MESSAGE_FP, body);
}

/* What answers an audit of ours, or nobody's. */
static int take_audit(struct session *s, uint8_t type, struct fp *m,
                      struct buf *body) {
    bool wanted =
        s->audit && (type == MESSAGE_SAME ? audit_on_same(s->audit, m, body)
                                          : audit_on_want(s->audit, m, body));
    s->stats.fp_refused += !wanted;
    return 0;
}

int session_on_same(struct session *s, slice body, uint64_t now_ms) {
    struct session_raise r = {0};
    struct mirror *mirror;
    buf_put(&r.body, body.data, body.len);
    int rc = r.body.err ? ECRDT_ENOMEM
                        : session_take_fp(s, MESSAGE_SAME, buf_slice(&r.body),
                                          &r.m, &mirror);
    bool audit = r.m.flags & FP_AUDIT;
    if (!rc && audit)
        rc = take_audit(s, MESSAGE_SAME, &r.m, &r.body);
    else if (!rc && !talk_of(s, mirror))
        s->stats.fp_refused++;
    else if (!rc && s->n_raises >= SESSION_ASKS_MAX)
        rc = too_many("SAME");
    else if (!rc)
        rc = session_raise_add(s, &r.m, &r.body);
    if (!rc && !audit)
        session_talk_touch(s, mirror, now_ms);
    fp_free(&r.m);
    buf_free(&r.body);
    return rc;
}

int session_on_want(struct session *s, slice body, uint64_t now_ms) {
    struct fp m = {0};
    struct buf own = {0};
    struct mirror *mirror;
    buf_put(&own, body.data, body.len);
    int rc = own.err ? ECRDT_ENOMEM
                     : session_take_fp(s, MESSAGE_WANT, buf_slice(&own), &m,
                                       &mirror);
    bool more = m.flags & FP_MORE, asks = m.n > 0, audit = m.flags & FP_AUDIT;
    if (!rc && audit)
        rc = take_audit(s, MESSAGE_WANT, &m, &own);
    fp_free(&m);
    buf_free(&own);
    if (rc < 0 || audit)
        return rc;
    struct session_talk *t = talk_of(s, mirror);
    if (!t) {
        s->stats.fp_refused++;
        return 0;
    }
    t->more = more;
    session_talk_touch(s, mirror, now_ms);
    if (asks)
        rc = session_ask_add(s, mirror, MESSAGE_WANT, body);
    if (!more)
        session_talk_end(s, mirror, now_ms);
    return rc;
}

/* ---- what goes out --------------------------------------------------------
 */

/* Long ids and many origins make long messages. What is left out is compared
 * in the next talk. */
static int encode_fitting(uint8_t type, struct fp *m, struct buf *out) {
    for (;;) {
        buf_clear(out);
        fp_encode(out, m, type == MESSAGE_FP);
        if (out->err || out->len <= message_limit(type))
            return out->err;
        if (!m->n && !m->n_clks)
            return err_set(ECRDT_ETOOBIG,
                           "the floor of bucket '%.*s' has too many origins "
                           "for one message",
                           (int)m->bucket.len, (const char *)m->bucket.data);
        m->n /= 2;
        while (!m->n && m->n_clks)
            vv_free(&m->clks[--m->n_clks]);
    }
}

int session_say_fp(struct session *s, uint8_t type, struct fp *m,
                   struct buf *scratch, uint64_t now_ms) {
    int rc = encode_fitting(type, m, scratch);
    if (rc < 0)
        return rc;
    s->spoke_ms = now_ms;
    s->stats.fps_out++;
    return channel_send(s->channel, type, buf_slice(scratch), now_ms);
}

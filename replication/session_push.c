/* session_push.c: sends what the peer lacks, one chunk at a time, within the
 * window, and word of our clock when its time comes. */
#include "lib/err.h"
#include "replication/session_reconcile.h"

/* Makes a mirror for each view that has none yet. */
static int attach_views(struct session *s, struct push *p) {
    if (s->views_seen == p->n)
        return 0;
    for (size_t i = 0; i < p->n; i++) {
        struct mirror *m;
        int rc = session_mirror(s, p->views[i]->bucket, &m);
        if (rc < 0)
            return rc;
        if (!m->view) /* told at once, not when a window full has come */
            m->hold = p->views[i]->filler && p->views[i]->filler != s;
        m->view = p->views[i];
    }
    s->views_seen = p->n;
    return 0;
}

/* All clocks are told anew behind a change: the peer believes what it sent
 * to be where it may be no longer. */
static int holds_changed(struct session *s, const struct push *p) {
    int rc = 0;
    s->our_holds = &p->holds;
    s->our_version = p->holds_version;
    for (size_t i = 0; i < s->mirrors.n && !rc; i++) {
        struct mirror *m = s->mirrors.m[i];
        rc = mirror_hold(&s->mirrors, m, s->our_holds, &s->their_holds);
        m->ack_due = m->ack_due || s->told_all;
        m->reset_due = m->reset_due || s->told_all;
    }
    return rc;
}

/* Says what we hold when it changed, and that we heard what the peer holds.
 * Who holds everything from the start need not say so. */
static int tell_holds(struct session *s, struct push *p) {
    bool changed = s->our_version != p->holds_version;
    bool tell = changed && (s->subs_sent || !subscription_whole(&p->holds));
    int rc = changed ? holds_changed(s, p) : 0;
    if (rc < 0 || (!tell && s->subs_echoed == s->subs_heard))
        return rc;
    s->subs_sent += tell;
    s->subs_echoed = s->subs_heard;
    buf_clear(&p->scratch);
    message_subscribe_encode(&p->scratch, s->subs_sent, s->subs_heard,
                             tell ? &p->holds : NULL);
    rc = p->scratch.err;
    return rc < 0 ? rc
                  : session_say(s, MESSAGE_SUBSCRIBE, buf_slice(&p->scratch),
                                p->now_ms);
}

bool session_window_open(const struct session *s) {
    return s->sent - s->acked < SESSION_FLIGHT_MAX &&
           s->flight_bytes < SESSION_WINDOW_BYTES;
}

/* One atomic push if all that is missing may fit it, else bulk. */
static struct chunk_budget budget_of(const struct mirror *m) {
    if (m->wait)
        return (struct chunk_budget){CHUNK_BULK_BYTES, SESSION_HELD_ITEMS};
    if (m->bulk || ranges_missing_in(&m->view->state->ranges, &m->peer,
                                     &m->theirs) > CHUNK_PUSH_ITEMS)
        return (struct chunk_budget){CHUNK_BULK_BYTES, CHUNK_BULK_ITEMS};
    return (struct chunk_budget){CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
}

int session_send_chunk(struct session *s, struct mirror *m, slice word,
                       slice chunk, bool more, struct buf *scratch,
                       uint64_t now_ms) {
    buf_clear(scratch);
    message_chunk_encode(scratch, m->bucket, more, word, chunk);
    int rc = scratch->err;
    if (!rc)
        rc = session_say(s, MESSAGE_CHUNK, buf_slice(scratch), now_ms);
    if (rc < 0)
        return rc;
    size_t i = s->sent++ % SESSION_FLIGHT_MAX;
    s->flight[i].mirror = m;
    s->flight[i].bytes = chunk.len;
    s->flight_bytes += chunk.len;
    s->stats.chunks_out++;
    return 0;
}

/* Sends an encoded chunk, and with it what our clock has become: the peer
 * decodes it against that. */
static int send_encoded(struct session *s, struct push *p, struct mirror *m,
                        const struct encoded *e) {
    int type = m->said && mirror_tell_due(m) ? session_word(s, p, m) : 0;
    if (type < 0)
        return type;
    return session_send_chunk(
        s, m, type ? buf_slice(&p->word) : slice_of(NULL, 0),
        buf_slice(&e->bytes), e->built.cut, &p->scratch, p->now_ms);
}

/* Builds and sends the next chunk of a bucket: 1 = sent, 0 = none. */
static int push_bucket(struct session *s, struct push *p, struct mirror *m) {
    struct chunk_budget budget = budget_of(m);
    const struct encoded *e = NULL;
    int rc = session_talk_due(s, p->txn, m);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = m->said ? 0 : session_tell(s, p, m);
    if (!rc)
        rc = push_cache_build(&p->cache, p->txn, m, &budget, &e);
    if (rc < 0)
        return rc;
    if (m->wait)
        s->held_ms = p->now_ms;
    mirror_built(m, rc > 0, rc > 0 && e->built.cut, p->now_ms);
    if (!rc)
        return 0;
    s->stats.items_out += e->built.items;
    rc = send_encoded(s, p, m, e);
    return rc < 0 ? rc : 1;
}

/* When the next chunk of a bucket may be built; UINT64_MAX = not before
 * something else changes. A bulk that the peer asked to hold goes on at a
 * trickle: it carries our newest events, and ends the wait if word of it was
 * lost. */
static uint64_t push_at(const struct session *s, const struct mirror *m) {
    if (s->state != SESSION_LIVE || s->audit_only || !session_window_open(s) ||
        !mirror_ready(m) || m->talk.due)
        return UINT64_MAX;
    if (m->judged != m->view->version)
        return 0;
    uint64_t held = m->wait ? s->held_ms + SESSION_HELD_MS : 0;
    held = held > m->talk.at_ms ? held : m->talk.at_ms;
    held = held > m->not_before_ms ? held : m->not_before_ms;
    return held > m->due_ms ? held : m->due_ms;
}

/* Clocks that a talk raises range by range are told when it is over. */
static uint64_t tell_at(const struct session *s, const struct mirror *m) {
    return session_talk_quiet(s, m) ? UINT64_MAX : mirror_tell_at(m);
}

/* Others' events wait for a random time, another one on each link, lest a
 * mesh repeats itself. */
static void judge(struct session *s, struct push *p, struct mirror *m) {
    if (s->state != SESSION_LIVE || !mirror_ready(m) ||
        m->judged == m->view->version)
        return;
    const uint8_t *random = channel_handshake_hash(s->channel);
    unsigned i = (s->holds++ + (s->initiator ? 32 : 0)) % 64;
    mirror_judge(m, p->me, p->now_ms, random[i] % (MIRROR_HOLD_MS + 1));
}

/* Word of our clock goes with a chunk, else after a pause. */
static int push_one(struct session *s, struct push *p, struct mirror *m) {
    judge(s, p, m);
    int rc = push_at(s, m) <= p->now_ms ? push_bucket(s, p, m) : 0;
    if (!rc && tell_at(s, m) <= p->now_ms)
        rc = session_tell(s, p, m);
    return rc;
}

int session_push(struct session *s, struct push *p) {
    if (s->state != SESSION_SYNCING && s->state != SESSION_LIVE)
        return 0;
    if (session_out(s)->len > SESSION_OUT_MAX)
        return 0;
    int rc = tell_holds(s, p);
    if (!rc)
        rc = attach_views(s, p);
    if (rc < 0)
        return rc;
    if (!s->told_all)
        return session_tell_all(s, p);
    for (size_t i = 0; i < s->mirrors.n; i++) {
        struct mirror *m = s->mirrors.m[(s->cursor + i) % s->mirrors.n];
        rc = push_one(s, p, m);
        if (rc > 0)
            s->cursor = (s->cursor + i + 1) % s->mirrors.n;
        if (rc)
            return rc;
    }
    return 0;
}

uint64_t session_push_at(const struct session *s, size_t n_views) {
    if (s->state != SESSION_SYNCING && s->state != SESSION_LIVE)
        return UINT64_MAX;
    if (channel_out(s->channel)->len > SESSION_OUT_MAX)
        return UINT64_MAX;
    if (s->subs_echoed != s->subs_heard)
        return 0;
    if (s->views_seen != n_views || !s->told_all)
        return s->views_seen == n_views && s->waits ? UINT64_MAX : 0;
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < s->mirrors.n; i++) {
        const struct mirror *m = s->mirrors.m[i];
        uint64_t tell = tell_at(s, m), push = push_at(s, m);
        at = m->unchecked ? 0 : at;
        at = tell < at ? tell : at;
        at = push < at ? push : at;
    }
    return at;
}

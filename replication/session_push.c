/* session_push.c: tells our clocks to the peer and sends what it lacks, one
 * chunk at a time, within the window. */
#include "lib/assert.h"
#include "lib/err.h"
#include "replication/session_reconcile.h"

static int say(struct session *s, uint8_t type, slice body, uint64_t now_ms) {
    s->spoke_ms = now_ms;
    return channel_send(s->channel, type, body, now_ms);
}

/* Makes a mirror for each view that has none yet. */
static int attach_views(struct session *s, struct push *p) {
    if (s->views_seen == p->n)
        return 0;
    for (size_t i = 0; i < p->n; i++) {
        struct mirror *m;
        int rc = mirrors_get(&s->mirrors, p->views[i]->bucket, &m);
        if (rc < 0)
            return rc;
        m->view = p->views[i];
    }
    s->views_seen = p->n;
    return 0;
}

static int tell(struct session *s, struct push *p, struct mirror *m) {
    static const struct vv no_floor;
    struct ranges none = {0};
    uint8_t flags = (uint8_t)((m->reset_due ? CLOCK_RESET : 0) |
                              (m->hold ? CLOCK_WAIT : 0));
    int rc = ranges_init(&none);
    buf_clear(&p->scratch);
    message_clock_encode(&p->scratch, s->consumed, flags, m->bucket,
                         m->view ? &m->view->ranges : &none,
                         m->view ? &m->view->floor : &no_floor);
    ranges_free(&none);
    if (!rc)
        rc = p->scratch.err;
    if (!rc)
        rc = say(s, MESSAGE_CLOCK, buf_slice(&p->scratch), p->now_ms);
    if (rc < 0)
        return rc;
    m->told = m->view ? m->view->version : 0;
    m->ack_due = m->reset_due = m->talk.settling = false;
    return 0;
}

/* Tells every clock for the first time; 1 once all were told. */
static int tell_all(struct session *s, struct push *p) {
    for (size_t i = 0; i < s->mirrors.n; i++) {
        struct mirror *m = s->mirrors.m[i];
        if (session_out(s)->len > SESSION_OUT_MAX)
            return 0;
        int rc = mirror_tell_due(m) ? tell(s, p, m) : 0;
        if (rc < 0)
            return rc;
    }
    s->told_all = true;
    int rc = say(s, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0), p->now_ms);
    return rc < 0 ? rc : 1;
}

bool session_window_open(const struct session *s) {
    return s->sent - s->acked < SESSION_FLIGHT_MAX &&
           s->flight_bytes < SESSION_WINDOW_BYTES;
}

/* One atomic push if all that is missing may fit it, else bulk. */
static struct chunk_budget budget_of(const struct mirror *m) {
    if (m->wait)
        return (struct chunk_budget){CHUNK_BULK_BYTES, SESSION_HELD_ITEMS};
    if (m->bulk ||
        ranges_missing(&m->view->ranges, &m->peer) > CHUNK_PUSH_ITEMS)
        return (struct chunk_budget){CHUNK_BULK_BYTES, CHUNK_BULK_ITEMS};
    return (struct chunk_budget){CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
}

int session_send_chunk(struct session *s, struct mirror *m, struct buf *scratch,
                       bool more, uint64_t now_ms) {
    size_t size = scratch->len - SESSION_CHUNK_ROOM;
    uint8_t room[SESSION_CHUNK_ROOM];
    struct buf head = {.data = room, .cap = sizeof room};
    message_chunk_header(&head, m->bucket, more, size);
    INVARIANT(!head.err && head.len <= SESSION_CHUNK_ROOM);
    uint8_t *body = scratch->data + SESSION_CHUNK_ROOM - head.len;
    memcpy(body, room, head.len);
    int rc = say(s, MESSAGE_CHUNK, slice_of(body, head.len + size), now_ms);
    if (rc < 0)
        return rc;
    size_t i = s->sent++ % SESSION_FLIGHT_MAX;
    s->flight[i].mirror = m;
    s->flight[i].bytes = size;
    s->flight_bytes += size;
    s->stats.chunks_out++;
    return 0;
}

/* Builds and sends the next chunk of a bucket: 1 = sent, 0 = none. */
static int push_bucket(struct session *s, struct push *p, struct mirror *m) {
    struct chunk_budget budget = budget_of(m);
    struct chunk_built built = {0};
    int rc = session_talk_due(s, p->txn, m);
    if (rc)
        return rc < 0 ? rc : 0;
    buf_clear(&p->scratch);
    if (!buf_extend(&p->scratch, SESSION_CHUNK_ROOM))
        return p->scratch.err;
    rc = ranges_init(&m->peer);
    if (!rc)
        rc = chunk_build(p->txn, m->bucket, &m->peer, &budget, &m->tail,
                         &p->scratch, &built);
    if (rc < 0)
        return rc;
    if (m->wait)
        s->held_ms = p->now_ms;
    mirror_built(m, rc > 0, built.cut);
    s->stats.items_out += built.items;
    if (!rc)
        return 0;
    rc = session_send_chunk(s, m, &p->scratch, built.cut, p->now_ms);
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
    uint64_t held = m->wait ? s->held_ms + SESSION_HELD_MS : 0;
    if (held < m->talk.at_ms)
        held = m->talk.at_ms;
    return held > m->not_before_ms ? held : m->not_before_ms;
}

/* Clocks that a talk raises range by range are told when it is over. */
static bool tell_due(const struct session *s, const struct mirror *m) {
    return mirror_tell_due(m) && !session_talk_quiet(s, m);
}

int session_push(struct session *s, struct push *p) {
    if (s->state != SESSION_SYNCING && s->state != SESSION_LIVE)
        return 0;
    if (session_out(s)->len > SESSION_OUT_MAX)
        return 0;
    int rc = attach_views(s, p);
    if (rc < 0)
        return rc;
    if (!s->told_all)
        return tell_all(s, p);
    for (size_t i = 0; i < s->mirrors.n; i++) {
        struct mirror *m = s->mirrors.m[(s->cursor + i) % s->mirrors.n];
        rc = tell_due(s, m) ? tell(s, p, m) : 0;
        if (!rc && push_at(s, m) <= p->now_ms)
            rc = push_bucket(s, p, m);
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
    if (!s->told_all || s->views_seen != n_views)
        return 0;
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < s->mirrors.n; i++) {
        const struct mirror *m = s->mirrors.m[i];
        uint64_t when = tell_due(s, m) ? 0 : push_at(s, m);
        at = when < at ? when : at;
    }
    return at;
}

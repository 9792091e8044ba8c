/* mirror.c: keeps the peer's clocks exact: a clock it tells replaces what was
 * believed, unless chunks are still on their way. */
#include "replication/mirror.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/mutant.h"

/* Index of the first mirror whose bucket is >= name. */
static size_t lower_bound(const struct mirrors *ms, const char *name) {
    size_t lo = 0, hi = ms->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (strcmp(ms->m[mid]->bucket, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct mirror *mirrors_find(const struct mirrors *ms, const char *bucket) {
    size_t i = lower_bound(ms, bucket);
    if (i < ms->n && !strcmp(ms->m[i]->bucket, bucket))
        return ms->m[i];
    return NULL;
}

int mirrors_get(struct mirrors *ms, const char *bucket, struct mirror **m) {
    *m = mirrors_find(ms, bucket);
    if (*m)
        return 0;
    if (ms->n >= MIRRORS_MAX)
        return err_set(ECRDT_EPEER,
                       "the peer names more than %d buckets, the most that "
                       "one store may hold",
                       MIRRORS_MAX);
    int rc = alloc_grow(&ms->m, &ms->cap, ms->n + 1, sizeof(struct mirror *));
    if (rc < 0)
        return rc;
    struct mirror *new = alloc_zeroed(1, sizeof *new);
    struct clock_state *none = clock_state_new();
    if (!new || !none) {
        alloc_free(new);
        clock_state_unref(none);
        return ECRDT_ENOMEM;
    }
    memcpy(new->bucket, bucket, strlen(bucket) + 1);
    new->look = new->tail.linked = true;
    new->heard = none;
    size_t at = lower_bound(ms, bucket);
    memmove(ms->m + at + 1, ms->m + at, (ms->n - at) * sizeof(*ms->m));
    ms->m[at] = *m = new;
    ms->n++;
    return 0;
}

void mirrors_free(struct mirrors *ms) {
    for (size_t i = 0; i < ms->n; i++) {
        clock_state_unref(ms->m[i]->said);
        clock_state_unref(ms->m[i]->heard);
        clock_state_unref(ms->m[i]->mark);
        clock_fp_free(ms->m[i]->fp);
        buf_free(&ms->m[i]->fp_first);
        ranges_free(&ms->m[i]->peer);
        spans_free(&ms->m[i]->ours);
        spans_free(&ms->m[i]->theirs);
        chunk_tail_free(&ms->m[i]->tail);
        said_free(&ms->m[i]->placed);
        alloc_free(ms->m[i]);
    }
    alloc_free(ms->m);
    *ms = (struct mirrors){0};
}

/* dst = max(dst, src) at every id. */
static int ranges_raise(struct ranges *dst, const struct ranges *src) {
    int rc = ranges_init(dst);
    for (size_t i = 0; !rc && i < src->n; i++) {
        size_t lo = 0, hi;
        const struct item_id *end = ranges_hi(src, i);
        rc = ranges_cut(dst, item_id_slice(&src->r[i].lo), 0, &lo);
        hi = dst->n;
        if (!rc && end)
            rc = ranges_cut(dst, item_id_slice(end), 0, &hi);
        for (size_t j = lo; !rc && j < (end ? hi : dst->n); j++)
            rc = vv_join(&dst->r[j].clk, &src->r[i].clk);
    }
    ranges_join_equal(dst);
    return rc;
}

/* A chunk that the peer consumed without coming closer is not sent again at
 * once: a refused one would otherwise travel in a loop. */
static void note_progress(struct mirror *m, bool fruitless, uint64_t now_ms) {
    if (!fruitless) {
        m->fruitless = 0;
        return;
    }
    if (now_ms < m->not_before_ms)
        return;
    uint64_t pause = (uint64_t)MIRROR_BACKOFF_MS << m->fruitless;
    if (pause >= MIRROR_BACKOFF_MAX_MS)
        pause = MIRROR_BACKOFF_MAX_MS;
    else
        m->fruitless++;
    m->not_before_ms = now_ms + pause;
}

static int too_much(void) {
    return err_set(ECRDT_EPEER,
                   "the peer's clocks and prefixes take more than %d MiB: too "
                   "many origins and ranges for one link",
                   MIRRORS_MAX_BYTES >> 20);
}

int mirror_hear(struct mirrors *ms, struct mirror *m, struct clock *c,
                uint32_t acked, uint64_t now_ms) {
    INVARIANT(acked <= m->in_flight);
    size_t bytes = clock_state_bytes(c->state);
    const struct ranges *now = &c->state->ranges;
    if (ms->bytes - m->heard_bytes + bytes > MIRRORS_MAX_BYTES)
        return too_much();
    ms->bytes += bytes - m->heard_bytes;
    m->heard_bytes = bytes;
    m->in_flight -= acked;
    bool reset = c->flags & CLOCK_RESET || !m->in_flight;
    if (acked && reset)
        note_progress(m,
                      ranges_eq(&m->heard->ranges, now) &&
                          !ranges_le_in(&m->peer, now, &m->theirs),
                      now_ms);
    if (m->placed.n && !ranges_le(&m->heard->ranges, now))
        said_free(&m->placed); /* it has forgotten something */
    m->wait = c->flags & CLOCK_WAIT;
    m->lazy = c->flags & CLOCK_LAZY;
    int rc = reset ? ranges_copy(&m->peer, now) : ranges_raise(&m->peer, now);
    m->look = true;
    m->stale = false;
    m->judged = 0;
    m->known = true;
    m->again = m->again || (c->differs && !MUTANT(norepair));
    if (c->flags & CLOCK_AGAIN) {
        clock_state_unref(m->said);
        m->said = NULL;
        m->ack_due = true;
    }
    clock_state_unref(m->heard);
    m->heard = c->state;
    c->state = NULL;
    m->unchecked = true;
    m->talk.at_ms = 0;
    return rc;
}

int mirror_hold(struct mirrors *ms, struct mirror *m,
                const struct subscription *ours,
                const struct subscription *theirs) {
    spans_free(&m->ours);
    spans_free(&m->theirs);
    ms->bytes -= m->spans_bytes;
    int rc = ours ? subscription_spans(ours, m->bucket, &m->ours) : 0;
    if (!rc && theirs)
        rc = subscription_spans(theirs, m->bucket, &m->theirs);
    m->spans_bytes = m->theirs.cap * sizeof *m->theirs.s;
    ms->bytes += m->spans_bytes;
    m->look = true;
    m->judged = 0;
    return !rc && ms->bytes > MIRRORS_MAX_BYTES ? too_much() : rc;
}

bool mirror_ready(const struct mirror *m) {
    return m->view && !m->lazy && !m->stale &&
           (m->look || m->seen != m->view->version);
}

/* Does the peer lack events of origin me somewhere? */
static bool lacks_ours(const struct mirror *m, const uint8_t *me) {
    uint64_t ours = vv_seq(&m->view->state->ranges.r[0].clk, me);
    for (size_t i = 0; i < m->peer.n; i++)
        if (!vv_covers(&m->peer.r[i].clk, me, ours))
            return true;
    return !m->peer.n;
}

void mirror_judge(struct mirror *m, const uint8_t me[ORIGIN_SIZE],
                  uint64_t now_ms, unsigned hold_ms) {
    m->judged = m->view->version;
    if (m->peer.n &&
        ranges_le_in(&m->view->state->ranges, &m->peer, &m->theirs) &&
        !MUTANT(echo)) {
        m->look = false;
        m->seen = m->view->version;
        m->due_ms = 0;
    } else if (m->bulk || lacks_ours(m, me) || MUTANT(nohold)) {
        uint64_t next = m->bulk ? 0 : m->pushed_ms + MIRROR_PUSH_MS;
        m->due_ms = now_ms > next ? now_ms : next;
    } else if (!m->due_ms) {
        m->due_ms = now_ms + hold_ms;
    }
}

void mirror_built(struct mirror *m, bool wrote, bool cut, uint64_t now_ms) {
    m->in_flight += wrote;
    m->bulk = m->look = wrote && cut;
    m->seen = m->view->version;
    m->judged = m->due_ms = 0;
    if (wrote && !cut)
        m->pushed_ms = now_ms;
}

uint8_t mirror_flags(const struct mirror *m) {
    return (uint8_t)((m->reset_due ? CLOCK_RESET : 0) |
                     (m->hold ? CLOCK_WAIT : 0) | (m->pruned ? CLOCK_LAZY : 0) |
                     (m->again ? CLOCK_AGAIN : 0));
}

/* A peer that holds nothing of a bucket and never spoke of it is not told. */
bool mirror_tell_due(const struct mirror *m) {
    return m->ack_due || mirror_flags(m) != m->told_flags ||
           (m->view && m->told != m->view->version &&
            (spans_count(&m->theirs) || m->known));
}

uint64_t mirror_tell_at(const struct mirror *m) {
    if (mirror_flags(m) != m->told_flags)
        return 0; /* the peer is to do something else */
    if (!mirror_tell_due(m))
        return m->said ? m->summed_ms + MIRROR_SUM_MS : UINT64_MAX;
    return m->told_ms + (m->pruned ? MIRROR_TELL_LAZY_MS : MIRROR_TELL_MS);
}

bool mirror_sum_due(const struct mirror *m, uint64_t now_ms) {
    return now_ms >= m->summed_ms + MIRROR_SUM_MS;
}

int mirror_told(struct mirror *m, uint64_t now_ms) {
    struct clock_state *is =
        m->view ? clock_state_ref(m->view->state) : clock_state_new();
    if (!is)
        return ECRDT_ENOMEM;
    if (!m->said)
        m->summed_ms = now_ms;
    clock_state_unref(m->said);
    m->said = is;
    m->told = m->view ? m->view->version : 0;
    m->told_ms = now_ms;
    m->ack_due = m->reset_due = m->again = m->talk.settling = false;
    m->told_flags = mirror_flags(m);
    return 0;
}

bool mirror_late(struct mirror *m) {
    static const struct ranges none;
    bool late =
        m->mark &&
        !ranges_le_in(&m->mark->ranges,
                      m->view ? &m->view->state->ranges : &none, &m->ours);
    clock_state_unref(m->mark);
    m->mark = clock_state_ref(m->heard);
    return late;
}

bool mirror_covers(const struct mirror *m, slice id,
                   const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    const struct ranges *rs = &m->heard->ranges;
    return vv_covers(&rs->r[ranges_find(rs, id)].clk, origin, seq);
}

uint64_t mirror_missing_here(const struct mirror *m) {
    static const struct ranges none;
    return ranges_missing_in(
        &m->heard->ranges, m->view ? &m->view->state->ranges : &none, &m->ours);
}

uint64_t mirror_missing_there(const struct mirror *m) {
    return m->view ? ranges_missing_in(&m->view->state->ranges,
                                       &m->heard->ranges, &m->theirs)
                   : 0;
}

bool mirror_in_sync(const struct mirror *m) {
    return !m->in_flight && !mirror_tell_due(m) && !mirror_missing_here(m) &&
           !mirror_missing_there(m);
}

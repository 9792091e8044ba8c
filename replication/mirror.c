/* mirror.c: keeps the peer's clocks exact: a CLOCK replaces what was
 * believed, unless chunks are still on their way. */
#include "replication/mirror.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"

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
    if (!new)
        return ECRDT_ENOMEM;
    memcpy(new->bucket, bucket, strlen(bucket) + 1);
    new->look = true;
    size_t at = lower_bound(ms, bucket);
    memmove(ms->m + at + 1, ms->m + at, (ms->n - at) * sizeof(*ms->m));
    ms->m[at] = *m = new;
    ms->n++;
    return 0;
}

void mirrors_free(struct mirrors *ms) {
    for (size_t i = 0; i < ms->n; i++) {
        ranges_free(&ms->m[i]->heard);
        ranges_free(&ms->m[i]->peer);
        vv_free(&ms->m[i]->floor);
        chunk_tail_free(&ms->m[i]->tail);
        alloc_free(ms->m[i]);
    }
    alloc_free(ms->m);
    *ms = (struct mirrors){0};
}

static size_t clock_bytes(const struct clock *c) {
    const struct ranges *rs = &c->ranges;
    size_t n = rs->n * sizeof *rs->r + c->floor.n * sizeof *c->floor.e;
    for (size_t i = 0; i < rs->n; i++)
        n += rs->r[i].clk.n * sizeof *rs->r[i].clk.e;
    return n;
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

int mirror_hear(struct mirrors *ms, struct mirror *m, struct clock *c,
                uint32_t acked, uint64_t now_ms) {
    INVARIANT(acked <= m->in_flight);
    size_t bytes = clock_bytes(c);
    if (ms->bytes - m->heard_bytes + bytes > MIRRORS_MAX_BYTES)
        return err_set(ECRDT_EPEER,
                       "the peer's clocks take more than %d MiB: too many "
                       "origins and ranges for one link",
                       MIRRORS_MAX_BYTES >> 20);
    ms->bytes += bytes - m->heard_bytes;
    m->heard_bytes = bytes;
    m->in_flight -= acked;
    bool reset = c->flags & CLOCK_RESET || !m->in_flight;
    if (acked && reset)
        note_progress(m,
                      ranges_eq(&m->heard, &c->ranges) &&
                          !ranges_le(&m->peer, &c->ranges),
                      now_ms);
    m->wait = c->flags & CLOCK_WAIT;
    int rc = reset ? ranges_copy(&m->peer, &c->ranges)
                   : ranges_raise(&m->peer, &c->ranges);
    m->look = !m->view || !ranges_le(&m->view->ranges, &m->peer);
    ranges_free(&m->heard);
    vv_free(&m->floor);
    m->heard = c->ranges;
    m->floor = c->floor;
    c->ranges = (struct ranges){0};
    c->floor = (struct vv){0};
    m->talk.at_ms = 0;
    return rc;
}

bool mirror_ready(const struct mirror *m) {
    return m->view && (m->look || m->seen != m->view->version);
}

void mirror_built(struct mirror *m, bool wrote, bool cut) {
    m->in_flight += wrote;
    m->bulk = m->look = wrote && cut;
    m->seen = m->view->version;
}

bool mirror_tell_due(const struct mirror *m) {
    return m->ack_due || (m->view && m->told != m->view->version);
}

bool mirror_covers(const struct mirror *m, slice id,
                   const uint8_t origin[ORIGIN_SIZE], uint64_t seq) {
    return m->heard.n &&
           vv_covers(&m->heard.r[ranges_find(&m->heard, id)].clk, origin, seq);
}

uint64_t mirror_missing_here(const struct mirror *m) {
    static const struct ranges none;
    return ranges_missing(&m->heard, m->view ? &m->view->ranges : &none);
}

uint64_t mirror_missing_there(const struct mirror *m) {
    return m->view ? ranges_missing(&m->view->ranges, &m->heard) : 0;
}

bool mirror_in_sync(const struct mirror *m) {
    return !m->in_flight && !mirror_tell_due(m) && !mirror_missing_here(m) &&
           !mirror_missing_there(m);
}

/* item.c: records of items, names of events, digests. */
#include "crdt/item.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/mutant.h"
#include <stdlib.h>

struct event *item_add(struct item *it) {
    if (alloc_grow(&it->ev, &it->cap, it->n + 1, sizeof *it->ev) < 0)
        return NULL;
    struct event *e = &it->ev[it->n++];
    *e = (struct event){0};
    return e;
}

int item_append(struct item *it, const struct event *e) {
    struct event *slot = item_add(it);
    if (!slot)
        return ECRDT_ENOMEM;
    *slot = *e;
    return ECRDT_OK;
}

void item_free(struct item *it) {
    alloc_free(it->ev);
    *it = (struct item){0};
}

static int by_dot(const void *a, const void *b) {
    const struct event *x = a, *y = b;
    if (x->origin != y->origin)
        return x->origin < y->origin ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

void item_sort(struct item *it) {
    size_t n = 0;
    for (size_t i = 1; i < it->n; i++)
        if (by_dot(&it->ev[i - 1], &it->ev[i]) >= 0) {
            qsort(it->ev, it->n, sizeof *it->ev, by_dot);
            break;
        }
    for (size_t i = 0; i < it->n; i++) {
        if (n && (it->ev[n - 1].origin == it->ev[i].origin || MUTANT(collapse)))
            n--;
        it->ev[n++] = it->ev[i];
    }
    it->n = n;
}

const struct event *item_of_origin(const struct item *it, uint32_t origin) {
    size_t lo = 0, hi = it->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (it->ev[mid].origin == origin)
            return &it->ev[mid];
        if (it->ev[mid].origin < origin)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

bool item_has(const struct item *it, uint32_t origin, uint64_t seq) {
    const struct event *e = item_of_origin(it, origin);
    return e && e->seq == seq;
}

bool item_live(const struct item *it) {
    for (size_t i = 0; i < it->n; i++)
        if (event_live(&it->ev[i]))
            return true;
    return false;
}

enum { FIXED = 8 + 1 + CRYPTO_E16 }; /* hlc, kind, e16 */

static void encode_event(struct buf *out, const struct event *e) {
    uint8_t *p = buf_extend(out, 3 * VARINT_MAX + FIXED + e->len);
    if (!p)
        return;
    uint8_t *start = p;
    p += varint_put(p, e->origin);
    p += varint_put(p, e->seq);
    store64(p, e->hlc);
    p[8] = e->kind;
    memcpy(p + 9, e->e16, CRYPTO_E16);
    p += FIXED;
    p += varint_put(p, event_live(e) ? e->len : e->arrival_ms);
    if (e->len)
        memcpy(p, e->payload, e->len);
    p += e->len;
    out->len -= 3 * VARINT_MAX + FIXED + e->len - (size_t)(p - start);
}

void item_encode(struct buf *out, const struct item *it) {
    uint8_t *p = buf_extend(out, VARINT_MAX);
    if (!p)
        return;
    out->len -= VARINT_MAX - varint_put(p, it->n);
    for (size_t i = 0; i < it->n; i++)
        encode_event(out, &it->ev[i]);
}

/* One event at [p, end): bytes used, 0 if malformed. */
static size_t decode_event(const uint8_t *p, const uint8_t *end,
                           struct event *e) {
    const uint8_t *start = p;
    uint64_t origin, len;
    size_t n = varint_get(p, end, &origin);
    if (!n || origin > UINT32_MAX)
        return 0;
    p += n;
    n = varint_get(p, end, &e->seq);
    if (!n || end - p - (ptrdiff_t)n < FIXED)
        return 0;
    p += n;
    e->origin = (uint32_t)origin;
    e->hlc = load64(p);
    e->kind = p[8];
    e->e16 = p + 9;
    p += FIXED;
    n = varint_get(p, end, &len);
    if (!n)
        return 0;
    e->arrival_ms = event_live(e) ? 0 : len;
    len -= e->arrival_ms;
    if (len > (uint64_t)(end - p) - n)
        return 0;
    p += n;
    e->payload = p;
    e->len = (uint32_t)len;
    e->fresh = false;
    return (size_t)(p - start) + e->len;
}

int item_walk(slice rec, size_t *at, struct event *e) {
    const uint8_t *b = rec.data, *end = b + rec.len;
    if (*at == 0) {
        uint64_t count;
        *at = varint_get(b, end, &count);
        if (!*at || count == 0)
            return ECRDT_ECORRUPT;
    }
    if (*at == rec.len)
        return 0;
    size_t n = decode_event(b + *at, end, e);
    *at += n;
    return n ? 1 : ECRDT_ECORRUPT;
}

int item_decode(struct item *it, slice rec) {
    it->n = 0;
    uint64_t count;
    const uint8_t *b = rec.data;
    if (!varint_get(b, b + rec.len, &count))
        return ECRDT_ECORRUPT;
    struct event e;
    int rc;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;) {
        struct event *slot = item_add(it);
        if (!slot)
            return ECRDT_ENOMEM;
        *slot = e;
    }
    return rc == 0 && it->n != count ? ECRDT_ECORRUPT : rc;
}

int event_e16(uint8_t out[CRYPTO_E16], const uint8_t salt[16],
              const uint8_t origin[ORIGIN_SIZE], slice id,
              const struct event *e, struct buf *scratch) {
    static const uint8_t personal[16] = "ecrdt-event-1";
    buf_clear(scratch);
    uint8_t *p =
        buf_extend(scratch, ORIGIN_SIZE + 8 + 8 + 1 + 2 + id.len + e->len);
    if (!p)
        return scratch->err;
    memcpy(p, origin, ORIGIN_SIZE);
    store64(p + 16, e->seq);
    store64(p + 24, e->hlc);
    p[32] = e->kind;
    store16(p + 33, (uint16_t)id.len);
    memcpy(p + 35, id.data, id.len);
    if (e->len)
        memcpy(p + 35 + id.len, e->payload, e->len);
    crypto_blake2b_salted(out, buf_slice(scratch), salt, personal);
    return ECRDT_OK;
}

__extension__ typedef unsigned __int128 u128;

static u128 load128(const uint8_t b[16]) {
    return (u128)load64(b) << 64 | load64(b + 8);
}

static void store128(uint8_t b[16], u128 v) {
    store64(b, (uint64_t)(v >> 64));
    store64(b + 8, (uint64_t)v);
}

void digest_add(uint8_t sum[16], const uint8_t e16[16]) {
    store128(sum, load128(sum) + load128(e16));
}

void digest_sub(uint8_t sum[16], const uint8_t e16[16]) {
    store128(sum, load128(sum) - load128(e16));
}

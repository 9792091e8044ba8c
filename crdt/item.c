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

bool item_has(const struct item *it, const struct event *e) {
    const struct event *x = item_of_origin(it, e->origin);
    return x && event_same(x, e);
}

bool item_live(const struct item *it) {
    for (size_t i = 0; i < it->n; i++)
        if (event_live(&it->ev[i]))
            return true;
    return false;
}

bool event_same(const struct event *a, const struct event *b) {
    return a->origin == b->origin && a->seq == b->seq && a->kind == b->kind &&
           a->hlc == b->hlc && a->len == b->len &&
           (a->payload == b->payload || !a->len ||
            !memcmp(a->payload, b->payload, a->len));
}

enum { HLC_MS = 6, SEQ_SHORT = 4, SEQ_LONG = 8 };
enum { EVENT_MOST = 1 + HLC_MS + SEQ_LONG + 3 * VARINT_MAX };
static const uint64_t seq_long = (uint64_t)1 << 63;

/* 4 bytes below 2^31, else 8 with the top bit set: a size that hardly ever
 * changes lets LMDB overwrite a record where it lies. */
static uint8_t *put_seq(uint8_t *p, uint64_t seq) {
    if (seq <= INT32_MAX) {
        store32(p, (uint32_t)seq);
        return p + SEQ_SHORT;
    }
    store64(p, seq | seq_long);
    return p + SEQ_LONG;
}

/* Bytes of the seq at [p, end), 0 if malformed. */
static size_t get_seq(const uint8_t *p, const uint8_t *end, uint64_t *seq) {
    if (end - p < SEQ_SHORT)
        return 0;
    *seq = load32(p);
    if (*seq <= INT32_MAX)
        return SEQ_SHORT;
    if (end - p < SEQ_LONG)
        return 0;
    *seq = load64(p) & ~seq_long;
    return *seq > INT32_MAX ? SEQ_LONG : 0;
}

static uint8_t *put_hlc(uint8_t *p, uint64_t hlc) {
    store32(p, (uint32_t)(hlc >> 32));
    store16(p + 4, (uint16_t)(hlc >> 16));
    return p + HLC_MS + varint_put(p + HLC_MS, hlc & UINT16_MAX);
}

static void encode_event(struct buf *out, const struct event *e, bool last) {
    const size_t most = EVENT_MOST + e->len;
    uint8_t *p = buf_extend(out, most), *start = p;
    if (!p)
        return;
    last = last && event_live(e);
    *p++ = last ? e->kind | KIND_LAST : e->kind;
    p += varint_put(p, e->origin);
    p = put_seq(p, e->seq);
    p = put_hlc(p, e->hlc);
    if (!last)
        p += varint_put(p, event_live(e) ? e->len : e->arrival_ms);
    if (e->len)
        memcpy(p, e->payload, e->len);
    p += e->len;
    out->len -= most - (size_t)(p - start);
}

void item_encode(struct buf *out, const struct item *it) {
    for (size_t i = 0; i < it->n; i++)
        encode_event(out, &it->ev[i], i + 1 == it->n);
}

/* Bytes of the hlc at [p, end), 0 if malformed. */
static size_t get_hlc(const uint8_t *p, const uint8_t *end, uint64_t *hlc) {
    uint64_t count;
    size_t n = end - p > HLC_MS ? varint_get(p + HLC_MS, end, &count) : 0;
    if (!n || count > UINT16_MAX)
        return 0;
    *hlc = (uint64_t)load32(p) << 32 | (uint64_t)load16(p + 4) << 16 | count;
    return HLC_MS + n;
}

/* What ends an event: of a tomb when it came, else the payload. */
static const uint8_t *get_end(const uint8_t *p, const uint8_t *end, bool last,
                              struct event *e) {
    uint64_t v = (uint64_t)(end - p);
    size_t n = last ? 0 : varint_get(p, end, &v);
    bool live = event_live(e);
    if ((!n && !last) || (live && v > (uint64_t)(end - p) - n))
        return NULL;
    e->payload = p + n;
    e->arrival_ms = live ? 0 : v;
    e->len = live ? (uint32_t)v : 0;
    return e->payload + e->len;
}

/* One event at [p, end): bytes used, 0 if malformed. */
static size_t decode_event(const uint8_t *p, const uint8_t *end,
                           struct event *e) {
    const uint8_t *start = p;
    uint64_t origin;
    uint8_t kind = *p++;
    bool last = kind & KIND_LAST;
    e->kind = kind & (uint8_t)~KIND_LAST;
    size_t n = varint_get(p, end, &origin);
    if (!n || origin > UINT32_MAX || (last && !event_live(e)))
        return 0;
    p += n;
    e->origin = (uint32_t)origin;
    n = get_seq(p, end, &e->seq);
    if (!n)
        return 0;
    p += n;
    n = get_hlc(p, end, &e->hlc);
    if (!n)
        return 0;
    p = get_end(p + n, end, last, e);
    e->e16 = NULL;
    e->fresh = false;
    /* One way to write it: whoever ends the record says so. */
    return p && (last || !event_live(e) || p < end) ? (size_t)(p - start) : 0;
}

int item_walk(slice rec, size_t *at, struct event *e) {
    const uint8_t *b = rec.data;
    if (*at == rec.len)
        return rec.len ? 0 : ECRDT_ECORRUPT;
    size_t n = decode_event(b + *at, b + rec.len, e);
    *at += n;
    return n ? 1 : ECRDT_ECORRUPT;
}

int item_decode(struct item *it, slice rec) {
    it->n = 0;
    struct event e;
    int rc;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;) {
        struct event *slot = item_add(it);
        if (!slot)
            return ECRDT_ENOMEM;
        *slot = e;
    }
    return rc;
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

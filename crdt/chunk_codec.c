/* chunk_codec.c: chunks to bytes, and strictly back. */
#include "crdt/chunk_codec.h"
#include "crdt/hlc.h"
#include "crdt/keys.h"
#include "crdt/type.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/mutant.h"

enum { ITEM_FIXED = 2, EVENT_FIELDS = 6 };

struct chunk_part *chunk_add_part(struct chunk *c) {
    if (alloc_grow(&c->parts, &c->cap_parts, c->n_parts + 1, sizeof *c->parts) <
        0)
        return NULL;
    struct chunk_part *p = &c->parts[c->n_parts++];
    memset(p, 0, sizeof *p);
    return p;
}

void chunk_free(struct chunk *c) {
    for (size_t i = 0; i < c->n_parts; i++) {
        vv_free(&c->parts[i].base);
        if (!c->lent)
            vv_free(&c->parts[i].clk);
    }
    if (!c->lent)
        vv_free(&c->floor);
    alloc_free(c->origins);
    alloc_free(c->parts);
    alloc_free(c->items);
    alloc_free(c->events);
    chain_lists_free(&c->chains);
    buf_free(&c->ids);
    *c = (struct chunk){0};
}

/* ---- encode ---------------------------------------------------------------
 */

/* What all sequence numbers of an origin, and all times, are relative to. */
struct bases {
    uint64_t *seq; /* by origin index */
    uint64_t ms;
};

static int find_bases(const struct chunk *c, struct bases *b) {
    b->ms = UINT64_MAX;
    b->seq = alloc_resize(NULL, c->n_origins + 1, sizeof *b->seq);
    if (!b->seq)
        return ECRDT_ENOMEM;
    memset(b->seq, 0xff, (c->n_origins + 1) * sizeof *b->seq);
    for (size_t i = 0; i < c->n_events; i++) {
        const struct event *e = &c->events[i];
        if (e->seq < b->seq[e->origin])
            b->seq[e->origin] = e->seq;
        if (hlc_ms(e->hlc) < b->ms)
            b->ms = hlc_ms(e->hlc);
    }
    for (size_t i = 0; i < c->n_origins; i++)
        if (b->seq[i] == UINT64_MAX) /* of items that were taken out again */
            b->seq[i] = 0;
    if (!c->n_events)
        b->ms = 0;
    return ECRDT_OK;
}

static void encode_item(struct buf *out, const struct chunk *c,
                        const struct bases *b, const struct chunk_item *it,
                        slice prev) {
    size_t same = slice_shared(prev, it->id);
    pack_array(out, ITEM_FIXED + EVENT_FIELDS * it->count);
    pack_uint(out, same);
    pack_bin(out,
             slice_of((const uint8_t *)it->id.data + same, it->id.len - same));
    for (uint32_t i = 0; i < it->count; i++) {
        const struct event *e = &c->events[it->first + i];
        pack_uint(out, e->origin);
        pack_uint(out, e->seq - b->seq[e->origin]);
        pack_uint(out, hlc_ms(e->hlc) - b->ms);
        pack_uint(out, hlc_count(e->hlc));
        pack_uint(out, e->kind);
        if (e->payload)
            pack_bin(out, slice_of(e->payload, e->len));
        else
            pack_nil(out);
    }
}

static void encode_part(struct buf *out, const struct chunk *c,
                        const struct bases *b, const struct chunk_part *p) {
    pack_array(out, c->linked ? 5 : 6);
    pack_bin(out, item_id_slice(&p->lo));
    if (p->bounded)
        pack_bin(out, item_id_slice(&p->hi));
    else
        pack_nil(out);
    if (c->linked)
        vv_diff_encode(out, &p->clk, MUTANT(linkbase) ? &p->clk : &p->base);
    else {
        vv_encode(out, &p->base);
        vv_encode(out, &p->clk);
    }
    pack_bool(out, p->complete);
    pack_array(out, p->count);
    slice prev = {0};
    for (uint32_t i = 0; i < p->count; i++) {
        const struct chunk_item *it = &c->items[p->first + i];
        encode_item(out, c, b, it, prev);
        prev = it->id;
    }
}

void chunk_encode(struct buf *out, const struct chunk *c) {
    struct bases b;
    if (out->err || (out->err = find_bases(c, &b)) < 0)
        return;
    pack_array(out, c->linked ? 7 : 9);
    pack_uint(out, c->linked ? CHUNK_LINKED : CHUNK_VERSION);
    if (!c->linked) {
        pack_bin(out, c->bucket);
        vv_encode(out, &c->floor);
    }
    pack_bool(out, c->bulk);
    pack_array(out, (uint32_t)(2 * c->n_origins));
    for (size_t i = 0; i < c->n_origins; i++) {
        if (c->linked)
            vv_origin_encode(out, c->first, c->origins[i]);
        else
            pack_bin(out, slice_of(c->origins[i], ORIGIN_SIZE));
        pack_uint(out, b.seq[i]);
    }
    pack_uint(out, b.ms);
    pack_array(out, (uint32_t)c->n_parts);
    for (size_t i = 0; i < c->n_parts; i++)
        encode_part(out, c, &b, &c->parts[i]);
    pack_bool(out, c->told);
    chain_lists_encode(out, &c->chains);
    alloc_free(b.seq);
}

/* ---- decode ---------------------------------------------------------------
 */

struct decoder {
    struct unpack u;
    struct chunk *c;
    uint64_t *seq_base;
    uint64_t ms_base;
    struct item_id id;              /* of the item before */
    const struct clock_state *said; /* NULL: not linked */
    size_t entries;                 /* of the bases so far */
};

static int no_memory(struct decoder *d) {
    d->u.err = ECRDT_ENOMEM;
    return ECRDT_ENOMEM;
}

static void decode_origins(struct decoder *d) {
    struct chunk *c = d->c;
    uint32_t n = unpack_array(&d->u, 2 * CHUNK_MAX_ORIGINS);
    if (n % 2)
        unpack_fail(&d->u);
    d->seq_base = alloc_zeroed(n / 2 + 1, sizeof *d->seq_base);
    if (!d->seq_base ||
        alloc_grow(&c->origins, &c->cap_origins, n / 2, ORIGIN_SIZE) < 0) {
        no_memory(d);
        n = 0;
    }
    for (; c->n_origins < n / 2 && !d->u.err; c->n_origins++) {
        static const struct vv none; /* no places: whole ids alone */
        vv_origin_decode(&d->u, d->said ? &d->said->ranges.r[0].clk : &none,
                         c->origins[c->n_origins]);
        d->seq_base[c->n_origins] = unpack_uint(&d->u);
    }
    unpack_leave(&d->u);
}

/* The next id, in place over the one before: how many bytes they share (as
 * many as can be: one encoding), then the rest, which must lie behind. */
static void decode_id(struct decoder *d) {
    struct item_id *id = &d->id;
    size_t same = (size_t)unpack_uint_max(&d->u, id->len);
    slice rest = unpack_bin(&d->u, ITEM_ID_MAX - same);
    slice old = slice_of(id->b + same, id->len - same);
    bool more = old.len && rest.len &&
                *(const uint8_t *)old.data == *(const uint8_t *)rest.data;
    if (more || slice_cmp(old, rest) >= 0)
        unpack_fail(&d->u);
    if (d->u.err)
        return;
    memcpy(id->b + same, rest.data, rest.len);
    id->len = (uint16_t)(same + rest.len);
}

/* A sum that must not overflow. */
static uint64_t sum(struct unpack *u, uint64_t a, uint64_t b, uint64_t max) {
    if (!add_u64(&a, b) || a > max) {
        unpack_fail(u);
        return 0;
    }
    return a;
}

static void decode_event(struct decoder *d, const struct chunk_part *p,
                         const struct item_parts *id, slice id_bytes,
                         struct event *e) {
    struct chunk *c = d->c;
    struct unpack *u = &d->u;
    *e = (struct event){0};
    if (!c->n_origins)
        unpack_fail(u);
    e->origin = (uint32_t)unpack_uint_max(u, c->n_origins - 1);
    if (u->err)
        return;
    const uint8_t *origin = c->origins[e->origin];
    e->seq = sum(u, d->seq_base[e->origin], unpack_uint(u), INT64_MAX);
    uint64_t ms = sum(u, d->ms_base, unpack_uint(u), (UINT64_C(1) << 48) - 1);
    e->hlc = hlc_make(ms, (uint32_t)unpack_uint_max(u, UINT16_MAX));
    e->kind = (uint8_t)unpack_uint_max(u, UINT8_MAX);
    bool known = vv_covers(&p->base, origin, e->seq);
    if (!unpack_nil(u)) {
        slice payload = unpack_bin(u, CHUNK_MAX_BYTES);
        e->payload = payload.data;
        e->len = (uint32_t)payload.len;
        if (!payload_valid(id_bytes, id, e))
            unpack_fail(u);
    } else if (!known) {
        unpack_fail(u);
    }
    if (!e->seq || !vv_covers(&p->clk, origin, e->seq))
        unpack_fail(u);
}

/* At most one sibling of an origin, and the origins in order of their index,
 * so that there is one encoding. */
static void decode_siblings(struct decoder *d, const struct chunk_part *p,
                            struct chunk_item *it, slice id, uint32_t n) {
    struct chunk *c = d->c;
    struct item_parts parts;
    const struct type *ty =
        item_id_parse(id, &parts) ? type_of_tag(parts.tag) : NULL;
    if (!ty || c->n_events + n > CHUNK_MAX_EVENTS) {
        unpack_fail(&d->u);
        return;
    }
    it->k_len = parts.k_len;
    it->first = (uint32_t)c->n_events;
    it->count = n;
    if (alloc_grow(&c->events, &c->cap_events, c->n_events + n,
                   sizeof *c->events) < 0) {
        no_memory(d);
        return;
    }
    for (uint32_t i = 0; i < n && !d->u.err; i++) {
        struct event *e = &c->events[c->n_events++];
        decode_event(d, p, &parts, id, e);
        if (i && e[-1].origin >= e->origin)
            unpack_fail(&d->u);
    }
}

/* Keeps the id; see point_to_ids(). */
static void keep_id(struct decoder *d, struct chunk_item *it) {
    it->at = d->c->ids.len;
    it->id.len = d->id.len;
    buf_put(&d->c->ids, d->id.b, d->id.len);
    if (d->c->ids.err)
        no_memory(d);
}

static void decode_item(struct decoder *d, const struct chunk_part *p) {
    struct chunk *c = d->c;
    uint32_t n =
        unpack_array(&d->u, ITEM_FIXED + EVENT_FIELDS * CHUNK_MAX_EVENTS);
    if (n <= ITEM_FIXED || (n - ITEM_FIXED) % EVENT_FIELDS ||
        c->n_items >= CHUNK_MAX_ITEMS)
        unpack_fail(&d->u);
    else if (alloc_grow(&c->items, &c->cap_items, c->n_items + 1,
                        sizeof *c->items) < 0)
        no_memory(d);
    decode_id(d);
    slice id = item_id_slice(&d->id);
    if (slice_cmp(item_id_slice(&p->lo), id) > 0 ||
        (p->bounded && slice_cmp(id, item_id_slice(&p->hi)) >= 0))
        unpack_fail(&d->u);
    if (!d->u.err) {
        struct chunk_item *it = &c->items[c->n_items++];
        *it = (struct chunk_item){0};
        keep_id(d, it);
        decode_siblings(d, p, it, id, (n - ITEM_FIXED) / EVENT_FIELDS);
    }
    unpack_leave(&d->u);
}

/* The clock of a part is the one said for its range, which it must not leave;
 * memory is bounded against many parts with a small difference each. */
static void decode_linked_clocks(struct decoder *d, struct chunk_part *p) {
    const struct ranges *said = &d->said->ranges;
    size_t at = ranges_find(said, item_id_slice(&p->lo));
    const struct item_id *end = ranges_hi(said, at);
    if (end && (!p->bounded ||
                slice_cmp(item_id_slice(&p->hi), item_id_slice(end)) > 0))
        unpack_fail(&d->u);
    p->clk = said->r[at].clk;
    vv_diff_decode(&d->u, &p->clk, &p->base);
    d->entries += p->base.n;
    if (d->entries > CHUNK_MAX_ENTRIES)
        unpack_fail(&d->u);
}

static void decode_part(struct decoder *d) {
    struct unpack *u = &d->u;
    struct chunk *c = d->c;
    struct chunk_part *p = chunk_add_part(c);
    if (!p) {
        no_memory(d);
        return;
    }
    unpack_array_exact(u, d->said ? 5 : 6);
    item_id_set(&p->lo, unpack_bin(u, ITEM_ID_MAX));
    p->bounded = !unpack_nil(u);
    if (p->bounded)
        item_id_set(&p->hi, unpack_bin(u, ITEM_ID_MAX));
    if (p->bounded &&
        slice_cmp(item_id_slice(&p->lo), item_id_slice(&p->hi)) >= 0)
        unpack_fail(u);
    if (d->said) {
        decode_linked_clocks(d, p);
    } else {
        vv_decode(u, &p->base);
        vv_decode(u, &p->clk);
    }
    p->complete = unpack_bool(u);
    p->first = (uint32_t)c->n_items;
    p->count = unpack_array(u, CHUNK_MAX_ITEMS);
    d->id.len = 0;
    for (uint32_t i = 0; i < p->count && !u->err; i++)
        decode_item(d, p);
    unpack_leave(u);
    unpack_leave(u);
}

/* Parts stand in order and do not overlap. */
static bool parts_in_order(const struct chunk *c) {
    for (size_t i = 1; i < c->n_parts; i++) {
        const struct chunk_part *a = &c->parts[i - 1], *b = a + 1;
        if (!a->bounded ||
            slice_cmp(item_id_slice(&a->hi), item_id_slice(&b->lo)) > 0)
            return false;
    }
    return true;
}

/* The ids lie in one buffer, which no longer moves. */
static void point_to_ids(struct chunk *c) {
    for (size_t i = 0; i < c->n_items; i++)
        c->items[i].id.data = c->ids.data + c->items[i].at;
}

static int refuse(const struct decoder *d, uint64_t version) {
    if (d->u.err == ECRDT_ENOMEM)
        return ECRDT_ENOMEM;
    if (version && version != CHUNK_VERSION)
        return err_set(ECRDT_EVERSION,
                       "a chunk has format %llu, this library knows %d: "
                       "update it",
                       (unsigned long long)version, CHUNK_VERSION);
    return err_set(ECRDT_ECORRUPT,
                   "a chunk is malformed; it was refused whole");
}

/* Everything is relative to what is least: one encoding. */
static void check_bases(struct decoder *d) {
    struct bases b;
    if (d->u.err || (d->u.err = find_bases(d->c, &b)) < 0)
        return;
    if (d->ms_base != b.ms ||
        memcmp(d->seq_base, b.seq, d->c->n_origins * sizeof *b.seq) != 0)
        unpack_fail(&d->u);
    alloc_free(b.seq);
}

/* What both forms end in. */
static int decode_rest(struct decoder *d, uint64_t version) {
    struct unpack *u = &d->u;
    d->c->bulk = unpack_bool(u);
    decode_origins(d);
    d->ms_base = unpack_uint(u);
    uint32_t n = unpack_array(u, CHUNK_MAX_PARTS);
    for (uint32_t i = 0; i < n && !u->err; i++)
        decode_part(d);
    unpack_leave(u);
    d->c->told = unpack_bool(u);
    chain_lists_decode(u, &d->c->chains);
    unpack_leave(u);
    check_bases(d);
    alloc_free(d->seq_base);
    if (unpack_end(u) < 0 || !parts_in_order(d->c))
        return refuse(d, version);
    point_to_ids(d->c);
    return ECRDT_OK;
}

int chunk_decode(slice bytes, struct chunk *c) {
    struct decoder d = {.c = c};
    struct unpack *u = &d.u;
    unpack_init(u, bytes);
    unpack_array_exact(u, 9);
    uint64_t version = unpack_uint(u);
    if (version != CHUNK_VERSION)
        unpack_fail(u);
    c->bucket = unpack_bin(u, ECRDT_MAX_BUCKET_NAME);
    if (!c->bucket.len || memchr(c->bucket.data, 0, c->bucket.len))
        unpack_fail(u);
    vv_decode(u, &c->floor);
    return decode_rest(&d, version);
}

int chunk_decode_linked(slice bytes, const char *bucket,
                        const struct clock_state *said, struct chunk *c) {
    struct decoder d = {.c = c, .said = said};
    unpack_init(&d.u, bytes);
    unpack_array_exact(&d.u, 7);
    if (unpack_uint(&d.u) != CHUNK_LINKED)
        unpack_fail(&d.u);
    c->bucket = ecrdt_str(bucket);
    c->linked = c->lent = true;
    c->floor = said->floor;
    return decode_rest(&d, 0);
}

bool chunk_is_linked(slice bytes) {
    const uint8_t *p = bytes.data;
    return bytes.len > 1 && p[0] == 0x97 && p[1] == CHUNK_LINKED;
}

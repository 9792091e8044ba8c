/* oracle.c: events, commits, and what follows from a set of them. */
#include "fuzz/sim/oracle.h"
#include "lib/err.h"
#include <stdlib.h>

int oracle_init(struct oracle *o) {
    *o = (struct oracle){0};
    o->ev = calloc(ORACLE_EVENTS, sizeof *o->ev);
    o->items = calloc(ORACLE_ITEMS, sizeof *o->items);
    o->commits = calloc(ORACLE_COMMITS, sizeof *o->commits);
    return o->ev && o->items && o->commits ? ECRDT_OK : ECRDT_ENOMEM;
}

void oracle_free(struct oracle *o) {
    for (uint32_t i = 0; i < o->n_items; i++)
        free(o->items[i].events);
    free(o->ev);
    free(o->items);
    free(o->commits);
    *o = (struct oracle){0};
}

/* ---- tables by name: open addressing, number + 1 --------------------------
 */

static uint64_t mix(uint64_t h, const void *data, size_t n) {
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static size_t spot(uint64_t h) {
    return (size_t)((h ^ (h >> 29)) % ORACLE_HASH);
}

static size_t id_spot(unsigned bucket, slice id) {
    return spot(mix(14695981039346656037u + bucket, id.data, id.len));
}

int oracle_find(const struct oracle *o, unsigned bucket, slice id) {
    for (size_t i = id_spot(bucket, id); o->by_id[i];
         i = (i + 1) % ORACLE_HASH) {
        const struct oracle_item *it = &o->items[o->by_id[i] - 1];
        if (it->bucket == bucket && slice_eq(item_id_slice(&it->id), id))
            return o->by_id[i] - 1;
    }
    return -1;
}

int oracle_item(struct oracle *o, unsigned bucket, slice id, int key,
                int elem) {
    struct item_parts parts;
    int found = oracle_find(o, bucket, id);
    if (found >= 0)
        return found;
    if (o->n_items == ORACLE_ITEMS || !item_id_parse(id, &parts))
        return -1;
    struct oracle_item *it = &o->items[o->n_items];
    item_id_set(&it->id, id);
    it->bucket = (uint8_t)bucket;
    it->tag = parts.tag;
    it->k_len = parts.k_len;
    it->key = key;
    it->elem = elem;
    size_t i = id_spot(bucket, id);
    while (o->by_id[i])
        i = (i + 1) % ORACLE_HASH;
    o->by_id[i] = (uint16_t)(o->n_items + 1);
    return (int)o->n_items++;
}

int oracle_event(const struct oracle *o, const uint8_t e16[16]) {
    for (size_t i = spot(load64(e16)); o->by_e16[i]; i = (i + 1) % ORACLE_HASH)
        if (!memcmp(o->ev[o->by_e16[i] - 1].e16, e16, 16))
            return o->by_e16[i] - 1;
    return -1;
}

struct oracle_event *oracle_add(struct oracle *o, uint32_t item,
                                const uint8_t e16[16]) {
    struct oracle_item *it = &o->items[item];
    if (o->n_ev == ORACLE_EVENTS)
        return NULL;
    if (it->n == it->cap) {
        uint32_t cap = it->cap ? 2 * it->cap : 8;
        uint32_t *p = realloc(it->events, cap * sizeof *p);
        if (!p)
            return NULL;
        it->events = p;
        it->cap = cap;
    }
    size_t i = spot(load64(e16));
    while (o->by_e16[i])
        i = (i + 1) % ORACLE_HASH;
    o->by_e16[i] = (uint16_t)(o->n_ev + 1);
    it->events[it->n++] = o->n_ev;
    struct oracle_event *e = &o->ev[o->n_ev++];
    e->item = item;
    memcpy(e->e16, e16, 16);
    return e;
}

static size_t head_spot(unsigned bucket, const struct head *h) {
    uint64_t k = mix(h->h + bucket, h->origin, ORIGIN_SIZE);
    return spot(k ^ (h->seq * UINT64_C(0x9e3779b97f4a7c15)));
}

int oracle_head(const struct oracle *o, unsigned bucket, const struct head *h) {
    for (size_t i = head_spot(bucket, h); o->by_head[i];
         i = (i + 1) % ORACLE_HASH) {
        const struct oracle_commit *c = &o->commits[o->by_head[i] - 1];
        if (c->bucket == bucket && c->seq == h->seq && c->h == h->h &&
            !memcmp(c->origin, h->origin, ORIGIN_SIZE))
            return o->by_head[i] - 1;
    }
    return -1;
}

int oracle_commit(struct oracle *o, unsigned bucket, const struct head *h,
                  int parent) {
    if (o->n_commits == ORACLE_COMMITS)
        return -1;
    struct oracle_commit *c = &o->commits[o->n_commits];
    c->bucket = (uint8_t)bucket;
    memcpy(c->origin, h->origin, ORIGIN_SIZE);
    c->seq = h->seq;
    c->h = h->h;
    c->parent = parent;
    if (parent >= 0)
        c->covers = o->commits[parent].covers;
    size_t i = head_spot(bucket, h);
    while (o->by_head[i])
        i = (i + 1) % ORACLE_HASH;
    o->by_head[i] = (uint16_t)(o->n_commits + 1);
    return (int)o->n_commits++;
}

/* ---- sets of events -------------------------------------------------------
 */

void oracle_seen(const struct oracle *o, uint32_t item, const struct bits *have,
                 struct bits *out) {
    const struct oracle_item *it = &o->items[item];
    *out = (struct bits){0};
    for (uint32_t i = 0; i < it->n; i++)
        if (bits_has(have, it->events[i]))
            bits_set(out, it->events[i]);
}

void oracle_siblings(const struct oracle *o, uint32_t item,
                     const struct bits *seen, struct bits *out) {
    const struct oracle_item *it = &o->items[item];
    struct bits below = {0};
    for (uint32_t i = 0; i < it->n; i++)
        if (bits_has(seen, it->events[i]))
            bits_join(&below, &o->ev[it->events[i]].ctx);
    for (size_t i = 0; i < ORACLE_WORDS; i++)
        out->w[i] = seen->w[i] & ~below.w[i];
}

bool oracle_live(const struct oracle *o, uint32_t item,
                 const struct bits *set) {
    const struct oracle_item *it = &o->items[item];
    for (uint32_t i = 0; i < it->n; i++)
        if (bits_has(set, it->events[i]) && o->ev[it->events[i]].live)
            return true;
    return false;
}

bool oracle_bye(const struct oracle *o, uint32_t item, const struct bits *set) {
    const struct oracle_item *it = &o->items[item];
    for (uint32_t i = 0; i < it->n; i++)
        if (bits_has(set, it->events[i]) && o->ev[it->events[i]].bye)
            return true;
    return false;
}

int oracle_winner(const struct oracle *o, uint32_t item,
                  const struct bits *siblings) {
    const struct oracle_item *it = &o->items[item];
    int best = -1;
    for (uint32_t i = 0; i < it->n; i++) {
        const struct oracle_event *e = &o->ev[it->events[i]];
        const struct oracle_event *b = best < 0 ? NULL : &o->ev[best];
        if (!bits_has(siblings, it->events[i]) || !e->live)
            continue;
        int c = b ? memcmp(e->origin, b->origin, ORIGIN_SIZE) : 1;
        if (!b || e->hlc > b->hlc ||
            (e->hlc == b->hlc && (c > 0 || (c == 0 && e->seq > b->seq))))
            best = (int)it->events[i];
    }
    return best;
}

static void raise_u64(uint64_t *a, uint64_t b) {
    *a = *a > b ? *a : b;
}

struct count oracle_count(const struct oracle *o, uint32_t item,
                          const struct bits *set) {
    const struct oracle_item *it = &o->items[item];
    struct count c = {0};
    for (uint32_t i = 0; i < it->n; i++) {
        const struct count *p = &o->ev[it->events[i]].pay;
        if (!bits_has(set, it->events[i]))
            continue;
        raise_u64(&c.inc, p->inc);
        raise_u64(&c.dec, p->dec);
        raise_u64(&c.finc, p->finc);
        raise_u64(&c.fdec, p->fdec);
    }
    return c;
}

struct count oracle_count_now(const struct oracle *o, uint32_t item,
                              const struct bits *seen) {
    struct bits sib;
    oracle_siblings(o, item, seen, &sib);
    return oracle_count(o, item, &sib);
}

int64_t oracle_truth(const struct oracle *o, uint32_t item,
                     const struct bits *seen) {
    const struct oracle_item *it = &o->items[item];
    struct bits back = {0};
    int64_t sum = 0;
    for (uint32_t i = 0; i < it->n; i++)
        if (bits_has(seen, it->events[i]) && o->ev[it->events[i]].reset)
            bits_join(&back, &o->ev[it->events[i]].obs);
    for (uint32_t i = 0; i < it->n; i++)
        if (bits_has(seen, it->events[i]) && !bits_has(&back, it->events[i]))
            sum += o->ev[it->events[i]].delta;
    return sum;
}

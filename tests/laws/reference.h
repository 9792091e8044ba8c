/* reference.h: the textbook causal CRDT as an oracle: for each item of each
 * replica its siblings and its causal context, as explicit sets of events. */
#ifndef TESTS_LAWS_REFERENCE_H
#define TESTS_LAWS_REFERENCE_H
#include "crdt/item.h"
#include "crdt/keys.h"
#include "crdt/type.h"
#include "tests/support/test.h"

enum {
    REF_EVENTS = 1024,
    REF_WORDS = REF_EVENTS / 64,
    REF_ITEMS = 64,
    REF_ORIGINS = 24,
    REF_KEYS = 16,
    REF_ELEMS = 3
};

/* A set of events. */
struct bits {
    uint64_t w[REF_WORDS];
};

static inline bool bits_has(const struct bits *b, size_t u) {
    return b->w[u / 64] >> (u % 64) & 1;
}
static inline void bits_add(struct bits *b, size_t u) {
    b->w[u / 64] |= UINT64_C(1) << (u % 64);
}
static inline bool bits_any(const struct bits *b) {
    for (size_t i = 0; i < REF_WORDS; i++)
        if (b->w[i])
            return true;
    return false;
}

/* One item at one replica. */
struct ref {
    struct bits sib, ctx;
};

/* (a.sib & b.sib) | (a.sib - b.ctx) | (b.sib - a.ctx), contexts united. */
static inline void ref_join(struct ref *a, const struct ref *b) {
    for (size_t i = 0; i < REF_WORDS; i++) {
        uint64_t x = a->sib.w[i], y = b->sib.w[i];
        a->sib.w[i] = (x & y) | (x & ~b->ctx.w[i]) | (y & ~a->ctx.w[i]);
        a->ctx.w[i] |= b->ctx.w[i];
    }
}

/* An event, with the facts that its author's store told once. */
struct ref_event {
    uint32_t item, org;
    uint64_t seq, hlc;
    bool live, reset;
    bool bye;         /* of a counter entry: its origin's last      */
    uint64_t value;   /* of a register                              */
    struct count pay; /* of a counter entry                         */
    int64_t delta;    /* of a counter entry: what it adds           */
    struct bits obs;  /* of a reset: the adds that it takes back    */
    uint8_t e16[16];
};

struct ref_item {
    struct item_id id;
    uint8_t tag;
    uint32_t key, elem, org;
};

struct ref_key {
    uint8_t tag; /* of its items: register, element, entry */
    size_t len;
    uint8_t b[ECRDT_MAX_KEY];
    bool pair; /* written only together with the other key that has this */
};

struct universe {
    struct ref_key keys[REF_KEYS];
    size_t n_keys;
    size_t elem_len[REF_ELEMS];
    uint8_t elems[REF_ELEMS][300];
    struct ref_item items[REF_ITEMS];
    size_t n_items;
    uint8_t orgs[REF_ORIGINS][ORIGIN_SIZE];
    size_t n_orgs;
    struct ref_event ev[REF_EVENTS];
    size_t n_ev;
    uint16_t by_dot[REF_ORIGINS][REF_EVENTS]; /* event + 1 */
    /* chain hash at the end of each commit: clocks stand only there */
    uint64_t h[REF_ORIGINS][REF_EVENTS];
    bool bound[REF_ORIGINS][REF_EVENTS];
};

static inline slice ref_key_slice(const struct ref_key *k) {
    return slice_of(k->b, k->len);
}
static inline slice ref_elem(const struct universe *v, uint32_t i) {
    return slice_of(v->elems[i], v->elem_len[i]);
}

static inline uint32_t ref_add_item(struct universe *v, uint32_t key,
                                    uint32_t elem, uint32_t org) {
    const struct ref_key *rk = &v->keys[key];
    assert_true(v->n_items < REF_ITEMS);
    struct ref_item *it = &v->items[v->n_items];
    struct item_key k;
    item_key_make(&k, 0, ref_key_slice(rk), rk->tag);
    if (rk->tag == TAG_ELEMENT)
        item_key_element(&k, ref_elem(v, elem));
    if (rk->tag == TAG_ENTRY)
        item_key_origin(&k, v->orgs[org]);
    item_id_set(&it->id, item_key_id(&k));
    it->tag = rk->tag;
    it->key = key;
    it->elem = elem;
    it->org = org;
    return (uint32_t)v->n_items++;
}

static inline void ref_add_key(struct universe *v, const char *text, size_t len,
                               uint8_t tag, bool pair) {
    struct ref_key *k = &v->keys[v->n_keys];
    k->tag = tag;
    k->len = len;
    k->pair = pair;
    memset(k->b, '~', len);
    memcpy(k->b, text, strlen(text) < len ? strlen(text) : len);
    for (uint32_t e = 0; tag == TAG_ELEMENT && e < REF_ELEMS; e++)
        ref_add_item(v, (uint32_t)v->n_keys, e, 0);
    if (tag == TAG_REGISTER)
        ref_add_item(v, (uint32_t)v->n_keys, 0, 0);
    v->n_keys++;
}

/* Keys of all types, two of them in one key, raw and hashed; a pair of
 * registers far apart. */
static inline void universe_init(struct universe *v) {
    memset(v, 0, sizeof *v);
    v->elem_len[1] = 1;
    v->elem_len[2] = 200;
    memset(v->elems, 'e', sizeof v->elems);
    ref_add_key(v, "A", 1, TAG_REGISTER, true);
    ref_add_key(v, "zz", 2, TAG_REGISTER, true);
    ref_add_key(v, "a", 1, TAG_REGISTER, false);
    ref_add_key(v, "mmmmmmmm", 8, TAG_REGISTER, false);
    ref_add_key(v, "n", 300, TAG_REGISTER, false);
    ref_add_key(v, "mmmmmmmm", 8, TAG_ELEMENT, false);
    ref_add_key(v, "s", 1, TAG_ELEMENT, false);
    ref_add_key(v, "t", 257, TAG_ELEMENT, false);
    ref_add_key(v, "mmmmmmmm", 8, TAG_ENTRY, false);
    ref_add_key(v, "c", 1024, TAG_ENTRY, false);
}

static inline int ref_find_org(const struct universe *v, const void *id) {
    for (size_t i = 0; i < v->n_orgs; i++)
        if (!memcmp(v->orgs[i], id, ORIGIN_SIZE))
            return (int)i;
    return -1;
}

/* A new incarnation: its number; it brings an entry to each counter. */
static inline uint32_t ref_add_org(struct universe *v, const void *id) {
    assert_true(v->n_orgs < REF_ORIGINS);
    uint32_t org = (uint32_t)v->n_orgs++;
    memcpy(v->orgs[org], id, ORIGIN_SIZE);
    for (uint32_t k = 0; k < v->n_keys; k++)
        if (v->keys[k].tag == TAG_ENTRY)
            ref_add_item(v, k, 0, org);
    return org;
}

static inline int ref_find_item(const struct universe *v, slice id) {
    for (size_t i = 0; i < v->n_items; i++)
        if (slice_eq(item_id_slice(&v->items[i].id), id))
            return (int)i;
    return -1;
}

/* The event of a dot, -1 if nobody ever made it. */
static inline int ref_find_event(const struct universe *v, uint32_t org,
                                 uint64_t seq) {
    return seq < REF_EVENTS ? (int)v->by_dot[org][seq] - 1 : -1;
}

/* ---- values -------------------------------------------------------------- */

static inline bool ref_live(const struct universe *v, const struct ref *r) {
    for (size_t u = 0; u < v->n_ev; u++)
        if (bits_has(&r->sib, u) && v->ev[u].live)
            return true;
    return false;
}

/* Has the entry's origin said that it never counts again? */
static inline bool ref_bye(const struct universe *v, const struct ref *r) {
    for (size_t u = 0; u < v->n_ev; u++)
        if (bits_has(&r->sib, u) && v->ev[u].bye)
            return true;
    return false;
}

/* > 0 if event a of a register is read before b. */
static inline int ref_compare(const struct universe *v, size_t a, size_t b) {
    const struct ref_event *x = &v->ev[a], *y = &v->ev[b];
    if (x->hlc != y->hlc)
        return x->hlc > y->hlc ? 1 : -1;
    int c = memcmp(v->orgs[x->org], v->orgs[y->org], ORIGIN_SIZE);
    return c ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

/* The live siblings in the order of reading; returns how many. */
static inline size_t ref_order(const struct universe *v, const struct ref *r,
                               size_t out[REF_ORIGINS]) {
    size_t n = 0;
    for (size_t u = 0; u < v->n_ev; u++) {
        if (!bits_has(&r->sib, u) || !v->ev[u].live)
            continue;
        size_t at = n++;
        for (; at > 0 && ref_compare(v, u, out[at - 1]) > 0; at--)
            out[at] = out[at - 1];
        out[at] = u;
    }
    return n;
}

static inline void raise_u64(uint64_t *a, uint64_t b) {
    *a = *a > b ? *a : b;
}

/* Totals of a counter entry: the componentwise maximum. */
static inline struct count ref_count(const struct universe *v,
                                     const struct ref *r) {
    struct count c = {0};
    for (size_t u = 0; u < v->n_ev; u++)
        if (bits_has(&r->sib, u)) {
            raise_u64(&c.inc, v->ev[u].pay.inc);
            raise_u64(&c.dec, v->ev[u].pay.dec);
            raise_u64(&c.finc, v->ev[u].pay.finc);
            raise_u64(&c.fdec, v->ev[u].pay.fdec);
        }
    return c;
}

/* What an entry must read as by the log of adds alone: those in the context
 * less those that a reset in the context had seen. */
static inline int64_t ref_truth(const struct universe *v, const struct ref *r) {
    struct bits gone = {0};
    int64_t n = 0;
    for (size_t u = 0; u < v->n_ev; u++)
        for (size_t i = 0;
             bits_has(&r->ctx, u) && v->ev[u].reset && i < REF_WORDS; i++)
            gone.w[i] |= v->ev[u].obs.w[i];
    for (size_t u = 0; u < v->n_ev; u++)
        if (bits_has(&r->ctx, u) && !bits_has(&gone, u))
            n += v->ev[u].delta;
    return n;
}
#endif

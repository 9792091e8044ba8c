/* forge.h: chunks made by hand, good ones and others. */
#ifndef TESTS_CRDT_FORGE_H
#define TESTS_CRDT_FORGE_H
#include "crdt/chunk_codec.h"
#include "crdt/hlc.h"
#include "crdt/type.h"
#include "lib/alloc.h"
#include "tests/crdt/kit.h"

/* Foreign origins, 16 bytes of one value. */
static inline const uint8_t *forge_origin(uint8_t i) {
    static uint8_t id[256][ORIGIN_SIZE];
    memset(id[i], i, ORIGIN_SIZE);
    return id[i];
}

static inline void forge_begin(struct chunk *c) {
    memset(c, 0, sizeof *c);
    c->bucket = slice_str(KIT_B);
}

/* A part over all ids. */
static inline struct chunk_part *forge_part(struct chunk *c) {
    struct chunk_part *p = chunk_add_part(c);
    assert_non_null(p);
    p->first = (uint32_t)c->n_items;
    return p;
}

static inline void forge_bounds(struct chunk_part *p, slice lo, slice hi) {
    item_id_set(&p->lo, lo);
    item_id_set(&p->hi, hi);
    p->bounded = hi.len > 0;
}

static inline uint32_t forge_add_origin(struct chunk *c, const uint8_t *id) {
    for (size_t i = 0; i < c->n_origins; i++)
        if (!memcmp(c->origins[i], id, ORIGIN_SIZE))
            return (uint32_t)i;
    assert_ok(alloc_grow(&c->origins, &c->cap_origins, c->n_origins + 1,
                         ORIGIN_SIZE));
    memcpy(c->origins[c->n_origins], id, ORIGIN_SIZE);
    return (uint32_t)c->n_origins++;
}

/* The id of the register key; a ring of 16. */
static inline slice forge_id(const char *key) {
    static struct item_key ring[16];
    static unsigned at;
    struct item_key *k = &ring[at++ % 16];
    item_key_make(k, 0, slice_str(key), TAG_REGISTER);
    return item_key_id(k);
}

/* One more item in the last part; events follow. */
static inline void forge_item(struct chunk *c, slice id) {
    assert_ok(
        alloc_grow(&c->items, &c->cap_items, c->n_items + 1, sizeof *c->items));
    c->items[c->n_items++] =
        (struct chunk_item){.id = id, .first = (uint32_t)c->n_events};
    c->parts[c->n_parts - 1].count++;
}

static inline struct event *forge_event(struct chunk *c, const uint8_t *origin,
                                        uint64_t seq, const char *value) {
    uint32_t no = forge_add_origin(c, origin);
    assert_ok(alloc_grow(&c->events, &c->cap_events, c->n_events + 1,
                         sizeof *c->events));
    struct event *e = &c->events[c->n_events++];
    *e = (struct event){.origin = no,
                        .seq = seq,
                        .hlc = hlc_make(1000, 0),
                        .kind = value ? KIND_PUT : KIND_TOMB,
                        .payload = (const uint8_t *)(value ? value : ""),
                        .len = value ? (uint32_t)strlen(value) : 0};
    c->items[c->n_items - 1].count++;
    return e;
}

/* A whole chunk: one register written by origin i as its event seq. */
static inline void forge_put(struct chunk *c, uint8_t i, uint64_t seq,
                             const char *key, const char *value) {
    forge_begin(c);
    struct chunk_part *p = forge_part(c);
    assert_ok(vv_raise(&p->clk, forge_origin(i), seq, seq));
    forge_item(c, forge_id(key));
    forge_event(c, forge_origin(i), seq, value);
}

/* The chains behind the parts' clocks, whose heads are (n, n) here: every
 * pair of them. */
static inline void forge_chains(struct chunk *c) {
    for (size_t i = 0; i < c->n_parts; i++)
        for (size_t k = 0; k < c->parts[i].clk.n; k++) {
            struct chain_list l = {.top = c->parts[i].clk.e[k],
                                   .first = c->chains.pairs.len / 16};
            for (uint64_t seq = 1; seq < l.top.seq && seq < 32; seq++, l.n++)
                buf_put(&c->chains.pairs, &(struct chain_pair){seq, seq}, 16);
            size_t at = c->chains.n++;
            assert_ok(
                alloc_grow(&c->chains.l, &c->chains.cap, at + 1, sizeof l));
            for (; at && vv_head_order(&c->chains.l[at - 1].top, &l.top) > 0;
                 at--)
                c->chains.l[at] = c->chains.l[at - 1];
            c->chains.l[at] = l;
        }
}

/* Encodes and frees it. */
static inline void forge_end(struct chunk *c, struct buf *out) {
    if (c->n_parts == 1 && !c->chains.n)
        forge_chains(c);
    buf_clear(out);
    chunk_encode(out, c);
    assert_ok(out->err);
    chunk_free(c);
}

static inline struct chunk_report forge_apply(size_t i, struct chunk *c) {
    struct buf out = {0};
    forge_end(c, &out);
    struct chunk_report r = kit_apply(i, buf_slice(&out));
    buf_free(&out);
    return r;
}
#endif

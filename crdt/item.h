/* item.h: an item is the set of its siblings, the causally maximal events on
 * it, at most one of an origin (PROTOCOL 0); its record, and the join. */
#ifndef CRDT_ITEM_H
#define CRDT_ITEM_H
#include "crdt/vv.h"
#include "lib/crypto.h"

/* What an event did; and marks beside it: KIND_MERGED, made of many
 * siblings; KIND_BYE, the origin of a counter entry never counts again. */
enum event_kind {
    KIND_PUT = 1,
    KIND_TOMB = 2,
    KIND_COUNT = 3,
    KIND_LAST = 0x20, /* in records alone, see item_encode() */
    KIND_MERGED = 0x40,
    KIND_BYE = 0x80,
    KIND_MARKS = KIND_MERGED | KIND_BYE
};

struct event {
    uint64_t seq, hlc;
    uint64_t arrival_ms;    /* of a tomb: wall clock when it came here      */
    const uint8_t *e16;     /* its name, borrowed; NULL = not worked out yet */
    const uint8_t *payload; /* borrowed                                     */
    uint32_t len;           /* of payload                                   */
    uint32_t origin;        /* its number in this store                     */
    uint8_t kind;
    bool fresh; /* made or received in this transaction: belongs in the log */
};

/* Siblings, sorted by (origin, seq). Zero-initialise, item_free(). */
struct item {
    struct event *ev;
    size_t n, cap;
};

static inline bool event_live(const struct event *e) {
    return e->kind != KIND_TOMB;
}

/* The kind without its marks. */
static inline uint8_t event_base(const struct event *e) {
    return e->kind & (uint8_t)~KIND_MARKS;
}

/* Appends an event; the caller keeps the order. NULL without memory. */
struct event *item_add(struct item *it);

/* Brings events that were added in any order into that of origins; of two by
 * one origin the one with the higher seq stays. */
void item_sort(struct item *it);
/* Adds a copy of e at the end. 0 or ECRDT_ENOMEM. */
int item_append(struct item *it, const struct event *e);

/* Frees the siblings; it is as new. */
void item_free(struct item *it);

/* The sibling of an origin, NULL if there is none. */
const struct event *item_of_origin(const struct item *it, uint32_t origin);

/* Is the very event e among the siblings? One with its dot alone is not it. */
bool item_has(const struct item *it, const struct event *e);

/* Has it a live sibling? */
bool item_live(const struct item *it);

/* The same event, not only the same dot? It has the same e16 then. */
bool event_same(const struct event *a, const struct event *b);

/* The record: for each sibling kind (1), varint origin, seq (4, or 8 with the
 * top bit set), the hlc's milliseconds (6) and varint count, then varint length
 * and payload; of a tomb varint arrival_ms. A live one at the end has KIND_LAST
 * in its kind and no length. e16 is not stored: it follows from the rest. */
void item_encode(struct buf *out, const struct item *it);

/* Into the emptied it, borrowing from rec. 0, ECRDT_ECORRUPT (no sentence),
 * ECRDT_ENOMEM. */
int item_decode(struct item *it, slice rec);

/* Steps over the siblings of a record without building an item: 1 and the
 * next one, 0 at the end, ECRDT_ECORRUPT. Start with *at = 0. */
int item_walk(slice rec, size_t *at, struct event *e);

/* The payload of a record that holds one event of that kind, without marks, in
 * the form that nearly all have: a small origin, seq and count. Of no data if
 * it is another one; item_walk() tells all there is. */
static inline slice item_plain(slice rec, uint8_t kind) {
    enum { ORIGIN_AT = 1, SEQ_AT = 2, COUNT_AT = 12, PAYLOAD_AT = 13 };
    const uint8_t *b = rec.data;
    if (rec.len < PAYLOAD_AT || b[0] != (kind | KIND_LAST) ||
        ((b[ORIGIN_AT] | b[SEQ_AT] | b[COUNT_AT]) & 0x80))
        return slice_of(NULL, 0);
    return slice_of(b + PAYLOAD_AT, rec.len - PAYLOAD_AT);
}

/* e16: the event's name everywhere. BLAKE2b-128, personal "ecrdt-event-1",
 * salt = BLAKE2b-128 of the bucket's name, over origin id, seq, hlc, kind,
 * id length (2), id, payload. scratch is reused memory. */
int event_e16(uint8_t out[CRYPTO_E16], const uint8_t salt[16],
              const uint8_t origin[ORIGIN_SIZE], slice id,
              const struct event *e, struct buf *scratch);

/* Sum mod 2^128 over 16-byte big-endian numbers. */
void digest_add(uint8_t sum[16], const uint8_t e16[16]);
void digest_sub(uint8_t sum[16], const uint8_t e16[16]);
#endif

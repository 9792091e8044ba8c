/* chunk_codec.h: a chunk as a value between its bytes and the store.
 *
 * msgpack [2, bucket, floor, bulk, [origin, seq base, ...], ms base,
 *          [[lo, hi | nil, base, clock, complete, [item, ...]], ...],
 *          told, chains (chain_list.h)]
 *
 * item = [bytes shared with the id before (the most), rest of the id, then for
 *         each sibling: origin index, seq - seq base, ms - ms base,
 *         hlc count, kind, payload | nil]
 *
 * A payload is nil if the dot is <= base: the receiver has it.
 *
 * Linked, for a link that has said the sender's clock before (PROTOCOL 9):
 * [3, bulk, origins, ms base, parts, told, chains]: bucket and floor are as
 * said, so is the clock of a part; its base is a difference from that
 * (vv_diff_encode()), and an origin is its place in the clock of the first
 * range, if it has one.
 */
#ifndef CRDT_CHUNK_CODEC_H
#define CRDT_CHUNK_CODEC_H
#include "crdt/chain_list.h"
#include "crdt/chunk.h"
#include "crdt/item.h"

enum {
    CHUNK_VERSION = 2,
    CHUNK_LINKED = 3, /* the version of a linked one */
    CHUNK_MAX_PARTS = 1024,
    CHUNK_MAX_ITEMS = 65536,
    CHUNK_MAX_EVENTS = 262144,
    CHUNK_MAX_ORIGINS = 65536,
    CHUNK_MAX_ENTRIES = VV_MAX_ENTRIES /* of the bases of a linked chunk */
};

struct chunk_item {
    slice id;              /* borrowed                          */
    uint32_t first, count; /* of its siblings in chunk.events   */
    uint16_t k_len;        /* of the id (decoded chunks only)   */
    size_t at;             /* of the id in chunk.ids (decoded chunks only) */
};

struct chunk_part {
    struct item_id lo, hi;
    bool bounded; /* hi is meant */
    bool complete;
    struct vv base, clk;
    uint32_t first, count; /* in chunk.items */
};

/* Zero-initialise, chunk_free(). event.origin is an index into origins;
 * event.payload NULL stands for nil. */
struct chunk {
    slice bucket;
    struct vv floor;
    bool bulk;
    bool linked;            /* bucket, floor and clocks are not written */
    bool lent;              /* floor and clocks belong to what the link said */
    const struct vv *first; /* linked: the clock of the first range */
    uint8_t (*origins)[ORIGIN_SIZE];
    size_t n_origins, cap_origins;
    struct chunk_part *parts;
    size_t n_parts, cap_parts;
    struct chunk_item *items;
    size_t n_items, cap_items;
    struct event *events;
    size_t n_events, cap_events;
    bool told; /* heads without a list have no pair below them, down to base */
    struct chain_lists chains;
    struct buf ids; /* decoded ids */
};

/* Appends the bytes; ids of a part must be in order. */
void chunk_encode(struct buf *out, const struct chunk *c);

/* Strict, and every id and event checked: 0, ECRDT_ECORRUPT or
 * ECRDT_EVERSION with a sentence, ECRDT_ENOMEM. Borrows from bytes. */
int chunk_decode(slice bytes, struct chunk *c);

/* The same of a linked chunk, which said outlives. */
int chunk_decode_linked(slice bytes, const char *bucket,
                        const struct clock_state *said, struct chunk *c);

/* Which of the two forms is it? A guess at malformed bytes. */
bool chunk_is_linked(slice bytes);

/* Frees what c holds; c is as new. */
void chunk_free(struct chunk *c);

/* One more part, zeroed; NULL without memory. */
struct chunk_part *chunk_add_part(struct chunk *c);
#endif

/* type.h: the one table of types. Types differ only in how the siblings of
 * an item are read (PROTOCOL 2); adding one is a file and a row. */
#ifndef CRDT_TYPE_H
#define CRDT_TYPE_H
#include "crdt/item.h"
#include "crdt/keys.h"

__extension__ typedef __int128 wide;

/* What an item adds to its key head. */
struct reading {
    int64_t live;   /* 1 if the item is there: an element, a counter entry */
    wide total;     /* of a counter                                       */
    uint64_t bound; /* of a counter: the greater of inc and dec         */
};

struct type {
    uint8_t tag, head_tag; /* head_tag 0: no key head                  */
    ecrdt_type pub;
    uint8_t live_kind; /* kind of its live events                  */
    const char *name;
    /* Is value, the type's part of a live payload, well-formed? */
    bool (*check)(slice value);
    /* Writes the value of an event that stands for all siblings, and adds its
     * marks to *kind; NULL: that of the sibling which is read. Returns its
     * length. */
    size_t (*merge)(struct item_shape shape, const struct item *it,
                    uint8_t out[4 * VARINT_MAX], uint8_t *kind);
    /* Reads the siblings; payloads are well-formed. */
    void (*read)(struct item_shape shape, const struct item *it,
                 struct reading *out);
};

extern const struct type type_register, type_element, type_entry;

/* NULL for a tag that no type has; heads have none of their own. */
const struct type *type_of_tag(uint8_t tag);

/* The type whose keys have that public type. */
const struct type *type_of_pub(ecrdt_type pub);

/* Rows of the table; NULL past the end. */
const struct type *type_at(size_t i);

/* ---- payloads: [full key][full element] value ----
 * A hashed key (or element) is preceded by its length as a varint and stands
 * whole in every live payload, for the id no longer tells it. */

/* Writes the payload of a live event into the emptied out. */
void payload_make(struct buf *out, struct item_shape shape, slice key,
                  slice elem, slice value);

struct payload {
    slice key, elem, value; /* borrowed; key, elem empty unless hashed */
};

/* Strict, hashes not checked; false if malformed. */
bool payload_split(struct item_shape shape, slice bytes, struct payload *out);

/* The whole key of items whose ids have it hashed, else empty; borrowed. */
slice item_full_key(struct item_shape shape, const struct item *it);

/* Is this event, with its payload, one that id's type can have made? Checks
 * kinds, sizes, hashes and the value. */
bool payload_valid(slice id, const struct item_parts *p, const struct event *e);

/* ---- counter values ---- */

/* Totals of one counter entry and the parts of them taken back. */
struct count {
    uint64_t inc, dec, finc, fdec;
};
bool count_decode(slice value, struct count *c);
size_t count_encode(uint8_t out[4 * VARINT_MAX], const struct count *c);
/* Has the entry's origin said that it never counts again? */
bool count_bye(const struct item *it);
/* Componentwise maximum over the siblings of an entry. */
void count_of(struct item_shape shape, const struct item *it, struct count *c);
#endif

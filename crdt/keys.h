/* keys.h: item ids: the one encoding of (key, type, sub) that is the order on
 * disk, the bytes on the wire and what range cuts are made of (PROTOCOL 14).
 *
 * id = K | tag | sub. K is the key in groups of 8 bytes, each followed by a
 * marker: 9 = more follows, 1-8 = last group with so many bytes. A key over
 * 256 bytes is its first 192 bytes and 4 groups of its BLAKE2b-256, the last
 * marker 10. */
#ifndef CRDT_KEYS_H
#define CRDT_KEYS_H
#include "crdt/ranges.h"

enum {
    KEY_RAW_MAX = 256, /* longer keys are hashed */
    KEY_HASHED_PREFIX = 192,
    KEY_K_MAX = 288,    /* bytes of K */
    ELEM_RAW_MAX = 160, /* longer elements are hashed */
    ELEM_HASHED = 192,  /* bytes of a hashed element's sub */
    BUCKET_PREFIX = 2   /* most that stands before the id in an LMDB key */
};

/* Tags of ids. A key head is local: its id never leaves the store. */
enum item_tag {
    TAG_REGISTER = 0x10,
    TAG_SET_HEAD = 0x1f,
    TAG_ELEMENT = 0x20,
    TAG_COUNTER_HEAD = 0x2f,
    TAG_ENTRY = 0x30
};

/* An LMDB key begins with the number of its bucket: in one byte below 128, else
 * in two with the top bit set, so that numbers keep their order. Key bytes make
 * the pages of branches, so each of them counts (docs/decisions/021). */
enum { BUCKET_TWO = 0x80, BUCKET_ONE_MAX = 0x7f };

/* The LMDB key of an item: its bucket's number and its id. */
struct item_key {
    uint16_t len;   /* of b                              */
    uint16_t k_len; /* of K                              */
    uint8_t b[BUCKET_PREFIX + ITEM_ID_MAX]; /* a small number in its 2nd byte */
};

/* Begins b with the number; returns it as a slice of b. */
static inline slice item_key_prefix(uint8_t b[BUCKET_PREFIX], uint32_t bucket) {
    bool two = bucket > BUCKET_ONE_MAX;
    b[0] = two ? (uint8_t)(BUCKET_TWO | bucket >> 8) : 0;
    b[1] = (uint8_t)bucket;
    return slice_of(b + !two, 1 + (size_t)two);
}

static inline slice item_key_db(const struct item_key *k) {
    size_t skip = !(k->b[0] & BUCKET_TWO);
    return slice_of(k->b + skip, k->len - skip);
}
static inline slice item_key_id(const struct item_key *k) {
    return slice_of(k->b + BUCKET_PREFIX, k->len - BUCKET_PREFIX);
}

/* Begins an id: bucket, K and tag. key has 1 to ECRDT_MAX_KEY bytes. */
void item_key_make(struct item_key *k, uint32_t bucket, slice key, uint8_t tag);

/* The same K with another tag and no sub. */
void item_key_retag(struct item_key *k, uint8_t tag);

/* Appends a set element, at most ECRDT_MAX_ELEM bytes. */
void item_key_element(struct item_key *k, slice elem);

/* Appends an origin id. */
void item_key_origin(struct item_key *k, const uint8_t origin[ORIGIN_SIZE]);

/* The LMDB key of a received or stored id; id.len <= ITEM_ID_MAX, and k_len
 * (the length of its K) is known from item_id_parse(). */
void item_key_set(struct item_key *k, uint32_t bucket, slice id,
                  uint16_t k_len);

/* What of an id was hashed and therefore stands in the payloads. */
struct item_shape {
    bool key_hashed, elem_hashed;
};

/* The tag and the shape of an id whose k_len is known. */
uint8_t item_key_tag(const struct item_key *k);
struct item_shape item_key_shape(const struct item_key *k);

/* The same for the LMDB key of a key head, but of what its items have. */
struct item_shape item_head_shape(slice head_key);

/* The id of k's key head. */
void item_key_head(struct item_key *head, const struct item_key *k,
                   uint8_t head_tag);

/* The parts of an id. key holds the raw bytes of K: the whole key, or the
 * first 192 bytes of a hashed one. */
struct item_parts {
    uint8_t tag;
    struct item_shape shape;
    uint16_t k_len;
    uint16_t key_len;
    uint8_t key[KEY_RAW_MAX];
    slice sub; /* borrowed from the id */
};

/* The bucket's number in the LMDB key of an item, which is no empty one. */
static inline uint32_t item_key_bucket(slice db_key) {
    const uint8_t *b = db_key.data;
    return *b & BUCKET_TWO ? load16(b) & 0x7fffu : *b;
}

/* Is it the LMDB key of an item, or of a key head, of that bucket? */
static inline bool item_key_in(slice db_key, uint32_t bucket) {
    return db_key.len > BUCKET_PREFIX && item_key_bucket(db_key) == bucket;
}

/* The id in such a key. */
static inline slice item_key_id_of(slice db_key) {
    const uint8_t *b = db_key.data;
    size_t n = *b & BUCKET_TWO ? 2 : 1;
    return slice_of(b + n, db_key.len - n);
}

/* Strict; false if the id is not one that item_key_make() could have made. */
bool item_id_parse(slice id, struct item_parts *out);

/* Bytes of the K that an id, or a bound, begins with; 0 if it ends inside. */
size_t item_id_k_len(slice id);

/* Is it the id of a counter's head? */
bool item_id_is_head(slice id);

/* Bytes that all ids of keys that begin with prefix begin with (the first
 * 192 bytes of a longer prefix), at most KEY_K_MAX; returns how many. */
size_t key_prefix(uint8_t out[KEY_K_MAX], slice prefix);

/* Is the hash in a hashed id that of key, or of elem? */
bool item_id_key_matches(slice id, const struct item_parts *p, slice key);
bool item_id_elem_matches(const struct item_parts *p, slice elem);
#endif

/* keys.c: encodes and takes apart item ids. */
#include "crdt/keys.h"
#include "lib/assert.h"
#include "lib/crypto.h"

enum { GROUP = 8, MORE = 9, LAST_HASHED = 10, HASH = 32, TAGGED_MIN = 10 };

/* One group of n bytes, padded with zeros, and its marker. */
static inline uint8_t *put_group(uint8_t *p, const uint8_t *from, size_t n,
                                 uint8_t marker) {
    memcpy(p, from, n);
    if (n < GROUP)
        memset(p + n, 0, GROUP - n);
    p[GROUP] = marker;
    return p + GROUP + 1;
}

static uint8_t *put_raw(uint8_t *p, const uint8_t *key, size_t len) {
    for (; len > GROUP; key += GROUP, len -= GROUP)
        p = put_group(p, key, GROUP, MORE);
    return len == GROUP ? put_group(p, key, GROUP, GROUP)
                        : put_group(p, key, len, (uint8_t)len);
}

static uint8_t *put_hashed(uint8_t *p, slice key) {
    uint8_t hash[HASH];
    crypto_blake2b(hash, sizeof hash, key);
    const uint8_t *from = key.data;
    for (size_t i = 0; i < KEY_HASHED_PREFIX; i += GROUP)
        p = put_group(p, from + i, GROUP, MORE);
    for (size_t i = 0; i < HASH; i += GROUP)
        p = put_group(p, hash + i, GROUP,
                      i + GROUP < HASH ? MORE : LAST_HASHED);
    return p;
}

void item_key_make(struct item_key *k, uint32_t bucket, slice key,
                   uint8_t tag) {
    INVARIANT(key.len >= 1 && key.len <= ECRDT_MAX_KEY);
    item_key_prefix(k->b, bucket);
    uint8_t *p = k->b + BUCKET_PREFIX;
    p = key.len <= KEY_RAW_MAX ? put_raw(p, key.data, key.len)
                               : put_hashed(p, key);
    k->k_len = (uint16_t)(p - k->b - BUCKET_PREFIX);
    *p++ = tag;
    k->len = (uint16_t)(p - k->b);
}

void item_key_retag(struct item_key *k, uint8_t tag) {
    k->len = (uint16_t)(BUCKET_PREFIX + k->k_len + 1);
    k->b[k->len - 1] = tag;
}

void item_key_element(struct item_key *k, slice elem) {
    INVARIANT(elem.len <= ECRDT_MAX_ELEM);
    uint8_t *p = k->b + k->len;
    size_t raw = elem.len <= ELEM_RAW_MAX ? elem.len : ELEM_RAW_MAX;
    if (raw)
        memcpy(p, elem.data, raw);
    k->len = (uint16_t)(k->len + raw);
    if (elem.len <= ELEM_RAW_MAX)
        return;
    crypto_blake2b(p + ELEM_RAW_MAX, HASH, elem);
    k->len = (uint16_t)(k->len + HASH);
}

void item_key_origin(struct item_key *k, const uint8_t origin[ORIGIN_SIZE]) {
    memcpy(k->b + k->len, origin, ORIGIN_SIZE);
    k->len = (uint16_t)(k->len + ORIGIN_SIZE);
}

uint8_t item_key_tag(const struct item_key *k) {
    return k->b[BUCKET_PREFIX + k->k_len];
}

struct item_shape item_key_shape(const struct item_key *k) {
    size_t sub = (size_t)(k->len - k->k_len - BUCKET_PREFIX - 1);
    return (struct item_shape){
        .key_hashed = k->b[BUCKET_PREFIX + k->k_len - 1] == LAST_HASHED,
        .elem_hashed = item_key_tag(k) == TAG_ELEMENT && sub == ELEM_HASHED};
}

struct item_shape item_head_shape(slice head_key) {
    const uint8_t *marker = (const uint8_t *)head_key.data + head_key.len - 2;
    return (struct item_shape){.key_hashed = *marker == LAST_HASHED};
}

void item_key_head(struct item_key *head, const struct item_key *k,
                   uint8_t head_tag) {
    memcpy(head->b, k->b, BUCKET_PREFIX + k->k_len);
    head->k_len = k->k_len;
    item_key_retag(head, head_tag);
}

void item_key_set(struct item_key *k, uint32_t bucket, slice id,
                  uint16_t k_len) {
    INVARIANT(id.len <= ITEM_ID_MAX);
    item_key_prefix(k->b, bucket);
    memcpy(k->b + BUCKET_PREFIX, id.data, id.len);
    k->len = (uint16_t)(BUCKET_PREFIX + id.len);
    k->k_len = k_len;
}

/* Reads the groups of K; returns its length, 0 if it is malformed. */
static size_t parse_k(const uint8_t *b, size_t n, struct item_parts *out) {
    size_t at = 0, len = 0;
    uint8_t marker = MORE;
    while (marker == MORE) {
        if (n - at < GROUP + 1 || at + GROUP + 1 > KEY_K_MAX)
            return 0;
        marker = b[at + GROUP];
        size_t bytes = marker >= 1 && marker < GROUP ? marker : GROUP;
        for (size_t i = bytes; i < GROUP; i++)
            if (b[at + i])
                return 0;
        if (marker < 1 || marker > LAST_HASHED)
            return 0;
        memcpy(out->key + len, b + at, bytes);
        len += bytes;
        at += GROUP + 1;
    }
    out->shape.key_hashed = marker == LAST_HASHED;
    if (out->shape.key_hashed && len != KEY_HASHED_PREFIX + HASH)
        return 0;
    out->key_len =
        out->shape.key_hashed ? (uint16_t)KEY_HASHED_PREFIX : (uint16_t)len;
    return at;
}

static bool sub_fits(struct item_parts *p) {
    switch (p->tag) {
    case TAG_REGISTER:
    case TAG_SET_HEAD:
    case TAG_COUNTER_HEAD:
        return p->sub.len == 0;
    case TAG_ELEMENT:
        p->shape.elem_hashed = p->sub.len == ELEM_HASHED;
        return p->sub.len <= ELEM_RAW_MAX || p->shape.elem_hashed;
    case TAG_ENTRY:
        return p->sub.len == ORIGIN_SIZE;
    default:
        return false;
    }
}

bool item_id_parse(slice id, struct item_parts *out) {
    if (id.len < TAGGED_MIN || id.len > ITEM_ID_MAX)
        return false;
    const uint8_t *b = id.data;
    size_t k = parse_k(b, id.len - 1, out);
    if (!k)
        return false;
    out->k_len = (uint16_t)k;
    out->tag = b[k];
    out->shape.elem_hashed = false;
    out->sub = slice_of(b + k + 1, id.len - k - 1);
    return sub_fits(out);
}

size_t item_id_k_len(slice id) {
    const uint8_t *b = id.data;
    size_t k = GROUP + 1;
    while (k <= id.len && b[k - 1] == MORE)
        k += GROUP + 1;
    return k <= id.len ? k : 0;
}

bool item_id_is_head(slice id) {
    const uint8_t *b = id.data;
    return id.len > GROUP + 1 && b[id.len - 1] == TAG_COUNTER_HEAD &&
           item_id_k_len(id) + 1 == id.len;
}

size_t key_prefix(uint8_t out[KEY_K_MAX], slice prefix) {
    size_t len =
        prefix.len <= KEY_HASHED_PREFIX ? prefix.len : KEY_HASHED_PREFIX;
    const uint8_t *from = prefix.data;
    uint8_t *p = out;
    for (; len > GROUP; from += GROUP, len -= GROUP)
        p = put_group(p, from, GROUP, MORE);
    if (len)
        memcpy(p, from, len);
    return (size_t)(p - out) + len;
}

bool item_id_key_matches(slice id, const struct item_parts *p, slice key) {
    if (key.len <= KEY_RAW_MAX || key.len > ECRDT_MAX_KEY)
        return false;
    struct item_key k;
    item_key_make(&k, 0, key, p->tag);
    return k.k_len == p->k_len &&
           !memcmp(k.b + BUCKET_PREFIX, id.data, p->k_len);
}

bool item_id_elem_matches(const struct item_parts *p, slice elem) {
    if (elem.len <= ELEM_RAW_MAX || elem.len > ECRDT_MAX_ELEM)
        return false;
    uint8_t hash[HASH];
    crypto_blake2b(hash, sizeof hash, elem);
    return slice_starts(elem, slice_of(p->sub.data, ELEM_RAW_MAX)) &&
           !memcmp((const uint8_t *)p->sub.data + ELEM_RAW_MAX, hash, HASH);
}

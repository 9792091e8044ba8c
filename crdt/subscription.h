/* subscription.h: what a store holds, asks for and forwards: of each bucket
 * all, nothing, or the keys that begin with one of some prefixes. Kept in the
 * meta table, told to peers (PROTOCOL 7). Without a record: everything. */
#ifndef CRDT_SUBSCRIPTION_H
#define CRDT_SUBSCRIPTION_H
#include "crdt/spans.h"

enum {
    SUBSCRIPTION_PREFIXES = 1024,  /* of one bucket                    */
    SUBSCRIPTION_PREFIX = 192,     /* bytes of one: KEY_HASHED_PREFIX  */
    SUBSCRIPTION_BYTES = 256 << 10 /* of all, as they are told to peers */
};

enum held_kind { HELD_NONE, HELD_ALL, HELD_PREFIXES, HELD_KINDS };

/* What is held of one bucket. Zero-initialise, held_free(). */
struct held {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    uint8_t kind;        /* enum held_kind                                 */
    bool implied;        /* nobody named the bucket: it follows the others */
    bool narrowing;      /* what lies outside is to be forgotten           */
    uint32_t since;      /* ... by the incarnation with this number, less
                            one; 0 = nothing was forgotten yet             */
    uint8_t renewals;    /* ... the last of so many                        */
    struct buf prefixes; /* of each its length u8 and its bytes, in order  */
};

/* The whole of it. Zero-initialise and subscription_init(), or decode;
 * subscription_free(). */
struct subscription {
    bool others;    /* are buckets held that are not in b? */
    struct held *b; /* sorted by bucket                    */
    size_t n, cap;
};

/* ---- one bucket ---- */

/* The prefixes one after the other: *at = 0, then 1 and the next, or 0. */
int held_next(const struct held *h, size_t *at, slice *prefix);

/* Takes n prefixes in any order, those that begin with another left out; none
 * = all keys. 0; ECRDT_EINVAL or ECRDT_ETOOBIG with a sentence; ENOMEM. */
int held_set(struct held *h, const slice *prefixes, size_t n);

/* The item ids of it, into the empty sp. 0 or ECRDT_ENOMEM. */
int held_spans(const struct held *h, struct spans *sp);

/* Is the same held? */
bool held_eq(const struct held *a, const struct held *b);

/* Frees its prefixes; h is as new. */
void held_free(struct held *h);

/* ---- all buckets ---- */

/* Everything is held. */
void subscription_init(struct subscription *s);

/* Is nothing left out? */
bool subscription_whole(const struct subscription *s);

/* What is said of a bucket by name; NULL: s->others counts. */
const struct held *subscription_find(const struct subscription *s,
                                     const char *bucket);

/* The item ids held of a bucket, into the empty sp. 0 or ECRDT_ENOMEM. */
int subscription_spans(const struct subscription *s, const char *bucket,
                       struct spans *sp);

/* Is the same held? */
bool subscription_eq(const struct subscription *a,
                     const struct subscription *b);

/* Adds a bucket (1 to ECRDT_MAX_BUCKET_NAME bytes) behind those it has; NULL
 * without memory. */
struct held *subscription_add(struct subscription *s, slice bucket);

/* msgpack: [others, bucket, nil (all) | [prefix, ...], ...]. */
void subscription_encode(struct buf *out, const struct subscription *s);

/* Strict, into the zeroed s, to be freed also on error. 0, ECRDT_ECORRUPT
 * (stuck in u), ECRDT_ENOMEM. */
int subscription_decode(struct unpack *u, struct subscription *s);

/* For people: "a: user/ org/, b: all, others: nothing", cut to size. */
void subscription_text(char *out, size_t size, const struct subscription *s);

/* Frees what it says of the buckets; nothing is held. */
void subscription_free(struct subscription *s);
#endif

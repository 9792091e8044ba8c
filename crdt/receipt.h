/* receipt.h: the bytes of a receipt, and the records in the peers table by
 * which those who wait for one and the relay speak: what is asked for (a
 * want), and what a peer has durably (an ack). */
#ifndef CRDT_RECEIPT_H
#define CRDT_RECEIPT_H
#include "crdt/replica.h"

enum {
    RECEIPT_SALT = 16, /* of the bucket */
    WANT_MS = 10000,   /* how long the relay answers a want */
    ACK_PEER_EDGE = 0, /* who has it: an edge, a core, ... */
    ACK_PEER_CORE = 1, /* ... */
    ACK_THIS_CORE = 2, /* or this store itself, whose relay is a core */
    ACK_KINDS
};

/* The events of one origin in one bucket. */
struct receipt_of {
    uint8_t salt[RECEIPT_SALT], origin[ORIGIN_SIZE];
};

/* Writes a receipt for the events of what up to seq. */
void receipt_encode(ecrdt_receipt *out, const struct receipt_of *what,
                    uint64_t seq);

/* Takes it apart: 0, or ECRDT_EINVAL with a sentence if it is damaged. */
int receipt_decode(const ecrdt_receipt *r, struct receipt_of *what,
                   uint64_t *seq);

/* The salt of a bucket of this name. */
void receipt_salt(uint8_t salt[RECEIPT_SALT], const char *bucket);

/* Somebody waits for acks of these events until until_ms (wall time). */
struct want {
    struct receipt_of of;
    uint64_t until_ms;
    bool seen; /* by a relay */
};

/* Reads the want of w->of into w: 1, 0 if there is none, < 0. */
int want_get(ecrdt_txn *t, struct want *w);

/* Stores it; want_del() deletes it. 0 or < 0. */
int want_put(ecrdt_txn *t, const struct want *w);
int want_del(ecrdt_txn *t, const struct want *w);

/* Calls fn for each; nonzero stops and is returned. A want that does not
 * decode is passed over: whoever waits writes it anew. */
int want_each(ecrdt_txn *t, int (*fn)(void *ctx, const struct want *w),
              void *ctx);

/* What the peer with this key has durably: all events of of up to seq. */
struct ack {
    uint8_t peer[32];
    uint64_t seq;
    uint8_t kind; /* ACK_... */
};

/* Stores it; seq 0 deletes it. 0 or < 0. */
int ack_put(ecrdt_txn *t, const struct receipt_of *of, const struct ack *a);

/* Calls fn for each ack of these events; nonzero stops and is returned. */
int ack_each(ecrdt_txn *t, const struct receipt_of *of,
             int (*fn)(void *ctx, const struct ack *a), void *ctx);
#endif

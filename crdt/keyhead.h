/* keyhead.h: the local record of a set's or counter's key: how many items of
 * it are live, their total, and the whole of a hashed key. It makes size and
 * value O(1). Heads of sets have a table of their own. That of a counter lies
 * among the items, in the counter's row, and only if there are several entries:
 * one alone lies there itself (items.h). The heads that a write transaction
 * touches wait in a table in memory and are written once; counter
 * adds wait there too, so that many become one event. */
#ifndef CRDT_KEYHEAD_H
#define CRDT_KEYHEAD_H
#include "crdt/store.h"
#include "crdt/type.h"

/* What a head says. */
struct keyhead_view {
    uint64_t live;
    wide total;
    uint64_t rows;  /* of a counter: its entries, tombs included           */
    uint64_t bound; /* of a counter: no inc or dec of an entry is above it */
    slice full_key; /* of a hashed key, else empty; borrowed */
    bool stored;    /* as a record of its own */
};

/* A counter's value, and the adds that wait in it. */
struct counter_sum {
    wide total;
    uint64_t inc, dec;
};

/* A head in a write transaction's table. */
struct keyhead {
    struct bucket *bk;
    uint64_t live, rows;
    wide total;          /* adds that wait not included */
    struct buf full_key; /* of a hashed key, else empty */
    bool dirty;
    bool stored;      /* has a record of its own in the store */
    bool count_dirty; /* counter adds wait: inc and dec are their sums */
    uint64_t inc, dec;
    uint64_t bound;          /* no inc or dec of an entry is above it */
    struct counter_sum plan; /* of a batch that is being checked */
    uint64_t plan_batch;
    uint16_t key_len;
    uint8_t key[]; /* LMDB key */
};

/* The head's id, to make others of the same K of. */
void keyhead_key(const struct keyhead *h, struct item_key *k);

/* Its total, adds that wait included. */
static inline wide keyhead_total(const struct keyhead *h) {
    return h->total + h->inc - h->dec;
}

/* The record of a set's key: varint live; of a counter's: varint live, varint
 * rows, varint bound, total (16, two's complement). Behind either the whole
 * key if it is hashed. */
bool keyhead_decode(uint8_t head_tag, slice rec, struct keyhead_view *out);

/* What a counter's row says, by the head or the only entry that it holds: 1,
 * 0 if nothing is live, < 0 (stuck). Borrowed from row. */
int keyhead_counter(ecrdt_txn *t, struct item_shape shape, slice row,
                    struct keyhead_view *out);

/* The head of k, whose tag is a head tag, as t sees it, adds that wait
 * included: 1, or 0 and zeros if there is none. Borrowed until t changes. */
int keyhead_read(ecrdt_txn *t, const struct item_key *k,
                 struct keyhead_view *out);

/* The same by the names of bucket and key; zeros if there is none. */
int keyhead_of(ecrdt_txn *t, const char *bucket, slice key, uint8_t head_tag,
               struct keyhead_view *out);

/* The same for changing it; NULL on error (stuck). full_key is taken over if
 * it is not empty and the head has none yet. */
struct keyhead *keyhead_edit(ecrdt_txn *t, struct bucket *bk,
                             const struct item_key *k, slice full_key);

/* Calls fn for each head with adds that wait; 0 or its error. */
int keyhead_each_waiting(ecrdt_txn *t,
                         int (*fn)(ecrdt_txn *t, struct keyhead *h));

/* Gives the only entry of a counter, which another one is about to join, a row
 * of its own and h the counter's row. Moves t->items, writes t->scratch. */
int keyhead_part(ecrdt_txn *t, struct keyhead *h);

/* Writes all heads that changed; they stay in the table. */
int keyhead_save(ecrdt_txn *t);

/* Frees the table; NULL is fine. */
void keyhead_free(struct keyheads *all);
#endif

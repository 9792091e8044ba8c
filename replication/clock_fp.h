/* clock_fp.h: two nodes find where their large clocks differ by fingerprints
 * of parts of them, in few turns and without a word on what is equal
 * (PROTOCOL 9). Bytes in, bytes out; who begins is the session's affair. */
#ifndef REPLICATION_CLOCK_FP_H
#define REPLICATION_CLOCK_FP_H
#include "crdt/clockdiff.h"

enum {
    CLOCK_FP_MIN = 256, /* entries; up to so many are told at once */
    CLOCK_FP_LEAF = 8,  /* entries of a part that is told, not split */
    CLOCK_FP_SIZE = 16, /* bytes of a fingerprint */
    CLOCK_FP_FAN = 16,  /* a part is split by the next 4 bits of the id */
    CLOCK_FP_DEEP = 2 * ORIGIN_SIZE,
    CLOCK_FP_GROW = 1024,   /* parts of a message; then none is split ... */
    CLOCK_FP_PARTS = 65536, /* ... and the most that are heard */
    CLOCK_FP_TURNS = 80,    /* messages of one exchange, both ways */
    CLOCK_FP_FIRST = 16384, /* the most bytes of the first message */
    CLOCK_FP_NONCE = 64
};

/* One side of an exchange over one bucket. */
struct clock_fp {
    struct clock_state *mine;   /* as it was when the exchange began */
    struct clock_state *theirs; /* mine, with what is known to differ */
    uint8_t nonce[CLOCK_FP_NONCE];
    unsigned turns;
};

/* Is s large, and in one range? */
bool clock_fp_worth(const struct clock_state *s);

/* Begins a side. nonce is the same on both and new for each link: nobody can
 * make clocks beforehand whose fingerprints are equal. NULL without memory. */
struct clock_fp *clock_fp_new(struct clock_state *mine,
                              const uint8_t nonce[CLOCK_FP_NONCE]);
void clock_fp_free(struct clock_fp *f);

/* Appends what the side that begins says first, as msgpack. */
void clock_fp_first(struct clock_fp *f, struct buf *out);

/* Reads what the peer said and appends the answer: 1 = send it, and the
 * exchange goes on; 2 = send it, then it is over; 0 = it is over. Then theirs
 * is the peer's clock. ECRDT_EPEER without a sentence, or ECRDT_ENOMEM. */
int clock_fp_answer(struct clock_fp *f, struct unpack *u, struct buf *out);
#endif

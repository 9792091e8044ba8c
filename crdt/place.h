/* place.h: do heads of one store lie on the chains of another, in a range?
 * What a keeper is asked before anything is let go, for a number that it has
 * may be that of an event on another branch (PROTOCOL 7). */
#ifndef CRDT_PLACE_H
#define CRDT_PLACE_H
#include "crdt/fingerprint.h"
#include "crdt/store.h"

/* In one question, but for those of one origin: a look at each follows a chain
 * of some thousand pairs at worst. */
enum { PLACE_HEADS = 16, PLACE_STRETCHES = 64 };

/* Heads on the ids from lo to hi: those that a keeper is asked about, or that
 * it has said to lie on its chains everywhere there. That stays true until the
 * keeper's own clock falls. Zero-initialise, placed_free(). */
struct placed {
    struct item_id lo, hi; /* an empty hi is no upper bound */
    struct vv heads;
};
void placed_free(struct placed *p);

/* What one keeper has said of a bucket, of the last PLACE_STRETCHES stretches.
 * Zero-initialise, said_free(). */
struct said {
    struct placed *p;
    size_t n, cap, oldest;
};
void said_free(struct said *s);

/* Was this said of x, on all of lo to hi? */
bool said_of(const struct said *s, slice lo, slice hi, const struct head *x);

/* Takes over a further answer, which is emptied. 0 or ECRDT_ENOMEM. */
int said_add(struct said *s, struct placed *answer);

/* The question about p's heads as a fingerprint message without sums, into
 * the zeroed m, which borrows bucket. 0 or ECRDT_ENOMEM. */
int place_ask(const struct placed *p, const char *bucket, struct fp *m);

/* The answer, in m's place: the parts of m on which some head of the part's
 * clock is shown not to lie on this store's chains; no part: on all of them
 * all do, as far as chains are kept. 0 or < 0. */
int place_answer(ecrdt_txn *t, struct fp *m);
#endif

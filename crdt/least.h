/* least.h: the least of many ids, each once, in room for twice as many. */
#ifndef CRDT_LEAST_H
#define CRDT_LEAST_H
#include "lib/bytes.h"

/* least_init(), least_free(). Ids are borrowed. */
struct least {
    slice *ids;
    size_t n, max;
    bool bounded; /* ids that are not below the max-th are of no use */
    slice bound;  /* ... this one */
};

/* Will keep the max least ids. 0 or ECRDT_ENOMEM. */
int least_init(struct least *l, size_t max);

/* Takes one more, in any order and any number of times. */
void least_add(struct least *l, slice id);

/* Leaves the least ones in ids, sorted: n of them, max if there were more. */
void least_end(struct least *l);

/* Frees what l holds. */
void least_free(struct least *l);
#endif

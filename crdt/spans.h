/* spans.h: sorted stretches of item ids: what a node holds of a bucket. */
#ifndef CRDT_SPANS_H
#define CRDT_SPANS_H
#include "crdt/ranges.h"

/* The ids with lo <= id < hi; an empty hi is no upper bound. */
struct id_span {
    struct item_id lo, hi;
};

/* Sorted, and apart from each other. Zero-initialised, or NULL where a
 * function takes a pointer, it is everything. spans_free(). */
struct spans {
    bool some; /* only s[0] to s[n - 1], which may be nothing */
    struct id_span *s;
    size_t n, cap;
};

/* How many stretches; everything is one. */
size_t spans_count(const struct spans *sp);

/* Bounds of stretch i, borrowed. */
void spans_at(const struct spans *sp, size_t i, slice *lo, slice *hi);

/* Is id in it? */
bool spans_have(const struct spans *sp, slice id);

/* Is all of lo to hi in it? */
bool spans_cover(const struct spans *sp, slice lo, slice hi);

/* Appends a stretch that begins at or behind the end of the last one. 0 or
 * ECRDT_ENOMEM. */
int spans_add(struct spans *sp, slice lo, slice hi);

/* Appends the ids of all keys that begin with prefix (1 to KEY_HASHED_PREFIX
 * bytes), which is greater than the prefixes before and begins with none of
 * them. 0 or ECRDT_ENOMEM. */
int spans_add_prefix(struct spans *sp, slice prefix);

/* The empty dst becomes what sp leaves out. 0 or ECRDT_ENOMEM. */
int spans_rest(struct spans *dst, const struct spans *sp);

/* The empty dst becomes what both have. 0 or ECRDT_ENOMEM. */
int spans_common(struct spans *dst, const struct spans *a,
                 const struct spans *b);

/* Frees the stretches; sp is everything. */
void spans_free(struct spans *sp);
#endif

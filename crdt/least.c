/* least.c: gathers twice as many ids as are wanted, sorts and cuts: each id
 * costs the logarithm of that number, in whatever order they come. */
#include "crdt/least.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include <stdlib.h>

int least_init(struct least *l, size_t max) {
    *l = (struct least){.max = max};
    l->ids = alloc_resize(NULL, 2 * max, sizeof *l->ids);
    return l->ids ? ECRDT_OK : ECRDT_ENOMEM;
}

static int by_id(const void *a, const void *b) {
    return slice_cmp(*(const slice *)a, *(const slice *)b);
}

void least_end(struct least *l) {
    size_t n = 0;
    qsort(l->ids, l->n, sizeof *l->ids, by_id);
    for (size_t i = 0; i < l->n && n < l->max; i++)
        if (!n || slice_cmp(l->ids[n - 1], l->ids[i]) != 0)
            l->ids[n++] = l->ids[i];
    l->n = n;
}

void least_add(struct least *l, slice id) {
    if (l->bounded && slice_cmp(id, l->bound) >= 0)
        return;
    l->ids[l->n++] = id;
    if (l->n < 2 * l->max)
        return;
    least_end(l);
    l->bounded = l->n == l->max;
    l->bound = l->ids[l->n - 1];
}

void least_free(struct least *l) {
    alloc_free(l->ids);
    *l = (struct least){0};
}

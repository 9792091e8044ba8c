/* items.h: walks over the table of items. The heads of counters lie in it,
 * each before the entries of its key; these walks pass over them. */
#ifndef CRDT_ITEMS_H
#define CRDT_ITEMS_H
#include "crdt/keys.h"
#include "lib/db.h"

/* Position on the first item >= *key, of whichever bucket: 1 and the row, 0
 * at the end, < 0. */
int items_seek(struct db_cursor *c, slice *key, slice *rec);

/* Position on the next item. */
int items_next(struct db_cursor *c, slice *key, slice *rec);

/* Position on the last item < *key. */
int items_before(struct db_cursor *c, slice *key, slice *rec);
#endif

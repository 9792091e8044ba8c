/* items.h: where items lie in their table, and walks over it. The row at the
 * id of a counter's head stands for the counter: while it has one entry, tombs
 * included, the row holds that entry; then no row has the entry's own id. With
 * more of them it holds the head, and each entry has a row of its own. So one
 * look gives the value, and these walks give each item once. */
#ifndef CRDT_ITEMS_H
#define CRDT_ITEMS_H
#include "crdt/item.h"
#include "crdt/keys.h"
#include "lib/db.h"

/* What a row at the id of a counter's head begins with: a head, or the id of
 * the only entry, where that is not the origin of its first sibling. */
enum { ROW_HEAD = 0x00, ROW_ORIGIN = 0x10 };

struct counter_row {
    bool head;
    const uint8_t *origin; /* in front of the record, or NULL */
    slice rec;             /* of the head, or of the only entry */
};

/* Takes the row apart, borrowing from it; false if it is malformed. */
bool counter_row_open(slice row, struct counter_row *out);

/* The id of the only entry that k, made of the head's id, then has: 1, < 0
 * (stuck). */
int counter_row_entry(ecrdt_txn *t, const struct counter_row *row,
                      struct item_key *k);

/* Begins the row that is to hold entry k alone; origin is the number of its
 * first sibling's. 0 or < 0 (stuck). */
int counter_row_begin(ecrdt_txn *t, struct buf *out, const struct item_key *k,
                      uint32_t origin);

/* Position c on the row of item k: 1 and its record, 0 if it is absent, < 0. */
int items_find(ecrdt_txn *t, struct db_cursor *c, const struct item_key *k,
               slice *rec);

/* A walk. What it gives is borrowed until its next step. */
struct items {
    ecrdt_txn *t;
    struct db_cursor *c;
    struct items_kept *kept;
    struct item_key entry; /* that a counter's row holds */
};

/* Begins one; items_close() it, also after a failure. */
int items_open(struct items *w, ecrdt_txn *t);
void items_close(struct items *w);

/* Position on the first item >= *key, of whichever bucket: 1 and the row, 0
 * at the end, < 0. */
int items_seek(struct items *w, slice *key, slice *rec);

/* Position on the next item; at the beginning, on the first one. */
int items_next(struct items *w, slice *key, slice *rec);

/* The walk's id, to outlive its next step until items_close(), as those do
 * that lie in the store; of no data without memory. */
slice items_keep(struct items *w, slice id);

/* Position on the last item < *key. */
int items_before(struct items *w, slice *key, slice *rec);
#endif

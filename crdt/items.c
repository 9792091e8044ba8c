/* items.c: walks over the table of items, past the heads of counters. */
#include "crdt/items.h"

static bool is_head(slice key) {
    return key.len > BUCKET_PREFIX && item_id_is_head(item_key_id_of(key));
}

int items_seek(struct db_cursor *c, slice *key, slice *rec) {
    int rc = db_cursor_seek(c, key, rec);
    return rc == 1 && is_head(*key) ? items_next(c, key, rec) : rc;
}

int items_next(struct db_cursor *c, slice *key, slice *rec) {
    int rc;
    do
        rc = db_cursor_next(c, key, rec);
    while (rc == 1 && is_head(*key));
    return rc;
}

int items_before(struct db_cursor *c, slice *key, slice *rec) {
    int rc;
    do
        rc = db_cursor_before(c, key, rec);
    while (rc == 1 && is_head(*key));
    return rc;
}

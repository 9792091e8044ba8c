/* items.c: walks over the table of items, past the heads of counters. */
#include "crdt/items.h"

bool items_is_head(slice id) {
    enum { GROUP = 9, MORE = 9 };
    const uint8_t *b = id.data;
    if (!id.len || b[id.len - 1] != TAG_COUNTER_HEAD)
        return false;
    size_t k = GROUP;
    while (k < id.len && b[k - 1] == MORE)
        k += GROUP;
    return k + 1 == id.len;
}

static bool is_head(slice key) {
    return key.len > BUCKET_PREFIX && items_is_head(item_key_id_of(key));
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

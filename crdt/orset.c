/* orset.c: operations and reading of add-wins sets. */
#include "crdt/orset.h"
#include "crdt/door.h"
#include "crdt/keyhead.h"

static bool check(slice value) {
    return value.len == 0;
}

static void read_element(struct item_shape shape, const struct item *it,
                         struct reading *out) {
    (void)shape;
    out->live = item_live(it);
    out->total = 0;
}

const struct type type_element = {.tag = TAG_ELEMENT,
                                  .head_tag = TAG_SET_HEAD,
                                  .pub = ECRDT_SET,
                                  .live_kind = KIND_PUT,
                                  .name = "set element",
                                  .check = check,
                                  .read = read_element};

static const slice nothing;

int orset_add(ecrdt_txn *t, const char *bucket, slice key, slice elem) {
    struct bucket *bk;
    struct item_key k;
    int found = txn_take_room(t, key.len + elem.len);
    if (found == ECRDT_OK)
        found = door_item(t, bucket, true, TAG_ELEMENT, key, elem, &bk, &k);
    if (found < 0)
        return found;
    bool was = item_live(&t->before);
    int rc = door_local(t, bk, &k, found, KIND_PUT, key, elem, nothing);
    return rc < 0 ? rc : !was;
}

int orset_remove(ecrdt_txn *t, const char *bucket, slice key, slice elem) {
    struct bucket *bk;
    struct item_key k;
    int found = door_item(t, bucket, false, TAG_ELEMENT, key, elem, &bk, &k);
    if (found <= 0 || !item_live(&t->before))
        return found < 0 ? found : 0;
    int rc = door_local(t, bk, &k, true, KIND_TOMB, key, elem, nothing);
    return rc < 0 ? rc : 1;
}

int orset_has(ecrdt_txn *t, const char *bucket, slice key, slice elem) {
    struct item_key k;
    slice rec;
    int rc = door_record(t, bucket, TAG_ELEMENT, key, elem, &k, &rec);
    if (rc <= 0)
        return rc;
    struct event e;
    if (item_plain(rec, KIND_PUT).data)
        return 1;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;)
        if (event_live(&e))
            return 1;
    return rc < 0 ? txn_corrupt(t, "an item") : 0;
}

int orset_size(ecrdt_txn *t, const char *bucket, slice key, uint64_t *n) {
    struct keyhead_view v;
    int rc = keyhead_of(t, bucket, key, TAG_SET_HEAD, &v);
    *n = v.live;
    return rc < 0 ? rc : ECRDT_OK;
}

int orset_clear(ecrdt_txn *t, const char *bucket, slice key) {
    struct bucket *bk;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc;
    struct item_key k;
    struct item_parts p;
    item_key_make(&k, bk->id, key, TAG_ELEMENT);
    struct item_key first = k;
    slice prefix = item_key_db(&first), at = prefix, rec;
    for (rc = db_cursor_seek(t->items, &at, &rec);
         rc == 1 && slice_starts(at, prefix);
         rc = db_cursor_next(t->items, &at, &rec)) {
        slice id = item_key_id_of(at);
        if (!item_id_parse(id, &p))
            return txn_corrupt(t, "an item id");
        item_key_set(&k, bk->id, id, p.k_len);
        int found = door_find(t, &k);
        if (found < 0)
            return found;
        if (!item_live(&t->before))
            continue;
        rc = door_local(t, bk, &k, true, KIND_TOMB, key, nothing, nothing);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : ECRDT_OK;
}

/* items.c: where items lie in their table, and walks over it. */
#include "crdt/items.h"
#include "crdt/store.h"
#include "lib/alloc.h"
#include "lib/assert.h"

struct items_kept {
    struct items_kept *next;
    uint8_t id[];
};

bool counter_row_open(slice row, struct counter_row *out) {
    const uint8_t *p = row.data;
    *out = (struct counter_row){.rec = row};
    if (!row.len)
        return false;
    out->head = *p == ROW_HEAD;
    size_t skip = out->head ? 1 : 0;
    if (*p == ROW_ORIGIN) {
        out->origin = p + 1;
        skip = 1 + ORIGIN_SIZE;
    }
    if (row.len <= skip)
        return false;
    out->rec = slice_of(p + skip, row.len - skip);
    return true;
}

/* The origin that is not written in front of the record. */
static const uint8_t *first_origin(ecrdt_txn *t, slice rec) {
    struct event e;
    size_t at = 0;
    if (item_walk(rec, &at, &e) == 1)
        return origin_id(t, e.origin);
    txn_corrupt(t, "a counter's entry");
    return NULL;
}

int counter_row_entry(ecrdt_txn *t, const struct counter_row *row,
                      struct item_key *k) {
    const uint8_t *first = first_origin(t, row->rec);
    if (!first)
        return db_err(t->db);
    if (row->origin && !memcmp(row->origin, first, ORIGIN_SIZE))
        return txn_corrupt(t, "a counter's row"); /* one way to write it */
    item_key_retag(k, TAG_ENTRY);
    item_key_origin(k, row->origin ? row->origin : first);
    return 1;
}

int counter_row_begin(ecrdt_txn *t, struct buf *out, const struct item_key *k,
                      uint32_t origin) {
    static const uint8_t mark = ROW_ORIGIN;
    const uint8_t *first = origin_id(t, origin);
    const uint8_t *sub = k->b + k->len - ORIGIN_SIZE;
    if (!first)
        return db_err(t->db);
    if (memcmp(sub, first, ORIGIN_SIZE) != 0) {
        buf_put(out, &mark, 1);
        buf_put(out, sub, ORIGIN_SIZE);
    }
    return ECRDT_OK;
}

/* An entry lies in the counter's row, or that row says that it has its own. */
static int find_entry(ecrdt_txn *t, struct db_cursor *c,
                      const struct item_key *k, slice *rec) {
    struct counter_row row;
    struct item_key at;
    slice value;
    item_key_head(&at, k, TAG_COUNTER_HEAD);
    int rc = db_cursor_find(c, item_key_db(&at), &value);
    if (rc <= 0)
        return rc;
    if (!counter_row_open(value, &row))
        return txn_corrupt(t, "a counter's row");
    if (row.head)
        return db_cursor_find(c, item_key_db(k), rec);
    rc = counter_row_entry(t, &row, &at);
    *rec = row.rec;
    return rc < 0 ? rc : slice_eq(item_key_db(&at), item_key_db(k));
}

int items_find(ecrdt_txn *t, struct db_cursor *c, const struct item_key *k,
               slice *rec) {
    return item_key_tag(k) == TAG_ENTRY
               ? find_entry(t, c, k, rec)
               : db_cursor_find(c, item_key_db(k), rec);
}

int items_open(struct items *w, ecrdt_txn *t) {
    w->t = t;
    w->kept = NULL;
    return db_cursor_open(t->db, DB_ITEMS, &w->c);
}

void items_close(struct items *w) {
    db_cursor_close(w->c);
    w->c = NULL;
    while (w->kept) {
        struct items_kept *k = w->kept;
        w->kept = k->next;
        alloc_free(k);
    }
}

slice items_keep(struct items *w, slice id) {
    if (id.data != item_key_id(&w->entry).data)
        return id;
    struct items_kept *k = alloc_resize(NULL, sizeof *k + id.len, 1);
    if (!k)
        return slice_of(NULL, 0);
    k->next = w->kept;
    w->kept = k;
    memcpy(k->id, id.data, id.len);
    return slice_of(k->id, id.len);
}

/* The row that the cursor stands on, as an item: 1, 0 if it is a head. */
static int item_at(struct items *w, slice *key, slice *rec) {
    struct counter_row row;
    if (key->len <= BUCKET_PREFIX)
        return 1;
    slice id = item_key_id_of(*key);
    if (id.len > ITEM_ID_MAX)
        return txn_corrupt(w->t, "an item id");
    if (!item_id_is_head(id))
        return 1;
    if (id.len > KEY_K_MAX + 1 || !counter_row_open(*rec, &row))
        return txn_corrupt(w->t, "a counter's row");
    if (row.head)
        return 0;
    item_key_set(&w->entry, item_key_bucket(*key), id, (uint16_t)(id.len - 1));
    *rec = row.rec;
    int rc = counter_row_entry(w->t, &row, &w->entry);
    *key = item_key_db(&w->entry);
    return rc;
}

/* Can an item at or behind the bound lie in a counter's row before it? */
static bool in_counter(slice id, size_t k_len) {
    const uint8_t *b = id.data;
    return k_len && k_len <= KEY_K_MAX && id.len > k_len &&
           (b[k_len] == TAG_COUNTER_HEAD || b[k_len] == TAG_ENTRY);
}

/* The item at or behind *key, which need not be an id, that lies in a row
 * before it: 1, 0 if there is none. */
static int seek_in_counter(struct items *w, slice *key, slice *rec) {
    struct item_key k;
    slice row, from = *key, id = item_key_id_of(from);
    size_t k_len = item_id_k_len(id);
    if (!in_counter(id, k_len))
        return 0;
    item_key_set(&k, item_key_bucket(from), slice_of(id.data, k_len + 1),
                 (uint16_t)k_len);
    item_key_retag(&k, TAG_COUNTER_HEAD);
    row = item_key_db(&k);
    int rc = db_cursor_seek(w->c, &row, rec);
    if (rc <= 0 || !slice_eq(row, item_key_db(&k)))
        return rc < 0 ? rc : 0;
    rc = item_at(w, &row, rec);
    if (rc <= 0 || slice_cmp(row, from) < 0)
        return rc < 0 ? rc : 0;
    *key = row;
    return 1;
}

int items_seek(struct items *w, slice *key, slice *rec) {
    int rc = key->len > BUCKET_PREFIX ? seek_in_counter(w, key, rec) : 0;
    if (rc != 0)
        return rc;
    rc = db_cursor_seek(w->c, key, rec);
    if (rc == 1)
        rc = item_at(w, key, rec);
    else
        return rc;
    return rc == 0 ? items_next(w, key, rec) : rc;
}

int items_next(struct items *w, slice *key, slice *rec) {
    int rc;
    do {
        rc = db_cursor_next(w->c, key, rec);
        if (rc <= 0)
            return rc;
        rc = item_at(w, key, rec);
    } while (rc == 0);
    return rc;
}

int items_before(struct items *w, slice *key, slice *rec) {
    uint8_t bound[BUCKET_PREFIX + ITEM_ID_MAX];
    INVARIANT(key->len <= sizeof bound);
    memcpy(bound, key->data, key->len);
    slice b = slice_of(bound, key->len);
    for (;;) {
        int rc = db_cursor_before(w->c, key, rec);
        if (rc <= 0)
            return rc;
        slice row = *key;
        rc = item_at(w, key, rec);
        if (rc < 0 || (rc == 1 && slice_cmp(*key, b) < 0))
            return rc;
        *key = row;
    }
}

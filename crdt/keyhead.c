/* keyhead.c: the table of key heads of a write transaction. */
#include "crdt/keyhead.h"
#include "crdt/items.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/crc32c.h"
#include <stdlib.h>

enum { FIRST_SLOTS = 16, BLOCK = 16384 };

struct block {
    struct block *next;
    size_t used;
    _Alignas(16) uint8_t mem[];
};

/* Open addressing over pointers; slots is a power of two, half full. The
 * list holds the same heads, in the order of their keys when sorted is n:
 * writing them in that order touches each page once. */
struct keyheads {
    struct keyhead **slot, **list;
    size_t slots, n, list_cap, sorted;
    struct block *blocks; /* in which the heads lie */
};

__extension__ typedef unsigned __int128 uwide;

static uint64_t high(wide v) {
    return (uint64_t)((uwide)v >> 64);
}

bool keyhead_decode(uint8_t head_tag, slice rec, struct keyhead_view *out) {
    const uint8_t *p = rec.data, *end = p + rec.len;
    uint64_t *field[] = {&out->live, &out->rows, &out->bound};
    size_t fields = head_tag == TAG_SET_HEAD ? 1 : 3;
    *out = (struct keyhead_view){.stored = true};
    for (size_t i = 0; i < fields; i++) {
        size_t n = varint_get(p, end, field[i]);
        if (!n)
            return false;
        p += n;
    }
    if (head_tag == TAG_COUNTER_HEAD) {
        if (end - p < 16)
            return false;
        out->total = (wide)((uwide)load64(p) << 64 | load64(p + 8));
        p += 16;
    }
    out->full_key = slice_of(p, (size_t)(end - p));
    return true;
}

static size_t encode(uint8_t *out, uint8_t head_tag, const struct keyhead *h) {
    uint8_t *p = out;
    if (head_tag == TAG_COUNTER_HEAD)
        *p++ = ROW_HEAD;
    p += varint_put(p, h->live);
    if (head_tag == TAG_SET_HEAD)
        return (size_t)(p - out);
    p += varint_put(p, h->rows);
    p += varint_put(p, h->bound);
    store64(p, high(h->total));
    store64(p + 8, (uint64_t)h->total);
    return (size_t)(p - out) + 16;
}

/* The tag that a head's LMDB key ends in. */
static uint8_t tag_of(slice key) {
    return ((const uint8_t *)key.data)[key.len - 1];
}

static struct keyhead **place(struct keyheads *all, slice key) {
    size_t i = crc32c(0, key.data, key.len) & (all->slots - 1);
    for (;; i = (i + 1) & (all->slots - 1)) {
        struct keyhead *h = all->slot[i];
        if (!h || (h->key_len == key.len && !memcmp(h->key, key.data, key.len)))
            return &all->slot[i];
    }
}

static int grow(struct keyheads *all) {
    struct keyheads next = *all;
    next.slots = all->slots ? all->slots * 2 : FIRST_SLOTS;
    next.slot = alloc_zeroed(next.slots, sizeof *next.slot);
    if (!next.slot)
        return ECRDT_ENOMEM;
    for (size_t i = 0; i < all->slots; i++)
        if (all->slot[i])
            *place(&next, slice_of(all->slot[i]->key, all->slot[i]->key_len)) =
                all->slot[i];
    alloc_free(all->slot);
    *all = next;
    return ECRDT_OK;
}

/* What the head of a counter's key would say, by the record of the only entry
 * it has: 1, 0 if that is not live, < 0 (stuck). */
static int sole(ecrdt_txn *t, struct item_shape shape, slice rec,
                struct keyhead_view *out) {
    struct reading r;
    struct event e;
    struct item one = {&e, 1, 1}, *it = &one; /* one sibling, nearly always */
    size_t at = 0;
    *out = (struct keyhead_view){.rows = 1};
    int rc = item_walk(rec, &at, &e);
    if (rc == 1 && at < rec.len)
        rc = item_decode(it = &t->sole, rec);
    if (rc < 0)
        return txn_corrupt(t, "a counter's entry");
    type_entry.read(shape, it, &r);
    out->live = (uint64_t)r.live;
    out->total = r.total;
    out->bound = r.bound;
    out->full_key = item_full_key(shape, it);
    return out->live != 0;
}

int keyhead_counter(ecrdt_txn *t, struct item_shape shape, slice row,
                    struct keyhead_view *out) {
    struct counter_row r;
    if (!counter_row_open(row, &r))
        return txn_corrupt(t, "a counter's row");
    if (!r.head)
        return sole(t, shape, r.rec, out);
    return keyhead_decode(TAG_COUNTER_HEAD, r.rec, out)
               ? out->live != 0
               : txn_corrupt(t, "a key head");
}

/* Is key that of an entry of the counter whose head has that key? */
static bool is_entry(slice key, slice head) {
    return key.len > head.len && !memcmp(key.data, head.data, head.len - 1) &&
           ((const uint8_t *)key.data)[head.len - 1] == TAG_ENTRY;
}

/* A counter without its row has no entries, or it is damaged. */
static int load_none(ecrdt_txn *t, slice key) {
    struct db_cursor *c;
    slice at = key, rec;
    int rc = db_cursor_open(t->db, DB_ITEMS, &c);
    if (rc < 0)
        return rc;
    rc = db_cursor_seek(c, &at, &rec);
    if (rc == 1)
        rc = is_entry(at, key) ? txn_corrupt(t, "the head of a counter") : 0;
    db_cursor_close(c);
    return rc;
}

static int load_counter(ecrdt_txn *t, slice key, struct keyhead_view *out) {
    slice row;
    int rc = db_get(t->db, DB_ITEMS, key, &row);
    if (rc == 0)
        return load_none(t, key);
    return rc < 0 ? rc : keyhead_counter(t, item_head_shape(key), row, out);
}

static int load(ecrdt_txn *t, slice key, struct keyhead_view *out) {
    slice rec;
    *out = (struct keyhead_view){0};
    if (tag_of(key) == TAG_COUNTER_HEAD)
        return load_counter(t, key, out);
    int rc = db_get(t->db, DB_KEYS, key, &rec);
    if (rc == 1 && !keyhead_decode(TAG_SET_HEAD, rec, out))
        return txn_corrupt(t, "a key head");
    return rc;
}

int keyhead_read(ecrdt_txn *t, const struct item_key *k,
                 struct keyhead_view *out) {
    struct keyhead *h =
        t->keyheads ? *place(t->keyheads, item_key_db(k)) : NULL;
    if (!h)
        return load(t, item_key_db(k), out);
    out->live = h->live + (!h->live && h->count_dirty);
    out->total = keyhead_total(h);
    out->rows = h->rows;
    out->bound = h->bound;
    out->stored = h->stored;
    out->full_key = buf_slice(&h->full_key);
    return out->live != 0;
}

int keyhead_of(ecrdt_txn *t, const char *bucket, slice key, uint8_t head_tag,
               struct keyhead_view *out) {
    struct bucket *bk;
    struct item_key k;
    *out = (struct keyhead_view){0};
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc;
    item_key_make(&k, bk->id, key, head_tag);
    return keyhead_read(t, &k, out);
}

/* Memory that lives as long as the table. */
static void *take(struct keyheads *all, size_t n) {
    n = (n + 15) & ~(size_t)15;
    if (!all->blocks || all->blocks->used + n > BLOCK) {
        struct block *b = alloc_resize(NULL, sizeof *b + BLOCK, 1);
        if (!b)
            return NULL;
        b->next = all->blocks;
        b->used = 0;
        all->blocks = b;
    }
    void *p = all->blocks->mem + all->blocks->used;
    all->blocks->used += n;
    return p;
}

static struct keyhead *make(ecrdt_txn *t, struct bucket *bk, slice key) {
    struct keyhead_view v;
    if (load(t, key, &v) < 0)
        return NULL;
    struct keyhead *h = take(t->keyheads, sizeof *h + key.len);
    if (!h)
        return NULL;
    *h = (struct keyhead){.bk = bk,
                          .live = v.live,
                          .rows = v.rows,
                          .total = v.total,
                          .stored = v.stored,
                          .bound = v.bound,
                          .key_len = (uint16_t)key.len};
    memcpy(h->key, key.data, key.len);
    buf_put(&h->full_key, v.full_key.data, v.full_key.len);
    return h;
}

static int table_room(ecrdt_txn *t) {
    if (!t->keyheads)
        t->keyheads = alloc_zeroed(1, sizeof *t->keyheads);
    struct keyheads *all = t->keyheads;
    if (!all)
        return ECRDT_ENOMEM;
    int rc =
        alloc_grow(&all->list, &all->list_cap, all->n + 1, sizeof *all->list);
    if (rc == ECRDT_OK && 2 * (all->n + 1) > all->slots)
        rc = grow(all);
    return rc;
}

/* Only an insertion may grow the table: a lookup happens while it is walked. */
static struct keyhead *insert(ecrdt_txn *t, struct bucket *bk, slice key) {
    struct keyhead *h = table_room(t) < 0 ? NULL : make(t, bk, key);
    if (!h)
        return NULL;
    struct keyheads *all = t->keyheads;
    *place(all, key) = h;
    all->list[all->n++] = h;
    return h;
}

struct keyhead *keyhead_edit(ecrdt_txn *t, struct bucket *bk,
                             const struct item_key *k, slice full_key) {
    slice key = item_key_db(k);
    struct keyhead *h = t->keyheads ? *place(t->keyheads, key) : NULL;
    if (!h)
        h = insert(t, bk, key);
    else
        h->bk = bk; /* a bucket that was made may have been unmade */
    if (h && full_key.len && !h->full_key.len)
        buf_put(&h->full_key, full_key.data, full_key.len);
    if (!h || h->full_key.err) {
        db_stick(t->db, ECRDT_ENOMEM);
        return NULL;
    }
    return h;
}

static int by_key(const void *a, const void *b) {
    const struct keyhead *x = *(struct keyhead *const *)a;
    const struct keyhead *y = *(struct keyhead *const *)b;
    return slice_cmp(slice_of(x->key, x->key_len),
                     slice_of(y->key, y->key_len));
}

static void sort_list(struct keyheads *all) {
    if (all->sorted == all->n)
        return;
    qsort(all->list, all->n, sizeof *all->list, by_key);
    all->sorted = all->n;
}

int keyhead_each_waiting(ecrdt_txn *t,
                         int (*fn)(ecrdt_txn *t, struct keyhead *h)) {
    struct keyheads *all = t->keyheads;
    if (!all)
        return ECRDT_OK;
    sort_list(all);
    for (size_t i = 0, n = all->n; i < n; i++) {
        struct keyhead *h = all->list[i];
        int rc = h->count_dirty ? fn(t, h) : ECRDT_OK;
        if (rc < 0)
            return rc;
        INVARIANT(all->n == n); /* fn finds its head, and makes none */
    }
    return ECRDT_OK;
}

/* Writes the head's record. */
static int put_head(ecrdt_txn *t, struct db_cursor *c, struct keyhead *h) {
    slice key = slice_of(h->key, h->key_len), old;
    uint8_t fixed[1 + 3 * VARINT_MAX + 16];
    int found = db_cursor_find(c, key, &old);
    if (found < 0)
        return found;
    buf_clear(&t->scratch);
    buf_put(&t->scratch, fixed, encode(fixed, tag_of(key), h));
    buf_put(&t->scratch, h->full_key.data, h->full_key.len);
    h->stored = true;
    return db_cursor_put(c, key, &t->scratch, found);
}

static int del_head(struct db_cursor *c, struct keyhead *h) {
    slice old;
    int found = db_cursor_find(c, slice_of(h->key, h->key_len), &old);
    h->stored = false;
    return found == 1 ? db_cursor_del(c) : found;
}

void keyhead_key(const struct keyhead *h, struct item_key *k) {
    slice key = slice_of(h->key, h->key_len), id = item_key_id_of(key);
    item_key_set(k, item_key_bucket(key), id, (uint16_t)(id.len - 1));
}

int keyhead_part(ecrdt_txn *t, struct keyhead *h) {
    struct counter_row row;
    struct item_key k;
    slice value;
    keyhead_key(h, &k);
    int rc = db_cursor_find(t->items, item_key_db(&k), &value);
    if (rc < 0)
        return rc;
    if (rc == 0 || !counter_row_open(value, &row) || row.head)
        return txn_corrupt(t, "a counter's row");
    rc = counter_row_entry(t, &row, &k);
    if (rc < 0)
        return rc;
    buf_clear(&t->scratch);
    buf_put(&t->scratch, row.rec.data, row.rec.len);
    rc = db_cursor_put(t->items, item_key_db(&k), &t->scratch, false);
    return rc < 0 ? rc : put_head(t, t->items, h);
}

/* The opposite: the only entry that is left takes the place of the head. */
static int join(ecrdt_txn *t, struct keyhead *h) {
    struct item_key k;
    struct event e;
    slice key, rec;
    size_t at = 0;
    keyhead_key(h, &k);
    item_key_retag(&k, TAG_ENTRY);
    slice before = item_key_db(&k);
    key = before;
    int rc = db_cursor_seek(t->items, &key, &rec);
    if (rc < 0)
        return rc;
    if (rc == 0 || key.len != before.len + ORIGIN_SIZE ||
        !slice_starts(key, before) || item_walk(rec, &at, &e) != 1)
        return txn_corrupt(t, "the head of a counter");
    item_key_origin(&k, (const uint8_t *)key.data + before.len);
    buf_clear(&t->scratch);
    rc = counter_row_begin(t, &t->scratch, &k, e.origin);
    buf_put(&t->scratch, rec.data, rec.len);
    if (rc == ECRDT_OK)
        rc = db_cursor_del(t->items);
    key = slice_of(h->key, h->key_len);
    if (rc == ECRDT_OK)
        rc = db_cursor_find(t->items, key, &rec);
    h->stored = false;
    return rc < 0 ? rc : db_cursor_put(t->items, key, &t->scratch, rc == 1);
}

static int save_counter(ecrdt_txn *t, struct keyhead *h) {
    if (!h->stored)
        return ECRDT_OK;
    return h->rows > 1    ? put_head(t, t->items, h)
           : h->rows == 1 ? join(t, h)
                          : del_head(t->items, h);
}

/* sets: a cursor on their heads, opened when it is needed. */
static int save_set(ecrdt_txn *t, struct db_cursor **sets, struct keyhead *h) {
    if (!h->live && !h->stored)
        return ECRDT_OK;
    int rc = *sets ? ECRDT_OK : db_cursor_open(t->db, DB_KEYS, sets);
    if (rc < 0)
        return rc;
    return h->live ? put_head(t, *sets, h) : del_head(*sets, h);
}

int keyhead_save(ecrdt_txn *t) {
    struct keyheads *all = t->keyheads;
    struct db_cursor *sets = NULL;
    int rc = ECRDT_OK;
    if (!all)
        return rc;
    sort_list(all);
    for (size_t i = 0; i < all->n && rc >= 0; i++) {
        struct keyhead *h = all->list[i];
        bool set = tag_of(slice_of(h->key, h->key_len)) == TAG_SET_HEAD;
        if (h->dirty)
            rc = set ? save_set(t, &sets, h) : save_counter(t, h);
        h->dirty = false;
    }
    db_cursor_close(sets);
    return rc < 0 ? rc : ECRDT_OK;
}

void keyhead_free(struct keyheads *all) {
    if (!all)
        return;
    for (size_t i = 0; i < all->n; i++)
        buf_free(&all->list[i]->full_key);
    while (all->blocks) {
        struct block *b = all->blocks;
        all->blocks = b->next;
        alloc_free(b);
    }
    alloc_free(all->slot);
    alloc_free(all->list);
    alloc_free(all);
}

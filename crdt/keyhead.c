/* keyhead.c: the table of key heads of a write transaction. */
#include "crdt/keyhead.h"
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

bool keyhead_decode(slice rec, struct keyhead_view *out) {
    const uint8_t *p = rec.data, *end = p + rec.len;
    size_t n = varint_get(p, end, &out->live);
    p += n;
    size_t m = n ? varint_get(p, end, &out->bound) : 0;
    p += m;
    if (!m || end - p < 16)
        return false;
    out->total = (wide)((uwide)load64(p) << 64 | load64(p + 8));
    out->full_key = slice_of(p + 16, (size_t)(end - p) - 16);
    return true;
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

static int load(ecrdt_txn *t, slice key, struct keyhead_view *out) {
    slice rec;
    *out = (struct keyhead_view){0};
    int rc = db_get(t->db, DB_KEYS, key, &rec);
    if (rc == 1 && !keyhead_decode(rec, out))
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
    out->bound = h->bound;
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
                          .total = v.total,
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

static int save(ecrdt_txn *t, struct db_cursor *c, struct keyhead *h) {
    slice key = slice_of(h->key, h->key_len), old;
    h->dirty = false;
    int found = db_cursor_find(c, key, &old);
    if (found < 0)
        return found;
    if (!h->live)
        return found ? db_cursor_del(c) : ECRDT_OK;
    uint8_t fixed[2 * VARINT_MAX + 16], *p = fixed;
    p += varint_put(p, h->live);
    p += varint_put(p, h->bound);
    store64(p, high(h->total));
    store64(p + 8, (uint64_t)h->total);
    buf_clear(&t->rec);
    buf_put(&t->rec, fixed, (size_t)(p - fixed) + 16);
    buf_put(&t->rec, h->full_key.data, h->full_key.len);
    return db_cursor_put(c, key, &t->rec, found);
}

int keyhead_save(ecrdt_txn *t) {
    struct keyheads *all = t->keyheads;
    struct db_cursor *c;
    if (!all)
        return ECRDT_OK;
    int rc = db_cursor_open(t->db, DB_KEYS, &c);
    if (rc < 0)
        return rc;
    sort_list(all);
    for (size_t i = 0; i < all->n && rc >= 0; i++)
        if (all->list[i]->dirty)
            rc = save(t, c, all->list[i]);
    db_cursor_close(c);
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

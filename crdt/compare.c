/* compare.c: walks the items of a chunk and our own side by side. */
#include "crdt/compare.h"
#include "crdt/chunk_codec.h"
#include "crdt/clocks.h"
#include "crdt/items.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include <stdio.h>

struct sibling {
    struct dot dot;
    uint8_t e16[CRYPTO_E16];
};

enum { SIBLINGS_MAX = 256 };

struct compare {
    ecrdt_txn *t;
    struct bucket *bk;
    const struct chunk *c;
    int (*differs)(void *ctx, const struct difference *d);
    void *ctx;
    struct sibling here[SIBLINGS_MAX], there[SIBLINGS_MAX];
    size_t n_here, n_there;
};

static int add(struct compare *c, struct sibling *list, size_t *n,
               const uint8_t *origin, slice id, const struct event *e) {
    if (!event_live(e) || *n == SIBLINGS_MAX)
        return ECRDT_OK;
    struct sibling *s = &list[(*n)++];
    memcpy(s->dot.origin, origin, ORIGIN_SIZE);
    s->dot.seq = e->seq;
    return event_e16(s->e16, c->bk->salt, origin, id, e, &c->t->scratch);
}

static int read_here(struct compare *c, slice id, slice rec) {
    struct event e;
    int rc;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;) {
        const uint8_t *origin = origin_id(c->t, e.origin);
        if (!origin)
            return db_err(c->t->db);
        rc = add(c, c->here, &c->n_here, origin, id, &e);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? txn_corrupt(c->t, "an item") : ECRDT_OK;
}

static int read_there(struct compare *c, const struct chunk_item *it) {
    for (uint32_t i = it->first; i < it->first + it->count; i++) {
        const struct event *e = &c->c->events[i];
        int rc =
            add(c, c->there, &c->n_there, c->c->origins[e->origin], it->id, e);
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

/* The dots of a that are not among b with the same content. */
static size_t only(const struct sibling *a, size_t n_a, const struct sibling *b,
                   size_t n_b, struct dot out[COMPARE_DOTS]) {
    size_t n = 0;
    for (size_t i = 0; i < n_a && n < COMPARE_DOTS; i++) {
        bool found = false;
        for (size_t j = 0; j < n_b && !found; j++)
            found = a[i].dot.seq == b[j].dot.seq &&
                    !memcmp(a[i].dot.origin, b[j].dot.origin, ORIGIN_SIZE) &&
                    !memcmp(a[i].e16, b[j].e16, CRYPTO_E16);
        if (!found)
            out[n++] = a[i].dot;
    }
    return n;
}

static int judge(struct compare *c, slice id) {
    struct difference d = {.bucket = c->bk->name, .id = id};
    d.n_here = only(c->here, c->n_here, c->there, c->n_there, d.here);
    d.n_there = only(c->there, c->n_there, c->here, c->n_here, d.there);
    c->n_here = c->n_there = 0;
    return d.n_here || d.n_there ? c->differs(c->ctx, &d) : ECRDT_OK;
}

/* Items of the chunk before id (NULL: all that are left of the part). */
static int theirs_before(struct compare *c, uint32_t *next, uint32_t end,
                         const slice *id) {
    for (; *next < end; ++*next) {
        const struct chunk_item *it = &c->c->items[*next];
        if (id && slice_cmp(it->id, *id) >= 0)
            break;
        int rc = read_there(c, it);
        if (rc == ECRDT_OK)
            rc = judge(c, it->id);
        if (rc)
            return rc;
    }
    return ECRDT_OK;
}

static int compare_item(struct compare *c, uint32_t *next, uint32_t end,
                        slice id, slice rec) {
    int rc = theirs_before(c, next, end, &id);
    if (rc == ECRDT_OK)
        rc = read_here(c, id, rec);
    if (rc == ECRDT_OK && *next < end && slice_eq(c->c->items[*next].id, id))
        rc = read_there(c, &c->c->items[(*next)++]);
    return rc ? rc : judge(c, id);
}

static int compare_part(struct compare *c, const struct chunk_part *p,
                        struct items *items) {
    struct item_key from;
    uint32_t next = p->first, end = p->first + p->count;
    item_key_set(&from, c->bk->id, item_id_slice(&p->lo), 0);
    slice key = item_key_db(&from), rec;
    int rc;
    for (rc = items_seek(items, &key, &rec); rc == 1;
         rc = items_next(items, &key, &rec)) {
        slice id = item_key_id_of(key);
        if (!item_key_in(key, c->bk->id) ||
            (p->bounded && slice_cmp(id, item_id_slice(&p->hi)) >= 0))
            break;
        rc = compare_item(c, &next, end, id, rec);
        if (rc)
            return rc;
    }
    return rc < 0 ? rc : theirs_before(c, &next, end, NULL);
}

static int note_shown(struct fp *shown, const struct chunk_part *p) {
    return fp_add(shown, &p->lo, p->bounded ? &p->hi : NULL, 0, true)
               ? ECRDT_OK
               : ECRDT_ENOMEM;
}

static int compare_parts(struct compare *c, struct fp *shown) {
    struct items items;
    int rc = clocks_load(c->t, c->bk);
    if (rc == ECRDT_OK)
        rc = items_open(&items, c->t);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->c->n_parts && !rc; i++) {
        const struct chunk_part *p = &c->c->parts[i];
        if (!ranges_at(&c->bk->rs, &p->lo, p->bounded ? &p->hi : NULL, &p->clk))
            continue;
        rc = note_shown(shown, p);
        if (rc == ECRDT_OK)
            rc = compare_part(c, p, &items);
    }
    items_close(&items);
    return rc;
}

int compare_chunk(ecrdt_txn *t, slice bytes,
                  int (*differs)(void *ctx, const struct difference *d),
                  void *ctx, struct fp *shown) {
    char name[ECRDT_MAX_BUCKET_NAME + 1] = {0};
    struct chunk chunk = {0};
    struct compare *c = alloc_zeroed(1, sizeof *c);
    int rc = c ? chunk_decode(bytes, &chunk) : ECRDT_ENOMEM;
    if (rc == ECRDT_OK) {
        memcpy(name, chunk.bucket.data, chunk.bucket.len);
        *c = (struct compare){
            .t = t, .c = &chunk, .differs = differs, .ctx = ctx};
        rc = txn_bucket(t, name, false, &c->bk);
    }
    if (rc == 1)
        rc = compare_parts(c, shown);
    chunk_free(&chunk);
    alloc_free(c);
    return rc;
}

void compare_dots_text(char out[COMPARE_DOTS * COMPARE_DOT_TEXT],
                       const struct dot *dots, size_t n) {
    size_t at = 0;
    snprintf(out, COMPARE_DOT_TEXT, "nothing");
    for (size_t i = 0; i < n; i++) {
        if (i)
            out[at++] = ' ';
        for (size_t k = 0; k < ORIGIN_SIZE; k++, at += 2)
            snprintf(out + at, 3, "%02x", dots[i].origin[k]);
        at += (size_t)snprintf(out + at, 23, ":%llu",
                               (unsigned long long)dots[i].seq);
    }
}

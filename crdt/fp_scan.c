/* fp_scan.c: fingerprints by one pass over the items: count and sum of a
 * stretch and of blocks of it, whose size doubles as they get too many. */
#include "crdt/fp_scan.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/items.h"
#include "lib/alloc.h"
#include "lib/mutant.h"
#include <stdlib.h>

enum { KEY_GROUP = 9, MORE_GROUPS = 9, KEY_PATIENCE = 4 };

static int load_f(struct fp_scan *s, const struct vv *f) {
    int rc = meta_get_u32(s->t, "m.origins", &s->n_origins);
    s->f = rc < 0 ? NULL : alloc_zeroed(s->n_origins + 1, sizeof *s->f);
    if (!s->f)
        return rc < 0 ? rc : ECRDT_ENOMEM;
    for (size_t i = 0; i < f->n; i++) {
        uint32_t no;
        rc = origin_no(s->t, f->e[i].origin, false, &no);
        if (rc < 0)
            return rc;
        if (rc == 1 && no < s->n_origins)
            s->f[no] = f->e[i].seq;
    }
    return ECRDT_OK;
}

int fp_scan_begin(struct fp_scan *s, ecrdt_txn *t, const char *bucket,
                  const struct vv *f, const uint8_t key[RECONCILE_KEY]) {
    *s = (struct fp_scan){.t = t};
    memcpy(s->key, key, sizeof s->key);
    int rc = txn_bucket(t, bucket, false, &s->bk);
    if (rc <= 0)
        return rc;
    rc = clocks_load(t, s->bk);
    if (rc == ECRDT_OK)
        rc = load_f(s, f);
    if (rc == ECRDT_OK)
        rc = items_open(&s->items, t);
    return rc < 0 ? rc : 1;
}

void fp_scan_end(struct fp_scan *s) {
    items_close(&s->items);
    alloc_free(s->f);
    alloc_free(s->blocks);
    buf_free(&s->text);
    *s = (struct fp_scan){0};
}

/* ---- blocks ---------------------------------------------------------------
 */

static int block_begin(struct fp_scan *s, slice lo, size_t range) {
    int rc = alloc_grow(&s->blocks, &s->cap, s->n + 1, sizeof *s->blocks);
    if (rc < 0)
        return rc;
    struct fp_block *b = &s->blocks[s->n++];
    *b = (struct fp_block){.range = range};
    item_id_set(&b->lo, lo);
    return ECRDT_OK;
}

/* Joins neighbours in twos, so that few large blocks remain. */
static void halve(struct fp_scan *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; n++) {
        s->blocks[n] = s->blocks[i++];
        if (i == s->n || s->blocks[i].range != s->blocks[n].range)
            continue;
        s->blocks[n].count += s->blocks[i].count;
        digest_add(s->blocks[n].sum, s->blocks[i++].sum);
    }
    s->n = n;
    s->size *= 2;
}

/* Bytes of the K that an id begins with. */
static size_t key_len(slice id) {
    const uint8_t *b = id.data;
    size_t n = KEY_GROUP;
    while (n < id.len && b[n - 1] == MORE_GROUPS)
        n += KEY_GROUP;
    return n < id.len ? n : id.len;
}

/* May a block begin at id? It is cut between keys, unless one key is large. */
static bool full(const struct fp_scan *s, slice id) {
    const struct fp_block *b = &s->blocks[s->n - 1];
    if (b->count < s->size)
        return false;
    slice last = item_id_slice(&s->last);
    return b->count >= KEY_PATIENCE * s->size ||
           !slice_starts(id, slice_of(last.data, key_len(last)));
}

/* The shortest bound that parts id from the item before it. */
static slice bound_before(const struct fp_scan *s, slice id) {
    size_t n = slice_shared(item_id_slice(&s->last), id);
    return slice_of(id.data, n < id.len ? n + 1 : id.len);
}

/* Makes the last block the one that id falls into. */
static int block_for(struct fp_scan *s, slice id) {
    const struct ranges *rs = &s->bk->rs;
    for (;;) {
        size_t range = s->blocks[s->n - 1].range;
        const struct item_id *end = ranges_hi(rs, range);
        if (!end || slice_cmp(id, item_id_slice(end)) < 0)
            break;
        int rc = block_begin(s, item_id_slice(end), range + 1);
        if (rc < 0)
            return rc;
        s->last.len = 0;
    }
    if (!s->last.len)
        return ECRDT_OK;
    while (s->n >= s->max && full(s, id))
        halve(s);
    if (!full(s, id))
        return ECRDT_OK;
    return block_begin(s, bound_before(s, id), s->blocks[s->n - 1].range);
}

/* ---- items ----------------------------------------------------------------
 */

static int by_bytes(const void *a, const void *b) {
    return memcmp(a, b, CRYPTO_E16);
}

static int add_e16(struct fp_scan *s, slice id, const struct event *e) {
    uint8_t *at = buf_extend(&s->text, CRYPTO_E16);
    if (!at)
        return s->text.err;
    return door_name(s->t, s->bk, id, e, at);
}

static bool left_out(const struct fp_scan *s, const struct event *e) {
    return !event_live(e) && (MUTANT(fptomb) || (e->origin < s->n_origins &&
                                                 e->seq <= s->f[e->origin]));
}

static int add_item(struct fp_scan *s, slice id, slice rec) {
    uint8_t len[2], sum[FP_SUM];
    struct event e;
    buf_clear(&s->text);
    store16(len, (uint16_t)id.len);
    buf_put(&s->text, len, sizeof len);
    buf_put(&s->text, id.data, id.len);
    size_t head = s->text.len;
    int rc;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;) {
        if (left_out(s, &e))
            continue;
        rc = add_e16(s, id, &e);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return txn_corrupt(s->t, "an item");
    if (s->text.err || s->text.len == head)
        return s->text.err;
    size_t n = (s->text.len - head) / CRYPTO_E16;
    if (n > 1)
        qsort(s->text.data + head, n, CRYPTO_E16, by_bytes);
    crypto_blake2b_keyed(sum, buf_slice(&s->text), s->key);
    struct fp_block *b = &s->blocks[s->n - 1];
    b->count++;
    digest_add(b->sum, sum);
    return ECRDT_OK;
}

/* ---- the pass -------------------------------------------------------------
 */

int fp_scan_range(struct fp_scan *s, const struct item_id *lo,
                  const struct item_id *hi, size_t max) {
    s->n = 0;
    s->max = max;
    s->size = 1;
    s->bounded = hi != NULL;
    if (hi)
        s->hi = *hi;
    s->last.len = 0;
    item_key_set(&s->next, s->bk->id, item_id_slice(lo), 0);
    return block_begin(s, item_id_slice(lo),
                       ranges_find(&s->bk->rs, item_id_slice(lo)));
}

/* Our ranges behind the last item are stretches of their own, too. */
static int finish(struct fp_scan *s) {
    const struct ranges *rs = &s->bk->rs;
    for (;;) {
        size_t range = s->blocks[s->n - 1].range;
        const struct item_id *end = ranges_hi(rs, range);
        if (!end || (s->bounded &&
                     slice_cmp(item_id_slice(&s->hi), item_id_slice(end)) <= 0))
            return 1;
        int rc = block_begin(s, item_id_slice(end), range + 1);
        if (rc < 0)
            return rc;
    }
}

int fp_scan_step(struct fp_scan *s, uint64_t *items) {
    slice key = item_key_db(&s->next), rec;
    int rc;
    for (rc = items_seek(&s->items, &key, &rec); rc == 1;
         rc = items_next(&s->items, &key, &rec)) {
        slice id = item_key_id_of(key);
        if (!item_key_in(key, s->bk->id) ||
            (s->bounded && slice_cmp(id, item_id_slice(&s->hi)) >= 0))
            break;
        if (!*items) {
            item_key_set(&s->next, s->bk->id, id, 0);
            return 0;
        }
        --*items;
        rc = block_for(s, id);
        if (rc == ECRDT_OK)
            rc = add_item(s, id, rec);
        if (rc < 0)
            return rc;
        item_id_set(&s->last, id);
    }
    return rc < 0 ? rc : finish(s);
}

uint64_t fp_scan_total(const struct fp_scan *s, uint8_t sum[FP_SUM]) {
    uint64_t count = 0;
    memset(sum, 0, FP_SUM);
    for (size_t i = 0; i < s->n; i++) {
        count += s->blocks[i].count;
        digest_add(sum, s->blocks[i].sum);
    }
    return count;
}

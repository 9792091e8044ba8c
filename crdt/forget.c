/* forget.c: takes a range of items out of a store, piece by piece, each piece
 * in one transaction with the clock that no longer claims it. */
#include "crdt/forget.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/spans.h"
#include "crdt/items.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mutant.h"

static int drop_item(ecrdt_txn *t, struct bucket *bk, struct item_key *k) {
    int found = door_find(t, k);
    if (found <= 0)
        return found;
    t->after.n = 0;
    return door_put(t, bk, k, true, &t->after, false);
}

static int drop_items(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi,
                      uint64_t max_items, struct forgotten *out) {
    struct item_key k;
    int rc;
    item_id_set(&out->next, lo);
    while ((rc = door_next(t, bk, item_id_slice(&out->next), hi, &k)) == 1) {
        item_id_set(&out->next, item_key_id(&k));
        if (out->items == max_items)
            return ECRDT_OK;
        rc = drop_item(t, bk, &k);
        if (rc < 0)
            return rc;
        out->items++;
    }
    out->all = rc == 0;
    return rc;
}

/* Numbers are not used again: what stands under the old one on disk belongs
 * to what was kept, or goes. */
static int empty_clocks(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi) {
    struct ranges *rs = &bk->rs;
    size_t from, to = 0;
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    int rc = clocks_cut(bk, lo, &from);
    if (rc == ECRDT_OK && hi.len)
        rc = clocks_cut(bk, hi, &to);
    if (rc < 0)
        return rc;
    for (to = hi.len ? to : rs->n; from < to && rc == ECRDT_OK; from++) {
        vv_free(&rs->r[from].clk);
        rs->r[from].no = clocks_new_no(bk);
        rc = vv_raise(&rs->r[from].clk, me, bk->head.seq, bk->head.h);
    }
    ranges_join_equal(rs);
    bk->ranges_dirty = true;
    return rc;
}

int forget_any(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi) {
    struct item_key at;
    struct items w;
    slice key, rec;
    item_key_set(&at, bk->id, lo, 0);
    key = item_key_db(&at);
    int rc = items_open(&w, t);
    if (rc == ECRDT_OK)
        rc = items_seek(&w, &key, &rec);
    if (rc == 1)
        rc = item_key_in(key, bk->id) &&
             (!hi.len || slice_cmp(item_key_id_of(key), hi) < 0);
    items_close(&w);
    return rc;
}

int forget_look(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi,
                int (*fn)(void *ctx, const struct item_key *k,
                          const struct item *it),
                void *ctx) {
    struct item_key k;
    struct item_id at = {0};
    int rc;
    item_id_set(&at, lo);
    while ((rc = door_next(t, bk, item_id_slice(&at), hi, &k)) == 1) {
        rc = door_find(t, &k);
        if (rc > 0)
            rc = fn(ctx, &k, &t->before);
        if (rc)
            return rc;
        item_id_set(&at, item_key_id(&k));
        at.b[at.len++] = 0; /* the next one is the least id behind it */
    }
    return rc;
}

int forget_range(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi,
                 uint64_t max_items, struct forgotten *out) {
    *out = (struct forgotten){0};
    int rc = clocks_load(t, bk);
    if (rc == ECRDT_OK && bk->head.seq && !MUTANT(sameinc))
        rc = twin_renew(t);
    return rc < 0 ? db_stick(t->db, rc)
                  : forget_items(t, bk, lo, hi, max_items, out);
}

int forget_items(ecrdt_txn *t, struct bucket *bk, slice lo, slice hi,
                 uint64_t max_items, struct forgotten *out) {
    *out = (struct forgotten){0};
    int rc = drop_items(t, bk, lo, hi, max_items, out);
    if (rc == ECRDT_OK)
        rc = empty_clocks(t, bk, lo, out->all ? hi : item_id_slice(&out->next));
    bk->head.gen++;
    bk->head_dirty = true;
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}

/* ---- the public call ------------------------------------------------------
 */

struct forget {
    ecrdt_store *s;
    const char *bucket;
    struct item_id at, hi;
    uint64_t items;
};

/* One piece: 1 = it goes on at f->at, 0 = done. */
static int forget_piece(struct forget *f) {
    struct bucket *bk;
    struct forgotten done = {.all = true};
    ecrdt_txn *t = ecrdt_write(f->s);
    if (!t)
        return ecrdt_errcode();
    int rc = txn_bucket(t, f->bucket, false, &bk);
    if (rc == 1)
        rc = forget_range(t, bk, item_id_slice(&f->at), item_id_slice(&f->hi),
                          FORGET_ITEMS, &done);
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    rc = ecrdt_commit(t);
    f->items += done.items;
    f->at = done.next;
    return rc < 0 ? rc : !done.all;
}

/* The ids of all keys that begin with prefix, up to the least behind them. */
static int prefix_bounds(struct forget *f, slice prefix) {
    struct spans sp = {0};
    slice lo, hi;
    if (prefix.len > KEY_HASHED_PREFIX)
        return err_set(ECRDT_ETOOBIG,
                       "ecrdt_forget(): a prefix has at most %d bytes, this "
                       "one %zu",
                       KEY_HASHED_PREFIX, prefix.len);
    int rc = spans_add_prefix(&sp, prefix);
    if (rc == ECRDT_OK) {
        spans_at(&sp, 0, &lo, &hi);
        item_id_set(&f->at, lo);
        item_id_set(&f->hi, hi);
    }
    spans_free(&sp);
    return rc;
}

int ecrdt_forget(ecrdt_store *s, const char *bucket, ecrdt_slice prefix,
                 uint64_t *items) {
    struct forget f = {.s = s, .bucket = bucket};
    int rc = store_check(s, "ecrdt_forget()");
    if (rc == ECRDT_OK)
        rc = prefix_bounds(&f, prefix);
    if (rc < 0)
        return rc;
    while ((rc = forget_piece(&f)) == 1)
        ;
    if (items)
        *items = f.items;
    if (rc == ECRDT_OK)
        log_line(ECRDT_LOG_WARN,
                 "msg=\"forgot what begins with a prefix, to pull it again: "
                 "new incarnation\" store=\"%s\" bucket=\"%s\" items=%llu",
                 log_text(s->path).s, log_text(bucket).s,
                 (unsigned long long)f.items);
    return rc;
}

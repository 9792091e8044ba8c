/* fold.c: the heir's right, one entry's fold, a store's goodbye. */
#include "crdt/fold.h"
#include "crdt/counter.h"
#include "crdt/door.h"
#include "crdt/gc.h"
#include "crdt/hlc.h"
#include "crdt/items.h"
#include "crdt/setting.h"
#include "crdt/step.h"
#include "lib/alloc.h"
#include "lib/mutant.h"
#include <unistd.h>

/* Names the incarnation, so that a restored heir is none. */
static const char heir_key[] = "m.fold.heir";

int fold_right(ecrdt_txn *t) {
    uint8_t me[ORIGIN_SIZE];
    slice heir;
    int rc = replica_origin(t, me);
    if (rc < 0)
        return rc;
    rc = db_get(t->db, DB_META, ecrdt_str(heir_key), &heir);
    if (rc == 0 && MUTANT(twofold))
        return 1;
    if (rc <= 0)
        return rc;
    if (heir.len != ORIGIN_SIZE)
        return txn_corrupt(t, heir_key);
    return slice_eq(heir, slice_of(me, ORIGIN_SIZE)) || MUTANT(foldrole);
}

int fold_claim(ecrdt_txn *t) {
    uint8_t me[ORIGIN_SIZE];
    int rc = replica_origin(t, me);
    if (rc < 0)
        return rc;
    buf_clear(&t->rec);
    buf_put(&t->rec, me, ORIGIN_SIZE);
    return db_put(t->db, DB_META, ecrdt_str(heir_key), &t->rec);
}

/* ---- one entry ------------------------------------------------------------
 */

/* Reads entry k: its totals, and the whole key if it is hashed, copied. */
static int read_entry(ecrdt_txn *t, struct item_key *k, struct count *c,
                      struct buf *full_key) {
    struct item_shape shape = item_key_shape(k);
    struct payload p;
    int found = door_find(t, k);
    if (found < 0)
        return found;
    count_of(shape, &t->before, c);
    for (size_t i = 0; i < t->before.n && !full_key->len; i++) {
        const struct event *e = &t->before.ev[i];
        if (event_live(e) &&
            payload_split(shape, slice_of(e->payload, e->len), &p))
            buf_put(full_key, p.key.data, p.key.len);
    }
    return full_key->err < 0 ? full_key->err : found;
}

static int write_entry(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                       bool found, uint8_t kind, const struct count *c,
                       const struct buf *full_key) {
    uint8_t value[4 * VARINT_MAX];
    size_t n = count_encode(value, c);
    return door_local(t, bk, k, found, kind, buf_slice(full_key),
                      slice_of(NULL, 0), slice_of(value, n));
}

/* Own entry += what x counts; 1, 0 if that would overflow. */
static int take_over(ecrdt_txn *t, struct bucket *bk, const struct item_key *k,
                     const struct count *x, struct buf *full_key) {
    const uint8_t *me = origin_id(t, bk->head.me);
    struct item_key own;
    struct count c;
    if (!me)
        return db_err(t->db);
    item_key_head(&own, k, TAG_ENTRY);
    item_key_origin(&own, me);
    int found = read_entry(t, &own, &c, full_key);
    if (found < 0)
        return found;
    if (!add_u64(&c.inc, x->inc - x->finc) ||
        !add_u64(&c.dec, x->dec - x->fdec))
        return 0;
    int rc = write_entry(t, bk, &own, found, KIND_COUNT, &c, full_key);
    return rc < 0 ? rc : 1;
}

/* What is to be done about an entry. */
enum due { DUE_NOTHING, DUE_EMPTYING, DUE_REMOVAL };

/* When an entry was emptied, at the latest. */
static uint64_t emptied_ms(const struct item *it) {
    uint64_t newest = 0;
    for (size_t i = 0; i < it->n; i++)
        if (it->ev[i].hlc > newest)
            newest = it->ev[i].hlc;
    return hlc_ms(newest);
}

static enum due what_is_due(const struct fold_policy *p, const struct item *it,
                            const struct count *c) {
    bool counts = c->inc != c->finc || c->dec != c->fdec;
    bool bye = count_bye(it);
    if (!item_live(it) || (!bye && !p->all))
        return DUE_NOTHING;
    if (bye && (!p->keep_ms || MUTANT(foldtomb)))
        return DUE_REMOVAL;
    if (counts)
        return DUE_EMPTYING;
    return bye && gc_outlived(emptied_ms(it), p->keep_ms, os_wall_ms())
               ? DUE_REMOVAL
               : DUE_NOTHING;
}

static int do_fold(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                   struct count *x, enum due due, struct buf *full_key) {
    uint8_t kind = due == DUE_REMOVAL      ? KIND_TOMB
                   : count_bye(&t->before) ? KIND_COUNT | KIND_BYE
                                           : KIND_COUNT;
    int rc = x->inc == x->finc && x->dec == x->fdec
                 ? 1
                 : take_over(t, bk, k, x, full_key);
    if (rc == 1)
        rc = door_find(t, k);
    if (rc <= 0)
        return rc;
    x->finc = x->inc;
    x->fdec = x->dec;
    rc = write_entry(t, bk, k, true, kind, x, full_key);
    return rc < 0 ? rc : 1;
}

int fold_entry(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
               const struct fold_policy *p) {
    struct buf full_key = {0};
    struct count x;
    enum due due = DUE_NOTHING;
    int rc = read_entry(t, k, &x, &full_key);
    if (rc == 1)
        due = what_is_due(p, &t->before, &x);
    if (due != DUE_NOTHING)
        rc = do_fold(t, bk, k, &x, due, &full_key);
    else if (rc == 1)
        rc = 0;
    buf_free(&full_key);
    return rc < 0 ? db_stick(t->db, rc) : rc;
}

/* ---- all of them ----------------------------------------------------------
 */

/* Entries found in a read transaction, folded in a write one. */
struct fold {
    ecrdt_store *s;
    struct fold_policy policy;
    ecrdt_txn *t;
    struct item item; /* scratch */
    uint64_t until_ms;
    bool cut;
    char bucket[ECRDT_MAX_BUCKET_NAME + 1]; /* where it goes on ... */
    struct buf at;                          /* ... behind this item */
    size_t n;
    struct found {
        char bucket[ECRDT_MAX_BUCKET_NAME + 1];
        struct item_id id;
    } found[FOLD_BATCH];
    ecrdt_fold_report did;
};

/* Notes the item if it is another's entry about which something is due. */
static int look_item(struct fold *f, const struct bucket *bk, const uint8_t *me,
                     slice id, slice rec) {
    struct item_parts p;
    struct item_key k;
    struct count c;
    if (!item_id_parse(id, &p))
        return txn_corrupt(f->t, "an item id");
    if (p.tag != TAG_ENTRY || slice_eq(p.sub, slice_of(me, ORIGIN_SIZE)))
        return ECRDT_OK;
    int rc = item_decode(&f->item, rec);
    if (rc < 0)
        return rc == ECRDT_ECORRUPT ? txn_corrupt(f->t, "an item") : rc;
    item_key_set(&k, bk->id, id, p.k_len);
    count_of(item_key_shape(&k), &f->item, &c);
    if (what_is_due(&f->policy, &f->item, &c) == DUE_NOTHING)
        return ECRDT_OK;
    struct found *x = &f->found[f->n++];
    memcpy(x->bucket, bk->name, sizeof x->bucket);
    item_id_set(&x->id, id);
    return ECRDT_OK;
}

static bool pause_here(struct fold *f, const struct bucket *bk, slice key) {
    if (f->n < FOLD_BATCH && os_mono_ms() < f->until_ms)
        return false;
    memcpy(f->bucket, bk->name, sizeof f->bucket);
    buf_clear(&f->at);
    buf_put(&f->at, key.data, key.len);
    buf_put(&f->at, "", 1);
    f->cut = true;
    return true;
}

static int look_items(struct fold *f, struct bucket *bk, struct items *c) {
    uint8_t from[BUCKET_PREFIX];
    slice key = item_key_prefix(from, bk->id), rec;
    if (!strcmp(bk->name, f->bucket) && f->at.len)
        key = buf_slice(&f->at);
    int rc = txn_head(f->t, bk);
    const uint8_t *me = rc < 0 ? NULL : origin_id(f->t, bk->head.me);
    if (!me)
        return rc < 0 ? rc : db_err(f->t->db);
    for (rc = items_seek(c, &key, &rec); rc == 1 && item_key_in(key, bk->id);
         rc = items_next(c, &key, &rec)) {
        slice id = item_key_id_of(key);
        rc = look_item(f, bk, me, id, rec);
        if (rc < 0 || pause_here(f, bk, key))
            return rc;
    }
    return rc < 0 ? rc : ECRDT_OK;
}

static int look_bucket(void *ctx, const char *name) {
    struct fold *f = ctx;
    struct bucket *bk;
    struct items c;
    if (f->cut || strcmp(name, f->bucket) < 0)
        return ECRDT_OK;
    int rc = txn_bucket(f->t, name, false, &bk);
    if (rc == 1)
        rc = items_open(&c, f->t);
    if (rc < 0)
        return rc;
    rc = look_items(f, bk, &c);
    items_close(&c);
    return rc;
}

static int look(struct fold *f) {
    f->n = 0;
    f->cut = false;
    f->until_ms = os_mono_ms() + FOLD_LOOK_MS;
    int rc = replica_begin(f->s, false, 0, &f->t);
    if (rc < 0)
        return rc;
    rc = setting_read(f->t, ECRDT_GC_RETENTION_MS, &f->policy.keep_ms);
    if (rc == ECRDT_OK)
        rc = replica_each_bucket(f->t, look_bucket, f);
    ecrdt_abort(f->t);
    return rc < 0 ? rc : f->at.err;
}

static int no_right(const ecrdt_store *s) {
    return err_set(ECRDT_EINVAL,
                   "store %s may not fold counters: its present incarnation "
                   "is not the heir; one store alone may be it, see 'edgecrdt "
                   "help fold'",
                   s->path);
}

/* The right is looked at in the transaction that uses it. */
static int fold_found(struct fold *f, ecrdt_fold_report *did) {
    ecrdt_txn *t = f->t;
    int rc = fold_right(t);
    if (rc <= 0)
        return rc < 0 ? rc : no_right(f->s);
    for (size_t i = 0; i < f->n; i++) {
        struct bucket *bk;
        struct item_parts p;
        struct item_key k;
        slice id = item_id_slice(&f->found[i].id);
        rc = txn_bucket(t, f->found[i].bucket, false, &bk);
        if (rc < 0 || !item_id_parse(id, &p))
            return rc < 0 ? rc : ECRDT_ECORRUPT;
        item_key_set(&k, bk->id, id, p.k_len);
        rc = fold_entry(t, bk, &k, &f->policy);
        if (rc < 0)
            return rc;
        did->entries += rc == 1;
        did->removed += rc == 1 && !item_live(&t->after);
    }
    return ECRDT_OK;
}

static int write_found(struct fold *f) {
    ecrdt_fold_report did = {0};
    int rc = replica_begin(f->s, true, f->s->lock_timeout_ms, &f->t);
    if (rc < 0)
        return rc;
    rc = fold_found(f, &did);
    if (rc < 0) {
        ecrdt_abort(f->t);
        return rc;
    }
    rc = ecrdt_commit(f->t);
    if (rc == ECRDT_OK) {
        f->did.entries += did.entries;
        f->did.removed += did.removed;
    }
    return rc;
}

static int run(struct fold *f) {
    int rc;
    do {
        rc = look(f);
        if (rc == ECRDT_OK && f->n)
            rc = write_found(f);
        if (rc == ECRDT_OK && replica_waiters(f->s))
            usleep(FOLD_YIELD_US);
    } while (rc == ECRDT_OK && f->cut);
    return rc;
}

/* Takes the right if that is asked for; it must be there. */
static int take_right(ecrdt_store *s, bool claim) {
    ecrdt_txn *t;
    int rc = replica_begin(s, claim, s->lock_timeout_ms, &t);
    if (rc < 0)
        return rc;
    rc = claim ? fold_claim(t) : fold_right(t);
    if (rc == 0 && claim)
        return ecrdt_commit(t);
    ecrdt_abort(t);
    return rc == 0 ? no_right(s) : rc < 0 ? rc : ECRDT_OK;
}

int ecrdt_fold(ecrdt_store *s, uint32_t flags, ecrdt_fold_report *r) {
    int rc = store_check(s, "ecrdt_fold()");
    if (rc == ECRDT_OK &&
        (flags & ~(uint32_t)(ECRDT_FOLD_CLAIM | ECRDT_FOLD_ALL)))
        rc = err_set(ECRDT_EINVAL, "ecrdt_fold(): flags 0x%x are unknown",
                     flags);
    if (rc == ECRDT_OK)
        rc = take_right(s, flags & ECRDT_FOLD_CLAIM);
    struct fold *f = rc < 0 ? NULL : alloc_zeroed(1, sizeof *f);
    if (!f)
        return rc < 0 ? rc : ECRDT_ENOMEM;
    f->s = s;
    f->policy.all = flags & ECRDT_FOLD_ALL;
    rc = run(f);
    if (r)
        *r = f->did;
    buf_free(&f->at);
    item_free(&f->item);
    alloc_free(f);
    return rc;
}

/* ---- goodbye --------------------------------------------------------------
 */

/* This store's entry k of a counter, once more, with the mark that it is the
 * last. */
static int say_bye(ecrdt_txn *t, struct bucket *bk, struct item_key *k) {
    struct buf full_key = {0};
    struct count c;
    int rc = read_entry(t, k, &c, &full_key);
    if (rc == 1 && item_live(&t->before))
        rc = write_entry(t, bk, k, true, KIND_COUNT | KIND_BYE, &c, &full_key);
    buf_free(&full_key);
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}

static int bye_in_items(ecrdt_txn *t, struct bucket *bk, struct items *c,
                        const uint8_t me[ORIGIN_SIZE]) {
    uint8_t from[BUCKET_PREFIX];
    slice key = item_key_prefix(from, bk->id), rec;
    int rc;
    for (rc = items_seek(c, &key, &rec); rc == 1 && item_key_in(key, bk->id);
         rc = items_next(c, &key, &rec)) {
        struct item_parts p;
        struct item_key k;
        slice id = item_key_id_of(key);
        if (!item_id_parse(id, &p))
            return txn_corrupt(t, "an item id");
        if (p.tag != TAG_ENTRY || !slice_eq(p.sub, slice_of(me, ORIGIN_SIZE)))
            continue;
        item_key_set(&k, bk->id, id, p.k_len);
        rc = say_bye(t, bk, &k);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : ECRDT_OK;
}

/* All counters of a bucket that this store has an entry of. */
static int bye_in_bucket(void *ctx, const char *name) {
    ecrdt_txn *t = ctx;
    struct bucket *bk;
    struct items c;
    uint8_t me[ORIGIN_SIZE];
    int rc = txn_bucket(t, name, false, &bk);
    if (rc < 0)
        return rc;
    const uint8_t *id = origin_id(t, bk->head.me);
    if (!id)
        return db_err(t->db);
    memcpy(me, id, sizeof me);
    rc = items_open(&c, t);
    if (rc < 0)
        return rc;
    rc = bye_in_items(t, bk, &c, me);
    items_close(&c);
    return rc;
}

/* The old incarnation's last events, its heads with them, then a new one: all
 * in one transaction, so that nothing counts behind the goodbye. */
static int retire(ecrdt_txn *t) {
    int rc = fold_right(t);
    if (rc == 1)
        return err_set(ECRDT_EINVAL,
                       "store %s is the heir of counters: name another one "
                       "('edgecrdt fold --claim' there) and restore or remove "
                       "this one without retiring it",
                       t->s->path);
    if (rc == 0)
        rc = replica_each_bucket(t, bye_in_bucket, t);
    if (rc == 0)
        rc = txn_flush(t);
    for (size_t i = 0; i < t->n_buckets && rc >= 0; i++)
        if (t->buckets[i]->head_dirty)
            rc = head_save(t, t->buckets[i]);
    return rc < 0 ? rc : twin_renew(t);
}

int ecrdt_retire(ecrdt_store *s) {
    ecrdt_txn *t;
    int rc = store_check(s, "ecrdt_retire()");
    if (rc == ECRDT_OK)
        rc = replica_begin(s, true, s->lock_timeout_ms, &t);
    if (rc < 0)
        return rc;
    rc = retire(t);
    if (rc == ECRDT_OK)
        return ecrdt_commit(t);
    ecrdt_abort(t);
    return rc;
}

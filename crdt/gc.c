/* gc.c: a pass over the tombs table: what is due is looked up without the
 * writer lock, then dropped under it, some tombs at a time. */
#include "crdt/gc.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/hlc.h"
#include "crdt/tombs.h"
#include "lib/alloc.h"
#include "lib/mutant.h"

enum { TOTAL_SIZE = 24 };
static const char total_key[] = "m.gc.total";

/* A tomb that is to go, or to be dated anew. */
struct due {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    struct tomb_row row;
    struct item_id id;
    bool redate;
};

struct gc_batch {
    struct due due[GC_BATCH];
    size_t n, most;                         /* most: that a step takes */
    char bucket[ECRDT_MAX_BUCKET_NAME + 1]; /* where the next one begins */
    struct buf at;
    bool cut; /* more remains behind it */
    uint64_t held, until_ms;
};

int gc_begin(struct gc *g, ecrdt_store *s, const struct gc_policy *policy) {
    *g = (struct gc){.s = s, .policy = *policy, .now_ms = os_wall_ms()};
    g->batch = alloc_zeroed(1, sizeof *g->batch);
    if (!g->batch)
        return ECRDT_ENOMEM;
    g->batch->most = GC_BATCH;
    return ECRDT_OK;
}

void gc_end(struct gc *g) {
    if (g->batch)
        buf_free(&g->batch->at);
    alloc_free(g->batch);
    buf_free(&g->at);
    g->batch = NULL;
}

/* ---- what is due ----------------------------------------------------------
 */

/* One walk over a bucket's rows. */
struct look {
    struct gc *g;
    ecrdt_txn *t;
    struct bucket *bk;
    struct db_cursor *rows;
};

static bool batch_full(const struct gc_batch *b) {
    return b->n >= b->most || os_mono_ms() >= b->until_ms;
}

static int is_covered(struct look *l, const struct tomb_row *row, slice id) {
    const struct gc_policy *p = &l->g->policy;
    const uint8_t *origin = origin_id(l->t, row->origin);
    if (!origin)
        return db_err(l->t->db);
    return !p->covered || p->covered(p->ctx, l->bk->name, id, origin, row->seq);
}

static void take(struct look *l, const struct tomb_row *row, slice id,
                 bool redate) {
    struct gc_batch *b = l->g->batch;
    struct due *d = &b->due[b->n++];
    memcpy(d->bucket, l->bk->name, sizeof d->bucket);
    d->row = *row;
    d->redate = redate;
    item_id_set(&d->id, id);
}

/* The next step goes on behind this row. */
static int stop_at(struct gc_batch *b, const struct bucket *bk, slice key) {
    memcpy(b->bucket, bk->name, sizeof b->bucket);
    buf_clear(&b->at);
    buf_put(&b->at, key.data, key.len);
    buf_put(&b->at, "", 1);
    b->cut = true;
    return b->at.err;
}

/* Rows of the future are of a clock that was ahead: they are dated anew, or
 * they would lie here for as long as it was. */
static int look_ahead(struct look *l, slice behind) {
    struct gc_batch *b = l->g->batch;
    uint8_t from[TOMB_KEY];
    struct tomb_row row = {.arrival_ms = l->g->now_ms + HLC_MAX_AHEAD_MS};
    slice key = tomb_key(from, l->bk->id, &row), id;
    int rc;
    key = slice_cmp(behind, key) > 0 ? behind : key;
    for (rc = db_cursor_seek(l->rows, &key, &id);
         rc == 1 && tomb_parse(key, l->bk->id, &row);
         rc = db_cursor_next(l->rows, &key, &id)) {
        if (batch_full(b))
            return stop_at(b, l->bk, key);
        take(l, &row, id, true);
    }
    return rc < 0 ? rc : ECRDT_OK;
}

/* From the given row on, oldest first, to the first that is too young. */
static int look_rows(struct look *l, slice from) {
    struct gc_batch *b = l->g->batch;
    struct tomb_row row;
    slice key = from, id;
    int rc;
    for (rc = db_cursor_seek(l->rows, &key, &id);
         rc == 1 && tomb_parse(key, l->bk->id, &row) &&
         gc_outlived(row.arrival_ms, l->g->policy.retention_ms, l->g->now_ms);
         rc = db_cursor_next(l->rows, &key, &id)) {
        if (id.len > ITEM_ID_MAX)
            return txn_corrupt(l->t, "the table of tombs");
        int yes = is_covered(l, &row, id);
        if (yes < 0)
            return yes;
        b->held += !yes;
        if (yes)
            take(l, &row, id, false);
        if (batch_full(b))
            return stop_at(b, l->bk, key);
    }
    return rc < 0 ? rc : look_ahead(l, from);
}

static int look_bucket(void *ctx, const char *name) {
    struct look *l = ctx;
    struct gc *g = l->g;
    int order = strcmp(name, g->bucket);
    if (order < 0 || g->batch->cut)
        return ECRDT_OK;
    int rc = txn_bucket(l->t, name, false, &l->bk);
    if (rc < 0)
        return rc;
    uint8_t b[BUCKET_PREFIX];
    slice first = item_key_prefix(b, l->bk->id);
    rc = db_cursor_open(l->t->db, DB_TOMBS, &l->rows);
    if (rc < 0)
        return rc;
    bool resume = order == 0 && g->at.len;
    rc = look_rows(l, resume ? buf_slice(&g->at) : first);
    db_cursor_close(l->rows);
    return rc;
}

static int look(struct gc *g) {
    struct gc_batch *b = g->batch;
    struct look l = {.g = g};
    b->n = 0;
    b->cut = false;
    b->held = 0;
    b->until_ms = os_mono_ms() + GC_TXN_MS;
    int rc = replica_begin(g->s, false, 0, &l.t);
    if (rc < 0)
        return rc;
    rc = replica_each_bucket(l.t, look_bucket, &l);
    ecrdt_abort(l.t);
    return rc;
}

/* ---- dropping it ----------------------------------------------------------
 */

int gc_total_read(ecrdt_txn *t, struct gc_total *out) {
    slice v;
    *out = (struct gc_total){0};
    int rc = db_get(t->db, DB_META, ecrdt_str(total_key), &v);
    if (rc <= 0)
        return rc;
    if (v.len != TOTAL_SIZE)
        return txn_corrupt(t, total_key);
    const uint8_t *p = v.data;
    *out = (struct gc_total){load64(p), load64(p + 8), load64(p + 16)};
    return 1;
}

static int total_add(ecrdt_txn *t, const struct gc_total *by) {
    struct gc_total sum;
    uint8_t b[TOTAL_SIZE];
    int rc = gc_total_read(t, &sum);
    if (rc < 0)
        return rc;
    store64(b, sum.dropped + by->dropped);
    store64(b + 8, sum.bytes + by->bytes);
    store64(b + 16, by->last_ms);
    buf_clear(&t->rec);
    buf_put(&t->rec, b, sizeof b);
    return db_put(t->db, DB_META, ecrdt_str(total_key), &t->rec);
}

/* What one write transaction does. */
struct drop {
    ecrdt_txn *t;
    struct bucket *bk;
    struct vv floor; /* of bk, to be raised */
    struct gc_total did;
};

static int raise_floor(struct drop *d) {
    int rc = ECRDT_OK;
    if (d->bk && !MUTANT(gcfloor))
        rc = clocks_raise_all(d->t, d->bk, CLOCK_FLOOR, &d->floor);
    vv_free(&d->floor);
    return rc;
}

static size_t record_size(ecrdt_txn *t, const struct item *it) {
    buf_clear(&t->payload);
    if (it->n)
        item_encode(&t->payload, it);
    return t->payload.len;
}

/* The item without the tomb, or with it dated anew. */
static int put_rest(struct drop *d, struct item_key *k, const struct due *x) {
    ecrdt_txn *t = d->t;
    size_t was = record_size(t, &t->before);
    t->after.n = 0;
    for (size_t i = 0; i < t->before.n; i++) {
        bool it = t->before.ev[i].origin == x->row.origin;
        if (it && !x->redate)
            continue;
        struct event *slot = item_add(&t->after);
        if (!slot)
            return db_stick(t->db, ECRDT_ENOMEM);
        *slot = t->before.ev[i];
        if (it)
            slot->arrival_ms = 0;
    }
    if (!x->redate) {
        size_t is = record_size(t, &t->after);
        d->did.dropped++;
        d->did.bytes += was - is + TOMB_KEY + k->len;
    }
    return door_put(t, d->bk, k, true, &t->after, false);
}

/* Drops a tomb that is still there. */
static int drop_one(struct drop *d, const struct due *x) {
    struct item_parts parts;
    struct item_key k;
    slice id = item_id_slice(&x->id);
    if (!item_id_parse(id, &parts))
        return txn_corrupt(d->t, "the table of tombs");
    item_key_set(&k, d->bk->id, id, parts.k_len);
    int rc = door_find(d->t, &k);
    const struct event *e =
        rc == 1 ? item_of_origin(&d->t->before, x->row.origin) : NULL;
    if (!e || e->seq != x->row.seq || event_live(e))
        return rc < 0 ? rc : ECRDT_OK; /* superseded in between */
    const uint8_t *origin = origin_id(d->t, e->origin);
    if (!origin)
        return db_err(d->t->db);
    rc = x->redate ? ECRDT_OK : vv_raise(&d->floor, origin, e->seq, 0);
    return rc < 0 ? db_stick(d->t->db, rc) : put_rest(d, &k, x);
}

static int drop_all(struct drop *d, const struct gc_batch *b) {
    int rc = ECRDT_OK;
    for (size_t i = 0; i < b->n && rc >= 0; i++) {
        const struct due *x = &b->due[i];
        if (!d->bk || strcmp(d->bk->name, x->bucket) != 0) {
            rc = raise_floor(d);
            if (rc >= 0)
                rc = txn_bucket(d->t, x->bucket, false, &d->bk);
        }
        if (rc >= 0)
            rc = drop_one(d, x);
    }
    if (rc >= 0)
        rc = raise_floor(d);
    vv_free(&d->floor);
    d->did.last_ms = os_wall_ms();
    return rc < 0 ? rc : total_add(d->t, &d->did);
}

static int drop(struct gc *g, uint32_t lock_ms) {
    struct drop d = {0};
    int rc = replica_begin(g->s, true, lock_ms, &d.t);
    if (rc < 0)
        return rc;
    rc = drop_all(&d, g->batch);
    if (rc < 0) {
        ecrdt_abort(d.t);
        return rc;
    }
    rc = ecrdt_commit(d.t);
    if (rc == ECRDT_OK) {
        g->dropped += d.did.dropped;
        g->bytes += d.did.bytes;
    }
    return rc;
}

int gc_step(struct gc *g, uint32_t lock_ms) {
    struct gc_batch *b = g->batch;
    int rc = look(g);
    if (rc == ECRDT_OK && b->n)
        rc = drop(g, lock_ms);
    if (rc == ECRDT_EFULL && b->n > 1) {
        b->most = (b->n + 3) / 4; /* fewer pages fit into the reserve */
        return 1;
    }
    if (rc < 0)
        return rc;
    g->held += b->held;
    memcpy(g->bucket, b->bucket, sizeof g->bucket);
    buf_clear(&g->at);
    buf_put(&g->at, b->at.data, b->at.len);
    return g->at.err < 0 ? g->at.err : b->cut;
}

int gc_release(ecrdt_store *s, uint32_t lock_ms, uint64_t *from) {
    ecrdt_txn *t;
    if (db_bytes_held(s->db) < 2 * GC_KEEP_BYTES)
        return 0;
    int rc = replica_begin(s, true, lock_ms, &t);
    if (rc < 0)
        return rc;
    rc = db_release(s->db, GC_KEEP_BYTES, from);
    ecrdt_abort(t); /* it kept other writers away */
    return rc;
}

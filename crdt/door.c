/* door.c: what one changed item changes with it, and local events. */
#include "crdt/door.h"
#include "crdt/dotlog.h"
#include "crdt/hlc.h"
#include "crdt/keyhead.h"
#include "crdt/tombs.h"
#include "crdt/items.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/mutant.h"

int door_find(ecrdt_txn *t, struct item_key *k) {
    slice rec;
    int rc = items_find(t, t->items, k, &rec);
    t->before.n = 0;
    if (rc <= 0)
        return rc;
    rc = item_decode(&t->before, rec);
    if (rc == ECRDT_ECORRUPT)
        return txn_corrupt(t, "an item");
    return rc < 0 ? db_stick(t->db, rc) : 1;
}

int door_next(ecrdt_txn *t, const struct bucket *bk, slice from, slice hi,
              struct item_key *k) {
    struct item_key at;
    struct item_parts parts;
    item_key_set(&at, bk->id, from, 0);
    slice key = item_key_db(&at), rec;
    struct items w;
    w.t = t;
    w.c = t->items;
    int rc = items_seek(&w, &key, &rec);
    if (rc <= 0 || !item_key_in(key, bk->id))
        return rc < 0 ? rc : 0;
    slice id = item_key_id_of(key);
    if (hi.len && slice_cmp(id, hi) >= 0)
        return 0;
    if (!item_id_parse(id, &parts))
        return txn_corrupt(t, "an item id");
    item_key_set(k, bk->id, id, parts.k_len);
    return 1;
}

static void make_key(struct item_key *k, const struct bucket *bk, uint8_t tag,
                     slice key, slice elem) {
    item_key_make(k, bk->id, key, tag);
    if (tag == TAG_ELEMENT)
        item_key_element(k, elem);
}

int door_item(ecrdt_txn *t, const char *bucket, bool create, uint8_t tag,
              slice key, slice elem, struct bucket **bk, struct item_key *k) {
    int rc = txn_bucket(t, bucket, create, bk);
    if (rc <= 0)
        return rc;
    make_key(k, *bk, tag, key, elem);
    return door_find(t, k);
}

int door_record(ecrdt_txn *t, const char *bucket, uint8_t tag, slice key,
                slice elem, struct item_key *k, slice *rec) {
    struct bucket *bk;
    int rc = txn_read_bucket(t, bucket, &bk);
    if (rc <= 0)
        return rc;
    make_key(k, bk, tag, key, elem);
    return db_get(t->db, DB_ITEMS, item_key_db(k), rec);
}

int door_name(ecrdt_txn *t, const struct bucket *bk, slice id,
              const struct event *e, uint8_t e16[CRYPTO_E16]) {
    const uint8_t *origin = origin_id(t, e->origin);
    if (!origin)
        return db_err(t->db);
    int rc = event_e16(e16, bk->salt, origin, id, e, &t->scratch);
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}

typedef void digest_fn(uint8_t sum[16], const uint8_t e16[16]);

/* The bucket's digest gains or loses the live events that it has and other
 * has not. */
static int digest_only(ecrdt_txn *t, struct bucket *bk,
                       const struct item_key *k, const struct item *it,
                       const struct item *other, digest_fn *change) {
    for (size_t i = 0; i < it->n; i++) {
        const struct event *e = &it->ev[i];
        if (!event_live(e) || item_has(other, e))
            continue;
        uint8_t e16[CRYPTO_E16];
        int rc = e->e16 ? 0 : door_name(t, bk, item_key_id(k), e, e16);
        if (rc < 0)
            return rc;
        change(bk->head.digest, e->e16 ? e->e16 : e16);
    }
    return ECRDT_OK;
}

/* Adds (sign 1) or takes back (-1) what siblings count for the bucket. */
static void count_item(struct bucket_head *h, const struct item *it, int sign) {
    for (size_t i = 0; i < it->n; i++)
        if (!event_live(&it->ev[i]))
            h->tombs += (uint64_t)sign;
    if (item_live(it))
        h->live += (uint64_t)sign;
}

/* What the siblings mean for the bucket follows. */
static int account(ecrdt_txn *t, struct bucket *bk, const struct item_key *k,
                   const struct item *after) {
    const struct item *before = &t->before;
    count_item(&bk->head, before, -1);
    count_item(&bk->head, after, 1);
    bk->head_dirty = true;
    int rc = digest_only(t, bk, k, before, after, digest_sub);
    return rc < 0 ? rc : digest_only(t, bk, k, after, before, digest_add);
}

/* The key head, if the type has one, follows by value(after) - value(before);
 * *head is it, or NULL. */
static int account_key(ecrdt_txn *t, struct bucket *bk,
                       const struct item_key *k, const struct item *after,
                       struct keyhead **head) {
    const struct type *ty = type_of_tag(item_key_tag(k));
    INVARIANT(ty); /* made by us, or checked when it was received */
    *head = NULL;
    if (!ty->head_tag)
        return ECRDT_OK;
    struct item_shape shape = item_key_shape(k);
    struct reading was = {0}, is = {0};
    ty->read(shape, &t->before, &was);
    ty->read(shape, after, &is);
    struct item_key hk;
    item_key_head(&hk, k, ty->head_tag);
    struct keyhead *h = keyhead_edit(t, bk, &hk, item_full_key(shape, after));
    if (!h)
        return db_err(t->db);
    h->live += (uint64_t)(is.live - was.live);
    h->rows += (uint64_t)(after->n != 0) - (t->before.n != 0);
    h->total += is.total - was.total;
    if (is.bound > h->bound)
        h->bound = is.bound;
    h->dirty = t->pending = true;
    *head = h;
    return ECRDT_OK;
}

/* Encodes what the row is to hold. */
static int encode_row(ecrdt_txn *t, const struct item_key *k,
                      const struct item *after, bool alone) {
    buf_clear(&t->rec);
    int rc = alone && after->n
                 ? counter_row_begin(t, &t->rec, k, after->ev[0].origin)
                 : ECRDT_OK;
    if (rc < 0)
        return rc;
    item_encode(&t->rec, after);
    return t->rec.err ? db_stick(t->db, t->rec.err) : ECRDT_OK;
}

/* Puts the item's row, or takes it away; h is its key's head, or NULL. */
static int write_row(ecrdt_txn *t, struct item_key *k, bool found,
                     const struct item *after, struct keyhead *h) {
    struct item_key row;
    slice key = item_key_db(k);
    bool entry = item_key_tag(k) == TAG_ENTRY;
    /* The counter's row holds it, if no other entry is there. */
    bool alone = entry && !h->stored && h->rows == (after->n != 0);
    /* Encoded before anything is written: after borrows from the page. */
    int rc = encode_row(t, k, after, alone);
    if (rc == ECRDT_OK && entry && !alone && !h->stored)
        rc = keyhead_part(t, h);
    if (rc < 0)
        return rc;
    if (alone) {
        item_key_head(&row, k, TAG_COUNTER_HEAD);
        key = item_key_db(&row);
    }
    if (after->n)
        return db_cursor_put(t->items, key, &t->rec, found);
    return found ? db_cursor_del(t->items) : ECRDT_OK;
}

static int log_fresh(ecrdt_txn *t, struct bucket *bk, const struct item_key *k,
                     const struct item *after) {
    for (size_t i = 0; i < after->n; i++) {
        const struct event *e = &after->ev[i];
        int rc = e->fresh
                     ? dotlog_append(t, bk, e->origin, e->seq, item_key_id(k))
                     : ECRDT_OK;
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

int door_put(ecrdt_txn *t, struct bucket *bk, struct item_key *k, bool found,
             struct item *after, bool logged) {
    struct keyhead *h;
    tombs_date(after);
    int rc = account(t, bk, k, after);
    if (rc == ECRDT_OK)
        rc = account_key(t, bk, k, after, &h);
    if (rc < 0)
        return rc;
    db_charge(t->db, item_live(after)); /* a delete may use the reserve */
    rc = write_row(t, k, found, after, h);
    db_charge(t->db, false);
    if (rc >= 0)
        rc = tombs_follow(t, bk, k, &t->before, after);
    return rc < 0 || !logged ? rc : log_fresh(t, bk, k, after);
}

/* The clock of this transaction's events, the same for all of a bucket. */
static uint64_t txn_hlc(struct bucket *bk) {
    if (!bk->hlc_now) {
        bk->hlc_now = hlc_tick(bk->head.hlc, os_wall_ms());
        bk->head.hlc = bk->hlc_now;
    }
    return bk->hlc_now;
}

/* The event's dot: that of this transaction's earlier event on the item, if
 * there is one, for nobody has seen it yet; else the next one. */
static int take_dot(ecrdt_txn *t, struct bucket *bk, struct event *e) {
    const struct event *own = item_of_origin(&t->before, bk->head.me);
    e->origin = bk->head.me;
    if (own && own->seq > bk->head.seq)
        return txn_corrupt(t, "an item");
    if (own && own->seq > bk->seq_before) {
        e->seq = own->seq;
        return ECRDT_OK;
    }
    bool again = MUTANT(dupversion) && bk->head.seq > bk->seq_before;
    e->seq = again ? bk->head.seq : ++bk->head.seq;
    e->fresh = true;
    if (!again && !buf_extend(&bk->e16s, CRYPTO_E16))
        return db_stick(t->db, bk->e16s.err);
    return ECRDT_OK;
}

/* Gives a local event, but for its name complete, its e16. */
static int name_event(ecrdt_txn *t, struct bucket *bk, const struct item_key *k,
                      struct event *e) {
    uint8_t *e16 = bk->e16s.data + (e->seq - bk->seq_before - 1) * CRYPTO_E16;
    e->e16 = e16;
    return door_name(t, bk, item_key_id(k), e, e16);
}

int door_restate(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                 struct item *after, const struct event *w) {
    struct event e = {.kind = event_base(w),
                      .hlc = w->hlc,
                      .payload = w->payload,
                      .len = w->len};
    int rc = take_dot(t, bk, &e);
    if (rc == ECRDT_OK)
        rc = name_event(t, bk, k, &e);
    if (rc < 0)
        return rc;
    rc = item_append(after, &e);
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}

int door_local_at(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                  bool found, uint8_t kind, uint64_t hlc,
                  const struct payload *p) {
    struct event e = {.kind = kind, .hlc = hlc};
    int rc = take_dot(t, bk, &e);
    if (rc < 0)
        return rc;
    if (kind != KIND_TOMB) {
        payload_make(&t->payload, item_key_shape(k), p->key, p->elem, p->value);
        if (t->payload.err)
            return db_stick(t->db, t->payload.err);
        e.payload = t->payload.data;
        e.len = (uint32_t)t->payload.len;
    }
    rc = name_event(t, bk, k, &e);
    if (rc < 0)
        return rc;
    t->after.n = 0;
    struct event *slot = item_add(&t->after);
    if (!slot)
        return db_stick(t->db, ECRDT_ENOMEM);
    *slot = e;
    return door_put(t, bk, k, found, &t->after, true);
}

int door_local(ecrdt_txn *t, struct bucket *bk, struct item_key *k, bool found,
               uint8_t kind, slice full_key, slice elem, slice value) {
    struct payload p = {full_key, elem, value};
    return door_local_at(t, bk, k, found, kind, txn_hlc(bk), &p);
}

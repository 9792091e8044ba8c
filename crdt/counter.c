/* counter.c: operations and reading of counters. */
#include "crdt/counter.h"
#include "crdt/door.h"
#include "crdt/items.h"
#include "crdt/keyhead.h"
#include "lib/assert.h"
#include "lib/err.h"

bool count_decode(slice value, struct count *c) {
    const uint8_t *p = value.data, *end = p + value.len;
    uint64_t *field[4] = {&c->inc, &c->dec, &c->finc, &c->fdec};
    for (int i = 0; i < 4; i++) {
        size_t n = varint_get(p, end, field[i]);
        if (!n)
            return false;
        p += n;
    }
    return p == end && c->finc <= c->inc && c->fdec <= c->dec;
}

size_t count_encode(uint8_t out[4 * VARINT_MAX], const struct count *c) {
    size_t n = varint_put(out, c->inc);
    n += varint_put(out + n, c->dec);
    n += varint_put(out + n, c->finc);
    return n + varint_put(out + n, c->fdec);
}

static void raise_to(uint64_t *v, uint64_t by) {
    if (by > *v)
        *v = by;
}

void count_of(struct item_shape shape, const struct item *it, struct count *c) {
    *c = (struct count){0};
    for (size_t i = 0; i < it->n; i++) {
        const struct event *e = &it->ev[i];
        struct payload p;
        struct count one;
        if (event_base(e) != KIND_COUNT ||
            !payload_split(shape, slice_of(e->payload, e->len), &p) ||
            !count_decode(p.value, &one))
            continue;
        raise_to(&c->inc, one.inc);
        raise_to(&c->dec, one.dec);
        raise_to(&c->finc, one.finc);
        raise_to(&c->fdec, one.fdec);
    }
}

bool count_bye(const struct item *it) {
    for (size_t i = 0; i < it->n; i++)
        if (it->ev[i].kind & KIND_BYE)
            return true;
    return false;
}

static size_t merge(struct item_shape shape, const struct item *it,
                    uint8_t out[4 * VARINT_MAX], uint8_t *kind) {
    struct count c;
    count_of(shape, it, &c);
    *kind |= count_bye(it) ? KIND_BYE : 0;
    return count_encode(out, &c);
}

static bool check(slice value) {
    struct count c;
    return count_decode(value, &c);
}

static wide value_of(const struct count *c) {
    return ((wide)c->inc - c->finc) - ((wide)c->dec - c->fdec);
}

static void read_entry(struct item_shape shape, const struct item *it,
                       struct reading *out) {
    struct count c;
    count_of(shape, it, &c);
    out->live = item_live(it);
    out->total = value_of(&c);
    out->bound = c.inc > c.dec ? c.inc : c.dec;
}

const struct type type_entry = {.tag = TAG_ENTRY,
                                .head_tag = TAG_COUNTER_HEAD,
                                .pub = ECRDT_COUNTER,
                                .live_kind = KIND_COUNT,
                                .name = "counter entry",
                                .check = check,
                                .merge = merge,
                                .read = read_entry};

static int out_of_range(slice key, int64_t by) {
    return err_set(ECRDT_ERANGE,
                   "cannot add %lld to the counter '%.*s': its value would "
                   "leave the range of int64",
                   (long long)by, (int)(key.len < 64 ? key.len : 64),
                   (const char *)key.data);
}

/* Id of this store's own entry of the counter whose head is hk. */
static int own_entry(ecrdt_txn *t, const struct bucket *bk,
                     const struct item_key *hk, struct item_key *k) {
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    item_key_head(k, hk, TAG_ENTRY);
    item_key_origin(k, me);
    return ECRDT_OK;
}

/* Can inc and dec of this store's entry take the adds that wait and one more
 * of amount? The head's bound says so at once, but for giant totals. */
static int room_for(ecrdt_txn *t, const struct keyhead *h,
                    const struct item_key *hk, uint64_t inc, uint64_t dec) {
    uint64_t a = h->bound, b = h->bound;
    if (add_u64(&a, inc) && add_u64(&b, dec))
        return 1;
    struct item_key k;
    int rc = own_entry(t, h->bk, hk, &k);
    if (rc == ECRDT_OK)
        rc = door_find(t, &k);
    if (rc < 0)
        return rc;
    struct count c;
    count_of(item_key_shape(&k), &t->before, &c);
    return add_u64(&c.inc, inc) && add_u64(&c.dec, dec);
}

/* The head of a counter for changing it; NULL with *rc < 0, or 0 without the
 * bucket (create: made). */
static struct keyhead *edit_head(ecrdt_txn *t, const char *bucket, bool create,
                                 slice key, struct item_key *hk, int *rc) {
    struct bucket *bk;
    *rc = txn_bucket(t, bucket, create, &bk);
    if (*rc <= 0)
        return NULL;
    item_key_make(hk, bk->id, key, TAG_COUNTER_HEAD);
    slice whole = key.len > KEY_RAW_MAX ? key : slice_of(NULL, 0);
    struct keyhead *h = keyhead_edit(t, bk, hk, whole);
    if (!h)
        *rc = db_err(t->db);
    return h;
}

/* Adds by to sums and total if they can take it: 1, 0 out of range, < 0. */
static int sum_up(ecrdt_txn *t, const struct keyhead *h,
                  const struct item_key *hk, int64_t by,
                  struct counter_sum *s) {
    struct counter_sum next = {s->total + by, s->inc, s->dec};
    bool fits = by < 0 ? add_u64(&next.dec, 0 - (uint64_t)by)
                       : add_u64(&next.inc, (uint64_t)by);
    if (!fits || next.total > INT64_MAX || next.total < INT64_MIN)
        return 0;
    int rc = room_for(t, h, hk, next.inc, next.dec);
    if (rc == 1)
        *s = next;
    return rc;
}

int counter_add(ecrdt_txn *t, const char *bucket, slice key, int64_t by,
                int64_t *now) {
    int rc;
    struct item_key hk;
    struct keyhead *h = edit_head(t, bucket, true, key, &hk, &rc);
    if (!h || (!h->count_dirty && (rc = txn_take_room(t, key.len)) < 0))
        return rc;
    struct counter_sum s = {keyhead_total(h), h->inc, h->dec};
    rc = sum_up(t, h, &hk, by, &s);
    if (rc <= 0)
        return rc < 0 ? rc : out_of_range(key, by);
    h->inc = s.inc;
    h->dec = s.dec;
    h->count_dirty = t->pending = true;
    if (now)
        *now = (int64_t)s.total;
    return ECRDT_OK;
}

int counter_plan(ecrdt_txn *t, const ecrdt_op *op, uint64_t batch) {
    int rc;
    struct item_key hk;
    bool adds = op->op == ECRDT_OP_COUNTER_ADD;
    struct keyhead *h = edit_head(t, op->bucket, adds, op->key, &hk, &rc);
    if (!h)
        return rc;
    if (h->plan_batch != batch) {
        h->plan_batch = batch;
        h->plan = (struct counter_sum){keyhead_total(h), h->inc, h->dec};
    }
    if (!adds) {
        h->plan.total = 0; /* inc and dec stay: a reset raises the floors */
        return ECRDT_OK;
    }
    rc = sum_up(t, h, &hk, op->num, &h->plan);
    return rc == 0 ? out_of_range(op->key, op->num) : rc < 0 ? rc : ECRDT_OK;
}

/* The value of a counter whose row holds its only entry in the usual form: 1,
 * 0 if it is not so simple. */
static int sole_value(slice row, struct keyhead_view *v) {
    struct count c;
    slice value = item_plain(row, KIND_COUNT);
    if (!value.data || !count_decode(value, &c))
        return 0;
    v->total = value_of(&c);
    return 1;
}

/* What a reader has no table of heads for: one look. */
static int look(ecrdt_txn *t, const char *bucket, slice key,
                struct keyhead_view *v) {
    struct bucket *bk;
    struct item_key k;
    slice row;
    if (t->keyheads || key.len > KEY_RAW_MAX)
        return keyhead_of(t, bucket, key, TAG_COUNTER_HEAD, v);
    int rc = txn_read_bucket(t, bucket, &bk);
    if (rc <= 0)
        return rc;
    item_key_make(&k, bk->id, key, TAG_COUNTER_HEAD);
    rc = db_get(t->db, DB_ITEMS, item_key_db(&k), &row);
    if (rc == 1 && !sole_value(row, v))
        rc = keyhead_counter(t, item_head_shape(item_key_db(&k)), row, v);
    return rc == 0 ? keyhead_read(t, &k, v) : rc;
}

int counter_get(ecrdt_txn *t, const char *bucket, slice key, int64_t *now) {
    struct keyhead_view v;
    *now = 0;
    int rc = look(t, bucket, key, &v);
    if (rc <= 0)
        return rc;
    *now = v.total > INT64_MAX   ? INT64_MAX
           : v.total < INT64_MIN ? INT64_MIN
                                 : (int64_t)v.total;
    if (*now == v.total)
        return 1;
    return err_set(ECRDT_ERANGE,
                   "the counter '%.*s' is out of int64: concurrent adds of "
                   "several replicas took it there; reset it",
                   (int)(key.len < 64 ? key.len : 64), (const char *)key.data);
}

/* One event for all adds of the transaction to one counter. */
static int flush_one(ecrdt_txn *t, struct keyhead *h) {
    struct item_key hk, k;
    keyhead_key(h, &hk);
    int rc = own_entry(t, h->bk, &hk, &k);
    if (rc < 0)
        return rc;
    int found = door_find(t, &k);
    if (found < 0)
        return found;
    struct count c;
    count_of(item_key_shape(&k), &t->before, &c);
    bool fits = add_u64(&c.inc, h->inc) && add_u64(&c.dec, h->dec);
    INVARIANT(fits); /* room_for() each of them */
    uint8_t value[4 * VARINT_MAX];
    size_t n = count_encode(value, &c);
    h->count_dirty = false; /* the door adds the difference to the total */
    h->inc = h->dec = 0;
    return door_local(t, h->bk, &k, found, KIND_COUNT, buf_slice(&h->full_key),
                      slice_of(NULL, 0), slice_of(value, n));
}

int counter_flush(ecrdt_txn *t) {
    return keyhead_each_waiting(t, flush_one);
}

/* Takes back what one entry, found by the cursor, holds. */
static int reset_entry(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                       slice key) {
    int found = door_find(t, k);
    if (found < 0)
        return found;
    struct count c;
    count_of(item_key_shape(k), &t->before, &c);
    if (c.inc == c.finc && c.dec == c.fdec)
        return ECRDT_OK;
    c.finc = c.inc;
    c.fdec = c.dec;
    uint8_t value[4 * VARINT_MAX];
    size_t n = count_encode(value, &c);
    uint8_t kind = KIND_COUNT | (count_bye(&t->before) ? KIND_BYE : 0);
    return door_local(t, bk, k, true, kind, key, slice_of(NULL, 0),
                      slice_of(value, n));
}

int counter_reset(ecrdt_txn *t, const char *bucket, slice key) {
    struct bucket *bk;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc;
    rc = counter_flush(t);
    if (rc < 0)
        return rc;
    struct item_key k, first;
    item_key_make(&first, bk->id, key, TAG_ENTRY);
    slice prefix = item_key_db(&first), at = prefix, rec;
    struct items w;
    w.t = t;
    w.c = t->items;
    for (rc = items_seek(&w, &at, &rec); rc == 1 && slice_starts(at, prefix);
         rc = items_next(&w, &at, &rec)) {
        slice id = item_key_id_of(at);
        if (id.len != (size_t)first.k_len + 1 + ORIGIN_SIZE)
            return txn_corrupt(t, "an item id");
        item_key_set(&k, bk->id, id, first.k_len);
        rc = reset_entry(t, bk, &k, key);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : ECRDT_OK;
}

/* api_iter.c: ordered iteration of keys, elements and siblings. An iterator
 * keeps no place in the store but the id to go on from, so it survives
 * writes, and in an auto handle no snapshot is held between steps. */
#include "crdt/iter.h"
#include "crdt/keyhead.h"
#include "crdt/event.h"
#include "crdt/register.h"
#include "crdt/step.h"
#include "lib/alloc.h"
#include "lib/err.h"

enum iter_kind { ITER_KEYS, ITER_ELEMS, ITER_SIBLINGS };

struct ecrdt_iter {
    ecrdt_iter *next;
    ecrdt_txn *t;
    enum iter_kind kind;
    unsigned types;
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    bool absent;             /* no such bucket or key: nothing to give */
    struct item_key first;   /* all rows begin with these bytes */
    struct item_key at;      /* go on from this id in the items, */
    struct item_key at_head; /* and from this one in the key heads */
    struct buf prefix;       /* the caller's, to filter long ones */
    struct buf key, val;     /* memory of the row handed out */
    struct item sibs;        /* ITER_SIBLINGS: borrowing from rec */
    struct buf rec;
    size_t sib;
};

static void iter_free(ecrdt_iter *it) {
    buf_free(&it->prefix);
    buf_free(&it->key);
    buf_free(&it->val);
    buf_free(&it->rec);
    item_free(&it->sibs);
    alloc_free(it);
}

void iter_close_all(ecrdt_txn *t) {
    while (t->iters) {
        ecrdt_iter *it = t->iters;
        t->iters = it->next;
        iter_free(it);
    }
}

void ecrdt_iter_close(ecrdt_iter *it) {
    if (!it)
        return;
    for (ecrdt_iter **p = &it->t->iters; *p; p = &(*p)->next)
        if (*p == it) {
            *p = it->next;
            break;
        }
    iter_free(it);
}

static ecrdt_iter *iter_new(ecrdt_txn *t, enum iter_kind kind,
                            const char *bucket, slice prefix) {
    ecrdt_iter *it = alloc_zeroed(1, sizeof *it);
    if (!it)
        return NULL;
    it->t = t;
    it->kind = kind;
    strncpy(it->bucket, bucket ? bucket : "", ECRDT_MAX_BUCKET_NAME);
    buf_put(&it->prefix, prefix.data, prefix.len);
    if (it->prefix.err) {
        iter_free(it);
        return NULL;
    }
    it->next = t->iters;
    t->iters = it;
    return it;
}

/* ---- rows -----------------------------------------------------------------
 */

/* Go on behind all ids of this K with a tag up to tag. */
static void skip_tag(struct item_key *at, slice key, uint16_t k_len,
                     uint8_t tag) {
    item_key_set(at, item_key_bucket(key), item_key_id_of(key), k_len);
    item_key_retag(at, (uint8_t)(tag + 1));
}

static void skip_id(struct item_key *at, slice key) {
    item_key_set(at, item_key_bucket(key), item_key_id_of(key), 0);
    at->b[at->len++] = 0;
}

static int64_t clamp(wide v) {
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

/* Hands out a key; false if it does not begin with the caller's prefix. */
static bool give_key(ecrdt_iter *it, slice key, ecrdt_entry *e) {
    if (!slice_starts(key, buf_slice(&it->prefix)))
        return false;
    buf_clear(&it->key);
    buf_put(&it->key, key.data, key.len);
    e->key = buf_slice(&it->key);
    return true;
}

static slice whole_key(const struct item_parts *p, slice full) {
    return p->shape.key_hashed ? full : slice_of(p->key, p->key_len);
}

static int register_row(ecrdt_iter *it, ecrdt_txn *t,
                        const struct item_parts *p, slice rec, ecrdt_entry *e) {
    int rc = register_order(t, rec, &t->before);
    if (rc < 0 || t->before.n == 0)
        return rc;
    const struct event *ev = &t->before.ev[0];
    struct payload pl;
    if (!payload_split(p->shape, slice_of(ev->payload, ev->len), &pl))
        return txn_corrupt(t, "an item");
    if (!give_key(it, whole_key(p, pl.key), e))
        return 0;
    e->type = ECRDT_REG;
    e->val = pl.value;
    rc = event_stamp(t, ev, &e->who);
    return rc < 0 ? rc : 1;
}

/* A row for the key that a head stands for. */
static int head_row(ecrdt_iter *it, const struct item_parts *p,
                    const struct keyhead_view *v, ecrdt_entry *e) {
    bool set = p->tag == TAG_SET_HEAD;
    if (!give_key(it, whole_key(p, v->full_key), e))
        return 0;
    e->type = set ? ECRDT_SET : ECRDT_COUNTER;
    e->num = set ? (int64_t)v->live : clamp(v->total);
    return 1;
}

static int set_row(ecrdt_iter *it, ecrdt_txn *t, const struct item_parts *p,
                   slice rec, ecrdt_entry *e) {
    struct keyhead_view v;
    if (!keyhead_decode(TAG_SET_HEAD, rec, &v))
        return txn_corrupt(t, "a key head");
    return head_row(it, p, &v, e);
}

static int counter_row(ecrdt_iter *it, ecrdt_txn *t, const struct item_parts *p,
                       slice row, ecrdt_entry *e) {
    struct keyhead_view v;
    int rc = keyhead_counter(t, p->shape, row, &v);
    return rc <= 0 ? rc : head_row(it, p, &v, e);
}

/* The first row of c at or behind *at, if it is one of the iterator's: 1, 0. */
static int seek_row(const ecrdt_iter *it, struct db_cursor *c,
                    const struct item_key *at, slice *key, slice *rec) {
    *key = item_key_db(at);
    int rc = db_cursor_seek(c, key, rec);
    if (rc == 1 && (key->len <= BUCKET_PREFIX ||
                    !slice_starts(*key, item_key_db(&it->first))))
        rc = 0;
    return rc;
}

/* The next register or counter among the items, as far as the iterator wants
 * them; elements are jumped over. */
static int seek_item(ecrdt_iter *it, ecrdt_txn *t, struct db_cursor *c,
                     struct item_parts *p, slice *key, slice *rec) {
    int rc;
    while ((rc = seek_row(it, c, &it->at, key, rec)) == 1) {
        if (!item_id_parse(item_key_id_of(*key), p))
            return txn_corrupt(t, "an item id");
        bool reg = p->tag == TAG_REGISTER;
        if (p->tag == TAG_ENTRY)
            return txn_corrupt(t, "the head of a counter"); /* it is lost */
        if (p->tag != TAG_ELEMENT &&
            it->types & (reg ? ECRDT_REG : ECRDT_COUNTER))
            return 1;
        skip_tag(&it->at, *key, p->k_len,
                 p->tag == TAG_COUNTER_HEAD ? TAG_ENTRY : p->tag);
    }
    return rc;
}

/* What ecrdt_keys() hands out for that row, and goes on behind it. */
static int item_row(ecrdt_iter *it, ecrdt_txn *t, const struct item_parts *p,
                    slice key, slice rec, ecrdt_entry *e) {
    if (p->tag == TAG_REGISTER) {
        skip_id(&it->at, key);
        return register_row(it, t, p, rec, e);
    }
    skip_tag(&it->at, key, p->k_len, TAG_ENTRY);
    return counter_row(it, t, p, rec, e);
}

/* Rows of ecrdt_keys(): registers and counters from the items, sets from
 * their heads, merged by id. */
static int key_rows(ecrdt_iter *it, ecrdt_txn *t, struct db_cursor *items,
                    struct db_cursor *heads, ecrdt_entry *e) {
    for (int rc = 0; rc == 0;) {
        struct item_parts item, head;
        slice ikey, irec, hkey, hrec;
        int i = it->types == ECRDT_SET
                    ? 0
                    : seek_item(it, t, items, &item, &ikey, &irec);
        int h = !(it->types & ECRDT_SET)
                    ? 0
                    : seek_row(it, heads, &it->at_head, &hkey, &hrec);
        if (i < 0 || h < 0 || (!i && !h))
            return i < 0 ? i : h;
        if (i && (!h || slice_cmp(ikey, hkey) < 0)) {
            rc = item_row(it, t, &item, ikey, irec, e);
        } else {
            if (!item_id_parse(item_key_id_of(hkey), &head))
                return txn_corrupt(t, "a key head");
            skip_id(&it->at_head, hkey);
            rc = set_row(it, t, &head, hrec, e);
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int elem_row(ecrdt_iter *it, ecrdt_txn *t, slice key, slice rec,
                    ecrdt_entry *e) {
    struct item_parts p;
    struct payload pl = {0};
    if (!item_id_parse(item_key_id_of(key), &p))
        return txn_corrupt(t, "an item id");
    skip_id(&it->at, key);
    if (item_decode(&t->before, rec) < 0)
        return txn_corrupt(t, "an item");
    const struct event *live = NULL;
    for (size_t i = 0; i < t->before.n && !live; i++)
        if (event_live(&t->before.ev[i]))
            live = &t->before.ev[i];
    if (!live)
        return 0;
    if (!payload_split(p.shape, slice_of(live->payload, live->len), &pl))
        return txn_corrupt(t, "an item");
    slice elem = p.shape.elem_hashed ? pl.elem : p.sub;
    if (!slice_starts(elem, buf_slice(&it->prefix)))
        return 0;
    e->key = buf_slice(&it->key);
    e->val = elem;
    e->type = ECRDT_SET;
    return 1;
}

static int elem_rows(ecrdt_iter *it, ecrdt_txn *t, struct db_cursor *items,
                     ecrdt_entry *e) {
    slice key, rec;
    int rc;
    while ((rc = seek_row(it, items, &it->at, &key, &rec)) == 1) {
        rc = elem_row(it, t, key, rec, e);
        if (rc)
            return rc;
    }
    return rc;
}

static int next_row(ecrdt_iter *it, ecrdt_txn *t, ecrdt_entry *e) {
    struct db_cursor *items, *heads = NULL;
    int rc = db_cursor_open(t->db, DB_ITEMS, &items);
    if (rc < 0)
        return rc;
    if (it->kind == ITER_KEYS)
        rc = db_cursor_open(t->db, DB_KEYS, &heads);
    if (rc == ECRDT_OK)
        rc = heads ? key_rows(it, t, items, heads, e)
                   : elem_rows(it, t, items, e);
    db_cursor_close(heads);
    db_cursor_close(items);
    return rc;
}

static int next_sibling(ecrdt_iter *it, ecrdt_txn *t, ecrdt_entry *e) {
    if (it->sib == it->sibs.n)
        return 0;
    const struct event *ev = &it->sibs.ev[it->sib++];
    struct payload pl;
    if (!payload_split(item_key_shape(&it->first),
                       slice_of(ev->payload, ev->len), &pl))
        return txn_corrupt(t, "an item");
    e->key = buf_slice(&it->key);
    e->val = pl.value;
    e->type = ECRDT_REG;
    int rc = event_stamp(t, ev, &e->who);
    return rc < 0 ? rc : 1;
}

/* The bucket's number; an absent bucket gives an iterator without rows. */
static int iter_bucket(ecrdt_iter *it, ecrdt_txn *t, const char *bucket,
                       uint32_t *id) {
    struct bucket *bk;
    int rc = txn_bucket(t, bucket, false, &bk);
    it->absent = rc != 1;
    *id = rc == 1 ? bk->id : 0;
    return rc < 0 ? rc : ECRDT_OK;
}

/* A bucket that came to be since the iterator was opened. */
static int look_again(ecrdt_iter *it, ecrdt_txn *t) {
    uint32_t id;
    int rc = iter_bucket(it, t, it->bucket, &id);
    if (rc == ECRDT_OK && !it->absent) {
        item_key_prefix(it->first.b, id);
        item_key_prefix(it->at.b, id);
        item_key_prefix(it->at_head.b, id);
    }
    return rc;
}

int ecrdt_next(ecrdt_iter *it, ecrdt_entry *e) {
    if (!it)
        return err_null("ecrdt_next()");
    struct step st;
    int rc = step_begin(it->t, false, "ecrdt_next()", &st);
    if (rc < 0)
        return rc;
    rc = check_out(e, "ecrdt_next()");
    if (rc == ECRDT_OK)
        rc = txn_flush(st.t);
    if (rc == ECRDT_OK && it->absent && it->kind != ITER_SIBLINGS)
        rc = look_again(it, st.t);
    if (rc == ECRDT_OK && !it->absent) {
        *e = (ecrdt_entry){0};
        rc = it->kind == ITER_SIBLINGS ? next_sibling(it, st.t, e)
                                       : next_row(it, st.t, e);
    }
    if (rc == 1 && it->t->mode == TXN_AUTO && it->kind != ITER_SIBLINGS) {
        buf_clear(&it->val);
        buf_put(&it->val, e->val.data, e->val.len);
        e->val = buf_slice(&it->val);
        rc = it->val.err ? it->val.err : 1;
    }
    return step_end(&st, rc);
}

/* ---- opening and seeking --------------------------------------------------
 */

/* Frame of the opening calls: frees the iterator when fn fails. */
static ecrdt_iter *iter_open(ecrdt_iter *it, struct step *st, int rc) {
    if (it && rc >= 0)
        it->at = it->at_head = it->first;
    rc = step_end(st, it ? rc : ECRDT_ENOMEM);
    if (it && rc < 0) {
        ecrdt_iter_close(it);
        return NULL;
    }
    return it;
}

ecrdt_iter *ecrdt_keys(ecrdt_txn *t, const char *bucket, ecrdt_slice prefix,
                       unsigned types) {
    struct step st;
    if (step_begin(t, false, "ecrdt_keys()", &st) < 0)
        return NULL;
    int rc = prefix.len ? check_key(prefix) : ECRDT_OK;
    if (rc == ECRDT_OK && (!types || (types & ~(unsigned)ECRDT_ANY)))
        rc = err_set(ECRDT_EINVAL,
                     "ecrdt_keys(): types 0x%x is not made of "
                     "ECRDT_REG, ECRDT_SET and ECRDT_COUNTER",
                     types);
    if (rc < 0) {
        step_end(&st, rc);
        return NULL;
    }
    uint32_t id = 0;
    ecrdt_iter *it = iter_new(t, ITER_KEYS, bucket, prefix);
    if (it) {
        it->types = types;
        rc = iter_bucket(it, st.t, bucket, &id);
        item_key_prefix(it->first.b, id);
        it->first.len =
            (uint16_t)(BUCKET_PREFIX +
                       key_prefix(it->first.b + BUCKET_PREFIX, prefix));
    }
    return iter_open(it, &st, rc);
}

ecrdt_iter *ecrdt_elems(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                        ecrdt_slice prefix) {
    struct step st;
    if (step_begin(t, false, "ecrdt_elems()", &st) < 0)
        return NULL;
    int rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = check_elem(prefix);
    if (rc < 0) {
        step_end(&st, rc);
        return NULL;
    }
    uint32_t id = 0;
    ecrdt_iter *it = iter_new(t, ITER_ELEMS, bucket, prefix);
    if (it) {
        rc = iter_bucket(it, st.t, bucket, &id);
        item_key_make(&it->first, id, key, TAG_ELEMENT);
        size_t raw = prefix.len < ELEM_RAW_MAX ? prefix.len : ELEM_RAW_MAX;
        item_key_element(&it->first, slice_of(prefix.data, raw));
        buf_put(&it->key, key.data, key.len);
        rc = rc < 0 ? rc : it->key.err;
    }
    return iter_open(it, &st, rc);
}

/* Copies the record, so that the rows outlive writes and auto steps. */
static int load_siblings(ecrdt_iter *it, ecrdt_txn *t) {
    slice rec;
    int rc = db_get(t->db, DB_ITEMS, item_key_db(&it->first), &rec);
    if (rc <= 0)
        return rc;
    buf_put(&it->rec, rec.data, rec.len);
    if (it->rec.err)
        return it->rec.err;
    return register_order(t, buf_slice(&it->rec), &it->sibs);
}

ecrdt_iter *ecrdt_reg_siblings(ecrdt_txn *t, const char *bucket,
                               ecrdt_slice key) {
    struct step st;
    if (step_begin(t, false, "ecrdt_reg_siblings()", &st) < 0)
        return NULL;
    int rc = check_key(key);
    if (rc < 0) {
        step_end(&st, rc);
        return NULL;
    }
    uint32_t id = 0;
    ecrdt_iter *it = iter_new(t, ITER_SIBLINGS, bucket, slice_of(NULL, 0));
    if (it) {
        rc = iter_bucket(it, st.t, bucket, &id);
        item_key_make(&it->first, id, key, TAG_REGISTER);
        buf_put(&it->key, key.data, key.len);
        rc = rc < 0 ? rc : it->key.err;
        if (rc == ECRDT_OK && !it->absent)
            rc = load_siblings(it, st.t);
    }
    return iter_open(it, &st, rc);
}

int ecrdt_seek(ecrdt_iter *it, ecrdt_slice at) {
    if (!it)
        return err_null("ecrdt_seek()");
    int rc = store_check(it->t->s, "ecrdt_seek()");
    if (rc < 0)
        return rc;
    if (it->kind == ITER_SIBLINGS)
        return err_set(ECRDT_EINVAL, "ecrdt_seek() is not for siblings: there "
                                     "is no order to seek in");
    rc = it->kind == ITER_ELEMS ? check_elem(at)
         : at.len               ? check_key(at)
                                : ECRDT_OK;
    if (rc < 0)
        return rc;
    struct item_key to = it->first;
    if (it->kind == ITER_ELEMS) {
        item_key_retag(&to, TAG_ELEMENT);
        item_key_element(
            &to,
            slice_of(at.data, at.len < ELEM_RAW_MAX ? at.len : ELEM_RAW_MAX));
    } else if (at.len > 0 && at.len <= KEY_RAW_MAX) {
        item_key_make(&to, item_key_bucket(item_key_db(&it->first)), at, 0);
        to.len--; /* K alone: before all its tags */
    } else if (at.len) {
        to.len =
            (uint16_t)(BUCKET_PREFIX + key_prefix(to.b + BUCKET_PREFIX, at));
    }
    bool below = slice_cmp(item_key_db(&to), item_key_db(&it->first)) < 0;
    it->at = it->at_head = below ? it->first : to;
    return ECRDT_OK;
}

/* tombs.c: the rows of the tombs table, which the one door keeps in step with
 * the items. */
#include "crdt/tombs.h"

enum { ARRIVAL_BITS = 48 };

slice tomb_key(uint8_t b[TOMB_KEY], uint32_t bucket, const struct tomb_row *r) {
    uint8_t ms[8], *p = b + BUCKET_PREFIX;
    slice prefix = item_key_prefix(b, bucket);
    store64(ms, r->arrival_ms << (64 - ARRIVAL_BITS));
    memcpy(p, ms, ARRIVAL_BITS / 8);
    store32(p + 6, r->origin);
    store64(p + 10, r->seq);
    return slice_of(prefix.data, prefix.len + TOMB_REST);
}

bool tomb_parse(slice key, uint32_t bucket, struct tomb_row *out) {
    slice rest = key.len ? item_key_id_of(key) : key;
    const uint8_t *p = rest.data;
    if (rest.len != TOMB_REST || item_key_bucket(key) != bucket)
        return false;
    out->arrival_ms = load64(p) >> (64 - ARRIVAL_BITS);
    out->origin = load32(p + 6);
    out->seq = load64(p + 10);
    return true;
}

void tombs_date(struct item *after) {
    for (size_t i = 0; i < after->n; i++)
        if (!event_live(&after->ev[i]) && !after->ev[i].arrival_ms)
            after->ev[i].arrival_ms = os_wall_ms();
}

/* Is this tomb there, with the same date? */
static bool has_tomb(const struct item *it, const struct event *e) {
    const struct event *x = item_of_origin(it, e->origin);
    return x && x->seq == e->seq && !event_live(x) &&
           x->arrival_ms == e->arrival_ms;
}

static slice row_key(uint8_t b[TOMB_KEY], const struct bucket *bk,
                     const struct event *e) {
    struct tomb_row row = {e->arrival_ms, e->seq, e->origin};
    return tomb_key(b, bk->id, &row);
}

int tombs_follow(ecrdt_txn *t, const struct bucket *bk,
                 const struct item_key *k, const struct item *before,
                 const struct item *after) {
    uint8_t key[TOMB_KEY];
    int rc = ECRDT_OK;
    for (size_t i = 0; i < before->n && rc >= 0; i++) {
        const struct event *e = &before->ev[i];
        if (!event_live(e) && !has_tomb(after, e))
            rc = db_del(t->db, DB_TOMBS, row_key(key, bk, e));
    }
    for (size_t i = 0; i < after->n && rc >= 0; i++) {
        const struct event *e = &after->ev[i];
        if (event_live(e) || has_tomb(before, e))
            continue;
        slice id = item_key_id(k);
        buf_clear(&t->rec);
        buf_put(&t->rec, id.data, id.len);
        rc = db_put(t->db, DB_TOMBS, row_key(key, bk, e), &t->rec);
    }
    return rc < 0 ? rc : ECRDT_OK;
}

int tombs_oldest(ecrdt_txn *t, const struct bucket *bk, uint64_t *arrival_ms) {
    uint8_t from[BUCKET_PREFIX];
    struct tomb_row row;
    struct db_cursor *c;
    slice key = item_key_prefix(from, bk->id), id;
    int rc = db_cursor_open(t->db, DB_TOMBS, &c);
    if (rc < 0)
        return rc;
    rc = db_cursor_seek(c, &key, &id);
    if (rc == 1)
        rc = tomb_parse(key, bk->id, &row);
    if (rc == 1)
        *arrival_ms = row.arrival_ms;
    db_cursor_close(c);
    return rc;
}

/* register.c: operations and reading of registers. */
#include "crdt/register.h"
#include "crdt/door.h"
#include "crdt/event.h"

static bool check(slice value) {
    return value.len <= ECRDT_MAX_VALUE;
}

static void read_none(struct item_shape shape, const struct item *it,
                      struct reading *out) {
    (void)shape;
    (void)it;
    *out = (struct reading){0};
}

const struct type type_register = {.tag = TAG_REGISTER,
                                   .pub = ECRDT_REG,
                                   .live_kind = KIND_PUT,
                                   .name = "register",
                                   .check = check,
                                   .read = read_none};

static const slice nothing;

int register_set(ecrdt_txn *t, const char *bucket, slice key, slice value) {
    struct bucket *bk;
    struct item_key k;
    int found = txn_take_room(t, key.len + value.len);
    if (found == ECRDT_OK)
        found = door_item(t, bucket, true, TAG_REGISTER, key, nothing, &bk, &k);
    if (found < 0)
        return found;
    return door_local(t, bk, &k, found, KIND_PUT, key, nothing, value);
}

int register_del(ecrdt_txn *t, const char *bucket, slice key) {
    struct bucket *bk;
    struct item_key k;
    int found =
        door_item(t, bucket, false, TAG_REGISTER, key, nothing, &bk, &k);
    if (found <= 0 || !item_live(&t->before))
        return found < 0 ? found : 0;
    int rc = door_local(t, bk, &k, true, KIND_TOMB, key, nothing, nothing);
    return rc < 0 ? rc : 1;
}

/* The live sibling that is read: 1, 0 if there is none, < 0. */
static int winner(ecrdt_txn *t, slice rec, struct event *best) {
    struct event e;
    int rc, found = 0, err = 0;
    size_t first = 0;
    if (item_walk(rec, &first, best) == 1 && first == rec.len)
        return event_live(best); /* alone, nearly always */
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;)
        if (event_live(&e) &&
            (!found || event_compare(t, &e, best, &err) > 0)) {
            *best = e;
            found = 1;
        }
    if (rc < 0)
        return txn_corrupt(t, "an item");
    return err < 0 ? err : found;
}

int register_get(ecrdt_txn *t, const char *bucket, slice key, slice *value,
                 ecrdt_stamp *who) {
    struct item_key k;
    slice rec;
    int rc = door_record(t, bucket, TAG_REGISTER, key, nothing, &k, &rec);
    if (rc <= 0)
        return rc;
    slice plain = item_plain(rec, KIND_PUT);
    if (plain.data && !who && key.len <= KEY_RAW_MAX) {
        *value = plain;
        return 1;
    }
    struct event e;
    rc = winner(t, rec, &e);
    if (rc <= 0)
        return rc;
    struct payload p = {.value = slice_of(e.payload, e.len)};
    if (key.len > KEY_RAW_MAX &&
        !payload_split(item_key_shape(&k), p.value, &p))
        return txn_corrupt(t, "an item");
    *value = p.value;
    rc = who ? event_stamp(t, &e, who) : ECRDT_OK;
    return rc < 0 ? rc : 1;
}

int register_order(ecrdt_txn *t, slice rec, struct item *it) {
    struct event e;
    int rc, err = 0;
    it->n = 0;
    for (size_t at = 0; (rc = item_walk(rec, &at, &e)) == 1;) {
        if (!event_live(&e))
            continue;
        if (!item_add(it))
            return db_stick(t->db, ECRDT_ENOMEM);
        size_t i = it->n - 1;
        for (; i > 0 && event_compare(t, &e, &it->ev[i - 1], &err) > 0; i--)
            it->ev[i] = it->ev[i - 1];
        it->ev[i] = e;
    }
    if (rc < 0)
        return txn_corrupt(t, "an item");
    return err;
}

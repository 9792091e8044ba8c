/* event.c: the order of events, and their stamps. */
#include "crdt/event.h"
#include "crdt/hlc.h"
#include "lib/mutant.h"

int event_compare(ecrdt_txn *t, const struct event *a, const struct event *b,
                  int *err) {
    if (a->hlc != b->hlc)
        return a->hlc > b->hlc ? 1 : -1;
    if (MUTANT(tie))
        return (a->origin > b->origin) - (a->origin < b->origin);
    uint8_t id[ORIGIN_SIZE]; /* a look for the other may move it */
    const uint8_t *of = origin_id(t, a->origin);
    if (of)
        memcpy(id, of, sizeof id);
    of = of ? origin_id(t, b->origin) : NULL;
    if (!of) {
        *err = db_err(t->db);
        return 0;
    }
    int c = memcmp(id, of, ORIGIN_SIZE);
    return c ? c : (a->seq > b->seq) - (a->seq < b->seq);
}

int event_stamp(ecrdt_txn *t, const struct event *e, ecrdt_stamp *out) {
    const uint8_t *id = origin_id(t, e->origin);
    if (!id)
        return db_err(t->db);
    out->wall_ms = hlc_ms(e->hlc);
    out->logical = hlc_count(e->hlc);
    memcpy(out->by.b, id, sizeof out->by.b);
    return ECRDT_OK;
}

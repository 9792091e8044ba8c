/* merge.c: when an item's siblings are too many, and the event that stands for
 * them. */
#include "crdt/merge.h"
#include "crdt/door.h"
#include "crdt/event.h"
#include "lib/log.h"
#include "lib/mutant.h"
#include <stdio.h>

/* How many are live, and their bytes. */
static size_t weigh(const struct item *it, uint64_t *bytes) {
    size_t n = 0;
    *bytes = 0;
    for (size_t i = 0; i < it->n; i++) {
        n += event_live(&it->ev[i]);
        *bytes += it->ev[i].len;
    }
    return n;
}

/* Did a core with a lower id make one of them already? Then this one waits:
 * cores in lockstep would go on for ever. 1, 0, < 0. */
static int left_to_another(ecrdt_txn *t, const struct bucket *bk,
                           const struct item *it) {
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    for (size_t i = 0; i < it->n; i++) {
        if (!(it->ev[i].kind & KIND_MERGED))
            continue;
        const uint8_t *by = origin_id(t, it->ev[i].origin);
        if (!by)
            return db_err(t->db);
        if (memcmp(by, me, ORIGIN_SIZE) < 0 && !MUTANT(mergestorm))
            return 1;
    }
    return 0;
}

/* 1 if an event is to stand for the siblings of it, 0, < 0. */
static int is_due(ecrdt_txn *t, const struct bucket *bk,
                  const struct item *it) {
    uint64_t bytes;
    size_t live = weigh(it, &bytes);
    if (bytes > MERGE_BYTES)
        return 1;
    if (live <= MERGE_SIBLINGS || !atomic_load(&t->s->core))
        return 0;
    int rc = left_to_another(t, bk, it);
    return rc < 0 ? rc : !rc;
}

/* The live sibling that is read; NULL on an error (stuck). */
static const struct event *winner_of(ecrdt_txn *t, const struct item *it) {
    const struct event *best = NULL;
    int err = 0;
    for (size_t i = 0; i < it->n; i++)
        if (event_live(&it->ev[i]) &&
            (!best || event_compare(t, &it->ev[i], best, &err) > 0))
            best = &it->ev[i];
    return err < 0 ? NULL : best;
}

/* Names the losers by their dots: a line never holds a value. */
static void tell(ecrdt_txn *t, const struct bucket *bk, const struct item *it,
                 const struct event *winner) {
    char names[MERGE_NAMED * (2 * ORIGIN_SIZE + 24)] = "";
    size_t at = 0, named = 0;
    for (size_t i = 0; i < it->n && named < MERGE_NAMED; i++) {
        const uint8_t *id = origin_id(t, it->ev[i].origin);
        if (&it->ev[i] == winner || !event_live(&it->ev[i]) || !id)
            continue;
        for (size_t b = 0; b < ORIGIN_SIZE; b++)
            at += (size_t)snprintf(names + at, 3, "%02x", id[b]);
        at += (size_t)snprintf(names + at, sizeof names - at, ":%llu ",
                               (unsigned long long)it->ev[i].seq);
        named++;
    }
    log_line(ECRDT_LOG_WARN,
             "msg=\"many concurrent events of one item: the one that is read "
             "supersedes the others\" store=\"%s\" bucket=\"%s\" siblings=%zu "
             "losers=\"%s%s\"",
             log_text(t->s->path).s, log_text(bk->name).s, it->n, names,
             it->n - 1 > named ? "..." : "");
}

int merge_if_many(ecrdt_txn *t, struct bucket *bk, struct item_key *k) {
    if (t->after.n < 2)
        return ECRDT_OK;
    int rc = is_due(t, bk, &t->after);
    if (rc == 1)
        rc = door_find(t, k);
    if (rc <= 0)
        return rc;
    const struct item *it = &t->before;
    const struct event *winner = winner_of(t, it);
    const struct type *ty = type_of_tag(item_key_tag(k));
    if (!winner)
        return db_err(t->db);
    struct payload p;
    struct item_shape shape = item_key_shape(k);
    if (!payload_split(shape, slice_of(winner->payload, winner->len), &p))
        return txn_corrupt(t, "an item");
    uint8_t value[4 * VARINT_MAX], kind = ty->live_kind | KIND_MERGED;
    if (ty->merge)
        p.value = slice_of(value, ty->merge(shape, it, value, &kind));
    tell(t, bk, it, winner);
    return door_local_at(t, bk, k, true, kind, winner->hlc, &p);
}

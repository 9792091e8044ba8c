/* origins.c: the suite of a bucket that has heard of 10,000 origins, beside
 * one that knows its own alone. */
#include "bench/bench.h"
#include "crdt/chunk_codec.h"
#include "crdt/counter.h"
#include "crdt/hlc.h"
#include "crdt/keys.h"
#include "crdt/type.h"
#include "edgecrdt.h"
#include "lib/alloc.h"
#include <stdlib.h>
#include <string.h>

enum { ORIGINS = 10000, PUT_KEYS = 100000 };

static int by_origin(const void *a, const void *b) {
    return memcmp(a, b, ORIGIN_SIZE);
}

static int by_id(const void *a, const void *b) {
    const struct chunk_item *x = a, *y = b;
    return slice_cmp(x->id, y->id);
}

/* A part whose clock has one event of each of ORIGINS. */
static void clock_of_many(struct chunk *c) {
    struct vv *clk = &chunk_add_part(c)->clk;
    clk->e = alloc_zeroed(ORIGINS, sizeof *clk->e);
    c->origins = alloc_zeroed(ORIGINS, ORIGIN_SIZE);
    if (!clk->e || !c->origins)
        die("out of memory");
    clk->n = clk->cap = c->n_origins = ORIGINS;
    for (unsigned i = 0; i < ORIGINS; i++) {
        uint64_t id[2] = {mix(i), mix(i + ORIGINS)};
        memcpy(clk->e[i].origin, id, sizeof id);
        clk->e[i].seq = 1;
    }
    qsort(clk->e, ORIGINS, sizeof *clk->e, by_origin);
    for (unsigned i = 0; i < ORIGINS; i++)
        memcpy(c->origins[i], clk->e[i].origin, ORIGIN_SIZE);
}

/* Each of the origins has added 1 to the counter 0. */
static void hear_of_many(ecrdt_store *s) {
    static struct item_key key[ORIGINS];
    static struct chunk_item item[ORIGINS];
    static struct event event[ORIGINS];
    static uint8_t one[4 * VARINT_MAX];
    struct count count = {.inc = 1};
    uint32_t len = (uint32_t)count_encode(one, &count);
    struct chunk c = {.bucket = ecrdt_str("bench"),
                      .items = item,
                      .n_items = ORIGINS,
                      .events = event,
                      .n_events = ORIGINS};
    struct chunk_report r = {0};
    struct buf bytes = {0};
    uint8_t name[KEY_BYTES];
    key_of(name, 0);
    clock_of_many(&c);
    for (uint32_t i = 0; i < ORIGINS; i++) {
        item_key_make(&key[i], 0, slice_of(name, sizeof name), TAG_ENTRY);
        item_key_origin(&key[i], c.origins[i]);
        item[i] = (struct chunk_item){
            .id = item_key_id(&key[i]), .first = i, .count = 1};
        event[i] = (struct event){.origin = i,
                                  .seq = 1,
                                  .hlc = hlc_make(1000, 0),
                                  .kind = KIND_COUNT,
                                  .payload = one,
                                  .len = len};
    }
    qsort(item, ORIGINS, sizeof *item, by_id);
    c.parts->count = ORIGINS;
    chunk_encode(&bytes, &c);
    ecrdt_txn *t = ecrdt_write(s);
    if (!t || chunk_apply(t, buf_slice(&bytes), &r) < 0 ||
        r.applied != ORIGINS || ecrdt_commit(t) < 0)
        die("10,000 origins: %s", ecrdt_errmsg());
    c.items = NULL;
    c.events = NULL;
    chunk_free(&c);
    buf_free(&bytes);
}

static void *open_loaded(const char *name, bool many) {
    struct work puts = {PUT_KEYS, PUT_KEYS, 1000};
    struct work counters = {HOT_COUNTERS, HOT_COUNTERS, 1};
    void *db = ours.open(scratch(conf.mem, name), SYNC_NONE);
    ours.load[PUT](db, &puts);
    ours.load[INCREMENT](db, &counters);
    if (many)
        hear_of_many(ours_store(db));
    return db;
}

void suite_origins(void) {
    static const char group[] = "10,000 origins in a bucket, vs its own alone";
    struct times t;
    void *many = open_loaded("many", true), *one = open_loaded("one", false);
    struct side write[] = {{many, ours.write[PUT]}, {one, ours.write[PUT]}};
    race(write, 2, (struct work){.keys = PUT_KEYS, .batch = 100}, &t);
    row_race(group, "set, 100 per transaction", &t, 0, 1, AT_LEAST, 0.9);
    struct side add[] = {{many, ours.write[INCREMENT]},
                         {one, ours.write[INCREMENT]}};
    race(add, 2, (struct work){.keys = 1, .batch = 100}, &t);
    row_race(group, "increment of the counter of all", &t, 0, 1, AT_LEAST, 0.9);
    struct side count[] = {{many, ours.each[INCREMENT]},
                           {one, ours.each[INCREMENT]}};
    race(count, 2, (struct work){.keys = 1, .batch = 1}, &t);
    row_race(group, "read of that counter", &t, 0, 1, AT_LEAST, 0.5);
    ours.close(many);
    ours.close(one);
}

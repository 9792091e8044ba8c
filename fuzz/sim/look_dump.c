/* look_dump.c: clocks and items of all stores, for who reads a broken run. */
#include "fuzz/sim/cluster.h"
#include "crdt/clocks.h"
#include "crdt/items.h"

static void dump_vv(const char *what, const struct vv *v) {
    printf("      %s", what);
    for (size_t i = 0; i < v->n; i++)
        printf(" %08x:%llu:%04x", load32(v->e[i].origin),
               (unsigned long long)v->e[i].seq, (unsigned)(v->e[i].h & 0xffff));
    printf("\n");
}

/* The first bytes of an id, as far as they are text. */
static void dump_id(const char *what, slice id) {
    const uint8_t *b = id.data;
    printf("    %s \"", what);
    for (size_t i = 0; i < id.len && i < 9; i++)
        if (b[i] > 0x20 && b[i] < 0x7f)
            putchar(b[i]);
    printf("\" (%zu bytes)", id.len);
}

static void dump_siblings(ecrdt_txn *t, slice rec) {
    struct event e = {.origin = UINT32_MAX};
    for (size_t at = 0; item_walk(rec, &at, &e) == 1;) {
        const uint8_t *origin = origin_id(t, e.origin);
        printf(" %08x:%llu%s", origin ? load32(origin) : 0,
               (unsigned long long)e.seq, event_live(&e) ? "" : " (tomb)");
    }
}

static void dump_items(ecrdt_txn *t, const char *bucket) {
    struct bucket *bk;
    struct items w;
    uint8_t prefix[BUCKET_PREFIX];
    slice key, rec;
    if (txn_bucket(t, bucket, false, &bk) <= 0)
        return;
    key = item_key_prefix(prefix, bk->id);
    int rc = items_open(&w, t);
    for (rc = rc < 0 ? rc : items_seek(&w, &key, &rec);
         rc == 1 && item_key_in(key, bk->id); rc = items_next(&w, &key, &rec)) {
        struct item_parts p;
        slice id = item_key_id_of(key);
        dump_id(item_id_parse(id, &p) ? type_of_tag(p.tag)->name : "?", id);
        dump_siblings(t, rec);
        putchar('\n');
    }
    items_close(&w);
}

void look_dump(struct cluster *c, unsigned r) {
    static const char *const names[] = {"", ", holds a part"};
    ecrdt_txn *t;
    printf("store %u, origin %08x, knows %x\n", r, load32(c->r[r].me),
           c->r[r].knows);
    if (!c->r[r].s || replica_begin(c->r[r].s, false, 0, &t) < 0)
        return;
    for (unsigned b = 0; b < PLAN_BUCKETS; b++) {
        struct ranges rs = {0};
        struct vv floor = {0};
        replica_clock(t, cluster_buckets[b], &rs, &floor);
        printf("  bucket %s%s\n", cluster_buckets[b],
               names[c->r[r].held[b].some]);
        for (size_t i = 0; i < rs.n; i++) {
            dump_id("from", item_id_slice(&rs.r[i].lo));
            putchar('\n');
            dump_vv("clock", &rs.r[i].clk);
        }
        dump_vv("floor", &floor);
        dump_items(t, cluster_buckets[b]);
        ranges_free(&rs);
        vv_free(&floor);
    }
    ecrdt_abort(t);
}

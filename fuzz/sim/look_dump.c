/* look_dump.c: the clocks of all stores, for who reads a broken run. */
#include "fuzz/sim/cluster.h"
#include "crdt/clocks.h"

static void dump_vv(const char *what, const struct vv *v) {
    printf("      %s", what);
    for (size_t i = 0; i < v->n; i++)
        printf(" %08x:%llu:%04x", load32(v->e[i].origin),
               (unsigned long long)v->e[i].seq, (unsigned)(v->e[i].h & 0xffff));
    printf("\n");
}

/* The first bytes of a bound, as far as they are text. */
static void dump_bound(const struct item_id *lo) {
    printf("    from \"");
    for (size_t i = 0; i < lo->len && i < 9; i++)
        if (lo->b[i] > 0x20 && lo->b[i] < 0x7f)
            putchar(lo->b[i]);
    printf("\" (%u bytes)\n", lo->len);
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
            dump_bound(&rs.r[i].lo);
            dump_vv("clock", &rs.r[i].clk);
        }
        dump_vv("floor", &floor);
        ranges_free(&rs);
        vv_free(&floor);
    }
    ecrdt_abort(t);
}

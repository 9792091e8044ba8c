/* steps_net.c: what goes wrong between replicas, and exports that are carried
 * by hand: late, lost, repeated and out of order. */
#include "fuzz/sim/cluster.h"
#include "crdt/chunk_codec.h"

static int into(void *ctx, const void *data, size_t n) {
    buf_put(ctx, data, n);
    return 0;
}

/* ---- exports --------------------------------------------------------------
 */

/* What is in an export: parts that are complete, and those that are not. */
static void count_parts(struct cluster *c, slice export) {
    enum { MAGIC = 8 };
    const uint8_t *b = export.data;
    uint32_t len;
    for (size_t at = MAGIC; (len = load32(b + at)) != 0; at += 4 + len) {
        struct chunk chunk = {0};
        MUST(c, chunk_decode(slice_of(b + at + 4, len), &chunk));
        for (size_t i = 0; i < chunk.n_parts; i++) {
            const struct chunk_part *p = &chunk.parts[i];
            c->fig.feature[F_completes] += p->complete && p->base.n;
            c->fig.feature[F_deltas] += !p->complete;
        }
        chunk_free(&chunk);
    }
}

static bool send_export(struct cluster *c, const struct plan_step *s) {
    unsigned to = (unsigned)s->a;
    struct replica *peer = &c->r[to];
    struct letter l = {.to = to};
    struct buf fresh = {0};
    if (!replica_up(c, to) || to == s->r || c->n_letters == CLUSTER_LETTERS)
        return false;
    cluster_enter(c, to);
    MUST(c, ecrdt_summary(peer->s, into, &fresh));
    if (!s->b || !peer->summary.len) {
        buf_clear(&peer->summary);
        buf_put(&peer->summary, fresh.data, fresh.len);
    }
    cluster_enter(c, s->r);
    int rc =
        ecrdt_export(c->r[s->r].s, buf_slice(s->b ? &peer->summary : &fresh),
                     (size_t)s->c, into, &l.b);
    buf_free(&fresh);
    look_if_new(c, s->r);
    if (REFUSED(c, s->r, rc)) {
        c->fig.feature[F_full_other]++;
        buf_free(&l.b);
        return false;
    }
    count_parts(c, buf_slice(&l.b));
    l.id = journal_msg(&c->journal, s->r, to, "EXPORT", l.b.len);
    c->letters[c->n_letters++] = l;
    return true;
}

static bool take_import(struct cluster *c, const struct plan_step *s) {
    ecrdt_import_report rep = {0};
    if (!c->n_letters)
        return false;
    size_t i = s->a < 0 ? c->n_letters - 1 : (size_t)s->a % c->n_letters;
    struct letter *l = &c->letters[i];
    bool up = replica_up(c, l->to);
    for (int64_t n = 0; up && n <= (s->b == 2); n++) {
        cluster_enter(c, l->to);
        int rc = ecrdt_import(c->r[l->to].s, buf_slice(&l->b), &rep);
        c->fig.feature[F_full_other] += refused(c, l->to, rc, "ecrdt_import()");
        look_if_new(c, l->to);
    }
    journal_recv(&c->journal, l->id);
    if (s->b == 1)
        return up; /* it stays, to come again */
    buf_free(&l->b);
    *l = c->letters[--c->n_letters];
    return up;
}

/* ---- links ----------------------------------------------------------------
 */

static void way_fault(struct cluster *c, const char *what, unsigned a,
                      unsigned b) {
    journal_end(&c->journal, c->way_fault[a][b]);
    c->way_fault[a][b] = journal_fault(&c->journal, what, 1u << a, 1u << b, 0);
}

static void partition(struct cluster *c, const struct plan_step *s) {
    uint32_t all = 0, side = (uint32_t)s->a;
    for (unsigned a = 0; a < NET_NODES; a++) {
        all |= (uint32_t)c->r[a].used << a;
        for (unsigned b = 0; b < NET_NODES; b++) {
            bool apart = (side >> a & 1) != (side >> b & 1);
            c->net.way[a][b].stalled = apart;
            if (apart && s->b && a < b)
                net_cut(&c->net, a, b);
        }
    }
    journal_end(&c->journal, c->part_fault);
    c->part_fault =
        journal_fault(&c->journal, "partition", side & all, all & ~side, 0);
}

bool step_net(struct cluster *c, const struct plan_step *s) {
    unsigned a = s->r, b = (unsigned)s->a;
    switch (s->what) {
    case DO_wait:
        cluster_run(c, (uint64_t)s->a);
        return true;
    case DO_export:
        return send_export(c, s);
    case DO_import:
        return take_import(c, s);
    case DO_heal:
        cluster_heal(c);
        return true;
    case DO_partition:
        partition(c, s);
        return true;
    default:
        break;
    }
    if (b >= NET_NODES || a == b || !c->r[b].used)
        return false;
    if (s->what == DO_cut) {
        net_cut(&c->net, a, b);
    } else if (s->what == DO_stall) {
        c->net.way[a][b].stalled = true;
        way_fault(c, "stall", a, b);
    } else {
        c->net.way[a][b].bytes_per_ms = (uint32_t)s->b;
        c->net.way[a][b].delay_hi = c->net.way[a][b].delay_lo + (uint32_t)s->c;
        way_fault(c, "slow", a, b);
    }
    return true;
}

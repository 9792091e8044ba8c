/* look_values.c: what the public calls read of every key, against what the
 * oracle says of the events seen. */
#include "fuzz/sim/cluster.h"

enum { ELEMENTS_EACH = 24 }; /* asked for one by one in each look */

/* What all items of one key are together. */
struct key_sum {
    bool is;  /* there is an item of it */
    bool any; /* with a live sibling */
    uint64_t live;
    int64_t total, truth;
};

struct values {
    struct cluster *c;
    unsigned r;
    ecrdt_txn *t;
    struct key_sum sum[PLAN_NAMES][PLAN_BUCKETS][2];
};

static slice name_of(const struct cluster *c, int i) {
    const struct plan_name *n = &c->plan->names[i];
    return slice_of(n->b, n->len);
}

static size_t count_live(const struct oracle *o, const struct oracle_item *it,
                         const struct bits *sib) {
    size_t n = 0;
    for (uint32_t i = 0; i < it->n; i++)
        n += bits_has(sib, it->events[i]) && o->ev[it->events[i]].live;
    return n;
}

static void check_register(struct values *v, uint32_t item,
                           const struct bits *sib) {
    struct cluster *c = v->c;
    const struct oracle_item *it = &c->o.items[item];
    const char *bucket = cluster_buckets[it->bucket];
    int best = oracle_winner(&c->o, item, sib);
    slice value = {0};
    int rc = ecrdt_reg_get(v->t, bucket, name_of(c, it->key), &value, NULL);
    HOLDS(c, rc == (best >= 0), "store %u: register %s/%.8s: get gave %d", v->r,
          bucket, c->plan->names[it->key].b, rc);
    uint64_t got = rc == 1 && value.len >= 8 ? load64(value.data) : 0;
    HOLDS(c, best < 0 || got == c->o.ev[best].value,
          "store %u: register %s/%.8s reads value %llu, should be %llu", v->r,
          bucket, c->plan->names[it->key].b, (unsigned long long)got,
          (unsigned long long)c->o.ev[best].value);
    size_t live = count_live(&c->o, it, sib), rows = 0;
    if (live < 2)
        return;
    ecrdt_entry row;
    ecrdt_iter *i = ecrdt_reg_siblings(v->t, bucket, name_of(c, it->key));
    while (ecrdt_next(i, &row) == 1)
        rows++;
    ecrdt_iter_close(i);
    HOLDS(c, rows == live, "store %u: %zu siblings of %zu", v->r, rows, live);
    c->fig.feature[F_siblings]++;
}

static void check_item(struct values *v, uint32_t item, const struct bits *have,
                       size_t *asked) {
    struct cluster *c = v->c;
    const struct oracle_item *it = &c->o.items[item];
    struct bits seen, sib;
    if (it->key < 0)
        return;
    oracle_seen(&c->o, item, have, &seen);
    oracle_siblings(&c->o, item, &seen, &sib);
    bool live = oracle_live(&c->o, item, &sib);
    if (it->tag == TAG_REGISTER) {
        check_register(v, item, &sib);
        return;
    }
    struct key_sum *s = &v->sum[it->key][it->bucket][it->tag == TAG_ENTRY];
    s->is = true;
    s->any = s->any || live;
    s->live += live;
    if (it->tag == TAG_ENTRY) {
        struct count n = oracle_count(&c->o, item, &sib);
        s->total += (int64_t)(n.inc - n.finc) - (int64_t)(n.dec - n.fdec);
        s->truth += oracle_truth(&c->o, item, &seen);
    } else if (it->elem >= 0 && (*asked)++ < ELEMENTS_EACH) {
        int rc = ecrdt_set_has(v->t, cluster_buckets[it->bucket],
                               name_of(c, it->key), name_of(c, it->elem));
        HOLDS(c, rc == live, "store %u: set %.8s has element %.8s: %d", v->r,
              c->plan->names[it->key].b, c->plan->names[it->elem].b, rc);
    }
}

static void check_set(struct values *v, unsigned b, int key,
                      const struct key_sum *s) {
    uint64_t n = 0;
    MUST(v->c,
         ecrdt_set_size(v->t, cluster_buckets[b], name_of(v->c, key), &n));
    HOLDS(v->c, n == s->live, "store %u: set %.8s has %llu elements, not %llu",
          v->r, v->c->plan->names[key].b, (unsigned long long)n,
          (unsigned long long)s->live);
}

static void check_counter(struct values *v, unsigned b, int key,
                          const struct key_sum *s) {
    struct cluster *c = v->c;
    int64_t now = 0;
    int rc = ecrdt_counter_get(v->t, cluster_buckets[b], name_of(c, key), &now);
    HOLDS(c, rc == s->any && now == s->total,
          "store %u: counter %s/%.8s is %lld (%d), its entries say %lld", v->r,
          cluster_buckets[b], c->plan->names[key].b, (long long)now, rc,
          (long long)s->total);
    HOLDS(c, now == s->truth,
          "store %u: counter %s/%.8s is %lld, by the log of adds %lld", v->r,
          cluster_buckets[b], c->plan->names[key].b, (long long)now,
          (long long)s->truth);
}

void look_values(struct cluster *c, unsigned r, const struct bits *have) {
    static struct values v;
    size_t asked = 0;
    int keys = 0;
    if (c->o.twins)
        return;
    for (uint32_t i = 0; i < c->o.n_items; i++)
        keys = c->o.items[i].key < keys ? keys : c->o.items[i].key + 1;
    memset(v.sum, 0, (size_t)keys * sizeof *v.sum);
    v.c = c;
    v.r = r;
    v.t = ecrdt_read(c->r[r].s);
    HOLDS(c, v.t, "store %u cannot be read: %s", r, ecrdt_errmsg());
    for (uint32_t i = 0; i < c->o.n_items; i++)
        check_item(&v, i, have, &asked);
    for (unsigned b = 0; b < PLAN_BUCKETS; b++)
        for (int k = 0; k < keys; k++) {
            if (v.sum[k][b][0].is)
                check_set(&v, b, k, &v.sum[k][b][0]);
            if (v.sum[k][b][1].is)
                check_counter(&v, b, k, &v.sum[k][b][1]);
        }
    ecrdt_abort(v.t);
}

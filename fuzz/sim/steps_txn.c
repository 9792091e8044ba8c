/* steps_txn.c: one transaction of a replica, on its store by the public calls
 * and on the oracle by what those calls promise. */
#include "fuzz/sim/cluster.h"

/* The transaction under way. */
struct act {
    struct cluster *c;
    struct replica *me;
    const struct plan_op *op;
    slice key, elem;
    int last_item;
};

static struct oracle_event *touched(struct act *a, uint32_t item) {
    for (size_t i = 0; i < a->c->n_planned; i++)
        if (a->c->planned[i].item == item)
            return &a->c->planned[i];
    return NULL;
}

static struct bits seen_of(struct act *a, uint32_t item) {
    struct bits seen;
    oracle_seen(&a->c->o, item, &a->me->have, &seen);
    return seen;
}

static bool is_live(struct act *a, uint32_t item) {
    const struct oracle_event *e = touched(a, item);
    struct bits seen = seen_of(a, item), sib;
    if (e)
        return e->live;
    oracle_siblings(&a->c->o, item, &seen, &sib);
    return oracle_live(&a->c->o, item, &sib);
}

/* The event that this transaction makes on the item, which supersedes all
 * that was seen there. */
static struct oracle_event *touch(struct act *a, uint32_t item, bool live) {
    struct oracle_event *e = touched(a, item);
    if (!e) {
        HOLDS(a->c, a->c->n_planned < PLAN_OPS, "too many items");
        e = &a->c->planned[a->c->n_planned++];
        *e = (struct oracle_event){.item = item, .ctx = seen_of(a, item)};
        e->pay = oracle_count_now(&a->c->o, item, &e->ctx);
    }
    e->live = live;
    return e;
}

/* The item of the op: its register, element or own counter entry. */
static uint32_t item_of(struct act *a) {
    struct item_key k;
    uint8_t code = a->op->code;
    bool reg = code == OP_set || code == OP_del;
    bool set = code == OP_add || code == OP_remove;
    item_key_make(&k, 0, a->key,
                  reg   ? TAG_REGISTER
                  : set ? TAG_ELEMENT
                        : TAG_ENTRY);
    if (set)
        item_key_element(&k, a->elem);
    else if (!reg)
        item_key_origin(&k, a->me->me);
    int i = oracle_item(&a->c->o, a->op->bucket, item_key_id(&k), a->op->key,
                        set ? a->op->elem : -1);
    if (i < 0)
        longjmp(a->c->over, 2);
    return (uint32_t)i;
}

/* Each item of the op's key that has the tag. */
static bool same_key(const struct act *a, const struct oracle_item *it,
                     uint8_t tag) {
    return it->bucket == a->op->bucket && it->key == a->op->key &&
           it->tag == tag;
}

/* ---- what each op does to the oracle: the result that the call must have --
 */

static int plan_clear(struct act *a) {
    for (uint32_t i = 0; i < a->c->o.n_items; i++)
        if (same_key(a, &a->c->o.items[i], TAG_ELEMENT) && is_live(a, i))
            touch(a, i, false);
    return 0;
}

/* Takes back what is seen now: what was seen in this transaction, too. */
static int plan_reset(struct act *a) {
    for (uint32_t i = 0; i < a->c->o.n_items; i++) {
        if (!same_key(a, &a->c->o.items[i], TAG_ENTRY))
            continue;
        struct oracle_event *e = touched(a, i);
        struct bits seen = seen_of(a, i);
        struct count n = e ? e->pay : oracle_count_now(&a->c->o, i, &seen);
        if (n.inc == n.finc && n.dec == n.fdec)
            continue;
        e = touch(a, i, true);
        e->pay.finc = e->pay.inc;
        e->pay.fdec = e->pay.dec;
        e->bye = oracle_bye(&a->c->o, i, &seen);
        e->obs = seen;
        e->reset = true;
        e->delta = 0;
    }
    return 0;
}

static int plan_op(struct act *a) {
    uint8_t code = a->op->code;
    if (code == OP_clear)
        return plan_clear(a);
    if (code == OP_reset)
        return plan_reset(a);
    uint32_t item = item_of(a);
    bool was = is_live(a, item);
    if (code == OP_set)
        touch(a, item, true)->value = ++a->c->values;
    if (code == OP_add)
        touch(a, item, true);
    if ((code == OP_del || code == OP_remove) && was)
        touch(a, item, false);
    if (code == OP_count) {
        struct oracle_event *e = touch(a, item, true);
        int64_t by = a->op->num;
        *(by < 0 ? &e->pay.dec : &e->pay.inc) += (uint64_t)(by < 0 ? -by : by);
        e->delta += by;
    }
    return code == OP_add                        ? !was
           : code == OP_del || code == OP_remove ? was
                                                 : 0;
}

/* ---- the store ------------------------------------------------------------
 */

/* Values are told apart by their first 8 bytes. */
static int call_set(struct act *a, ecrdt_txn *t, const char *bucket) {
    static uint8_t value[1 << 16];
    size_t len = a->op->num < 8 ? 8 : (size_t)a->op->num;
    len = len < sizeof value ? len : sizeof value;
    memset(value, (int)(a->c->values & 0xff), len);
    store64(value, a->c->values);
    return ecrdt_reg_set(t, bucket, a->key, slice_of(value, len));
}

static int call_op(struct act *a, ecrdt_txn *t) {
    const char *bucket = cluster_buckets[a->op->bucket];
    switch (a->op->code) {
    case OP_set:
        return call_set(a, t, bucket);
    case OP_del:
        return ecrdt_reg_del(t, bucket, a->key);
    case OP_add:
        return ecrdt_set_add(t, bucket, a->key, a->elem);
    case OP_remove:
        return ecrdt_set_remove(t, bucket, a->key, a->elem);
    case OP_clear:
        return ecrdt_set_clear(t, bucket, a->key);
    case OP_count:
        return ecrdt_counter_add(t, bucket, a->key, a->op->num, NULL);
    default:
        return ecrdt_counter_reset(t, bucket, a->key);
    }
}

/* A full disk may refuse any of it; then nothing has happened. */
static int run_ops(struct act *a, const struct plan_step *s, ecrdt_txn *t) {
    const struct plan *p = a->c->plan;
    for (size_t i = 0; i < s->n_ops; i++) {
        a->op = &s->ops[i];
        a->key = slice_of(p->names[a->op->key].b, p->names[a->op->key].len);
        a->elem = slice_of(p->names[a->op->elem].b, p->names[a->op->elem].len);
        int want = plan_op(a), got = call_op(a, t);
        if (got == ECRDT_EFULL && a->me->full) {
            ecrdt_abort(t);
            return got;
        }
        HOLDS(a->c, got == want || (a->c->o.twins && got >= 0),
              "operation %zu gave %d, should be %d: %s", i, got, want,
              got < 0 ? ecrdt_errmsg() : "");
    }
    return ecrdt_commit(t);
}

bool step_txn(struct cluster *c, const struct plan_step *s) {
    struct act a = {.c = c, .me = &c->r[s->r]};
    ecrdt_txn *t = ecrdt_write(a.me->s);
    c->n_planned = 0;
    int rc = t ? run_ops(&a, s, t) : ecrdt_errcode();
    if (refused(c, s->r, rc, "a transaction")) {
        c->fig.feature[F_disk_full]++;
        c->n_planned = 0;
    }
    c->planning = !c->o.twins;
    look_if_new(c, s->r);
    c->planning = false;
    for (size_t i = 0; i < c->n_planned; i++)
        HOLDS(c, c->planned[i].ours || c->o.twins,
              "the store made no event on item %u", c->planned[i].item);
    c->n_planned = 0;
    return true;
}

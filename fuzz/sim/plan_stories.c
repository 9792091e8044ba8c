/* plan_stories.c: steps that belong together. Each makes a schedule likely that
 * single random steps hardly ever come to. */
#include "fuzz/sim/plan_maker.h"

/* A replica that is up from now on. */
static unsigned one_up(struct maker *m, unsigned r) {
    if (m->down >> r & 1)
        plan_add(m->p, DO_start, r, 0);
    m->down &= ~(1u << r);
    return r;
}

static void step(struct maker *m, enum plan_do what, unsigned r, int64_t a,
                 int64_t b, int64_t c) {
    struct plan_step *s = plan_add(m->p, what, r, 0);
    if (!s)
        return;
    s->a = a;
    s->b = b;
    s->c = c;
}

static void wait_ms(struct maker *m, int64_t ms) {
    step(m, DO_wait, 0, ms, 0, 0);
}

/* One write to the first register (0) or to the first set's element 1 (1), or
 * what takes it back. */
static void write_one(struct maker *m, unsigned r, unsigned tag, bool back) {
    struct plan_step *s = plan_add(m->p, DO_txn, r, 1);
    if (!s || !s->n_ops)
        return;
    s->ops[0] = (struct plan_op){.key = m->keys[tag][0], .num = 20};
    s->ops[0].code =
        tag ? (back ? OP_remove : OP_add) : (back ? OP_del : OP_set);
    s->ops[0].elem = tag ? m->elems[1] : 0;
}

static void write_any(struct maker *m, unsigned r) {
    bool back = maker_one_in(m, 3);
    write_one(m, r, (unsigned)maker_below(m, 2), back);
}

/* Long enough for all that may hear of the last write. */
static void wait_told(struct maker *m) {
    wait_ms(m, 300 + 2 * (int64_t)m->p->delay_hi);
}

/* A copy of r that no guard sees, numbered as n was, runs from now on. */
static void unseen_copy(struct maker *m, unsigned r) {
    step(m, DO_clone, r, 1, m->n++, 0);
}

static void random_txns(struct maker *m, unsigned r, unsigned most) {
    for (unsigned n = (unsigned)maker_below(m, most + 1); n; n--)
        maker_txn(m, r);
}

/* ---- the stories ----------------------------------------------------------
 */

/* A store is away while the others remove things and drop the tombs: it comes
 * back below their floor. */
static void away(struct maker *m) {
    unsigned r = one_up(m, (unsigned)maker_below(m, m->n));
    unsigned o = one_up(m, maker_another(m, r));
    unsigned tag = (unsigned)maker_below(m, 2);
    write_one(m, o, tag, false);
    random_txns(m, o, 3);
    wait_ms(m, 300);
    step(m, DO_partition, 0, 1 << r, maker_one_in(m, 3), 0);
    write_one(m, o, tag, true);
    random_txns(m, o, 3);
    if (maker_one_in(m, 2))
        random_txns(m, r, 2);
    wait_ms(m, 100);
    for (unsigned k = 0; k < m->n; k++)
        if (k != r && !maker_one_in(m, 3))
            step(m, DO_gc, k, 0, 0, 0);
    step(m, DO_heal, 0, 0, 0, 0);
    random_txns(m, one_up(m, (unsigned)maker_below(m, m->n)), 2);
    wait_ms(m, (int64_t)maker_below(m, 20));
    random_txns(m, one_up(m, (unsigned)maker_below(m, m->n)), 2);
    wait_ms(m, 300);
}

static void stall_both(struct maker *m, unsigned a, unsigned b) {
    step(m, DO_stall, a, b, 0, 0);
    step(m, DO_stall, b, a, 0, 0);
}

/* One side of the next story: what w's friend wrote w takes back, and forgets
 * that it did. */
static void write_and_forget(struct maker *m, unsigned w, unsigned friend,
                             unsigned tag) {
    write_one(m, friend, tag, false);
    random_txns(m, w, 2);
    wait_ms(m, 100 + (int64_t)m->p->delay_hi);
    stall_both(m, w, friend);
    write_one(m, w, tag, true);
    step(m, DO_gc, w, 0, 0, 0);
}

/* Replicas 0 and 1 are alike but for what each wrote and forgot. While they
 * find that out, the friend of the other one, who still has what was taken
 * back and hears from nobody else, tells of it. */
static void gossips(struct maker *m) {
    unsigned tag = (unsigned)maker_below(m, 2),
             swap = (unsigned)maker_below(m, 2);
    bool both = !maker_one_in(m, 4);
    if (m->p->replicas < 4)
        return;
    for (unsigned r = 0; r < 4; r++)
        one_up(m, r);
    random_txns(m, 0, 2);
    write_one(m, 1, 1 - tag, false);
    wait_told(m);
    step(m, DO_partition, 0, 1 | 1 << (2 + swap), 0, 0);
    write_and_forget(m, 0, 2 + swap, tag);
    if (both)
        write_and_forget(m, 1, 3 - swap, 1 - tag);
    step(m, DO_heal, 0, 0, 0, 0);
    step(m, DO_cut, 0, 1, 0, 0);
    for (unsigned r = 0; r < 2; r++)
        for (unsigned o = 2; o < 4; o++)
            stall_both(m, r, o);
    wait_ms(m, 200 + (int64_t)maker_below(m, 400 + 10 * m->p->delay_hi));
    step(m, DO_heal, 0, 0, 0, 0);
    wait_ms(m, 1000);
}

/* A copy that no guard sees, its original and a third store write to one item,
 * each without the others. Then the third one meets both in turn, or all meet
 * somehow. */
static void twins(struct maker *m) {
    unsigned r = one_up(m, (unsigned)maker_below(m, m->n)), copy = m->n;
    unsigned o = one_up(m, maker_another(m, r));
    unsigned tag = (unsigned)maker_below(m, 2);
    bool back = maker_one_in(m, 2), in_turn = maker_one_in(m, 2);
    uint32_t apart = 1u << copy | (maker_one_in(m, 2) ? 1u << r : 0);
    if (m->n == NET_NODES)
        return;
    write_one(m, r, tag, false);
    wait_ms(m, 300);
    step(m, DO_partition, 0, maker_one_in(m, 2) ? 1u << o : apart, 0, 0);
    unseen_copy(m, r);
    write_one(m, o, tag, maker_one_in(m, 3));
    write_one(m, r, tag, back);
    write_one(m, copy, tag, maker_one_in(m, 2) ? back : !back);
    random_txns(m, r, 2);
    random_txns(m, copy, 2);
    for (unsigned k = 0; k < m->n && m->p->faults & PLAN_BIT(gc); k++)
        if (maker_one_in(m, 3))
            step(m, DO_gc, k, 0, 0, 0);
    step(m, DO_partition, 0, in_turn ? 1u << o | 1u << r : apart, 0, 0);
    wait_ms(m, 20 + (int64_t)maker_below(m, 400));
    if (in_turn) {
        step(m, DO_partition, 0, 1u << o | 1u << copy, 0, 0);
        wait_ms(m, 20 + (int64_t)maker_below(m, 400));
    }
    step(m, DO_heal, 0, 0, 0, 0);
    wait_ms(m, 300);
}

/* A copy that no guard sees and its original write apart, and one of them lets
 * go of what it holds, before or after, when the others know the other one. */
static void branches(struct maker *m) {
    unsigned r = one_up(m, 1 + (unsigned)maker_below(m, m->n - 1));
    unsigned copy = m->n, gone = maker_one_in(m, 2) ? r : copy;
    int64_t part = maker_one_in(m, 2) ? PLAN_NOTHING : 1 << maker_below(m, 8);
    bool early = maker_one_in(m, 2);
    if (m->n == NET_NODES)
        return;
    one_up(m, 0);
    write_one(m, r, (unsigned)maker_below(m, 2), false);
    if (early) {
        step(m, DO_subscribe, r, part, 0, 0);
        wait_ms(m, 2000);
    }
    wait_ms(m, 300);
    step(m, DO_partition, 0, 1 << gone, 0, 0);
    unseen_copy(m, r);
    for (unsigned i = 0; i < 3; i++) {
        write_any(m, gone);
        write_any(m, gone == r ? copy : r);
        random_txns(m, maker_one_in(m, 2) ? r : copy, 2);
    }
    wait_ms(m, (int64_t)maker_below(m, 1000));
    if (!early)
        step(m, DO_subscribe, gone, part, 0, 0);
    step(m, DO_heal, 0, 0, 0, 0);
    wait_ms(m, (int64_t)maker_below(m, 4000));
}

/* Two cores know one branch each of a store, and nothing is left of either:
 * they find out that they are alike. Then both stores write again. */
static void alike(struct maker *m) {
    unsigned copy = m->n, tag = (unsigned)maker_below(m, 2);
    if (m->p->replicas < 3 || copy == NET_NODES)
        return;
    for (unsigned k = 0; k < 3; k++)
        one_up(m, k);
    write_one(m, 2, tag, false);
    wait_told(m);
    step(m, DO_partition, 0, 1 << 1 | 1 << copy, 0, 0);
    unseen_copy(m, 2);
    for (unsigned i = (unsigned)maker_below(m, 3); i < 3; i++)
        write_one(m, 2, tag, false);
    for (unsigned i = (unsigned)maker_below(m, 3); i < 3; i++)
        write_one(m, copy, tag, false);
    wait_told(m);
    for (unsigned k = 0; k < 2; k++) {
        write_one(m, k, tag, true);
        step(m, DO_gc, k, 0, 0, 0);
    }
    step(m, DO_partition, 0, 3, 0, 0);
    wait_ms(m, 100 + (int64_t)maker_below(m, 2000));
    step(m, DO_partition, 0, maker_one_in(m, 2) ? 5 : 6, 0, 0);
    write_one(m, 2, tag, maker_one_in(m, 3));
    write_one(m, copy, tag, maker_one_in(m, 3));
    wait_ms(m, (int64_t)maker_below(m, 1000));
    step(m, DO_heal, 0, 0, 0, 0);
    wait_ms(m, 300);
}

static void count_one(struct maker *m, unsigned r) {
    struct plan_step *s = plan_add(m->p, DO_txn, r, 1);
    if (s && s->n_ops)
        s->ops[0] = (struct plan_op){.code = OP_count,
                                     .key = m->keys[2][0],
                                     .num = 1 + (int32_t)maker_below(m, 5)};
}

/* A store says goodbye and is folded, and then comes back from a state of
 * before, between two that others were told of; perhaps so does the heir. */
static void heirs(struct maker *m) {
    unsigned r = one_up(m, 1 + (unsigned)maker_below(m, m->n - 1));
    unsigned place = (unsigned)maker_below(m, 2);
    bool heir = maker_one_in(m, 2);
    one_up(m, 0);
    if (heir)
        step(m, DO_save, 0, place, 0, 0);
    count_one(m, r);
    wait_ms(m, 300);
    step(m, DO_partition, 0, 1 << r, 0, 0);
    count_one(m, r);
    step(m, DO_save, r, place, 0, 0);
    m->saved |= 1u << r;
    random_txns(m, r, 2);
    count_one(m, r);
    step(m, DO_heal, 0, 0, 0, 0);
    wait_ms(m, 300);
    step(m, DO_retire, r, 0, 0, 0);
    wait_ms(m, 300);
    step(m, DO_fold, 0, 0, 0, 0);
    wait_ms(m, (int64_t)maker_below(m, 1000));
    step(m, DO_restore, r, place, 0, 0);
    wait_ms(m, (int64_t)maker_below(m, 1000));
    if (heir)
        step(m, DO_restore, 0, place, 0, 0);
    if (maker_one_in(m, 2))
        step(m, DO_fold, 0, 1, 0, 0);
}

/* A store is lost when one other has what it wrote, and that one lets go. */
static void orphans(struct maker *m) {
    unsigned o = one_up(m, 1 + (unsigned)maker_below(m, m->n - 1));
    unsigned r = one_up(m, maker_another(m, o));
    step(m, DO_partition, 0, 1 << r | 1 << o, 0, 0);
    write_one(m, r, (unsigned)maker_below(m, 2), false);
    random_txns(m, r, 2);
    wait_told(m);
    step(m, DO_wipe, r, 0, 0, 0);
    step(m, DO_subscribe, o, PLAN_NOTHING, 0, 0);
    wait_ms(m, (int64_t)maker_below(m, 300));
    step(m, DO_heal, 0, 0, 0, 0);
    wait_ms(m, 3000);
}

/* An export for a store that has nothing comes when the store has since said
 * that it holds a part only. */
static void letter(struct maker *m) {
    unsigned r = one_up(m, 1 + (unsigned)maker_below(m, m->n - 1));
    unsigned o = one_up(m, maker_another(m, r));
    random_txns(m, o, 3);
    step(m, DO_partition, 0, 1 << r, 1, 0);
    step(m, DO_wipe, r, 0, 0, 0);
    write_one(m, o, (unsigned)maker_below(m, 2), false);
    step(m, DO_export, o, r, 0, 0);
    step(m, DO_subscribe, r,
         maker_one_in(m, 3) ? PLAN_NOTHING
                            : 1 + (int64_t)maker_below(m, PLAN_NOTHING - 1),
         0, 0);
    step(m, DO_heal, 0, 0, 0, 0);
    wait_ms(m, 3000);
    step(m, DO_import, 0, -1, 0, 0);
}

/* Two cores that have what nobody else has let go of it at the same time. */
static void cores(struct maker *m) {
    unsigned tag = (unsigned)maker_below(m, 2);
    if (m->p->replicas < 3 || !m->p->at[1].core || !m->p->at[2].core)
        return;
    one_up(m, 1);
    one_up(m, 2);
    step(m, DO_partition, 0, 6, 0, 0);
    write_one(m, 1 + (unsigned)maker_below(m, 2), tag, false);
    random_txns(m, 1 + (unsigned)maker_below(m, 2), 2);
    wait_ms(m, 700);
    for (unsigned r = 1; r < 3; r++)
        step(m, DO_subscribe, r, PLAN_NOTHING, 0, 0);
    wait_ms(m, 3000);
    step(m, DO_heal, 0, 0, 0, 0);
}

/* More than the reserve holds, large values from here and from others, while
 * no block is left. */
static void disk(struct maker *m) {
    unsigned r = one_up(m, (unsigned)maker_below(m, m->n));
    unsigned from = one_up(m, maker_another(m, r));
    bool bare = maker_one_in(m, 2);
    step(m, DO_full, r, 1, bare, bare ? (int64_t)maker_below(m, 300) : 0);
    for (unsigned i = 2 + (unsigned)maker_below(m, 3); i; i--) {
        struct plan_step *s =
            plan_add(m->p, DO_txn, maker_one_in(m, 3) ? r : from, 4);
        for (size_t k = 0; s && k < s->n_ops; k++)
            s->ops[k] =
                (struct plan_op){.code = OP_set,
                                 .key = m->keys[0][k],
                                 .num = 20000 + (int32_t)maker_below(m, 40000)};
        wait_ms(m, (int64_t)maker_below(m, 40));
    }
    random_txns(m, r, 4);
    step(m, DO_gc, r, 0, 0, 0);
    if (maker_one_in(m, 3)) {
        step(m, maker_one_in(m, 2) ? DO_stop : DO_crash, r, 0, 0, 0);
        step(m, DO_start, r, 0, 0, 0);
    }
    wait_ms(m, 300);
    random_txns(m, r, 4);
    step(m, DO_full, r, 0, 0, 0);
    wait_ms(m, 1000);
}

static const struct {
    uint32_t on, off; /* kinds of steps that must be */
    bool talks;       /* it is about fingerprints */
    void (*tell)(struct maker *m);
} stories[] = {
    {PLAN_BIT(gc) | PLAN_BIT(partition), 0, true, away},
    {PLAN_BIT(gc) | PLAN_BIT(partition) | PLAN_BIT(stall) | PLAN_BIT(cut),
     PLAN_BIT(subscribe), true, gossips},
    {PLAN_BIT(clone) | PLAN_BIT(partition), 0, false, twins},
    {PLAN_BIT(clone) | PLAN_BIT(partition) | PLAN_BIT(subscribe), 0, false,
     branches},
    {PLAN_BIT(clone) | PLAN_BIT(partition) | PLAN_BIT(gc), 0, true, alike},
    {PLAN_BIT(save) | PLAN_BIT(restore) | PLAN_BIT(retire) | PLAN_BIT(fold) |
         PLAN_BIT(partition),
     0, false, heirs},
    {PLAN_BIT(wipe) | PLAN_BIT(subscribe) | PLAN_BIT(export), 0, false, letter},
    {PLAN_BIT(wipe) | PLAN_BIT(subscribe) | PLAN_BIT(partition), 0, false,
     orphans},
    {PLAN_BIT(subscribe) | PLAN_BIT(partition), 0, false, cores},
    {PLAN_BIT(full), 0, false, disk},
};
enum { STORIES = sizeof stories / sizeof *stories };

/* One of those that these kinds of steps allow; -1: none. */
static int choose(struct maker *m, uint32_t kinds, bool must_be_off) {
    size_t list[STORIES], n = 0;
    for (size_t i = 0; i < STORIES; i++)
        if ((kinds & stories[i].on) == stories[i].on &&
            !(must_be_off && kinds & stories[i].off))
            list[n++] = i;
    return n ? (int)list[maker_below(m, n)] : -1;
}

void maker_theme(struct maker *m, uint32_t kinds) {
    int i = choose(m, kinds, false);
    if (i < 0 || maker_one_in(m, 2))
        return;
    m->p->faults = (m->p->faults | stories[i].on) & ~stories[i].off;
    m->theme = stories[i].tell;
    if (stories[i].talks && !m->p->talk_items) {
        m->p->talk_items = 1;
        m->p->talk_leaf = 4;
    }
}

void maker_story(struct maker *m) {
    int i = choose(m, m->p->faults, true);
    if (m->theme && !maker_one_in(m, 4))
        m->theme(m);
    else if (i >= 0)
        stories[i].tell(m);
}

/* plan_make.c: a plan from a seed: who there is, what is wrong with their
 * world, and what they do. */
#include "fuzz/sim/plan_maker.h"
#include "lib/err.h"
#include <stdio.h>

const char plan_prefix[PLAN_PREFIXES + 1] = "abhmnstw";

/* What a profile may do; each run switches off a random part of it. */
#define BIT(kind) PLAN_BIT(kind)
enum {
    DATA = BIT(txn) | BIT(wait) | BIT(verify),
    DATAGRAMS = BIT(export) | BIT(import),
    NETWORK = BIT(cut) | BIT(partition) | BIT(stall) | BIT(slow) | BIT(heal),
    CRASHES = BIT(crash) | BIT(stop) | BIT(start),
    COPIES = BIT(save) | BIT(restore) | BIT(clone) | BIT(wipe),
    ADMIN = BIT(skew) | BIT(gc) | BIT(subscribe) | BIT(peers) | BIT(retire) |
            BIT(fold) | BIT(forget) | BIT(full)
};
static const struct {
    const char *name;
    uint32_t kinds;
} profiles[] = {
    {"all", DATA | DATAGRAMS | NETWORK | CRASHES | COPIES | ADMIN},
    {"calm", DATA},
    {"net", DATA | DATAGRAMS | NETWORK},
    {"store", DATA | CRASHES | COPIES},
    {"talks", DATA | DATAGRAMS | NETWORK | BIT(gc) | BIT(forget)},
    {"twins", DATA | NETWORK | COPIES | BIT(start) | BIT(stop) | BIT(gc) |
                  BIT(subscribe)},
    {"admin", DATA | ADMIN | BIT(export) | BIT(import)},
};

/* Of a hundred steps or so. */
static const struct {
    uint8_t what, weight;
} weights[] = {
    {DO_txn, 60},   {DO_wait, 30},   {DO_export, 16},   {DO_import, 18},
    {DO_cut, 3},    {DO_stall, 2},   {DO_slow, 2},      {DO_partition, 3},
    {DO_heal, 5},   {DO_crash, 4},   {DO_stop, 2},      {DO_start, 8},
    {DO_save, 3},   {DO_restore, 3}, {DO_clone, 1},     {DO_wipe, 1},
    {DO_skew, 2},   {DO_gc, 6},      {DO_subscribe, 3}, {DO_peers, 2},
    {DO_retire, 1}, {DO_fold, 2},    {DO_forget, 1},    {DO_full, 2},
    {DO_verify, 1},
};

/* ---- names ---- */

static uint16_t name(struct maker *m, const char *text, size_t len) {
    char b[PLAN_NAME];
    memset(b, '~', sizeof b);
    memcpy(b, text, strlen(text));
    return (uint16_t)plan_name(m->p, b, len);
}

static void names(struct maker *m) {
    static const struct {
        const char *text;
        uint16_t len;
    } keys[3][4] = {
        {{"a", 1}, {"hot", 3}, {"mmmmmmmm", 8}, {"n", 300}},
        {{"s", 1}, {"t", 257}, {"mmmmmmmm", 8}, {"b", 1}},
        {{"c", 1}, {"a", 1}, {"mmmmmmmm", 8}, {"n", 300}},
    };
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 4; i++)
            m->keys[t][i] = name(m, keys[t][i].text, keys[t][i].len);
    for (unsigned i = 0; i < 8; i++) {
        char text[8];
        snprintf(text, sizeof text, "e%u", i);
        m->elems[i] = name(m, i ? text : "", i == 7 ? 200 : i ? 2 : 0);
    }
    m->wide = name(m, "wide", 4);
    m->n_wide = maker_one_in(m, 6) ? 256 : 0;
    for (unsigned i = 0; i < m->n_wide; i++) {
        char text[8];
        snprintf(text, sizeof text, "w%03u", i);
        m->wide_elems[i] = name(m, text, 4);
    }
}

/* ---- transactions ---- */

static struct plan_op op_random(struct maker *m) {
    static const uint8_t of_set[] = {OP_add,    OP_add,    OP_add,    OP_add,
                                     OP_remove, OP_remove, OP_remove, OP_clear};
    static const int32_t sizes[] = {0, 8, 20, 60, 300, 5000};
    unsigned t = (unsigned)maker_below(m, 3);
    struct plan_op op = {.bucket = maker_one_in(m, 5)};
    op.key = m->keys[t][maker_one_in(m, 3) ? maker_below(m, 4) : 0];
    if (t == 0) {
        op.code = maker_one_in(m, 3) ? OP_del : OP_set;
        op.num = op.code == OP_set
                     ? sizes[maker_below(m, maker_one_in(m, 4) ? 6 : 4)]
                     : 0;
    } else if (t == 1) {
        op.code = of_set[maker_below(m, 8)];
        op.elem = m->elems[maker_one_in(m, 2) ? 1 : maker_below(m, 8)];
    } else {
        op.code = maker_one_in(m, 6) ? OP_reset : OP_count;
        op.num = op.code == OP_count ? (int32_t)maker_below(m, 12) - 4 : 0;
    }
    return op;
}

/* Many elements of one set: more than one chunk holds. */
static void fill(struct maker *m, unsigned r) {
    bool remove = m->fills && maker_one_in(m, 3);
    size_t n = remove ? 60 : 256, from = maker_below(m, m->n_wide - n + 1);
    struct plan_step *s = plan_add(m->p, DO_txn, r, n);
    m->fills++;
    for (size_t i = 0; s && i < s->n_ops; i++)
        s->ops[i] = (struct plan_op){.code = remove ? OP_remove : OP_add,
                                     .key = m->wide,
                                     .elem = m->wide_elems[from + i]};
}

void maker_txn(struct maker *m, unsigned r) {
    if (m->n_wide && m->fills < 4 && maker_one_in(m, 12)) {
        fill(m, r);
        return;
    }
    struct plan_step *s =
        plan_add(m->p, DO_txn, r,
                 1 + maker_below(m, maker_one_in(m, 3) ? m->ops_most : 1));
    for (size_t i = 0; s && i < s->n_ops; i++)
        s->ops[i] = op_random(m);
}

/* ---- the others ---- */

static void network(struct maker *m, struct plan_step *s, unsigned r) {
    static const int64_t waits[] = {0, 1, 3, 10, 50, 300, 2000, 60000};
    switch (s->what) {
    case DO_wait:
        s->a = waits[maker_below(m, maker_one_in(m, 4) ? 8 : 6)];
        break;
    case DO_export:
        s->a = maker_another(m, r);
        s->b = maker_one_in(m, 3);
        s->c = maker_one_in(m, 3) ? 200 + (int64_t)maker_below(m, 2000) : 0;
        break;
    case DO_import:
        s->a = (int64_t)maker_below(m, 16);
        s->b = (int64_t)maker_below(m, 3);
        break;
    case DO_partition:
        s->a = 1 + (int64_t)maker_below(m, (1u << m->n) - 2);
        s->b = maker_one_in(m, 3);
        break;
    case DO_slow:
        s->a = maker_another(m, r);
        s->b = 1 + (int64_t)maker_below(m, 200);
        s->c = (int64_t)maker_below(m, 2000);
        break;
    default:
        s->a = maker_another(m, r);
    }
}

static void admin(struct maker *m, struct plan_step *s) {
    static const int64_t skews[] = {-86400000, -5000, -10,      0,
                                    10,        61000, 86400000, 5000};
    switch (s->what) {
    case DO_crash:
        s->a = maker_one_in(m, 2);
        break;
    case DO_save:
        s->a = maker_one_in(m, 2);
        break;
    case DO_restore:
        s->a = maker_one_in(m, 2);
        s->b = maker_one_in(m, 3);
        break;
    case DO_skew:
        s->a = skews[maker_below(m, 8)];
        break;
    case DO_gc:
        s->a = maker_one_in(m, 2) ? 0 : (int64_t)maker_below(m, 5000);
        break;
    case DO_subscribe:
        s->a = maker_one_in(m, 4)   ? 0
               : maker_one_in(m, 4) ? PLAN_NOTHING
                                    : (int64_t)maker_below(m, PLAN_NOTHING);
        s->b = maker_one_in(m, 4);
        break;
    case DO_fold:
        s->a = maker_one_in(m, 2);
        break;
    case DO_forget:
        s->a = (int64_t)maker_below(m, PLAN_PREFIXES);
        s->b = maker_one_in(m, 4);
        break;
    case DO_full:
        s->a = maker_one_in(m, 2);
        s->b = s->a && maker_one_in(m, 2);
        s->c = s->b ? (int64_t)maker_below(m, maker_one_in(m, 2) ? 2 : 100) : 0;
        break;
    default:
        break;
    }
}

/* Copies and peers change who there is. */
static void add_one(struct maker *m, uint8_t what) {
    unsigned r = (unsigned)maker_below(m, m->n);
    if (what == DO_txn) {
        maker_txn(m, r);
        return;
    }
    if (what == DO_clone && m->n == NET_NODES)
        return;
    if (what == DO_start && !m->down)
        return;
    while (what == DO_start && !(m->down >> r & 1))
        r = (unsigned)maker_below(m, m->n);
    while (what == DO_restore && m->saved && !(m->saved >> r & 1))
        r = (unsigned)maker_below(m, m->n);
    if (what == DO_fold && r != 1) /* who must not, and who may */
        r = 0;
    if (what == DO_subscribe && m->n > 1)
        r = 1 + (unsigned)maker_below(m, m->n - 1);
    struct plan_step *s = plan_add(m->p, (enum plan_do)what, r, 0);
    if (!s)
        return;
    if (what == DO_save)
        m->saved |= 1u << r;
    if (what == DO_crash || what == DO_stop)
        m->down |= 1u << r;
    if (what == DO_start)
        m->down &= ~(1u << r);
    if (what == DO_clone) {
        s->a = !maker_one_in(m, 4);
        s->b = m->n++;
    } else if (what == DO_peers) {
        s->a = maker_another(m, r);
        s->b = maker_one_in(m, 2);
    } else {
        if (!((NETWORK | DATAGRAMS | BIT(wait)) >> what & 1))
            admin(m, s);
        else if (m->n > 1)
            network(m, s, r);
    }
}

static void steps(struct maker *m) {
    uint32_t total = 0, at;
    size_t want = 20 + maker_below(m, maker_one_in(m, 4) ? 200 : 90);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        total += m->p->faults >> weights[i].what & 1 ? weights[i].weight : 0;
    while (m->p->n_steps < want) {
        size_t i = 0;
        if (maker_one_in(m, 40))
            maker_story(m);
        at = (uint32_t)maker_below(m, total);
        for (;; i++) {
            uint32_t w =
                m->p->faults >> weights[i].what & 1 ? weights[i].weight : 0;
            if (at < w)
                break;
            at -= w;
        }
        add_one(m, weights[i].what);
    }
}

/* ---- who there is ---- */

static void who(struct maker *m) {
    struct plan *p = m->p;
    bool mesh = maker_one_in(m, 2), two = maker_one_in(m, 2);
    bool three = two && p->replicas > 3 && maker_one_in(m, 2);
    static const uint8_t levels[] = {LEVEL_full, LEVEL_relaxed, LEVEL_relaxed,
                                     LEVEL_ephemeral};
    for (unsigned r = 0; r < p->replicas; r++) {
        p->at[r].core = r == 0 || (r == 1 && two) || (r == 2 && three);
        p->at[r].level = levels[maker_below(m, 4)];
        for (unsigned o = 0; o < r; o++)
            if (p->at[o].core || mesh)
                p->at[r].dials |= 1u << o;
    }
    p->delay_lo = (uint32_t)maker_below(m, 3);
    p->delay_hi =
        p->delay_lo + (uint32_t)maker_below(m, maker_one_in(m, 3) ? 300 : 20);
    p->audit_ms =
        maker_one_in(m, 4) ? 1000 + (uint32_t)maker_below(m, 8000) : 0;
    p->gc_ms = maker_one_in(m, 4) ? 1000 + (uint32_t)maker_below(m, 8000) : 0;
    p->log_cap = maker_one_in(m, 3) ? 4096 : 0;
    p->talk_items = maker_one_in(m, 2) ? 1 + (uint32_t)maker_below(m, 20) : 0;
    p->talk_leaf = p->talk_items ? 4 + (uint32_t)maker_below(m, 5) : 0;
}

/* A random part of what the profile may do is off. */
static void swarm(struct maker *m, uint32_t kinds) {
    static const uint32_t together[] = {DATAGRAMS, BIT(crash), BIT(stop),
                                        BIT(save) | BIT(restore), NETWORK};
    uint32_t on = kinds;
    for (unsigned k = 0; k < PLAN_KINDS; k++)
        if (!(DATA >> k & 1) && maker_one_in(m, 2))
            on &= ~(1u << k);
    for (size_t i = 0; i < sizeof together / sizeof *together; i++)
        if (maker_one_in(m, 3))
            on &= ~together[i];
    m->p->faults = on;
    maker_theme(m, kinds);
    on = m->p->faults;
    if (on >> DO_export & 1)
        on |= BIT(import);
    if (on >> DO_restore & 1)
        on |= BIT(save);
    if (kinds >> DO_heal & 1)
        on |= BIT(heal);
    if (kinds >> DO_start & 1)
        on |= BIT(start);
    m->p->faults = on;
}

const char *plan_profiles(void) {
    return "all, calm, net, store, talks, twins, admin";
}

int plan_make(struct plan *p, const struct plan_wish *wish) {
    const char *profile = wish->profile ? wish->profile : "all";
    struct maker m = {.p = p};
    size_t i = 0;
    while (i < sizeof profiles / sizeof *profiles &&
           strcmp(profiles[i].name, profile) != 0)
        i++;
    if (i == sizeof profiles / sizeof *profiles)
        return err_set(ECRDT_EINVAL, "no profile \"%s\": there are %s", profile,
                       plan_profiles());
    *p = (struct plan){.seed = wish->seed,
                       .replicas = wish->replicas ? wish->replicas : 4};
    snprintf(p->profile, sizeof p->profile, "%s", profile);
    m.rng.s = (wish->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int k = 0; k < 8; k++)
        rng_u64(&m.rng);
    m.n = p->replicas;
    m.ops_most = 1 + (unsigned)maker_below(&m, 8);
    who(&m);
    swarm(&m, profiles[i].kinds);
    names(&m);
    steps(&m);
    return p->n_names ? plan_check(p) : ECRDT_ENOMEM;
}

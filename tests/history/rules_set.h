/* rules_set.h: the rules of a set that only grows, for the bucket adds and for
 * the elements that the transactions of pairs leave. */
#ifndef TESTS_HISTORY_RULES_SET_H
#define TESTS_HISTORY_RULES_SET_H
#include "tests/history/history.h"

/* Elements by op.ord. */
struct bits {
    uint64_t *w;
    size_t n; /* words */
};

static struct bits bits_make(const struct history *h, enum what what) {
    size_t n = h->elems[what] / 64 + 1;
    struct bits b = {calloc(n, sizeof(uint64_t)), n};
    if (!b.w)
        abort();
    return b;
}
static void bits_put(struct bits *b, uint32_t i) {
    b->w[i / 64] |= UINT64_C(1) << i % 64;
}
static bool bits_have(const struct bits *b, uint32_t i) {
    return b->w[i / 64] >> i % 64 & 1;
}

static enum what set_of(const struct op *read) {
    return read->bucket == 'a' ? ADD : PAIR;
}

/* The runs of what a read saw; those of a pair stand behind its counters. */
static const char *runs_of(const struct op *read) {
    const char *text = read->text;
    for (int i = 0; read->bucket == 'p' && i < 2; i++)
        text = strchr(text, ' ') ? strchr(text, ' ') + 1 : "";
    return text;
}

static void take_element(struct history *h, const struct op *read,
                         struct bits *out, const struct process *p,
                         unsigned num) {
    enum what what = set_of(read);
    struct op *o =
        num >= 1 && num <= p->n[what] ? p->by_num[what][num - 1] : NULL;
    checked(h, RULE_SET_PHANTOM);
    if (!o || !o->did || o->state == FAILED || o->begin_us > read->end_us) {
        broken(h, RULE_SET_PHANTOM, "%s read %s/%u at %" PRIu64, read->by->name,
               p->name, num, read->end_us);
        return;
    }
    o->seen = true;
    bits_put(out, o->ord);
}

/* "PROCESS:FROM-TO,N;PROCESS:..." or "-". */
static struct bits elements(struct history *h, const struct op *read) {
    struct bits out = bits_make(h, set_of(read));
    const char *p = runs_of(read);
    while (*p && *p != '-') {
        char process[64];
        int n = 0;
        if (sscanf(p, "%63[^:]:%n", process, &n) != 1 || !n)
            break;
        const struct process *by = process_of(h, process);
        p += n - 1;
        while (*p == ':' || *p == ',') {
            char *end;
            unsigned from = (unsigned)strtoul(p + 1, &end, 10), to = from;
            if (*end == '-')
                to = (unsigned)strtoul(end + 1, &end, 10);
            for (unsigned i = from; i <= to; i++)
                take_element(h, read, &out, by, i);
            p = end;
        }
        p += *p == ';';
    }
    return out;
}

static void free_bits(struct bits *b) {
    free(b->w);
    *b = (struct bits){0};
}

/* Whoever sees an element has all that its writer was acknowledged before. */
static void check_prefix(struct history *h, const struct op *read,
                         const struct bits *b) {
    enum what what = set_of(read);
    checked(h, RULE_SET_PREFIX);
    for (size_t i = 0; i < h->n_processes; i++) {
        const struct process *p = h->processes[i];
        uint32_t last = p->n[what];
        while (last && !bits_have(b, p->by_num[what][last - 1]->ord))
            last--;
        for (uint32_t k = 0; k < last; k++) {
            const struct op *o = p->by_num[what][k];
            if (o->state == OK && !bits_have(b, o->ord))
                broken(h, RULE_SET_PREFIX,
                       "%s read %s/%u but not %u before it, at %" PRIu64,
                       read->by->name, p->name, last, k + 1, read->end_us);
        }
    }
}

/* Both counters of the pairs are the sum of what their elements stand for. */
static void check_torn(struct history *h, const struct op *read,
                       const struct bits *b) {
    long long a = 0, z = 0;
    int64_t sum = 0;
    sscanf(read->text, "%lld %lld", &a, &z);
    for (size_t i = 0; i < h->n_processes; i++) {
        const struct process *p = h->processes[i];
        for (uint32_t k = 0; k < p->n[PAIR]; k++)
            if (bits_have(b, p->by_num[PAIR][k]->ord))
                sum += p->by_num[PAIR][k]->amount;
    }
    checked(h, RULE_PAIR_TORN);
    if (a != z || a != sum)
        broken(h, RULE_PAIR_TORN,
               "%s read %lld and %lld with elements of %lld, at %" PRIu64,
               read->by->name, a, z, (long long)sum, read->end_us);
}

struct set_known {
    struct bits own, shown;
};

static enum what set_what;

static bool set_mine(const struct op *o) {
    return o->what == set_what || ((o->what == READ || o->what == FINAL) &&
                                   o->bucket == (set_what == ADD ? 'a' : 'p'));
}

static void set_look(struct walk *w, struct op *o) {
    struct history *h = w->h;
    struct set_known *k = w->known;
    if (is_write(o))
        return;
    struct bits b = elements(h, o);
    checked(h, RULE_SET_OWN);
    checked(h, RULE_SET_MONOTONE);
    for (size_t i = 0; i < b.n && k->own.n; i++) {
        if (k->own.w[i] & ~b.w[i])
            broken(h, RULE_SET_OWN, "%s missed adds of its store at %" PRIu64,
                   o->by->name, o->end_us);
        else if (k->shown.w[i] & ~b.w[i])
            broken(h, RULE_SET_MONOTONE,
                   "%s missed what was read before at %" PRIu64, o->by->name,
                   o->end_us);
    }
    if (o->settled)
        check_prefix(h, o, &b);
    if (o->settled && o->bucket == 'p')
        check_torn(h, o, &b);
    free_bits(&b);
}

static void set_learn(struct walk *w, struct op *o) {
    struct set_known *k = w->known;
    if (!k->own.n) {
        k->own = bits_make(w->h, set_what);
        k->shown = bits_make(w->h, set_what);
    }
    if (is_write(o)) {
        bits_put(&k->own, o->ord);
        return;
    }
    struct bits b = elements(w->h, o);
    for (size_t i = 0; i < b.n; i++)
        k->shown.w[i] |= b.w[i];
    free_bits(&b);
}

static void set_done(struct walk *w) {
    struct set_known *k = w->known;
    free_bits(&k->own);
    free_bits(&k->shown);
}

/* The last read of each node: all that may not be lost. */
static void set_final(struct history *h, struct op *read) {
    struct bits b = elements(h, read);
    for (size_t i = 0; i < h->n_ops; i++) {
        const struct op *o = h->ops[i];
        if (o->what != set_of(read) || !o->must)
            continue;
        checked(h, RULE_SET_FINAL);
        if (!bits_have(&b, o->ord))
            broken(h, RULE_SET_FINAL, "%s lacks %s %s/%u at the end",
                   read->by->name, what_names[o->what], o->by->name, o->num);
    }
    free_bits(&b);
}

static void check_set(struct history *h, enum what what) {
    struct walk w = {h, set_mine, set_look, set_learn, NULL};
    set_what = what;
    walk_all(&w, sizeof(struct set_known), set_done);
    for (size_t i = 0; i < h->n_ops; i++)
        if (h->ops[i]->what == FINAL && h->ops[i]->state == OK &&
            set_mine(h->ops[i]))
            set_final(h, h->ops[i]);
}
#endif

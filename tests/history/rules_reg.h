/* rules_reg.h: the rules of registers. Each write tells what it overwrote, so
 * all values of a key form a graph; what lies under a value that a store has
 * shown is dead there. */
#ifndef TESTS_HISTORY_RULES_REG_H
#define TESTS_HISTORY_RULES_REG_H
#include "tests/history/history.h"

enum { VALUES_MAX = 64 };

/* Values of one key, those that are read or overwritten together. */
struct values {
    struct op *v[VALUES_MAX];
    size_t n;
};

/* "PROCESS/N,PROCESS/N" or "-", up to any other character. */
static struct values values_in(struct history *h, const char *text) {
    struct values out = {{0}, 0};
    char process[64];
    unsigned num;
    int n = 0;
    while (text && out.n < VALUES_MAX &&
           sscanf(text, "%63[0-9.]/%u%n", process, &num, &n) == 2) {
        out.v[out.n++] = op_of(h, REG, process, num);
        text += n;
        text += *text == ',';
    }
    return out;
}

/* Operations, as many as it takes. */
struct heap {
    struct op **v;
    size_t n;
};

static void heap_put(struct heap *p, struct op *o) {
    p->v = grown(p->v, p->n, sizeof(*p->v));
    p->v[p->n++] = o;
}

static bool bit(const uint32_t *bits, const struct op *o) {
    return bits && bits[o->ord / 32] >> o->ord % 32 & 1;
}

/* All that lies under the values, stamped, less what is dead already. */
static struct heap under(struct history *h, const struct values *of,
                         const uint32_t *dead) {
    struct heap found = {0}, todo = {0};
    h->stamp++;
    for (size_t i = 0; i < of->n; i++)
        if (of->v[i])
            heap_put(&todo, of->v[i]);
    while (todo.n) {
        struct values next = values_in(h, todo.v[--todo.n]->text);
        for (size_t i = 0; i < next.n; i++) {
            struct op *o = next.v[i];
            if (!o || o->stamp == h->stamp || bit(dead, o))
                continue;
            o->stamp = h->stamp;
            heap_put(&found, o);
            heap_put(&todo, o);
        }
    }
    free(todo.v);
    return found;
}

/* What a store has shown in this epoch. */
struct reg_known {
    uint32_t *dead; /* bits by op.ord */
    struct heap shown[KEYS_MAX];
};

static bool reg_mine(const struct op *o) {
    return o->what == REG ||
           ((o->what == READ || o->what == FINAL) && o->bucket == 'r');
}

static bool among(const struct values *v, const struct op *o) {
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i] == o)
            return true;
    return false;
}

/* Could by have seen the values of key? */
static void check_values(struct history *h, const struct op *by, int key,
                         const struct values *v) {
    checked(h, RULE_REG_PHANTOM);
    for (size_t i = 0; i < v->n; i++) {
        struct op *o = v->v[i];
        if (!o || !o->did || o->state == FAILED || o->key != key ||
            o->begin_us > by->end_us)
            broken(h, RULE_REG_PHANTOM,
                   "%s saw a value of k%d at %" PRIu64 " that nobody wrote",
                   by->by->name, key, by->end_us);
        else
            o->seen = true;
    }
}

static void see_key(struct walk *w, const struct op *by, int key,
                    const struct values *v) {
    struct history *h = w->h;
    struct reg_known *k = w->known;
    check_values(h, by, key, v);
    checked(h, RULE_REG_BACK);
    checked(h, RULE_REG_LOST);
    free(under(h, v, k->dead).v);
    for (size_t i = 0; i < v->n; i++) {
        const struct op *o = v->v[i];
        if (o && (bit(k->dead, o) || o->stamp == h->stamp))
            broken(h, RULE_REG_BACK,
                   "%s saw %s/%u of k%d at %" PRIu64 ", overwritten before",
                   by->by->name, o->by->name, o->num, key, by->end_us);
    }
    for (size_t i = 0; i < k->shown[key].n; i++) {
        const struct op *o = k->shown[key].v[i];
        if (o->stamp != h->stamp && !among(v, o))
            broken(h, RULE_REG_LOST, "%s missed %s/%u of k%d at %" PRIu64,
                   by->by->name, o->by->name, o->num, key, by->end_us);
    }
}

/* What lies under the values is dead; what was shown and is not dead stays. */
static void learn_values(struct walk *w, int key, const struct values *v) {
    struct reg_known *k = w->known;
    struct heap *shown = &k->shown[key], gone = under(w->h, v, k->dead);
    size_t words = w->h->elems[REG] / 32 + 1, kept = 0;
    if (!k->dead && !(k->dead = calloc(words, sizeof(uint32_t))))
        abort();
    for (size_t i = 0; i < gone.n; i++)
        k->dead[gone.v[i]->ord / 32] |= UINT32_C(1) << gone.v[i]->ord % 32;
    free(gone.v);
    for (size_t i = 0; i < shown->n; i++)
        if (!bit(k->dead, shown->v[i]) && !among(v, shown->v[i]))
            shown->v[kept++] = shown->v[i];
    shown->n = kept;
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i] && !bit(k->dead, v->v[i]))
            heap_put(shown, v->v[i]);
}

/* Calls fn with each key of a read "k0=V,V;k1=-;...". */
static void each_key(struct walk *w, const struct op *read,
                     void (*fn)(struct walk *, const struct op *, int,
                                const struct values *)) {
    const char *text = read->text;
    for (int key = 0; text && key < KEYS_MAX; key++) {
        const char *is = strchr(text, '=');
        if (!is)
            return;
        struct values v = values_in(w->h, is + 1);
        fn(w, read, key, &v);
        text = strchr(is, ';');
    }
}

static void learn_key(struct walk *w, const struct op *read, int key,
                      const struct values *v) {
    (void)read;
    learn_values(w, key, v);
}

static void reg_look(struct walk *w, struct op *o) {
    if (o->what != REG) {
        each_key(w, o, see_key);
        return;
    }
    struct values v = values_in(w->h, o->text);
    see_key(w, o, o->key, &v);
}

static void reg_learn(struct walk *w, struct op *o) {
    if (o->what != REG) {
        each_key(w, o, learn_key);
        return;
    }
    struct values v = {{o}, 1};
    learn_values(w, o->key, &v);
}

static void reg_done(struct walk *w) {
    struct reg_known *k = w->known;
    free(k->dead);
    for (int i = 0; i < KEYS_MAX; i++)
        free(k->shown[i].v);
}

/* At the end each write that may not be lost is read or was overwritten. */
static void final_key(struct walk *w, const struct op *read, int key,
                      const struct values *v) {
    struct history *h = w->h;
    free(under(h, v, NULL).v);
    for (size_t i = 0; i < h->n_ops; i++) {
        const struct op *o = h->ops[i];
        if (o->what != REG || o->key != key || !o->must)
            continue;
        checked(h, RULE_REG_FINAL);
        if (o->stamp != h->stamp && !among(v, o))
            broken(h, RULE_REG_FINAL, "%s lacks %s/%u of k%d at the end",
                   read->by->name, o->by->name, o->num, key);
    }
}

static void check_regs(struct history *h) {
    struct walk w = {h, reg_mine, reg_look, reg_learn, NULL};
    walk_all(&w, sizeof(struct reg_known), reg_done);
    for (size_t i = 0; i < h->n_ops; i++)
        if (h->ops[i]->what == FINAL && h->ops[i]->state == OK &&
            reg_mine(h->ops[i]))
            each_key(&w, h->ops[i], final_key);
}
#endif

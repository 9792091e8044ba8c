/* plan.c: the parts of a plan, and words for them. */
#include "fuzz/sim/plan.h"
#include "lib/err.h"
#include <stdio.h>
#include <stdlib.h>

const char *plan_do_name(unsigned what) {
    static const char *const names[] = {
#define PLAN_WORD(name, numbers) #name,
        PLAN_DO(PLAN_WORD)
#undef PLAN_WORD
    };
    return what < PLAN_KINDS ? names[what] : "?";
}

const char *plan_op_name(unsigned code) {
    static const char *const names[] = {"set",   "del",   "add",  "remove",
                                        "clear", "count", "reset"};
    return code < OP_KINDS ? names[code] : "?";
}

const char *plan_level_name(unsigned level) {
    static const char *const names[] = {"full", "relaxed", "ephemeral"};
    return level < LEVELS ? names[level] : "?";
}

void plan_free(struct plan *p) {
    for (size_t i = 0; i < p->n_steps; i++)
        free(p->steps[i].ops);
    free(p->steps);
    free(p->names);
    *p = (struct plan){0};
}

struct plan_step *plan_add(struct plan *p, enum plan_do what, unsigned r,
                           size_t n_ops) {
    if (p->n_steps == PLAN_STEPS || n_ops > PLAN_OPS)
        return NULL;
    if (p->n_steps == p->cap_steps) {
        size_t cap = p->cap_steps ? 2 * p->cap_steps : 64;
        struct plan_step *s = realloc(p->steps, cap * sizeof *s);
        if (!s)
            return NULL;
        p->steps = s;
        p->cap_steps = cap;
    }
    struct plan_step *s = &p->steps[p->n_steps];
    *s = (struct plan_step){
        .n = (uint32_t)p->n_steps, .what = (uint8_t)what, .r = (uint8_t)r};
    s->ops = n_ops ? calloc(n_ops, sizeof *s->ops) : NULL;
    s->n_ops = s->ops ? n_ops : 0;
    p->n_steps++;
    return s;
}

int plan_copy(struct plan *dst, const struct plan *p, const uint8_t *skip) {
    *dst = *p;
    dst->steps = NULL;
    dst->n_steps = dst->cap_steps = 0;
    dst->names = malloc(PLAN_NAMES * sizeof *dst->names);
    if (!dst->names)
        return ECRDT_ENOMEM;
    memcpy(dst->names, p->names, p->n_names * sizeof *p->names);
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct plan_step *s = &p->steps[i];
        if (skip && skip[i])
            continue;
        struct plan_step *c =
            plan_add(dst, (enum plan_do)s->what, s->r, s->n_ops);
        if (!c || c->n_ops != s->n_ops)
            return ECRDT_ENOMEM;
        struct plan_op *ops = c->ops;
        *c = *s;
        c->ops = ops;
        if (ops)
            memcpy(ops, s->ops, s->n_ops * sizeof *ops);
    }
    return ECRDT_OK;
}

int plan_name(struct plan *p, const void *name, size_t len) {
    if (!p->names)
        p->names = malloc(PLAN_NAMES * sizeof *p->names);
    for (size_t i = 0; i < p->n_names; i++)
        if (p->names[i].len == len && !memcmp(p->names[i].b, name, len))
            return (int)i;
    if (!p->names || p->n_names == PLAN_NAMES || len > PLAN_NAME)
        return -1;
    p->names[p->n_names].len = (uint16_t)len;
    if (len)
        memcpy(p->names[p->n_names].b, name, len);
    return (int)p->n_names++;
}

static int say_name(char *out, size_t size, const struct plan *p, unsigned i) {
    const struct plan_name *n = &p->names[i];
    return n->len <= 24 ? snprintf(out, size, "%.*s", n->len, n->b)
                        : snprintf(out, size, "%.8s...(%u)", n->b, n->len);
}

static size_t say_op(char *out, size_t size, const struct plan *p,
                     const struct plan_op *op) {
    int n =
        snprintf(out, size, "%s %c/", plan_op_name(op->code), 'a' + op->bucket);
    n += say_name(out + n, size - (size_t)n, p, op->key);
    if (op->code == OP_add || op->code == OP_remove) {
        n += snprintf(out + n, size - (size_t)n, " ");
        n += say_name(out + n, size - (size_t)n, p, op->elem);
    }
    if (op->code == OP_set || op->code == OP_count)
        n += snprintf(out + n, size - (size_t)n, " %d", op->num);
    return (size_t)n;
}

void plan_say(const struct plan *p, const struct plan_step *s, char *out,
              size_t size) {
    enum { ONE = 120 };
    size_t at = 0;
    if (s->what != DO_txn) {
        snprintf(out, size, "%lld %lld %lld", (long long)s->a, (long long)s->b,
                 (long long)s->c);
        return;
    }
    *out = 0;
    for (size_t i = 0; i < s->n_ops && at + ONE < size; i++) {
        if (i)
            at += (size_t)snprintf(out + at, size - at, ", ");
        at += say_op(out + at, size - at, p, &s->ops[i]);
    }
}

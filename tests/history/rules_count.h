/* rules_count.h: the rules of a counter that only grows (the bucket counts),
 * of numbers that are taken one after the other, and of ids. */
#ifndef TESTS_HISTORY_RULES_COUNT_H
#define TESTS_HISTORY_RULES_COUNT_H
#include "tests/history/history.h"

/* ---- the counter ----------------------------------------------------------
 */

static bool count_mine(const struct op *o) {
    return o->what == COUNT ||
           ((o->what == READ || o->what == FINAL) && o->bucket == 'c');
}

static int64_t count_view(const struct op *o) {
    return o->what == COUNT ? o->view : strtoll(o->text, NULL, 10);
}

/* The sum of what was begun before us, by whomever, and has not failed. */
static int64_t begun_before(const struct history *h, uint64_t us) {
    int64_t sum = 0;
    for (size_t i = 0; i < h->n_counted; i++) {
        const struct op *o = h->counted[i];
        if (o->state != FAILED && o->begin_us <= us)
            sum += o->amount;
    }
    return sum;
}

static void count_look(struct walk *w, struct op *o) {
    int64_t least = *(int64_t *)w->known + (o->what == COUNT ? o->amount : 0);
    int64_t v = count_view(o), most = begun_before(w->h, o->end_us);
    checked(w->h, RULE_COUNT_LOW);
    checked(w->h, RULE_COUNT_HIGH);
    if (v < least)
        broken(w->h, RULE_COUNT_LOW,
               "%s saw %" PRId64 " at %" PRIu64 ", its store had %" PRId64,
               o->by->name, v, o->end_us, least);
    if (v > most)
        broken(w->h, RULE_COUNT_HIGH,
               "%s saw %" PRId64 " at %" PRIu64 ", %" PRId64 " was added",
               o->by->name, v, o->end_us, most);
}

static void count_learn(struct walk *w, struct op *o) {
    int64_t *known = w->known;
    if (count_view(o) > *known)
        *known = count_view(o);
}

/* At the end: all that may not be lost, and perhaps what nobody knows of. */
static void count_final(struct history *h, const struct op *read) {
    int64_t least = 0, most = 0, v = count_view(read);
    for (size_t i = 0; i < h->n_ops; i++) {
        const struct op *o = h->ops[i];
        if (o->what != COUNT)
            continue;
        least += o->must ? o->amount : 0;
        most += o->did && o->state != FAILED ? o->amount : 0;
    }
    checked(h, RULE_COUNT_FINAL);
    if (v < least || v > most)
        broken(h, RULE_COUNT_FINAL,
               "%s read %" PRId64 " at the end, not %" PRId64 " to %" PRId64,
               read->by->name, v, least, most);
}

static void check_count(struct history *h) {
    struct walk w = {h, count_mine, count_look, count_learn, NULL};
    walk_all(&w, sizeof(int64_t), NULL);
    for (size_t i = 0; i < h->n_ops; i++)
        if (h->ops[i]->what == FINAL && h->ops[i]->state == OK &&
            count_mine(h->ops[i]))
            count_final(h, h->ops[i]);
}

/* ---- numbers of a store ---------------------------------------------------
 */

static bool ticket_mine(const struct op *o) {
    return o->what == TICKET ||
           ((o->what == READ || o->what == FINAL) && o->bucket == 't');
}

/* "1=N;2=N;..." */
static long long ticket_read(const struct op *read, int node) {
    char key[4] = {(char)('0' + node), '=', 0};
    const char *at = strstr(read->text, key);
    return at ? atoll(at + 2) : 0;
}

static bool was_restored(const struct history *h, int node) {
    for (size_t i = 0; i < h->n_restores; i++)
        if (h->restores[i].node == node)
            return true;
    return false;
}

/* known: the greatest number of each node that this store has shown. */
static void ticket_look(struct walk *w, struct op *o) {
    const long long *known = w->known;
    struct history *h = w->h;
    if (o->what == TICKET) {
        checked(h, RULE_TICKET_ORDER);
        if (o->view <= known[o->by->node])
            broken(h, RULE_TICKET_ORDER,
                   "%s took %" PRId64 " at %" PRIu64 ", after %lld",
                   o->by->name, o->view, o->end_us, known[o->by->node]);
        return;
    }
    for (int node = 1; node < NODES_MAX; node++) {
        if (was_restored(h, node))
            continue;
        checked(h, RULE_TICKET_ORDER);
        if (ticket_read(o, node) < known[node])
            broken(h, RULE_TICKET_ORDER,
                   "%s read %lld of node %d at %" PRIu64 ", after %lld",
                   o->by->name, ticket_read(o, node), node, o->end_us,
                   known[node]);
    }
}

static void ticket_learn(struct walk *w, struct op *o) {
    long long *known = w->known;
    if (o->what == TICKET) {
        if (o->view > known[o->by->node])
            known[o->by->node] = o->view;
        return;
    }
    for (int node = 1; node < NODES_MAX; node++)
        if (!was_restored(w->h, node) && ticket_read(o, node) > known[node])
            known[node] = ticket_read(o, node);
}

static int by_ticket(const void *a, const void *b) {
    const struct op *x = *(struct op *const *)a, *y = *(struct op *const *)b;
    if (x->by->node != y->by->node)
        return x->by->node - y->by->node;
    if (x->epoch != y->epoch)
        return (x->epoch > y->epoch) - (x->epoch < y->epoch);
    return (x->view > y->view) - (x->view < y->view);
}

/* The operations that pick() takes, sorted. */
static struct op **sorted(const struct history *h,
                          bool (*pick)(const struct op *),
                          int (*order)(const void *, const void *), size_t *n) {
    struct op **out = NULL;
    *n = 0;
    for (size_t i = 0; i < h->n_ops; i++) {
        if (!pick(h->ops[i]))
            continue;
        out = grown(out, *n, sizeof(*out));
        out[(*n)++] = h->ops[i];
    }
    if (*n)
        qsort(out, *n, sizeof(*out), order);
    return out;
}

static bool took_ticket(const struct op *o) {
    return o->what == TICKET && o->state == OK;
}

static void check_tickets(struct history *h) {
    struct walk w = {h, ticket_mine, ticket_look, ticket_learn, NULL};
    walk_all(&w, NODES_MAX * sizeof(long long), NULL);
    size_t n;
    struct op **t = sorted(h, took_ticket, by_ticket, &n);
    for (size_t i = 1; i < n; i++) {
        checked(h, RULE_TICKET_TWICE);
        if (by_ticket(&t[i - 1], &t[i]) == 0)
            broken(h, RULE_TICKET_TWICE, "%s and %s took %" PRId64,
                   t[i - 1]->by->name, t[i]->by->name, t[i]->view);
    }
    free(t);
}

/* ---- ids ------------------------------------------------------------------
 */

/* A commit whose end nobody wrote down counts if its element was read. */
static bool committed(const struct op *o) {
    return is_write(o) && *o->receipt &&
           (o->state == OK || (o->seen && o->state == OPEN));
}

static int by_receipt(const void *a, const void *b) {
    return strcmp((*(struct op *const *)a)->receipt,
                  (*(struct op *const *)b)->receipt);
}

static void check_ids(struct history *h) {
    size_t n;
    struct op **o = sorted(h, committed, by_receipt, &n);
    for (size_t i = 1; i < n; i++) {
        checked(h, RULE_ID_TWICE);
        if (by_receipt(&o[i - 1], &o[i]) == 0)
            broken(h, RULE_ID_TWICE, "%s and %s have receipt %s",
                   o[i - 1]->by->name, o[i]->by->name, o[i]->receipt);
    }
    free(o);
}

static void check_waits(struct history *h) {
    for (size_t i = 0; i < h->n_ops; i++) {
        const struct op *o = h->ops[i];
        if (o->what != HERE || o->state != OK)
            continue;
        checked(h, RULE_WAIT_HERE);
        if (!o->has)
            broken(h, RULE_WAIT_HERE, "%s waited for %s/%u and has not got it",
                   o->by->name, o->goal->by->name, o->goal->num);
    }
}

/* The last read of each bucket is the same at each node. */
static void check_equal(struct history *h) {
    const struct op *first[256] = {0};
    for (size_t i = 0; i < h->n_ops; i++) {
        const struct op *o = h->ops[i];
        if (o->what != FINAL || o->state != OK)
            continue;
        const struct op **f = &first[(unsigned char)o->bucket];
        if (!*f)
            *f = o;
        checked(h, RULE_EQUAL);
        if (strcmp((*f)->text, o->text))
            broken(h, RULE_EQUAL, "%s and %s: %.60s, %.60s", (*f)->by->name,
                   o->by->name, (*f)->text, o->text);
    }
}
#endif

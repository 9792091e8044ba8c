/* history.h: what the processes of a run wrote down (client.c), as operations
 * with a beginning and an end, and the rules that they are judged by. */
#ifndef TESTS_HISTORY_HISTORY_H
#define TESTS_HISTORY_HISTORY_H
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* X(NAME, name, what holds): docs/histories.md says why. */
#define RULES(X)                                                               \
    X(SET_PHANTOM, "set-phantom", "no element that nobody added")              \
    X(SET_OWN, "set-own", "an add is seen by all who read its store later")    \
    X(SET_MONOTONE, "set-monotone", "what a store has shown stays")            \
    X(SET_PREFIX, "set-prefix", "one writer's adds are seen in their order")   \
    X(SET_FINAL, "set-final", "no acknowledged add is missing at the end")     \
    X(COUNT_LOW, "count-low", "a counter never falls below what was seen")     \
    X(COUNT_HIGH, "count-high", "a counter never exceeds what was added")      \
    X(COUNT_FINAL, "count-final", "the sum of all acknowledged adds")          \
    X(PAIR_TORN, "pair-torn", "a transaction is seen whole or not at all")     \
    X(REG_PHANTOM, "reg-phantom", "no value that nobody wrote")                \
    X(REG_BACK, "reg-back", "an overwritten value never comes back")           \
    X(REG_LOST, "reg-lost", "a value goes only when somebody overwrote it")    \
    X(REG_FINAL, "reg-final", "no acknowledged write is missing at the end")   \
    X(TICKET_TWICE, "ticket-twice", "no two transactions took one number")     \
    X(TICKET_ORDER, "ticket-order", "a store's transactions have one order")   \
    X(ID_TWICE, "id-twice", "no two commits have one id")                      \
    X(WAIT_HERE, "wait-here", "what was waited for can be read")               \
    X(EQUAL, "equal", "all nodes read the same at the end")

enum rule {
#define RULE_ENUM(name, text, what) RULE_##name,
    RULES(RULE_ENUM)
#undef RULE_ENUM
        RULE_COUNT
};

/* Nodes are 1 to NODES_MAX - 1. */
enum { NODES_MAX = 10, EPOCHS_MAX = 4096, TOLD_MAX = 5, KEYS_MAX = 16 };

enum what { ADD, COUNT, PAIR, REG, TICKET, READ, FINAL, HERE, CORE, WHATS };
static const char *const what_names[WHATS] = {
    "add", "count", "pair", "reg", "ticket", "read", "final", "here", "core"};

enum state { OPEN, OK, FAILED }; /* OPEN: nobody knows, as for `info` */

struct op {
    const struct process *by;
    enum what what;
    enum state state;
    uint64_t begin_us, end_us; /* OPEN: UINT64_MAX */
    unsigned epoch;            /* of the store: restores before it */
    uint32_t num;              /* ADD, PAIR, REG: of its process, from 1 */
    uint32_t ord;              /* ADD, PAIR: of all of them */
    int key;                   /* REG */
    int64_t amount, view;      /* COUNT, PAIR: by, and then; TICKET: number */
    char bucket;               /* READ, FINAL: its first letter */
    bool settled, has;         /* READ: at one clock; HERE: it was there */
    bool must;                 /* it may not be lost */
    bool seen;                 /* OPEN, but somebody read it */
    bool did;                  /* it came as far as its commit */
    char receipt[104];
    char *text;      /* what was read; REG: what it overwrote */
    struct op *goal; /* HERE, CORE: what was waited for */
    struct op *rest; /* ADD: the next one of the same commit */
    unsigned stamp;  /* of a walk over what was overwritten */
};

struct process {
    char name[64];
    int node;
    struct op *now;              /* has begun */
    struct op **by_num[REG + 1]; /* ADD, PAIR, REG: from 1 */
    uint32_t n[REG + 1], cap[REG + 1];
};

struct restore {
    int node;
    uint64_t backup_us, us;
};

struct history {
    struct process **processes;
    struct op **ops, **counted; /* counted: those that are COUNT */
    struct restore *restores;
    size_t n_processes, n_ops, n_counted, n_restores;
    uint32_t elems[REG + 1]; /* ADD, PAIR: how many */
    unsigned stamp;
    uint64_t checked[RULE_COUNT], broken[RULE_COUNT];
    uint64_t counts[WHATS][3], unsettled;
    bool quiet;
    char error[200]; /* the log is none */
};

static void checked(struct history *h, enum rule r) {
    h->checked[r]++;
}

/* Counts a violation, and tells the first ones. */
__attribute__((format(printf, 3, 4))) static void
broken(struct history *h, enum rule r, const char *format, ...) {
#define RULE_TEXT(name, text, what) text,
    static const char *const names[] = {RULES(RULE_TEXT)};
    va_list ap;
    if (h->broken[r]++ >= TOLD_MAX || h->quiet)
        return;
    printf("# %s: ", names[r]);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    puts("");
}

/* Room for one more at *p, of n. */
static void *grown(void *p, size_t n, size_t size) {
    if (n & (n - 1))
        return p;
    p = realloc(p, (n ? 2 * n : 1) * size);
    if (!p)
        abort();
    return p;
}

static bool is_write(const struct op *o) {
    return o->what <= TICKET;
}

/* ---- reading the logs -----------------------------------------------------
 */

static struct process *process_of(struct history *h, const char *name) {
    for (size_t i = h->n_processes; i-- > 0;)
        if (!strcmp(h->processes[i]->name, name))
            return h->processes[i];
    struct process *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    snprintf(p->name, sizeof p->name, "%s", name);
    p->node = *name >= '1' && *name <= '9' ? *name - '0' : 0;
    h->processes = grown(h->processes, h->n_processes, sizeof(*h->processes));
    h->processes[h->n_processes++] = p;
    return p;
}

/* The operation num of a process, or NULL. */
static struct op *op_of(struct history *h, enum what what, const char *process,
                        uint64_t num) {
    const struct process *p = process_of(h, process);
    return num >= 1 && num <= p->n[what] ? p->by_num[what][num - 1] : NULL;
}

static void number_op(struct history *h, struct process *p, struct op *o) {
    uint32_t *n = &p->n[o->what];
    if (o->num != *n + 1) {
        snprintf(h->error, sizeof h->error,
                 "%s: its %s %" PRIu32 " follows %" PRIu32, p->name,
                 what_names[o->what], o->num, *n);
        return;
    }
    p->by_num[o->what] = grown(p->by_num[o->what], *n, sizeof(struct op *));
    p->by_num[o->what][(*n)++] = o;
    o->ord = h->elems[o->what]++;
}

static struct op *op_new(struct history *h, struct process *p, uint64_t us,
                         enum what what) {
    struct op *o = calloc(1, sizeof *o);
    if (!o)
        abort();
    *o = (struct op){
        .by = p, .what = what, .begin_us = us, .end_us = UINT64_MAX};
    h->ops = grown(h->ops, h->n_ops, sizeof(*h->ops));
    h->ops[h->n_ops++] = o;
    return o;
}

/* "NUM" or "NUM N": N elements from NUM on, in one commit. */
static void add_begin(struct history *h, struct process *p, struct op *o,
                      char *args) {
    unsigned long n = strtoul(args, NULL, 10);
    for (; n > 1 && !*h->error; n--, o = o->rest) {
        o->rest = op_new(h, p, o->begin_us, ADD);
        o->rest->num = o->num + 1;
        number_op(h, p, o->rest);
    }
}

static void op_begin(struct history *h, struct process *p, uint64_t us,
                     enum what what, char *args) {
    struct op *o = op_new(h, p, us, what);
    p->now = o;
    if (what == ADD || what == PAIR || what == REG) {
        o->num = (uint32_t)strtoul(args, &args, 10);
        number_op(h, p, o);
    }
    if (what == ADD)
        add_begin(h, p, o, args);
    if (what == COUNT || what == PAIR)
        o->amount = strtoll(args, NULL, 10);
    if (what == COUNT) {
        h->counted = grown(h->counted, h->n_counted, sizeof(*h->counted));
        h->counted[h->n_counted++] = o;
    }
    if (what == REG)
        o->key = atoi(args + strspn(args, " k"));
    if (what == READ || what == FINAL)
        o->bucket = *args;
    if (what == HERE || what == CORE)
        o->text = strdup(args);
}

static void op_do(struct op *o, char *args) {
    int n = 0;
    for (struct op *each = o; each; each = each->rest)
        each->did = true;
    if (sscanf(args, "%103s %n", o->receipt, &n) == 1 && o->what == REG)
        o->text = strdup(args + n);
}

static void op_end(struct op *o, uint64_t us, enum state state, char *args) {
    for (struct op *each = o; each; each = each->rest) {
        each->state = state;
        each->end_us = state == OPEN ? UINT64_MAX : us;
    }
    if (state != OK)
        return;
    if (o->what == READ || o->what == FINAL) {
        o->settled = *args == '1';
        o->text = strdup(*args ? args + 2 : args);
    } else if (o->what == HERE || o->what == CORE) {
        o->has = *args == '1';
    } else {
        o->view = strtoll(args, NULL, 10);
    }
}

static void nemesis_line(struct history *h, uint64_t us, const char *text) {
    struct restore r = {0, 0, us};
    if (sscanf(text, "restore %d %" SCNu64, &r.node, &r.backup_us) != 2)
        return;
    h->restores = grown(h->restores, h->n_restores, sizeof(*h->restores));
    h->restores[h->n_restores++] = r;
}

static void history_line(struct history *h, char *text) {
    char name[64], phase[8], verb[8];
    uint64_t us;
    int n = 0;
    unsigned what = 0;
    if (sscanf(text, "%" SCNu64 " %63s %7s %7s %n", &us, name, phase, verb,
               &n) < 4) {
        snprintf(h->error, sizeof h->error, "no event: %.100s", text);
        return;
    }
    if (!strcmp(name, "nemesis")) {
        nemesis_line(h, us, strstr(text, verb));
        return;
    }
    struct process *p = process_of(h, name);
    while (what < WHATS && strcmp(verb, what_names[what]))
        what++;
    bool begins = !strcmp(phase, "invoke");
    if (!p->node || what == WHATS || (!begins && !p->now) ||
        (!begins && p->now->what != what))
        snprintf(h->error, sizeof h->error, "out of place: %.100s", text);
    else if (begins)
        op_begin(h, p, us, what, text + n);
    else if (!strcmp(phase, "do"))
        op_do(p->now, text + n);
    else
        op_end(p->now, us,
               *phase == 'o'   ? OK
               : *phase == 'f' ? FAILED
                               : OPEN,
               text + n);
}

/* Takes the lines of a log; one without an end is torn and left out. */
static void history_read(struct history *h, char *text) {
    char *end;
    for (; (end = strchr(text, '\n')) && !*h->error; text = end + 1) {
        *end = 0;
        history_line(h, text);
    }
}

/* ---- what follows from all of it ------------------------------------------
 */

/* An edge that is restored may lose what it wrote behind the backup and what
 * no other node is known to have. */
static bool may_be_lost(const struct history *h, const struct op *o) {
    for (size_t i = 0; i < h->n_restores; i++) {
        const struct restore *r = &h->restores[i];
        if (r->node == o->by->node && o->end_us > r->backup_us &&
            o->begin_us < r->us)
            return true;
    }
    return false;
}

static void find_goal(struct history *h, struct op *o) {
    char process[64], kind[8];
    unsigned num;
    if (o->text && sscanf(o->text, "%63s %7s %u", process, kind, &num) == 3)
        o->goal = op_of(h, *kind == 'a' ? ADD : PAIR, process, num);
    if (!o->goal)
        snprintf(h->error, sizeof h->error, "%s waited for an unknown write",
                 o->by->name);
}

/* Behind the last line: epochs, and what may not be lost. */
static void history_finish(struct history *h) {
    for (size_t i = 0; i < h->n_ops; i++) {
        struct op *o = h->ops[i];
        for (size_t r = 0; r < h->n_restores; r++)
            o->epoch += h->restores[r].node == o->by->node &&
                        h->restores[r].us <= o->begin_us;
        o->must = o->state == OK && !may_be_lost(h, o);
        h->counts[o->what][o->state]++;
        h->unsettled += o->what == READ && o->state == OK && !o->settled;
        if (o->what == HERE || o->what == CORE)
            find_goal(h, o);
    }
    for (size_t i = 0; i < h->n_ops; i++)
        if (h->ops[i]->what == CORE && h->ops[i]->state == OK &&
            h->ops[i]->goal)
            h->ops[i]->goal->must = true;
}

static void history_free(struct history *h) {
    for (size_t i = 0; i < h->n_ops; i++) {
        free(h->ops[i]->text);
        free(h->ops[i]);
    }
    for (size_t i = 0; i < h->n_processes; i++) {
        for (int w = 0; w <= REG; w++)
            free(h->processes[i]->by_num[w]);
        free(h->processes[i]);
    }
    free(h->processes);
    free(h->ops);
    free(h->counted);
    free(h->restores);
    *h = (struct history){0};
}

/* ---- one store after the other --------------------------------------------
 */

static int by_begin(const void *a, const void *b) {
    uint64_t x = (*(struct op *const *)a)->begin_us;
    uint64_t y = (*(struct op *const *)b)->begin_us;
    return (x > y) - (x < y);
}

static int by_end(const void *a, const void *b) {
    uint64_t x = (*(struct op *const *)a)->end_us;
    uint64_t y = (*(struct op *const *)b)->end_us;
    return (x > y) - (x < y);
}

/* One rule's view of a store in one epoch. look(): an operation begins, and
 * all that ended before was given to learn(). */
struct walk {
    struct history *h;
    bool (*mine)(const struct op *o);
    void (*look)(struct walk *w, struct op *o);
    void (*learn)(struct walk *w, struct op *o);
    void *known;
};

static void walk_store(struct walk *w, int node, unsigned epoch) {
    struct history *h = w->h;
    struct op **begun = NULL;
    size_t n = 0, learned = 0;
    for (size_t i = 0; i < h->n_ops; i++) {
        struct op *o = h->ops[i];
        if (o->by->node != node || o->epoch != epoch || o->state != OK ||
            !w->mine(o))
            continue;
        begun = grown(begun, n, sizeof(*begun));
        begun[n++] = o;
    }
    struct op **ended = malloc(n * sizeof(*ended) + 1);
    if (!ended)
        abort();
    if (n) {
        memcpy(ended, begun, n * sizeof(*ended));
        qsort(begun, n, sizeof(*begun), by_begin);
        qsort(ended, n, sizeof(*ended), by_end);
    }
    for (size_t i = 0; i < n; i++) {
        while (ended[learned]->end_us < begun[i]->begin_us)
            w->learn(w, ended[learned++]);
        w->look(w, begun[i]);
    }
    while (learned < n)
        w->learn(w, ended[learned++]);
    free(begun);
    free(ended);
}

/* Each store in each epoch, with known (of size bytes) zeroed, and forgotten
 * by done() behind it. */
static void walk_all(struct walk *w, size_t size, void (*done)(struct walk *)) {
    for (int node = 1; node < NODES_MAX; node++) {
        unsigned epochs = 1;
        for (size_t r = 0; r < w->h->n_restores; r++)
            epochs += w->h->restores[r].node == node;
        for (unsigned e = 0; e < epochs; e++) {
            w->known = calloc(1, size);
            if (!w->known)
                abort();
            walk_store(w, node, e);
            if (done)
                done(w);
            free(w->known);
        }
    }
}
#endif

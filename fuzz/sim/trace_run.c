/* trace_run.c: does the steps of a history, looks at each replica, syncs all
 * with all twice and looks again. */
#include "fuzz/sim/trace_run.h"
#include "fuzz/sim/sim.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const talks[] = {
    [BY_DELTAS] = "by deltas",
    [BY_COMPLETE_CHUNKS] = "by complete chunks",
};

struct run {
    const struct history *h;
    struct stores stores;
    char **why;
};

__attribute__((format(printf, 2, 3))) static enum verdict
differs(struct run *r, const char *fmt, ...) {
    char *what = NULL;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&what, fmt, args) < 0)
        what = NULL;
    va_end(args);
    if (asprintf(r->why, "history %s, %s: %s", r->h->id, talks[r->stores.talk],
                 what ? what : "(no memory)") < 0)
        *r->why = NULL;
    free(what);
    return DIFFERS;
}

/* A call that failed: what a history may not do, or trouble of the machine. */
static enum verdict failed(struct run *r, int rc, const char *when) {
    char *sentence = strdup(ecrdt_errmsg());
    differs(r, "%s: %s", when, sentence ? sentence : ecrdt_strerror(rc));
    free(sentence);
    bool machine = rc == ECRDT_EIO || rc == ECRDT_EFULL || rc == ECRDT_ENOMEM ||
                   rc == ECRDT_ENOENT;
    return machine ? NO_ANSWER : DIFFERS;
}

static enum verdict do_steps(struct run *r) {
    for (size_t i = 0; i < r->h->n_steps; i++) {
        const struct step *step = &r->h->steps[i];
        int rc = stores_step(&r->stores, step);
        char when[80];
        snprintf(when, sizeof when, "step %zu (steps[%zu]) was refused", i + 1,
                 i);
        if (rc < 0)
            return failed(r, rc, when);
    }
    return AS_EXPECTED;
}

/* Looks at each replica; expected has one text for each. */
static enum verdict look(struct run *r, char *const *expected,
                         const char *when) {
    for (size_t i = 0; i < r->h->n_replicas; i++) {
        char *got;
        int rc = stores_read(&r->stores, i, r->h->type, &got);
        if (rc < 0)
            return failed(r, rc, when);
        bool equal = !strcmp(got, expected[i]);
        if (!equal)
            differs(r, "%s, replica %s shows %s; expected %s", when,
                    r->h->replicas[i], got, expected[i]);
        free(got);
        if (!equal)
            return DIFFERS;
    }
    return AS_EXPECTED;
}

static enum verdict look_at_views(struct run *r) {
    char when[80];
    snprintf(when, sizeof when, "after %zu step%s", r->h->n_steps,
             plural(r->h->n_steps));
    return look(r, r->h->views, when);
}

static enum verdict sync_all(struct run *r) {
    size_t n = r->h->n_replicas;
    for (size_t i = 0; i < 2 * n * n; i++) {
        size_t from = i / n % n, to = i % n;
        int rc = from == to ? 0 : stores_sync(&r->stores, from, to);
        if (rc < 0)
            return failed(r, rc, "while all synced with all");
    }
    return AS_EXPECTED;
}

/* Equal values are not enough: what lies below them is equal as well. */
static enum verdict look_at_merged(struct run *r) {
    char *same[HISTORY_MAX_REPLICAS];
    uint8_t first[16], other[16];
    static const char when[] = "after all synced with all twice";
    for (size_t i = 0; i < r->h->n_replicas; i++)
        same[i] = r->h->merged;
    enum verdict v = look(r, same, when);
    for (size_t i = 0; i < r->h->n_replicas && v == AS_EXPECTED; i++) {
        int rc = stores_digest(&r->stores, i, i ? other : first);
        if (rc < 0)
            v = failed(r, rc, when);
        else if (i && memcmp(first, other, sizeof first) != 0)
            v = differs(r,
                        "%s, replicas %s and %s show %s, but their digests "
                        "differ",
                        when, r->h->replicas[0], r->h->replicas[i],
                        r->h->merged);
    }
    return v;
}

static enum verdict run_once(const struct history *h, enum talk talk,
                             uint64_t parts[2], char **why) {
    struct run r = {.h = h, .why = why};
    int rc = stores_open(&r.stores, h->n_replicas, talk);
    enum verdict v =
        rc < 0 ? failed(&r, rc, "the stores do not open") : do_steps(&r);
    if (v == AS_EXPECTED)
        v = look_at_views(&r);
    if (v == AS_EXPECTED)
        v = sync_all(&r);
    if (v == AS_EXPECTED)
        v = look_at_merged(&r);
    stores_close(&r.stores);
    for (size_t i = 0; i < 2; i++)
        parts[i] += r.stores.parts[i];
    return v;
}

enum verdict trace_run(const struct history *h, uint64_t parts[2], char **why) {
    *why = NULL;
    enum verdict v = run_once(h, BY_DELTAS, parts, why);
    if (v == AS_EXPECTED)
        v = run_once(h, BY_COMPLETE_CHUNKS, parts, why);
    return v;
}

/* audit.c: the auditor splits what differs until the other side shows its
 * items; ranges at unequal clocks are tried again, then counted. */
#include "replication/audit.h"
#include "lib/err.h"

void audit_end(struct audit *a) {
    fp_free(&a->parts);
    fp_free(&a->same);
    fp_free(&a->want);
    fp_free(&a->shown);
    fp_free(&a->next);
    fp_free(&a->later);
    buf_free(&a->same_body);
    buf_free(&a->want_body);
    a->state = AUDIT_IDLE;
}

/* Bounds without a clock: those of ours at that time will count. */
static int add_bounds(struct fp *m, const struct item_id *lo,
                      const struct item_id *hi) {
    static const struct vv none;
    uint32_t no;
    int rc = fp_add_clock(m, &none, &no);
    if (rc < 0)
        return rc;
    return fp_add(m, lo, hi, no, false) ? ECRDT_OK : ECRDT_ENOMEM;
}

int audit_begin(struct audit *a, struct mirror *m, const struct item_id *lo,
                const struct item_id *hi, unsigned retries, uint64_t now_ms) {
    static const struct item_id lowest;
    audit_end(a);
    a->m = m;
    a->level = 0;
    a->patience = retries;
    a->compared = a->skipped = 0;
    a->findings = 0;
    a->error = 0;
    a->due_ms = now_ms;
    int rc = add_bounds(&a->parts, lo ? lo : &lowest, hi);
    if (rc == ECRDT_OK)
        a->state = AUDIT_DUE;
    return rc;
}

bool audit_due(const struct audit *a, uint64_t now_ms) {
    return a->state == AUDIT_DUE && now_ms >= a->due_ms;
}

size_t audit_fan(const struct audit *a) {
    size_t fan = RECONCILE_WIDE / a->parts.n;
    return a->level == 0 ? 1 : fan > RECONCILE_FAN ? fan : RECONCILE_FAN;
}

void audit_sent(struct audit *a, struct fp *m, uint64_t now_ms) {
    fp_free(&a->parts);
    a->parts = *m;
    *m = (struct fp){0};
    a->parts.bucket = ecrdt_str(a->m->bucket);
    a->state = AUDIT_SENT;
    a->end_ms = now_ms + AUDIT_ANSWER_MS;
}

static bool of_this(const struct audit *a, const struct fp *m) {
    return a->state == AUDIT_SENT &&
           slice_eq(m->bucket, ecrdt_str(a->m->bucket));
}

static void move(struct fp *to, struct buf *to_body, struct fp *m,
                 struct buf *body) {
    fp_free(to);
    buf_free(to_body);
    *to = *m;
    *to_body = *body;
    *m = (struct fp){0};
    *body = (struct buf){0};
}

bool audit_on_same(struct audit *a, struct fp *m, struct buf *body) {
    if (!of_this(a, m))
        return false;
    move(&a->same, &a->same_body, m, body);
    return true;
}

bool audit_on_want(struct audit *a, struct fp *m, struct buf *body) {
    if (!of_this(a, m))
        return false;
    move(&a->want, &a->want_body, m, body);
    a->state = AUDIT_ANSWERED;
    return true;
}

uint64_t audit_at(const struct audit *a) {
    return a->state == AUDIT_DUE    ? a->due_ms
           : a->state == AUDIT_SENT ? a->end_ms
           : a->state == AUDIT_IDLE ? UINT64_MAX
                                    : 0;
}

/* ---- looking at an answer --------------------------------------------------
 */

/* Does a part of m cover p? */
static bool covers(const struct fp *m, const struct fp_part *p) {
    for (size_t i = 0; i < m->n; i++) {
        const struct fp_part *q = &m->parts[i];
        if (slice_cmp(item_id_slice(&q->lo), item_id_slice(&p->lo)) <= 0 &&
            (!q->bounded ||
             (p->bounded &&
              slice_cmp(item_id_slice(&p->hi), item_id_slice(&q->hi)) <= 0)))
            return true;
    }
    return false;
}

/* What is equal is done, what is not is split, or tried again. */
static int sort_part(struct audit *a, const struct fp_part *p) {
    if (covers(&a->want, p))
        return add_bounds(&a->later, &p->lo, fp_hi(p));
    a->compared++;
    if (covers(&a->same, p) || covers(&a->shown, p) || a->next.n >= AUDIT_PARTS)
        return ECRDT_OK;
    return add_bounds(&a->next, &p->lo, fp_hi(p));
}

/* Keeps the findings with the least ids. */
static int differs(void *ctx, const struct difference *d) {
    struct audit *a = ctx;
    size_t at = a->findings;
    while (at && slice_cmp(item_id_slice(&a->list[at - 1].id), d->id) > 0)
        at--;
    if (at == AUDIT_FINDINGS)
        return 0;
    a->findings += a->findings < AUDIT_FINDINGS;
    memmove(a->list + at + 1, a->list + at,
            (a->findings - at - 1) * sizeof *a->list);
    a->list[at].d = *d;
    item_id_set(&a->list[at].id, d->id);
    return 0;
}

/* Parts behind the last finding that will be told need no look. */
static void prune(struct audit *a) {
    if (a->findings < AUDIT_FINDINGS)
        return;
    slice last = item_id_slice(&a->list[AUDIT_FINDINGS - 1].id);
    while (a->next.n &&
           slice_cmp(item_id_slice(&a->next.parts[a->next.n - 1].lo), last) > 0)
        a->next.n--;
    if (!a->next.n)
        fp_free(&a->next);
}

static void tell(struct audit *a) {
    for (size_t i = 0; i < a->findings && a->found; i++) {
        a->list[i].d.id = item_id_slice(&a->list[i].id);
        a->list[i].d.bucket = a->m->bucket;
        a->found(a->ctx, &a->list[i].d);
    }
}

/* The items that the peer shows, against ours. */
static int compare(struct audit *a, ecrdt_store *s) {
    ecrdt_txn *t;
    if (!a->same.items.len)
        return ECRDT_OK;
    int rc = replica_begin(s, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = compare_chunk(t, a->same.items, differs, a, &a->shown);
    ecrdt_abort(t);
    return rc;
}

/* Nothing finer than this came of it: the range itself is named. */
static void name_ranges(struct audit *a) {
    for (size_t i = 0; i < a->next.n; i++) {
        struct difference d = {.bucket = a->m->bucket,
                               .id = item_id_slice(&a->next.parts[i].lo)};
        differs(a, &d);
    }
    fp_free(&a->next);
}

/* What comes next: finer parts, or those at unequal clocks once more. */
static void go_on(struct audit *a, uint64_t now_ms) {
    fp_free(&a->parts);
    a->state = AUDIT_DUE;
    a->due_ms = now_ms;
    if (a->next.n) {
        a->parts = a->next;
        a->next = (struct fp){0};
        a->level++;
    } else if (a->later.n && a->patience) {
        a->parts = a->later;
        a->later = (struct fp){0};
        a->patience--;
        a->level = 0;
        a->due_ms = now_ms + AUDIT_RETRY_MS;
    } else {
        a->skipped += a->later.n;
        tell(a);
        audit_end(a);
    }
}

static int look(struct audit *a, ecrdt_store *s, uint64_t now_ms) {
    int rc = compare(a, s);
    for (size_t i = 0; i < a->parts.n && rc == ECRDT_OK; i++)
        rc = sort_part(a, &a->parts.parts[i]);
    fp_free(&a->same);
    fp_free(&a->want);
    fp_free(&a->shown);
    if (rc < 0)
        return rc;
    if (a->level >= AUDIT_LEVELS)
        name_ranges(a);
    prune(a);
    go_on(a, now_ms);
    return ECRDT_OK;
}

int audit_step(struct audit *a, ecrdt_store *s, uint64_t now_ms) {
    if (a->state == AUDIT_SENT && now_ms >= a->end_ms) {
        a->error = err_set(ECRDT_ETIMEOUT,
                           "the peer did not answer a comparison of bucket "
                           "'%s' for %d seconds",
                           a->m->bucket, AUDIT_ANSWER_MS / 1000);
        audit_end(a);
    }
    int rc = a->state == AUDIT_ANSWERED ? look(a, s, now_ms) : ECRDT_OK;
    if (rc < 0) {
        a->error = rc;
        audit_end(a);
    }
    return rc;
}

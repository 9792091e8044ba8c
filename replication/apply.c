/* apply.c: several chunks share a write transaction; a lock that is held and
 * a disk that is full are waited out by timers, not by the loop. */
#include "replication/apply.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mutant.h"
#include <stdio.h>

void apply_init(struct apply *a, ecrdt_store *store) {
    *a = (struct apply){.store = store};
}

void apply_free(struct apply *a) {
    alloc_free(a->bulk);
    *a = (struct apply){0};
}

static struct apply_bulk *bulk_find(const struct apply *a, const char *bucket) {
    for (size_t i = 0; i < a->n_bulk; i++)
        if (!strcmp(a->bulk[i].bucket, bucket))
            return &a->bulk[i];
    return NULL;
}

const struct session *apply_bulk_owner(const struct apply *a,
                                       const char *bucket, uint64_t now_ms) {
    const struct apply_bulk *b = bulk_find(a, bucket);
    return b && now_ms - b->last_ms <= APPLY_BULK_IDLE_MS ? b->owner : NULL;
}

/* Ends a bulk and tells the held peers that they may go on. */
static void bulk_end(struct apply *a, struct apply_bulk *b,
                     struct session *const *sessions, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct mirror *m = mirrors_find(&sessions[i]->mirrors, b->bucket);
        if (m)
            m->hold = false;
    }
    *b = a->bulk[--a->n_bulk];
}

static struct apply_bulk *bulk_begin(struct apply *a, const char *bucket) {
    if (alloc_grow(&a->bulk, &a->bulk_cap, a->n_bulk + 1, sizeof *a->bulk) < 0)
        return NULL;
    struct apply_bulk *b = &a->bulk[a->n_bulk++];
    *b = (struct apply_bulk){0};
    memcpy(b->bucket, bucket, sizeof b->bucket);
    a->bulks++;
    return b;
}

void apply_leave(struct apply *a, const struct session *gone,
                 struct session *const *sessions, size_t n) {
    for (size_t i = a->n_bulk; i-- > 0;)
        if (a->bulk[i].owner == gone)
            bulk_end(a, &a->bulk[i], sessions, n);
    a->turn = 0;
}

/* What one write transaction works on. */
struct batch {
    struct apply *a;
    struct session *const *sessions;
    size_t n_sessions;
    uint64_t now_ms;
    ecrdt_txn *txn;
    size_t bytes, items, n;
    struct {
        struct session *s;
        struct session_chunk *c;
        struct chunk_report report;
        bool bad;
    } taken[APPLY_CHUNKS];
};

/* Notes a chunk of s: does its bulk go on, or is it another's turn? */
static void bulk_note(struct batch *b, struct session *s, struct mirror *m,
                      bool more) {
    struct apply_bulk *bulk = bulk_find(b->a, m->bucket);
    bool ours = !bulk || bulk->owner == s ||
                b->now_ms - bulk->last_ms > APPLY_BULK_IDLE_MS;
    m->hold = more && !ours;
    if (!ours)
        return;
    if (!more && bulk)
        bulk_end(b->a, bulk, b->sessions, b->n_sessions);
    if (more && !bulk)
        bulk = bulk_begin(b->a, m->bucket);
    if (more && bulk) {
        bulk->owner = s;
        bulk->last_ms = b->now_ms;
    }
}

bool apply_can_prune(struct session *const *sessions, size_t n,
                     const struct session *s, const struct mirror *m) {
    for (size_t i = 0; i < n; i++) {
        const struct session *x = sessions[i];
        const struct mirror *o = mirrors_find(&x->mirrors, m->bucket);
        if (x != s && x->state == SESSION_LIVE && o && !o->pruned)
            return true;
    }
    return false;
}

static bool batch_full(const struct batch *b) {
    return b->n >= APPLY_CHUNKS || b->bytes >= APPLY_BYTES ||
           b->items >= APPLY_ITEMS || (b->n && b->a->stalls);
}

static int batch_apply(struct batch *b, struct session *s,
                       struct session_chunk *c) {
    size_t i = b->n++;
    struct chunk_report *r = &b->taken[i].report;
    b->taken[i].s = s;
    b->taken[i].c = c;
    int rc = chunk_apply_linked(b->txn, c->message.chunk, c->message.bucket,
                                c->said, r);
    b->taken[i].bad = rc == ECRDT_ECORRUPT ||
                      (!rc && strcmp(r->bucket, c->message.bucket) != 0);
    if (b->taken[i].bad)
        return 0;
    b->bytes += c->body.len;
    b->items += r->applied + r->known;
    if (r->refused)
        log_error(ECRDT_LOG_WARN, ecrdt_errmsg(),
                  "msg=\"refused a part of a chunk\" peer=\"%s\" bucket=\"%s\"",
                  log_text(s->peer.name).s, log_text(c->message.bucket).s);
    return rc;
}

/* The chunk of s that follows those which the batch has taken. */
static struct session_chunk *next_chunk(const struct batch *b,
                                        const struct session *s) {
    struct session_chunk *c = s->inbox;
    if (b->now_ms < s->apply_at_ms)
        return NULL;
    for (size_t i = 0; i < b->n; i++)
        if (b->taken[i].s == s)
            c = b->taken[i].bad ? NULL : b->taken[i].c->next;
    return c;
}

/* Takes chunks of all sessions in turn until the budget is used up. */
static int batch_fill(struct batch *b) {
    for (size_t before = SIZE_MAX; before != b->n;) {
        before = b->n;
        for (size_t i = 0; i < b->n_sessions && !batch_full(b); i++) {
            size_t at = (b->a->turn + i) % b->n_sessions;
            struct session *s = b->sessions[at];
            struct session_chunk *c = next_chunk(b, s);
            int rc = c ? batch_apply(b, s, c) : 0;
            if (rc < 0)
                return rc;
        }
        if (batch_full(b))
            break;
    }
    return 0;
}

/* Once on each link. */
static void note_below(const struct session *s, struct mirror *m,
                       const struct chunk_report *r) {
    if (!r->complete || m->below)
        return;
    m->below = true;
    log_line(ECRDT_LOG_INFO,
             "msg=\"the peer may have forgotten removals that this store "
             "missed: whole ranges are compared, nothing deleted comes back\" "
             "peer=\"%s\" bucket=\"%s\"",
             log_text(s->peer.name).s, log_text(m->bucket).s);
}

/* The commit is done: acks are due, malformed chunks end their session. */
static void batch_done(struct batch *b) {
    for (size_t i = 0; i < b->n; i++) {
        struct session *s = b->taken[i].s;
        struct session_chunk *c = b->taken[i].c;
        if (b->taken[i].bad) {
            session_bye(s, BYE_PROTOCOL, b->now_ms,
                        "a chunk is malformed: the two ends do not run the "
                        "same format");
            continue;
        }
        if (MUTANT(wedged) && b->taken[i].report.ahead)
            continue; /* it stays the first one */
        bulk_note(b, s, c->mirror, c->message.more);
        note_below(s, c->mirror, &b->taken[i].report);
        if (b->taken[i].report.repeated && !MUTANT(noprune) &&
            b->now_ms >= c->mirror->keep_until_ms &&
            !apply_bulk_owner(b->a, c->mirror->bucket, b->now_ms) &&
            apply_can_prune(b->sessions, b->n_sessions, s, c->mirror))
            c->mirror->pruned = true; /* it closes a circle of links */
        session_consumed(s, &b->taken[i].report);
    }
    /* What is read now may end a session, and its inbox with it. */
    for (size_t i = 0; i < b->n; i++)
        session_resume(b->taken[i].s, b->now_ms);
}

static void pause_busy(struct apply *a, uint64_t now_ms) {
    uint64_t pause = a->busy ? (uint64_t)APPLY_BUSY_MS << (a->busy - 1) : 1;
    if (pause >= APPLY_BUSY_MAX_MS) {
        pause = APPLY_BUSY_MAX_MS;
        log_error(ECRDT_LOG_WARN, ecrdt_errmsg(),
                  "msg=\"waiting for the writer lock\"");
    } else {
        a->busy++;
    }
    a->at_ms = now_ms + pause;
}

/* The store failed: nothing of the batch happened, and all of it is kept.
 * From now on each chunk is tried alone; one that fails alone holds up only
 * its own session. */
static void pause_stalled(struct batch *b, int rc) {
    struct apply *a = b->a;
    uint64_t pause = (uint64_t)APPLY_STALL_MS << a->stalls;
    if (pause >= APPLY_STALL_MAX_MS)
        pause = APPLY_STALL_MAX_MS;
    else
        a->stalls++;
    a->error = rc;
    snprintf(a->sentence, sizeof a->sentence, "%s", ecrdt_errmsg());
    log_error(ECRDT_LOG_ERROR, a->sentence,
              "msg=\"cannot apply: pulling stops\"");
    if (b->n == 1 && rc != ECRDT_EFULL)
        b->taken[0].s->apply_at_ms = b->now_ms + pause;
    else
        a->at_ms = b->now_ms + pause;
}

static void note_recovery(struct apply *a) {
    if (a->error)
        log_line(ECRDT_LOG_INFO, "msg=\"applying again\"");
    a->error = 0;
    a->busy = a->stalls = 0;
    a->sentence[0] = 0;
}

uint64_t apply_at(const struct apply *a, struct session *const *sessions,
                  size_t n) {
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (sessions[i]->inbox && sessions[i]->apply_at_ms < at)
            at = sessions[i]->apply_at_ms;
    return at > a->at_ms ? at : a->at_ms;
}

void apply_run(struct apply *a, struct session *const *sessions, size_t n,
               uint64_t now_ms) {
    if (now_ms < apply_at(a, sessions, n))
        return;
    struct batch b = {
        .a = a, .sessions = sessions, .n_sessions = n, .now_ms = now_ms};
    int rc = replica_begin(a->store, true, a->busy ? APPLY_LOCK_MS : 0, &b.txn);
    if (rc == ECRDT_EBUSY) {
        pause_busy(a, now_ms);
        return;
    }
    if (!rc) {
        rc = batch_fill(&b);
        if (rc < 0)
            ecrdt_abort(b.txn);
        else
            rc = ecrdt_commit(b.txn);
    }
    a->turn = n ? (a->turn + 1) % n : 0;
    if (rc < 0) {
        pause_stalled(&b, rc);
        return;
    }
    note_recovery(a);
    batch_done(&b);
    if (replica_waiters(a->store))
        a->at_ms = now_ms + APPLY_YIELD_MS;
}

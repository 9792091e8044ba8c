/* reconciler.c: one scan at a time over one snapshot, the sessions in turn;
 * what was found equal is raised later, if the bucket's gen is still that of
 * the snapshot. */
#include "replication/reconciler.h"
#include "crdt/replica.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "lib/mutant.h"
#include "replication/audit.h"
#include "replication/session_reconcile.h"

void reconciler_init(struct reconciler *r, ecrdt_store *store) {
    *r = (struct reconciler){.store = store};
}

static void drop_work(struct reconciler *r) {
    reconcile_free(&r->job);
    ecrdt_abort(r->txn);
    r->txn = NULL;
    r->s = NULL;
    r->m = NULL;
}

void reconciler_free(struct reconciler *r) {
    drop_work(r);
    buf_free(&r->scratch);
    buf_free(&r->message);
    buf_free(&r->items);
}

void reconciler_leave(struct reconciler *r, const struct session *gone) {
    if (r->s == gone)
        drop_work(r);
}

/* ---- raising --------------------------------------------------------------
 */

static int raise_one(struct reconciler *r, struct session *s) {
    struct raise_report report;
    ecrdt_txn *t;
    int rc = replica_begin(r->store, true, 0, &t);
    if (rc < 0)
        return rc;
    rc = reconcile_raise(t, &s->raises->m, &report);
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    rc = ecrdt_commit(t);
    if (rc < 0)
        return rc;
    s->stats.fp_stale += report.stale + report.doubtful;
    r->stale += report.stale;
    r->raised += !report.stale;
    s->stats.fp_refused += report.refused;
    session_raise_pop(s);
    return 0;
}

static void raise_all(struct reconciler *r, struct session *const *sessions,
                      size_t n, uint64_t now_ms) {
    for (size_t i = 0; i < n && now_ms >= r->raise_at_ms; i++)
        while (sessions[i]->raises) {
            int rc = raise_one(r, sessions[i]);
            if (rc == ECRDT_EBUSY) {
                r->raise_at_ms = now_ms + RECONCILER_BUSY_MS;
                return;
            }
            if (rc < 0) { /* the ranges will be compared again */
                log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(),
                          "msg=\"cannot raise clocks\"");
                session_raise_pop(sessions[i]);
                r->raise_at_ms = now_ms + RECONCILER_RETRY_MS;
                return;
            }
        }
}

/* ---- answers --------------------------------------------------------------
 */

/* The items of m's parts, as far as the window allows. */
static int send_items(struct reconciler *r, struct fp *m, uint64_t now_ms) {
    static const struct chunk_budget budget = {CHUNK_BULK_BYTES,
                                               CHUNK_BULK_ITEMS};
    while (m->n && session_window_open(r->s)) {
        struct chunk_built built;
        buf_clear(&r->scratch);
        int rc = reconcile_chunk(r->txn, m, &budget, &r->scratch, &built);
        if (rc <= 0)
            return rc;
        rc = session_send_chunk(r->s, r->m, slice_of(NULL, 0),
                                buf_slice(&r->scratch), false, &r->message,
                                now_ms);
        if (rc < 0)
            return rc;
        r->m->in_flight++;
        r->s->stats.items_out += built.items;
    }
    return 0;
}

static int send_fp(struct reconciler *r, uint8_t type, struct fp *m,
                   uint64_t now_ms) {
    return session_say_fp(r->s, type, m, &r->scratch, now_ms);
}

/* What was equal holds for the clock in the FP, never for the one that the
 * link knows by now. */
static int raise_equal(struct reconciler *r) {
    struct reconcile *job = &r->job;
    struct fp *m = &job->raise;
    struct buf name = {0};
    if (!m->n)
        return 0;
    if (MUTANT(fprole))
        for (size_t i = 0; i < m->n_clks; i++)
            vv_join(&m->clks[i], &r->m->heard->ranges.r[0].clk);
    buf_put(&name, m->bucket.data, m->bucket.len);
    if (name.err)
        return name.err;
    m->bucket = buf_slice(&name);
    return session_raise_add(r->s, m, &name);
}

/* SAME goes first, for the items change the receiver's gen. */
static int answer_talk(struct reconciler *r, uint64_t now_ms) {
    struct reconcile *job = &r->job;
    bool more = job->split.n > 0;
    job->want.flags = more ? FP_MORE : 0;
    int rc = job->same.n ? send_fp(r, MESSAGE_SAME, &job->same, now_ms) : 0;
    if (!rc)
        rc = send_items(r, &job->leaf_parts, now_ms);
    if (!rc)
        rc = send_fp(r, MESSAGE_WANT, &job->want, now_ms);
    if (!rc && more)
        rc = send_fp(r, MESSAGE_FP, &job->split, now_ms);
    if (!rc)
        rc = raise_equal(r);
    if (more)
        session_talk_touch(r->s, r->m, now_ms);
    else
        session_talk_end(r->s, r->m, now_ms);
    return rc;
}

/* An auditor sees a few items themselves, payloads and all. */
static int show_items(struct reconciler *r) {
    static const struct chunk_budget budget = {CHUNK_BULK_BYTES,
                                               CHUNK_BULK_ITEMS};
    struct reconcile *job = &r->job;
    struct chunk_built built;
    struct buf chunk = {0};
    int rc = job->leaf_parts.n ? reconcile_chunk(r->txn, &job->leaf_parts,
                                                 &budget, &chunk, &built)
                               : 0;
    if (rc == 1 && chunk.len <= FP_ITEMS_MAX) {
        buf_free(&r->items);
        r->items = chunk;
        job->same.items = buf_slice(&r->items);
        return 0;
    }
    buf_free(&chunk);
    return rc < 0 ? rc : 0;
}

static int answer_audit(struct reconciler *r, uint64_t now_ms) {
    int rc = show_items(r);
    if (!rc)
        rc = send_fp(r, MESSAGE_SAME, &r->job.same, now_ms);
    return rc < 0 ? rc : send_fp(r, MESSAGE_WANT, &r->job.want, now_ms);
}

static int send_audit(struct reconciler *r, uint64_t now_ms) {
    if (!r->s->audit || r->s->audit->state != AUDIT_DUE)
        return 0;          /* its owner has ended it */
    if (!r->job.split.n) { /* we have no such bucket */
        r->s->audit->skipped++;
        audit_end(r->s->audit);
        return 0;
    }
    int rc = send_fp(r, MESSAGE_FP, &r->job.split, now_ms);
    if (!rc)
        audit_sent(r->s->audit, &r->job.split, now_ms);
    return rc;
}

/* The first FP of a talk that is ours. */
static int send_first(struct reconciler *r, uint64_t now_ms) {
    if (!r->job.split.n) { /* nothing that a talk could help */
        r->m->talk.due = false;
        r->m->talk.tries = SESSION_TALKS_MAX;
        return 0;
    }
    r->talks++;
    session_talk_begin(r->s, r->m, now_ms);
    return send_fp(r, MESSAGE_FP, &r->job.split, now_ms);
}

static int work_done(struct reconciler *r, uint64_t now_ms) {
    switch (r->work) {
    case WORK_TALK:
        return send_first(r, now_ms);
    case WORK_AUDIT:
        return send_audit(r, now_ms);
    case WORK_ANSWER:
        break;
    }
    return r->job.ask.flags & FP_AUDIT ? answer_audit(r, now_ms)
                                       : answer_talk(r, now_ms);
}

/* ---- the work in hand -----------------------------------------------------
 */

/* The link fails with its store, and with a peer that breaks the rules. */
static void failed(struct session *s, int rc, uint64_t now_ms) {
    char why[ERR_SENTENCE];
    memcpy(why, ecrdt_errmsg(), strlen(ecrdt_errmsg()) + 1);
    session_bye(s, rc == ECRDT_EPEER ? BYE_PROTOCOL : BYE_STORE, now_ms, why);
}

static int begin_ours(struct reconciler *r, const uint8_t key[32]) {
    struct fp ask = {0};
    int rc = reconcile_ask(r->txn, r->m->bucket, &r->m->peer,
                           &r->m->heard->floor, &ask);
    if (rc == ECRDT_OK && !ask.bucket.len)
        ask.bucket = ecrdt_str(r->m->bucket);
    if (rc == ECRDT_OK)
        rc = reconcile_sum(&r->job, r->txn, &ask, 1, key);
    fp_free(&ask);
    return rc;
}

static int begin_audit(struct reconciler *r, const uint8_t key[32]) {
    struct audit *a = r->s->audit;
    struct fp ask = {.bucket = ecrdt_str(a->m->bucket), .flags = FP_AUDIT};
    for (size_t i = 0; i < a->parts.n; i++) {
        const struct fp_part *p = &a->parts.parts[i];
        if (!fp_add(&ask, &p->lo, fp_hi(p), 0, false)) {
            fp_free(&ask);
            return ECRDT_ENOMEM;
        }
    }
    return reconcile_sum(&r->job, r->txn, &ask, audit_fan(a), key);
}

static int begin_compare(struct reconciler *r, slice fp,
                         const uint8_t key[32]) {
    const struct talk_conf *conf = &r->s->talk_conf;
    int rc = reconcile_compare(&r->job, r->txn, fp, key);
    bool audit = r->job.ask.flags & FP_AUDIT;
    if (conf->leaf && !audit)
        r->job.leaf = conf->leaf;
    if (conf->fan && !audit)
        r->job.fan = conf->fan;
    return rc;
}

static int begin_answer(struct reconciler *r, const uint8_t key[32],
                        uint64_t now_ms) {
    struct session_ask *a = r->s->asks;
    struct fp want = {0};
    if (a->type == MESSAGE_FP)
        return begin_compare(r, buf_slice(&a->body), key);
    int rc = fp_decode(buf_slice(&a->body), false, &want);
    if (!rc && a->type == MESSAGE_PLACE) {
        rc = place_answer(r->txn, &want);
        rc = rc < 0 ? rc : send_fp(r, MESSAGE_PLACED, &want, now_ms);
    } else if (!rc) {
        rc = send_items(r, &want, now_ms);
    }
    fp_free(&want);
    return rc;
}

static enum reconciler_work next_work(struct session *s, uint64_t now_ms) {
    return s->asks                                   ? WORK_ANSWER
           : s->audit && audit_due(s->audit, now_ms) ? WORK_AUDIT
                                                     : WORK_TALK;
}

/* Takes the next work of session s; D1: what it reads is durable first. */
static int begin_work(struct reconciler *r, struct session *s,
                      uint64_t now_ms) {
    uint8_t key[32];
    int rc = replica_expose(r->store, &r->txn);
    if (!rc)
        rc = replica_flush(r->store);
    if (rc < 0) {
        drop_work(r);
        r->work_at_ms = now_ms + RECONCILER_RETRY_MS;
        return rc;
    }
    r->s = s;
    r->work = next_work(s, now_ms);
    session_fp_key(s, key);
    bool whole = false;
    if (r->work == WORK_ANSWER) {
        r->m = s->asks->mirror;
        whole = s->asks->type != MESSAGE_FP;
        rc = begin_answer(r, key, now_ms);
        session_ask_pop(s);
    } else if (r->work == WORK_TALK) {
        r->m = session_talk_next(s);
        rc = begin_ours(r, key);
    } else {
        r->m = s->audit->m;
        rc = begin_audit(r, key);
    }
    if (rc < 0)
        failed(s, rc, now_ms);
    if (rc < 0 || whole)
        drop_work(r);
    return rc;
}

/* May the next work of s be done now? */
static bool ready(struct session *s, uint64_t now_ms) {
    if (s->state != SESSION_LIVE ||
        channel_out(s->channel)->len > SESSION_OUT_MAX)
        return false;
    if (s->asks)
        return s->asks->type != MESSAGE_WANT || session_window_open(s);
    return session_talk_next(s) || (s->audit && audit_due(s->audit, now_ms));
}

/* One slice; all at once where reading takes the writer lock. */
static void step(struct reconciler *r, uint64_t now_ms) {
    uint64_t items = replica_holds_lock(r->txn) ? UINT64_MAX : RECONCILER_SLICE;
    int rc = r->s->state == SESSION_LIVE ? reconcile_step(&r->job, items)
                                         : ECRDT_EPEER;
    if (rc == 0)
        return;
    if (rc > 0)
        rc = work_done(r, now_ms);
    if (rc == ECRDT_ETOOBIG) { /* too many origins: complete chunks must do */
        session_talk_end(r->s, r->m, now_ms);
        r->m->talk.tries = SESSION_TALKS_MAX;
        rc = 0;
    }
    if (rc < 0)
        failed(r->s, rc, now_ms);
    drop_work(r);
}

uint64_t reconciler_at(const struct reconciler *r,
                       struct session *const *sessions, size_t n) {
    uint64_t at = r->txn ? 0 : UINT64_MAX;
    for (size_t i = 0; i < n && at; i++) {
        if (sessions[i]->raises && r->raise_at_ms < at)
            at = r->raise_at_ms;
        if (ready(sessions[i], 0) && r->work_at_ms < at)
            at = r->work_at_ms;
        if (sessions[i]->audit && audit_at(sessions[i]->audit) < at)
            at = audit_at(sessions[i]->audit);
    }
    return at;
}

void reconciler_run(struct reconciler *r, struct session *const *sessions,
                    size_t n, uint64_t now_ms) {
    for (size_t i = 0; i < n; i++) {
        session_talks_tick(sessions[i], now_ms);
        if (sessions[i]->audit)
            audit_step(sessions[i]->audit, r->store, now_ms);
    }
    raise_all(r, sessions, n, now_ms);
    for (size_t i = 0; i < n && !r->txn && now_ms >= r->work_at_ms; i++) {
        struct session *s = sessions[(r->turn + i) % n];
        if (ready(s, now_ms))
            begin_work(r, s, now_ms);
        if (r->txn)
            r->turn = (r->turn + i + 1) % n;
    }
    if (r->txn)
        step(r, now_ms);
}

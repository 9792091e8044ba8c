/* narrowing.c: who keeps what we let go of, and one piece at a time. */
#include "replication/narrowing.h"
#include "lib/log.h"
#include "replication/peers.h"
#include "replication/session_place.h"
#include <stdio.h>

/* The next bucket in turn that has something to forget; NULL: none. */
static const struct held *next_bucket(const struct narrowing *w,
                                      const struct push *p) {
    for (size_t i = 0; i < p->holds.n; i++) {
        const struct held *h = &p->holds.b[(w->turn + i) % p->holds.n];
        if (h->narrowing)
            return h;
    }
    return NULL;
}

/* A core that has heard what we hold now: one that itself lets go of the same
 * has either said so, or will not rely on us. */
static bool is_core(const struct session *s, bool knows) {
    return s->state == SESSION_LIVE && s->peer.role == PEER_CORE &&
           (!knows || session_knows_holds(s));
}

static size_t count_cores(struct session *const *sessions, size_t n) {
    size_t cores = 0;
    for (size_t i = 0; i < n; i++)
        cores += is_core(sessions[i], true);
    return cores;
}

/* The keepers of one bucket, and whom to ask. */
struct keepers {
    struct keeper k[NARROWING_KEEPERS];
    struct session *s[NARROWING_KEEPERS];
    struct mirror *m[NARROWING_KEEPERS];
    size_t n, deaf; /* deaf: have not heard what we hold now */
};

static void find_keepers(const char *bucket, struct session *const *sessions,
                         size_t n, struct keepers *out) {
    out->n = out->deaf = 0;
    for (size_t i = 0; i < n && out->n < NARROWING_KEEPERS; i++) {
        struct session *s = sessions[i];
        struct mirror *m = mirrors_find(&s->mirrors, bucket);
        if (!is_core(s, false))
            continue;
        if (!is_core(s, true) || !m) {
            out->deaf++;
            continue;
        }
        out->s[out->n] = s;
        out->m[out->n] = m;
        out->k[out->n++] = (struct keeper){s->peer.name, &m->heard->ranges,
                                           &m->theirs, &m->placed};
    }
}

/* Has one of them a question about this bucket to answer? */
static bool is_asking(const struct keepers *ks) {
    for (size_t i = 0; i < ks->n; i++)
        if (ks->s[i]->place.m == ks->m[i])
            return true;
    return false;
}

/* Notes for whom a bucket waits, and logs it when that is news. */
static void note_wait(struct narrowing *w, const char *bucket,
                      const struct narrowed *done, uint64_t now_ms) {
    char whom[ERR_SENTENCE];
    if (done->keeper)
        snprintf(whom, sizeof whom, "bucket '%s' waits for core '%s'", bucket,
                 done->keeper->name);
    else
        snprintf(whom, sizeof whom,
                 "bucket '%s' waits for a connected core that holds it",
                 bucket);
    if (done->asks)
        snprintf(w->sentence, sizeof w->sentence,
                 "%.600s, which is asked whether it has all of it", whom);
    else if (done->keeper)
        snprintf(w->sentence, sizeof w->sentence,
                 "%.600s, which lacks %llu events", whom,
                 (unsigned long long)done->missing);
    else
        snprintf(w->sentence, sizeof w->sentence, "%s", whom);
    if (done->asks && now_ms < w->asked_ms + NARROWING_PATIENCE_MS)
        return; /* mostly it answers at once */
    if (!strcmp(w->logged, whom) && now_ms - w->logged_ms < NARROWING_LOG_MS)
        return;
    memcpy(w->logged, whom, sizeof whom);
    w->logged_ms = now_ms;
    log_line(ECRDT_LOG_INFO,
             "msg=\"cannot yet forget what is no longer subscribed\" "
             "reason=\"%s\"",
             log_text(w->sentence).s);
}

static int forget(ecrdt_store *store, const char *bucket,
                  const struct keepers *ks, struct narrowed *done) {
    ecrdt_txn *t;
    int rc = replica_begin(store, true, 0, &t);
    if (rc < 0)
        return rc;
    rc = narrow_step(t, bucket, ks->k, ks->n, done);
    if (rc < 0 || (!rc && done->waits)) {
        ecrdt_abort(t);
        return rc;
    }
    int committed = ecrdt_commit(t);
    return committed < 0 ? committed : 1;
}

/* Asks the keeper that done names; what the question tells is durable first
 * (PROTOCOL D1). A link that fails tells itself. */
static int ask(ecrdt_store *store, const struct keepers *ks,
               struct narrowed *done, uint64_t now_ms) {
    struct buf scratch = {0};
    size_t i = (size_t)(done->keeper - ks->k);
    int rc = replica_flush(store);
    if (rc == ECRDT_OK)
        session_ask_place(ks->s[i], ks->m[i], &done->ask, &scratch, now_ms);
    buf_free(&scratch);
    return rc;
}

/* Looks before it takes the writer lock: 1 = a step was done, 0 = it waits. */
static int step(ecrdt_store *store, const char *bucket,
                const struct keepers *ks, struct narrowed *done,
                uint64_t now_ms) {
    ecrdt_txn *t;
    int rc = replica_expose(store, &t);
    if (rc < 0)
        return rc;
    rc = narrow_look(t, bucket, ks->k, ks->n, done);
    ecrdt_abort(t);
    if (rc == 1) {
        placed_free(&done->ask);
        rc = forget(store, bucket, ks, done);
    }
    return rc || !done->asks ? rc : ask(store, ks, done, now_ms);
}

/* When the next look is due. */
static uint64_t pause_after(int rc, bool asks, size_t keepers) {
    return rc > 0    ? NARROWING_YIELD_MS
           : asks    ? NARROWING_ASK_MS
           : keepers ? NARROWING_EVERY_MS
                     : NARROWING_IDLE_MS;
}

void narrowing_run(struct narrowing *w, ecrdt_store *store,
                   const struct push *p, struct session *const *sessions,
                   size_t n, uint64_t now_ms) {
    struct keepers ks;
    struct narrowed done = {.waits = true};
    const struct held *h = next_bucket(w, p);
    if (!h) {
        w->busy = false;
        w->sentence[0] = 0;
        return;
    }
    size_t cores = count_cores(sessions, n);
    if (now_ms < w->at_ms && cores == w->cores)
        return;
    w->cores = cores;
    find_keepers(h->bucket, sessions, n, &ks);
    if (is_asking(&ks)) {
        w->at_ms = now_ms + NARROWING_ASK_MS;
        return;
    }
    int rc = ks.n ? step(store, h->bucket, &ks, &done, now_ms) : 0;
    bool asks = is_asking(&ks);
    w->busy = ks.deaf || rc != 0 || done.keeper;
    w->items += rc > 0 ? done.items : 0;
    w->at_ms = now_ms + pause_after(rc, asks, ks.n + ks.deaf);
    w->turn += rc <= 0 && !asks;
    if (rc > 0 || !w->asked_ms || (!rc && !done.asks))
        w->asked_ms = now_ms;
    if (rc > 0)
        w->sentence[0] = 0;
    else if (!rc)
        note_wait(w, h->bucket, &done, now_ms);
    else if (rc != ECRDT_EBUSY)
        log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(),
                  "msg=\"cannot forget what is no longer subscribed\"");
    placed_free(&done.ask);
}

uint64_t narrowing_at(const struct narrowing *w, const struct push *p) {
    if (next_bucket(w, p))
        return w->at_ms;
    return w->busy || w->sentence[0] ? 0 : UINT64_MAX;
}

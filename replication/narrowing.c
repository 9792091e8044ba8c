/* narrowing.c: who keeps what we let go of, and one piece at a time. */
#include "replication/narrowing.h"
#include "lib/log.h"
#include "replication/peers.h"
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

static bool is_core(const struct session *s) {
    return s->state == SESSION_LIVE && s->peer.role == PEER_CORE;
}

static size_t count_cores(struct session *const *sessions, size_t n) {
    size_t cores = 0;
    for (size_t i = 0; i < n; i++)
        cores += is_core(sessions[i]);
    return cores;
}

/* Cores that have heard what we hold now: one that itself lets go of the same
 * has either said so, or will not rely on us. Counts those that have not. */
static size_t find_keepers(const char *bucket, struct session *const *sessions,
                           size_t n, struct keeper *out, size_t *deaf) {
    size_t found = 0;
    *deaf = 0;
    for (size_t i = 0; i < n && found < NARROWING_KEEPERS; i++) {
        const struct session *s = sessions[i];
        if (!is_core(s))
            continue;
        const struct mirror *m = mirrors_find(&s->mirrors, bucket);
        if (!session_knows_holds(s) || !m)
            ++*deaf;
        else
            out[found++] =
                (struct keeper){s->peer.name, &m->heard->ranges, &m->theirs};
    }
    return found;
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
    if (done->keeper)
        snprintf(w->sentence, sizeof w->sentence,
                 "%.600s, which lacks %llu events", whom,
                 (unsigned long long)done->missing);
    else
        snprintf(w->sentence, sizeof w->sentence, "%s", whom);
    if (!strcmp(w->logged, whom) && now_ms - w->logged_ms < NARROWING_LOG_MS)
        return;
    memcpy(w->logged, whom, sizeof whom);
    w->logged_ms = now_ms;
    log_line(ECRDT_LOG_INFO,
             "msg=\"cannot yet forget what is no longer subscribed\" "
             "reason=\"%s\"",
             w->sentence);
}

static int step(ecrdt_store *store, const char *bucket,
                const struct keeper *keepers, size_t n, struct narrowed *done) {
    ecrdt_txn *t;
    int rc = replica_begin(store, true, 0, &t);
    if (rc < 0)
        return rc;
    rc = narrow_step(t, bucket, keepers, n, done);
    if (rc < 0 || (!rc && done->waits)) {
        ecrdt_abort(t);
        return rc;
    }
    int committed = ecrdt_commit(t);
    return committed < 0 ? committed : 1;
}

void narrowing_run(struct narrowing *w, ecrdt_store *store,
                   const struct push *p, struct session *const *sessions,
                   size_t n, uint64_t now_ms) {
    struct keeper keepers[NARROWING_KEEPERS];
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
    size_t deaf, found = find_keepers(h->bucket, sessions, n, keepers, &deaf);
    int rc = found ? step(store, h->bucket, keepers, found, &done) : 0;
    w->busy = deaf || rc != 0 || done.keeper;
    w->items += rc > 0 ? done.items : 0;
    w->at_ms = now_ms + (rc > 0  ? NARROWING_YIELD_MS
                         : found ? NARROWING_EVERY_MS
                                 : NARROWING_IDLE_MS);
    if (deaf && rc <= 0)
        w->at_ms = now_ms + NARROWING_YIELD_MS;
    w->turn += rc <= 0;
    if (rc > 0)
        w->sentence[0] = 0;
    else if (!rc)
        note_wait(w, h->bucket, &done, now_ms);
    else if (rc != ECRDT_EBUSY)
        log_line(ECRDT_LOG_ERROR,
                 "msg=\"cannot forget what is no longer subscribed\" "
                 "error=\"%s\"",
                 ecrdt_errmsg());
}

uint64_t narrowing_at(const struct narrowing *w, const struct push *p) {
    if (next_bucket(w, p))
        return w->at_ms;
    return w->busy || w->sentence[0] ? 0 : UINT64_MAX;
}

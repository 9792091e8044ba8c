/* api_wait.c: receipts of transactions, and waiting until what they stand for
 * is here, at a core or at some peers. */
#include "crdt/clocks.h"
#include "crdt/receipt.h"
#include "crdt/step.h"
#include "lib/err.h"
#include <stdio.h>
#include <unistd.h>

enum {
    LOOK_EVERY_MS = 1000, /* a commit without a wake is found so */
    POLL_MS = 20,         /* a read-only store has no say in the wake file */
    PAUSE_MS = 1          /* least time between two looks */
};

/* What t has written to the bucket so far; 0 if nothing. */
static int written(ecrdt_txn *t, const char *bucket, struct receipt_of *what,
                   uint64_t *seq) {
    struct bucket *bk;
    *seq = 0;
    int rc = txn_flush(t); /* adds that wait become events */
    if (rc == ECRDT_OK)
        rc = txn_bucket(t, bucket, false, &bk);
    if (rc < 0)
        return rc;
    receipt_salt(what->salt, bucket);
    if (rc == 0 || bk->head.seq == bk->seq_before)
        return ECRDT_OK;
    const uint8_t *me = origin_id(t, bk->head.me);
    if (!me)
        return db_err(t->db);
    memcpy(what->origin, me, ORIGIN_SIZE);
    *seq = bk->head.seq;
    return ECRDT_OK;
}

int ecrdt_receipt_of(ecrdt_txn *t, const char *bucket, ecrdt_receipt *out) {
    int rc = t ? check_out(out, "ecrdt_receipt_of()")
               : err_null("ecrdt_receipt_of()");
    if (rc == ECRDT_OK && t->mode != TXN_WRITE)
        rc = err_set(ECRDT_EINVAL,
                     "ecrdt_receipt_of() needs the write transaction whose "
                     "writes it stands for: begin it with ecrdt_write()");
    struct step st;
    if (rc == ECRDT_OK)
        rc = step_begin(t, true, "ecrdt_receipt_of()", &st);
    if (rc < 0)
        return rc;
    struct receipt_of what = {{0}, {0}};
    uint64_t seq;
    rc = written(t, bucket, &what, &seq);
    if (rc == ECRDT_OK) {
        receipt_encode(out, &what, seq);
        t->sync = true;
    }
    return step_end(&st, rc);
}

/* ---- waiting --------------------------------------------------------------
 */

struct wait {
    ecrdt_store *s;
    struct receipt_of what;
    uint64_t seq;
    int where;
    uint64_t deadline_ms;                   /* monotonic */
    char bucket[ECRDT_MAX_BUCKET_NAME + 1]; /* "" = not found yet */
    uint32_t buckets; /* that there were when it was looked for */
    uint64_t here;    /* what was found: known of the origin, ... */
    int cores, peers; /* ... acks that reach seq */
    bool want_fresh;  /* the relay is asked, and for long enough */
    bool want_seen;
};

static uint64_t left_ms(const struct wait *w) {
    uint64_t now = os_mono_ms();
    return w->deadline_ms > now ? w->deadline_ms - now : 0;
}

static int match_bucket(void *ctx, const char *name) {
    struct wait *w = ctx;
    uint8_t salt[RECEIPT_SALT];
    receipt_salt(salt, name);
    if (memcmp(salt, w->what.salt, sizeof salt) != 0)
        return 0;
    snprintf(w->bucket, sizeof w->bucket, "%s", name);
    return 1;
}

/* Its name is looked for again only when a bucket was made meanwhile. */
static int find_bucket(struct wait *w, ecrdt_txn *t) {
    uint32_t count = 0;
    int rc = *w->bucket ? 0 : meta_get_u32(t, "m.buckets", &count);
    if (rc < 0 || *w->bucket || count == w->buckets)
        return rc < 0 ? rc : *w->bucket != 0;
    w->buckets = count;
    return replica_each_bucket(t, match_bucket, w);
}

static int look_here(struct wait *w, ecrdt_txn *t) {
    struct bucket *bk;
    int rc = find_bucket(w, t);
    if (rc == 1)
        rc = txn_bucket(t, w->bucket, false, &bk);
    if (rc == 1)
        rc = clocks_least(t, bk, w->what.origin, &w->here);
    return rc < 0 ? rc : w->here >= w->seq;
}

static int count_ack(void *ctx, const struct ack *a) {
    struct wait *w = ctx;
    bool there = a->seq >= w->seq;
    w->cores += there && a->kind != ACK_PEER_EDGE;
    w->peers += there && a->kind != ACK_THIS_CORE;
    return 0;
}

static int look_at_peers(struct wait *w, ecrdt_txn *t) {
    struct want want = {.of = w->what};
    w->cores = w->peers = 0;
    int rc = ack_each(t, &w->what, count_ack, w);
    if (rc == ECRDT_OK)
        rc = want_get(t, &want);
    if (rc < 0)
        return rc;
    uint64_t now = os_wall_ms();
    w->want_seen = rc == 1 && want.seen;
    w->want_fresh = rc == 1 && want.until_ms > now + WANT_MS / 2 &&
                    want.until_ms <= now + WANT_MS;
    return w->where == ECRDT_AT_CORE ? w->cores > 0 : w->peers >= w->where;
}

/* One look at one snapshot: 1, 0, < 0. */
static int look(struct wait *w) {
    ecrdt_txn *t;
    if (!w->seq)
        return 1; /* of a transaction that wrote nothing there */
    int rc = replica_begin(w->s, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = w->where == ECRDT_HERE ? look_here(w, t) : look_at_peers(w, t);
    ecrdt_abort(t);
    return rc;
}

/* Asks the relay to write acks. A lock that is taken now is free later. */
static int ask(struct wait *w) {
    ecrdt_txn *t;
    uint64_t left = left_ms(w), most = w->s->lock_timeout_ms;
    int rc =
        replica_begin(w->s, true, (uint32_t)(left < most ? left : most), &t);
    if (rc < 0)
        return rc == ECRDT_EBUSY ? ECRDT_OK : rc;
    struct want want = {.of = w->what, .until_ms = os_wall_ms() + WANT_MS};
    rc = want_put(t, &want);
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    return ecrdt_commit(t);
}

/* Until another commit than that of number id, or for ms. */
static void wait_commit(struct wait *w, int fd, uint64_t id, uint64_t ms) {
    uint64_t most = w->s->lock ? LOOK_EVERY_MS : POLL_MS;
    uint64_t end = os_mono_ms() + (ms < most ? ms : most), now;
    os_watch_wait(-1, ms < PAUSE_MS ? (uint32_t)ms : PAUSE_MS);
    while (replica_txn_id(w->s) == id && (now = os_mono_ms()) < end)
        os_watch_wait(fd, (uint32_t)(end - now));
}

static int wait_on(struct wait *w) {
    int rc;
    replica_watch(w->s, true);
    int fd = os_watch_open(replica_wake_path(w->s));
    for (;;) {
        uint64_t id = replica_txn_id(w->s);
        rc = look(w);
        if (rc == 0 && w->where != ECRDT_HERE && !w->want_fresh)
            rc = ask(w);
        uint64_t left = left_ms(w);
        if (rc != 0 || !left)
            break;
        wait_commit(w, fd, id, left);
    }
    if (fd >= 0)
        close(fd);
    replica_watch(w->s, false);
    return rc;
}

static void tell_peers(const struct wait *w, int timeout_ms) {
    char where[32] = "a core";
    if (w->where != ECRDT_AT_CORE)
        snprintf(where, sizeof where, "%d peer%s", w->where,
                 w->where == 1 ? "" : "s");
    err_set(ECRDT_ETIMEOUT,
            "not known to be at %s after %d ms: %d peer%s it; %s", where,
            timeout_ms, w->peers, w->peers == 1 ? " holds" : "s hold",
            w->want_seen ? "'edgecrdt peers' shows whom the relay reaches"
                         : "no relay has answered: does edgecrdtd run on this "
                           "store?");
}

static int not_yet(const struct wait *w, int timeout_ms) {
    if (w->where == ECRDT_HERE && !*w->bucket)
        err_set(ECRDT_ETIMEOUT,
                "not here after %d ms: store %s has no bucket yet that the "
                "receipt could be of",
                timeout_ms, w->s->path);
    else if (w->where == ECRDT_HERE)
        err_set(ECRDT_ETIMEOUT,
                "not here after %d ms: bucket '%s' holds %llu events of the "
                "receipt's writer, the receipt is of number %llu",
                timeout_ms, w->bucket, (unsigned long long)w->here,
                (unsigned long long)w->seq);
    else
        tell_peers(w, timeout_ms);
    return 0;
}

int ecrdt_wait(ecrdt_store *s, const ecrdt_receipt *r, int where,
               int timeout_ms) {
    struct wait w = {.s = s, .where = where};
    int rc = store_check(s, "ecrdt_wait()");
    if (rc == ECRDT_OK && !r)
        rc = err_null("ecrdt_wait()");
    if (rc == ECRDT_OK && (where < ECRDT_AT_CORE || timeout_ms < 0))
        rc = err_set(ECRDT_EINVAL,
                     "ecrdt_wait() waits ECRDT_HERE, ECRDT_AT_CORE or for a "
                     "number of peers, and for 0 ms or more");
    if (rc == ECRDT_OK)
        rc = receipt_decode(r, &w.what, &w.seq);
    if (rc < 0)
        return rc;
    w.deadline_ms = os_mono_ms() + (uint64_t)timeout_ms;
    rc = look(&w);
    if (rc == 0 && where != ECRDT_HERE && !s->lock)
        return err_set(ECRDT_ERDONLY,
                       "ecrdt_wait() asks the relay by a record in store %s, "
                       "which was opened with ECRDT_RDONLY",
                       s->path);
    if (rc == 0)
        rc = wait_on(&w);
    return rc == 0 ? not_yet(&w, timeout_ms) : rc;
}

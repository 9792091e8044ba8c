/* acks.c: the relay's half of ecrdt_wait(): wants out of the peers table, acks
 * into it. A peer's CLOCK tells what is durable there (PROTOCOL D1). */
#include "replication/acks.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/os.h"
#include "replication/node.h"
#include <stdio.h>

void acks_free(struct acks *a) {
    for (size_t i = 0; i < a->n; i++)
        alloc_free(a->list[i].ack);
    alloc_free(a->list);
    *a = (struct acks){0};
}

static void drop_list(struct acks *a, size_t i) {
    alloc_free(a->list[i].ack);
    a->list[i] = a->list[--a->n];
}

static struct ack_list *find_list(struct acks *a, const struct receipt_of *of) {
    for (size_t i = 0; i < a->n; i++)
        if (!memcmp(&a->list[i].want.of, of, sizeof *of))
            return &a->list[i];
    return NULL;
}

static struct ack *find_ack(struct ack_list *l, const uint8_t peer[32]) {
    for (size_t i = 0; i < l->n; i++)
        if (!memcmp(l->ack[i].peer, peer, 32))
            return &l->ack[i];
    return NULL;
}

static int add_ack(void *ctx, const struct ack *a) {
    struct ack_list *l = ctx;
    int rc = alloc_grow(&l->ack, &l->cap, l->n + 1, sizeof *l->ack);
    if (rc == ECRDT_OK)
        l->ack[l->n++] = *a;
    return rc;
}

/* A list for these events, with the acks that the store has. */
static int add_list(struct acks *a, ecrdt_txn *t, const struct want *w,
                    struct ack_list **out) {
    int rc = alloc_grow(&a->list, &a->cap, a->n + 1, sizeof *a->list);
    if (rc < 0)
        return rc;
    struct ack_list *l = &a->list[a->n];
    *l = (struct ack_list){.want = *w};
    rc = ack_each(t, &w->of, add_ack, l);
    if (rc < 0) {
        alloc_free(l->ack);
        return rc;
    }
    a->n++;
    *out = l;
    return ECRDT_OK;
}

/* ---- wants ---- */

struct reading {
    struct acks *a;
    ecrdt_txn *t;
};

static int read_want(void *ctx, const struct want *w) {
    struct reading *r = ctx;
    struct ack_list *l = find_list(r->a, &w->of);
    if (!l && r->a->n == ACKS_MAX_WANTS)
        return ECRDT_OK;
    int rc = l ? ECRDT_OK : add_list(r->a, r->t, w, &l);
    if (rc < 0)
        return rc;
    l->want = *w;
    l->listed = true;
    return ECRDT_OK;
}

static int read_wants(struct node *n) {
    struct acks *a = &n->acks;
    struct reading r = {.a = a};
    if (a->snapshot == replica_txn_id(n->conf.store))
        return ECRDT_OK;
    int rc = replica_begin(n->conf.store, false, 0, &r.t);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < a->n; i++)
        a->list[i].listed = false;
    rc = want_each(r.t, read_want, &r);
    if (rc == ECRDT_OK)
        a->snapshot = replica_snapshot_id(r.t);
    ecrdt_abort(r.t);
    for (size_t i = a->n; i-- > 0;)
        if (rc == ECRDT_OK && !a->list[i].listed)
            drop_list(a, i);
    return rc;
}

/* Nobody waits any more; a time far ahead is of a clock that was set back. */
static bool expired(const struct ack_list *l, uint64_t wall_ms) {
    return l->want.until_ms <= wall_ms ||
           l->want.until_ms > wall_ms + 2 * WANT_MS;
}

/* ---- the buckets' names ---- */

static bool is_bucket(struct ack_list *l, const char *name) {
    uint8_t salt[RECEIPT_SALT];
    receipt_salt(salt, name);
    if (memcmp(salt, l->want.of.salt, sizeof salt) != 0)
        return false;
    snprintf(l->bucket, sizeof l->bucket, "%s", name);
    return true;
}

/* A wait may be for a bucket that this store does not have, but a peer. */
static void resolve(const struct node *n, struct ack_list *l) {
    const struct gossip *g = &n->gossip;
    for (size_t i = 0; i < g->push.n; i++)
        if (is_bucket(l, g->push.views[i]->bucket))
            return;
    for (size_t i = 0; i < g->n; i++)
        for (size_t k = 0; k < g->sessions[i]->mirrors.n; k++)
            if (is_bucket(l, g->sessions[i]->mirrors.m[k]->bucket))
                return;
}

static void resolve_all(struct node *n, uint64_t now_ms) {
    struct acks *a = &n->acks;
    if (a->resolve_at_ms != UINT64_MAX && now_ms < a->resolve_at_ms)
        return;
    a->resolve_at_ms = UINT64_MAX;
    for (size_t i = 0; i < a->n; i++)
        if (!*a->list[i].bucket) {
            resolve(n, &a->list[i]);
            a->resolve_at_ms = now_ms + ACKS_RESOLVE_MS;
        }
}

/* ---- acks ---- */

/* What a peer, or this core itself, has durably of what l asks for. */
static uint64_t has(const struct ack_list *l, const struct peer *p) {
    const struct link *k = p->link;
    const struct mirror *m =
        k && *l->bucket ? mirrors_find(&k->s->mirrors, l->bucket) : NULL;
    return m ? ranges_least(&m->heard->ranges, l->want.of.origin) : 0;
}

static uint64_t has_itself(const struct node *n, const struct ack_list *l) {
    const struct push *p = &n->gossip.push;
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->views[i]->bucket, l->bucket))
            return ranges_least(&p->views[i]->state->ranges, l->want.of.origin);
    return 0;
}

/* Does the store tell something else of this peer? Then t, unless NULL, is
 * told. What a peer without a link had, it is believed to have still. */
static int note(struct ack_list *l, ecrdt_txn *t, const struct ack *is) {
    struct ack *was = find_ack(l, is->peer);
    if (was ? was->seq == is->seq && was->kind == is->kind : !is->seq)
        return 0;
    int rc = t ? ack_put(t, &l->want.of, is) : 1;
    if (t && rc == ECRDT_OK && was)
        *was = *is;
    else if (t && rc == ECRDT_OK)
        rc = add_ack(l, is);
    return rc < 0 ? rc : 1;
}

/* Notes each peer's ack: how many the store has not, or < 0. */
static int note_all(struct node *n, struct ack_list *l, ecrdt_txn *t) {
    int changed = 0, rc = 0;
    struct ack a;
    for (size_t i = 0; i < n->peers.n && rc >= 0; i++) {
        const struct peer *p = n->peers.p[i];
        const struct link *k = p->link;
        if (!k || k->s->state != SESSION_LIVE) /* it has not told yet */
            continue;
        a = (struct ack){.seq = has(l, p),
                         .kind = p->r.role == PEER_CORE ? ACK_PEER_CORE
                                                        : ACK_PEER_EDGE};
        memcpy(a.peer, p->key, sizeof a.peer);
        rc = note(l, t, &a);
        changed += rc > 0;
    }
    if (rc >= 0 && n->conf.role == PEER_CORE) {
        a = (struct ack){.seq = has_itself(n, l), .kind = ACK_THIS_CORE};
        memcpy(a.peer, n->conf.self->pk, sizeof a.peer);
        rc = note(l, t, &a);
        changed += rc > 0;
    }
    return rc < 0 ? rc : changed;
}

/* The want and its acks leave the store. */
static int forget(struct ack_list *l, ecrdt_txn *t) {
    int rc = want_del(t, &l->want);
    for (size_t i = 0; i < l->n && rc == ECRDT_OK; i++) {
        l->ack[i].seq = 0;
        rc = ack_put(t, &l->want.of, &l->ack[i]);
    }
    return rc;
}

static bool any_change(struct node *n, uint64_t wall_ms) {
    struct acks *a = &n->acks;
    for (size_t i = 0; i < a->n; i++)
        if (!a->list[i].want.seen || expired(&a->list[i], wall_ms) ||
            note_all(n, &a->list[i], NULL))
            return true;
    return false;
}

static int write_all(struct node *n, ecrdt_txn *t, uint64_t wall_ms) {
    struct acks *a = &n->acks;
    int rc = ECRDT_OK;
    for (size_t i = a->n; i-- > 0 && rc >= 0;) {
        struct ack_list *l = &a->list[i];
        if (expired(l, wall_ms)) {
            rc = forget(l, t);
            if (rc == ECRDT_OK)
                drop_list(a, i);
            continue;
        }
        rc = note_all(n, l, t);
        if (rc >= 0 && !l->want.seen) {
            l->want.seen = true;
            rc = want_put(t, &l->want);
        }
    }
    return rc < 0 ? rc : ECRDT_OK;
}

/* One commit; its share of the time stays small. */
static int write_changes(struct node *n, uint64_t now_ms, uint64_t wall_ms) {
    struct acks *a = &n->acks;
    ecrdt_txn *t;
    uint64_t begun = os_mono_ms();
    int rc = replica_begin(n->conf.store, true, a->busy ? ACKS_LOCK_MS : 0, &t);
    a->busy = rc == ECRDT_EBUSY;
    if (rc < 0) {
        a->write_at_ms = now_ms + ACKS_BUSY_MS;
        return rc == ECRDT_EBUSY ? ECRDT_OK : rc;
    }
    rc = write_all(n, t, wall_ms);
    if (rc < 0)
        ecrdt_abort(t);
    else
        rc = ecrdt_commit(t);
    uint64_t pause = ACKS_SHARE * (os_mono_ms() - begun);
    a->write_at_ms = now_ms + (pause > ACKS_EVERY_MS ? pause : ACKS_EVERY_MS);
    return rc;
}

uint64_t acks_run(struct node *n, uint64_t now_ms) {
    struct acks *a = &n->acks;
    uint64_t wall_ms = os_wall_ms();
    int rc = read_wants(n);
    if (rc == ECRDT_OK && !a->n)
        return UINT64_MAX;
    resolve_all(n, now_ms);
    bool due = rc == ECRDT_OK && any_change(n, wall_ms);
    if (due && now_ms >= a->write_at_ms) {
        rc = write_changes(n, now_ms, wall_ms);
        due = rc == ECRDT_OK && any_change(n, wall_ms);
    }
    if (rc < 0) {
        log_error(ECRDT_LOG_WARN, ecrdt_errmsg(),
                  "msg=\"cannot write down what peers have\"");
        acks_free(a); /* read anew, not before a pause */
        a->snapshot = replica_txn_id(n->conf.store);
        return now_ms + WANT_MS;
    }
    return due ? a->write_at_ms : a->resolve_at_ms;
}

/* ---- a node that ends ---- */

/* A list for each bucket, of this store's own events. */
static int list_own(struct node *n, ecrdt_txn *t, const ecrdt_node *me,
                    struct acks *own) {
    const struct push *p = &n->gossip.push;
    struct want w = {.seen = true};
    memcpy(w.of.origin, me->b, sizeof w.of.origin);
    for (size_t i = 0; i < p->n; i++) {
        struct ack_list *l;
        receipt_salt(w.of.salt, p->views[i]->bucket);
        int rc = add_list(own, t, &w, &l);
        if (rc < 0)
            return rc;
        snprintf(l->bucket, sizeof l->bucket, "%s", p->views[i]->bucket);
    }
    return ECRDT_OK;
}

static int note_lists(struct node *n, struct acks *own, ecrdt_txn *t) {
    int changed = 0;
    for (size_t i = 0; i < own->n; i++) {
        int rc = note_all(n, &own->list[i], t);
        if (rc < 0)
            return rc;
        changed += rc;
    }
    return changed;
}

static int write_own(struct node *n, struct acks *own) {
    ecrdt_txn *t;
    int rc = replica_begin(n->conf.store, true, ACKS_OWN_LOCK_MS, &t);
    if (rc < 0)
        return rc;
    rc = note_lists(n, own, t);
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    return ecrdt_commit(t);
}

int acks_note_own(struct node *n) {
    struct acks own = {0};
    ecrdt_node me;
    ecrdt_txn *t;
    int rc = ecrdt_node_id(n->conf.store, &me);
    if (rc == ECRDT_OK)
        rc = replica_begin(n->conf.store, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = list_own(n, t, &me, &own);
    ecrdt_abort(t);
    if (rc == ECRDT_OK)
        rc = note_lists(n, &own, NULL);
    if (rc > 0)
        rc = write_own(n, &own);
    acks_free(&own);
    return rc;
}

/* peers.c: the table of peers, their back-off, and the writing of their
 * records into the store. */
#include "replication/peers.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "replication/link/identity.h"
#include <stdio.h>

struct peer *peers_find(const struct peers *ps, const uint8_t key[32]) {
    for (size_t i = 0; i < ps->n; i++)
        if (!ps->p[i]->gone && !memcmp(ps->p[i]->key, key, 32))
            return ps->p[i];
    return NULL;
}

static int peer_new(struct peers *ps, const uint8_t key[32], struct peer **p) {
    if (ps->n >= PEERS_MAX)
        return err_set(ECRDT_EINVAL,
                       "cannot keep more than %d peers: split them over "
                       "several relays",
                       PEERS_MAX);
    int rc = alloc_grow(&ps->p, &ps->cap, ps->n + 1, sizeof(struct peer *));
    if (rc < 0)
        return rc;
    *p = alloc_zeroed(1, sizeof **p);
    if (!*p)
        return ECRDT_ENOMEM;
    memcpy((*p)->key, key, 32);
    ps->p[ps->n++] = *p;
    return 0;
}

int peers_put(struct peers *ps, const uint8_t key[32], const char *name,
              const char *host, uint16_t port, struct peer **out) {
    struct peer *p = peers_find(ps, key);
    int rc = p ? 0 : peer_new(ps, key, &p);
    if (!p)
        return rc;
    identity_text(p->r.key, key);
    snprintf(p->host, sizeof p->host, "%s", host);
    p->port = port;
    p->r.configured = true;
    p->r.direction = *host ? PEER_DIAL : PEER_ACCEPT;
    snprintf(p->r.name, sizeof p->r.name, "%s", name);
    if (*host)
        snprintf(p->r.address, sizeof p->r.address,
                 strchr(host, ':') ? "[%.250s]:%u" : "%.250s:%u", host, port);
    if (!p->link)
        p->r.state = *host ? PEER_DOWN : PEER_WAITING;
    p->dirty = true;
    *out = p;
    return 0;
}

void peers_drop(struct peers *ps, struct peer *p) {
    INVARIANT(!p->link && !p->dial);
    (void)ps;
    p->gone = p->dirty = true;
}

void peers_free(struct peers *ps) {
    for (size_t i = 0; i < ps->n; i++)
        alloc_free(ps->p[i]);
    alloc_free(ps->p);
    *ps = (struct peers){0};
}

void peer_state_set(struct peer *p, enum peer_state state, const char *error,
                    uint64_t wall_ms) {
    if (p->r.state != state)
        p->r.since_ms = wall_ms;
    if (p->r.state != state || error)
        p->dirty = true;
    p->r.state = (uint8_t)state;
    if (error)
        snprintf(p->r.error, sizeof p->r.error, "%s", error);
}

void peer_failed(struct peer *p, uint64_t now_ms, uint32_t random) {
    if (p->up_ms && now_ms - p->up_ms >= PEERS_STABLE_MS)
        p->failed = 0;
    p->up_ms = 0;
    uint64_t wait = (uint64_t)PEERS_BACKOFF_MIN_MS << p->failed;
    if (wait >= PEERS_BACKOFF_MAX_MS)
        wait = PEERS_BACKOFF_MAX_MS;
    else
        p->failed++;
    p->attempt_at_ms = now_ms + wait / 2 + random % (wait / 2 + 1);
    p->r.failures++;
    p->dirty = true;
}

void peer_up(struct peer *p, uint64_t now_ms) {
    p->up_ms = now_ms ? now_ms : 1;
    p->r.links++;
    p->dirty = true;
}

/* ---- into the store ------------------------------------------------------ */

/* Of a peer that has not been met yet an earlier run tells who it is and when
 * it was heard: a core that is away is known as one. */
static void recall(struct peer *p, slice value) {
    struct peer_record old;
    if (p->r.links || peers_record_decode(value, &old) < 0)
        return;
    p->r.role = old.role;
    p->r.seen_ms = old.seen_ms;
    p->r.has_origin = old.has_origin;
    memcpy(p->r.origin, old.origin, sizeof p->r.origin);
}

/* A record that an earlier run left of a peer that is configured no more. */
struct purge {
    const struct peers *ps;
    char name[PEER_KEY_TEXT];
};

static int find_stale(void *ctx, slice name, slice value) {
    struct purge *u = ctx;
    if (name.len != PEER_KEY_TEXT - 1 ||
        !slice_starts(name, ecrdt_str("ed25519:")))
        return 0;
    for (size_t i = 0; i < u->ps->n; i++)
        if (slice_eq(name, ecrdt_str(u->ps->p[i]->r.key))) {
            recall(u->ps->p[i], value);
            return 0;
        }
    memcpy(u->name, name.data, name.len);
    u->name[name.len] = 0;
    return 1;
}

static int purge(struct peers *ps, ecrdt_txn *t) {
    for (int i = 0; i < PEERS_MAX; i++) {
        struct purge u = {.ps = ps};
        int rc = replica_each_peer(t, find_stale, &u);
        if (rc <= 0)
            return rc;
        rc = replica_peer_put(t, ecrdt_str(u.name), slice_of(NULL, 0));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int write_all(struct peers *ps, ecrdt_txn *t, uint64_t wall_ms) {
    struct buf b = {0};
    int rc = ps->purged ? 0 : purge(ps, t);
    for (size_t i = 0; !rc && i < ps->n; i++) {
        struct peer *p = ps->p[i];
        if (!p->dirty)
            continue;
        buf_clear(&b);
        p->r.updated_ms = wall_ms;
        if (!p->gone)
            peers_record_encode(&b, &p->r);
        rc = b.err ? b.err
                   : replica_peer_put(t, ecrdt_str(p->r.key), buf_slice(&b));
    }
    buf_clear(&b);
    ps->self.updated_ms = wall_ms;
    relay_record_encode(&b, &ps->self);
    if (!rc)
        rc = b.err ? b.err
                   : replica_peer_put(t, ecrdt_str(PEERS_SELF), buf_slice(&b));
    buf_free(&b);
    return rc;
}

static bool any_dirty(const struct peers *ps) {
    for (size_t i = 0; i < ps->n; i++)
        if (ps->p[i]->dirty)
            return true;
    return ps->self_dirty || !ps->purged;
}

/* The store has it all: forgets who is gone. */
static void clean(struct peers *ps) {
    size_t n = 0;
    for (size_t i = 0; i < ps->n; i++) {
        ps->p[i]->dirty = false;
        if (ps->p[i]->gone)
            alloc_free(ps->p[i]);
        else
            ps->p[n++] = ps->p[i];
    }
    ps->n = n;
    ps->purged = true;
    ps->self_dirty = false;
}

int peers_write(struct peers *ps, ecrdt_store *s, bool force, uint64_t now_ms,
                uint64_t wall_ms) {
    ecrdt_txn *t;
    bool due = force || !ps->written_ms ||
               now_ms - ps->written_ms >= PEERS_WRITE_EVERY_MS;
    bool stale = wall_ms - ps->self.updated_ms >= PEERS_STALE_MS / 3;
    if (!due || (!stale && !any_dirty(ps)))
        return 0;
    ps->written_ms = now_ms ? now_ms : 1;
    int rc = replica_begin(s, true, 0, &t);
    if (rc == ECRDT_EBUSY)
        return 0;
    if (rc < 0)
        return rc;
    rc = write_all(ps, t, wall_ms);
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    rc = ecrdt_commit(t);
    if (rc < 0)
        return rc;
    clean(ps);
    return 1;
}

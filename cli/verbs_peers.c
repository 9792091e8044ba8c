/* verbs_peers.c: what the relay wrote into the store about itself and its
 * peers, as a table that shows at a glance who is in sync. */
#include "cli/verbs.h"
#include "crdt/replica.h"
#include "lib/os.h"
#include "replication/peers.h"
#include <inttypes.h>
#include <stdlib.h>

struct known {
    struct peer_record *peer;
    size_t n, cap;
    struct relay_record relay;
    bool has_relay;
    uint64_t now_ms;
};

static int note_record(void *ctx, slice name, slice value) {
    struct known *p = ctx;
    if (slice_eq(name, ecrdt_str(PEERS_SELF))) {
        int rc = relay_record_decode(value, &p->relay);
        p->has_relay = rc == 0;
        return rc;
    }
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        struct peer_record *more = realloc(p->peer, cap * sizeof *more);
        if (!more)
            return ECRDT_ENOMEM;
        p->peer = more;
        p->cap = cap;
    }
    return peers_record_decode(value, &p->peer[p->n++]);
}

/* Reads all records; known_free() them also after an error. */
static int known_read(struct cli *c, struct known *p) {
    memset(p, 0, sizeof *p);
    p->now_ms = os_wall_ms();
    ecrdt_txn *t = ecrdt_read(c->s);
    int rc = t ? replica_each_peer(t, note_record, p) : ecrdt_errcode();
    ecrdt_abort(t);
    return rc;
}

static void known_free(struct known *p) {
    free(p->peer);
}

/* Did the relay say something lately? Its pid tells nothing: it may be of
 * another PID namespace. */
static bool relay_runs(const struct known *p) {
    const struct relay_record *r = &p->relay;
    return p->has_relay && r->running &&
           r->updated_ms + PEERS_STALE_MS >= p->now_ms;
}

static bool peer_in_sync(const struct known *p, const struct peer_record *r) {
    return relay_runs(p) && r->state == PEER_IN_SYNC && !r->missing_here &&
           !r->missing_there;
}

/* How much is missing is known of peers that are linked. */
static bool lag_known(const struct known *p, const struct peer_record *r) {
    return relay_runs(p) &&
           (r->state == PEER_SYNCING || r->state == PEER_IN_SYNC);
}

static void relay_sentence(const struct known *p, char *out, size_t size) {
    const struct relay_record *r = &p->relay;
    char at[32];
    out_time(at, r->updated_ms);
    if (!p->has_relay)
        snprintf(out, size,
                 "none has served this store yet: start "
                 "edgecrdtd with a configuration naming it");
    else if (relay_runs(p))
        snprintf(out, size, "%s, pid %" PRIu64, r->status, r->pid);
    else if (!r->running)
        snprintf(out, size, "stopped at %s", at);
    else
        snprintf(out, size, "not running: last heard of at %s, pid %" PRIu64,
                 at, r->pid);
}

int peers_status(struct cli *c) {
    struct known p;
    char text[PEER_ERROR_MAX + 128];
    size_t synced = 0;
    uint64_t mismatches = 0;
    int rc = known_read(c, &p);
    for (size_t i = 0; rc >= 0 && i < p.n; i++) {
        synced += peer_in_sync(&p, &p.peer[i]);
        mismatches += p.peer[i].mismatches;
    }
    if (rc >= 0) {
        relay_sentence(&p, text, sizeof text);
        out_item_text(c, "relay", "relay", text);
        snprintf(text, sizeof text, "%zu of %zu in sync", synced, p.n);
        if (!c->json)
            out_item_text(c, "peers", "peers", text);
        else {
            out_uint(c, "peers", p.n);
            out_uint(c, "peers_in_sync", synced);
        }
        if (c->json || mismatches)
            out_item_uint(c, "mismatches", "audits that failed", mismatches);
    }
    known_free(&p);
    return rc < 0 ? out_failed(rc) : EXIT_YES;
}

/* ---- what the relay counts ------------------------------------------------
 * Since it started: of the node itself, and of all peers. */

static const struct count {
    const char *name, *label; /* no label: people get a sentence of it */
    bool of_peers;            /* the sum over their records */
    size_t at;                /* in the record */
} counts[] = {
    {"relay_refused_keys", NULL, false,
     offsetof(struct relay_record, refused_keys)},
    {"relay_malformed", "links closed for what came", false,
     offsetof(struct relay_record, malformed)},
    {"relay_bulks", "large catch-ups", false,
     offsetof(struct relay_record, bulks)},
    {"relay_fork_merges", "branches merged", false,
     offsetof(struct relay_record, fork_merges)},
    {"relay_fork_unknown", "heads not placed", false,
     offsetof(struct relay_record, fork_unknown)},
    {"relay_refused_parts", "parts refused", true,
     offsetof(struct peer_record, refused_parts)},
    {"relay_ahead_parts", "parts that came too early", true,
     offsetof(struct peer_record, ahead_parts)},
    {"relay_foreign_parts", "parts not held here", true,
     offsetof(struct peer_record, foreign_parts)},
    {"relay_complete_parts", "complete parts", true,
     offsetof(struct peer_record, complete_parts)},
    {"relay_fp_refused", "fingerprints refused", true,
     offsetof(struct peer_record, fp_refused)},
    {"relay_audits", "audits", true, offsetof(struct peer_record, audits)},
    {"relay_mismatches", "audits that failed", true,
     offsetof(struct peer_record, mismatches)},
};
enum { COUNTS = sizeof counts / sizeof *counts };

static uint64_t number_at(const void *record, size_t at) {
    uint64_t v;
    memcpy(&v, (const uint8_t *)record + at, sizeof v);
    return v;
}

static uint64_t count_of(const struct known *p, const struct count *row) {
    uint64_t sum = 0;
    if (!row->of_peers)
        return number_at(&p->relay, row->at);
    for (size_t i = 0; i < p->n; i++)
        sum += number_at(&p->peer[i], row->at);
    return sum;
}

/* For people, what is not 0, below one line that says what it is. */
static void print_counts(struct cli *c, const struct known *p) {
    bool any = false;
    for (size_t i = 0; i < COUNTS; i++) {
        char label[40] = "";
        uint64_t n = count_of(p, &counts[i]);
        if (!c->json && (!n || !counts[i].label))
            continue;
        if (!c->json && !any)
            puts("counted by the relay since it started:");
        any = true;
        if (!c->json)
            snprintf(label, sizeof label, "  %s", counts[i].label);
        out_item_uint(c, counts[i].name, label, n);
    }
}

int peers_counts(struct cli *c) {
    struct known p;
    int rc = known_read(c, &p);
    if (rc >= 0)
        print_counts(c, &p);
    known_free(&p);
    return rc < 0 ? out_failed(rc) : EXIT_YES;
}

/* "3 s ago" and the like. */
static void ago(char to[32], uint64_t now_ms, uint64_t then_ms) {
    uint64_t s = now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
    if (!then_ms)
        snprintf(to, 32, "never");
    else if (s < 120)
        snprintf(to, 32, "%" PRIu64 " s ago", s);
    else if (s < 7200)
        snprintf(to, 32, "%" PRIu64 " min ago", s / 60);
    else if (s < 172800)
        snprintf(to, 32, "%" PRIu64 " h ago", s / 3600);
    else
        snprintf(to, 32, "%" PRIu64 " days ago", s / 86400);
}

/* Enough of a key to tell peers apart. */
static const char *short_key(char to[24], const char *key) {
    const char *digits = strchr(key, ':');
    snprintf(to, 24, "%.12s..", digits ? digits + 1 : key);
    return to;
}

static void human_peer(const struct known *p, const struct peer_record *r) {
    char key[24], seen[32], here[24] = "-", there[24] = "-";
    bool runs = relay_runs(p);
    ago(seen, p->now_ms, r->seen_ms);
    if (lag_known(p, r)) {
        snprintf(here, sizeof here, "%" PRIu64, r->missing_here);
        snprintf(there, sizeof there, "%" PRIu64, r->missing_there);
    }
    printf("%-16.16s %-15s %-5s %-7s %-13s %9s %9s  %s\n",
           *r->name ? r->name : "-", short_key(key, r->key),
           r->has_origin ? peer_role_name(r->role) : "-",
           peer_direction_name(r->direction),
           runs ? peer_state_name(r->state) : "no relay", here, there, seen);
    if (r->mismatches)
        printf("  audit: %" PRIu64 " of %" PRIu64 " comparisons found other "
               "content at the same clock; see the relay's log, and "
               "'edgecrdt verify --against'\n",
               r->mismatches, r->audits);
    if (*r->holds && strcmp(r->holds, "everything") != 0)
        printf("  holds: %s\n", r->holds);
    if (*r->error && !peer_in_sync(p, r))
        printf("  error: %s\n", r->error);
}

static void human_peers(struct cli *c, const struct known *p) {
    const struct relay_record *r = &p->relay;
    char text[PEER_ERROR_MAX + 128];
    relay_sentence(p, text, sizeof text);
    printf("relay: %s\n", text);
    if (p->has_relay)
        printf("node:  %s %s (%s), realm %s\n", r->name, r->key,
               peer_role_name(r->role), r->realm);
    if (p->has_relay && r->refused_keys)
        printf("refused: %" PRIu64 " links by unknown keys; the last was %s "
               "from %s; if it is a friend, add it as a peer\n",
               r->refused_keys, r->refused_key, r->refused_address);
    print_counts(c, p);
    if (!p->n)
        return;
    printf("\n%-16s %-15s %-5s %-7s %-13s %9s %9s  %s\n", "NAME", "KEY", "ROLE",
           "BY", "STATE", "HERE", "THERE", "LAST SEEN");
    for (size_t i = 0; i < p->n; i++)
        human_peer(p, &p->peer[i]);
    printf("\nHERE and THERE: events still missing on this side and on the "
           "peer's.\n");
}

static void json_peer(struct cli *c, const struct known *p,
                      const struct peer_record *r) {
    char origin[2 * ORIGIN_SIZE + 1] = "";
    if (r->has_origin)
        out_hex(origin, r->origin, ORIGIN_SIZE);
    out_text(c, "name", r->name);
    out_text(c, "key", r->key);
    out_text(c, "address", r->address);
    out_text(c, "role", r->has_origin ? peer_role_name(r->role) : "unknown");
    out_text(c, "direction", peer_direction_name(r->direction));
    out_text(c, "state", peer_state_name(r->state));
    out_bool(c, "relay_running", relay_runs(p));
    out_bool(c, "in_sync", peer_in_sync(p, r));
    out_bool(c, "configured", r->configured);
    out_text(c, "origin", origin);
    if (lag_known(p, r)) {
        out_uint(c, "missing_here", r->missing_here);
        out_uint(c, "missing_there", r->missing_there);
    }
    out_uint(c, "since_ms", r->since_ms);
    out_uint(c, "seen_ms", r->seen_ms);
    out_uint(c, "updated_ms", r->updated_ms);
    out_text(c, "error", r->error);
    out_text(c, "holds", r->holds);
    out_uint(c, "buckets", r->buckets);
    out_uint(c, "chunks_in", r->chunks_in);
    out_uint(c, "chunks_out", r->chunks_out);
    out_uint(c, "items_in", r->items_in);
    out_uint(c, "items_out", r->items_out);
    out_uint(c, "bytes_in", r->bytes_in);
    out_uint(c, "bytes_out", r->bytes_out);
    out_uint(c, "refused_parts", r->refused_parts);
    out_uint(c, "ahead_parts", r->ahead_parts);
    out_uint(c, "complete_parts", r->complete_parts);
    out_uint(c, "fp_refused", r->fp_refused);
    out_uint(c, "payload_in", r->payload_in);
    out_uint(c, "repeated_in", r->repeated_in);
    out_uint(c, "foreign_parts", r->foreign_parts);
    out_uint(c, "links", r->links);
    out_uint(c, "failures", r->failures);
    out_uint(c, "audits", r->audits);
    out_uint(c, "mismatches", r->mismatches);
    for (size_t i = 0; i < COUNTS; i++)
        if (!counts[i].of_peers)
            out_uint(c, counts[i].name, count_of(p, &counts[i]));
    out_end(c);
}

int verb_peers(struct cli *c) {
    struct known p;
    int rc = known_read(c, &p);
    if (rc < 0) {
        known_free(&p);
        return out_failed(rc);
    }
    bool all = relay_runs(&p) && p.n;
    for (size_t i = 0; i < p.n; i++) {
        all = all && peer_in_sync(&p, &p.peer[i]);
        if (c->json)
            json_peer(c, &p, &p.peer[i]);
    }
    if (!c->json)
        human_peers(c, &p);
    known_free(&p);
    return all ? EXIT_YES : EXIT_NO;
}

/* api_store.c: public questions about a whole store, and its backup. */
#include "crdt/clocks.h"
#include "crdt/gc.h"
#include "crdt/setting.h"
#include "crdt/held.h"
#include "crdt/step.h"
#include "crdt/tombs.h"
#include "lib/err.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Frame of a call that reads one snapshot. */
static int with_snapshot(ecrdt_store *s, const char *call,
                         int (*fn)(ecrdt_txn *t, void *ctx), void *ctx) {
    ecrdt_txn *t;
    int rc = store_check(s, call);
    if (rc == ECRDT_OK)
        rc = replica_begin(s, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = fn(t, ctx);
    ecrdt_abort(t);
    return rc;
}

static int read_me(ecrdt_txn *t, void *ctx) {
    ecrdt_node *out = ctx;
    return replica_origin(t, out->b);
}

int ecrdt_node_id(ecrdt_store *s, ecrdt_node *out) {
    int rc = s ? check_out(out, "ecrdt_node_id()") : ECRDT_OK;
    return rc < 0 ? rc : with_snapshot(s, "ecrdt_node_id()", read_me, out);
}

int ecrdt_flush(ecrdt_store *s) {
    int rc = store_check(s, "ecrdt_flush()");
    return rc < 0 ? rc : replica_flush(s);
}

struct sink_ctx {
    ecrdt_sink out;
    void *ctx;
};

static int give_name(void *ctx, const char *name) {
    struct sink_ctx *k = ctx;
    if (!k->out(k->ctx, name, strlen(name)))
        return ECRDT_OK;
    return err_set(ECRDT_ECANCELED, "the sink stopped the listing of buckets");
}

static int list_buckets(ecrdt_txn *t, void *ctx) {
    return replica_each_bucket(t, give_name, ctx);
}

int ecrdt_buckets(ecrdt_store *s, ecrdt_sink out, void *ctx) {
    struct sink_ctx k = {out, ctx};
    if (s && !out)
        return err_set(ECRDT_EINVAL, "ecrdt_buckets() needs a sink");
    return with_snapshot(s, "ecrdt_buckets()", list_buckets, &k);
}

static int count_ranges(ecrdt_txn *t, void *ctx) {
    struct bucket *bk;
    int rc = txn_bucket(t, ctx, false, &bk);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    struct spans held = {0};
    rc = clocks_load(t, bk);
    if (rc == ECRDT_OK)
        rc = held_spans_of(t, bk->name, &held);
    if (rc == ECRDT_OK)
        rc = ranges_settled(&bk->rs, &held);
    spans_free(&held);
    return rc;
}

int ecrdt_settled(ecrdt_store *s, const char *bucket) {
    return with_snapshot(s, "ecrdt_settled()", count_ranges,
                         (void *)(uintptr_t)bucket);
}

struct digest_ctx {
    const char *bucket;
    uint8_t *out;
};

static int read_digest(ecrdt_txn *t, void *ctx) {
    struct digest_ctx *d = ctx;
    return replica_digest(t, d->bucket, d->out);
}

int ecrdt_digest(ecrdt_store *s, const char *bucket, uint8_t out[16]) {
    struct digest_ctx d = {bucket, out};
    int rc = s ? check_out(out, "ecrdt_digest()") : ECRDT_OK;
    return rc < 0 ? rc : with_snapshot(s, "ecrdt_digest()", read_digest, &d);
}

/* ---- statistics -----------------------------------------------------------
 */

struct stats_ctx {
    ecrdt_txn *t;
    ecrdt_stats *out;
    uint64_t oldest_tomb; /* its arrival; UINT64_MAX = none */
};

static int add_bucket(void *ctx, const char *name) {
    struct stats_ctx *c = ctx;
    struct bucket *bk;
    int rc = txn_bucket(c->t, name, false, &bk);
    if (rc == 1)
        rc = txn_head(c->t, bk);
    if (rc < 0)
        return rc;
    c->out->buckets++;
    c->out->items += bk->head.live;
    c->out->tombstones += bk->head.tombs;
    c->out->log_bytes += bk->head.log_bytes + bk->head.log_open.len;
    uint64_t arrival;
    rc = tombs_oldest(c->t, bk, &arrival);
    if (rc == 1 && arrival < c->oldest_tomb)
        c->oldest_tomb = arrival;
    return rc < 0 ? rc : ECRDT_OK;
}

static int read_gc(ecrdt_txn *t, const struct stats_ctx *c) {
    ecrdt_stats *out = c->out;
    struct gc_total gc;
    uint64_t now = os_wall_ms();
    int rc = gc_total_read(t, &gc);
    if (rc >= 0)
        rc = setting_read(t, ECRDT_GC_RETENTION_MS, &out->gc_retention_ms);
    if (rc >= 0)
        rc = setting_read(t, ECRDT_LOG_CAP_BYTES, &out->log_cap_bytes);
    if (c->oldest_tomb < now)
        out->oldest_tombstone_ms = now - c->oldest_tomb;
    if (out->oldest_tombstone_ms > out->gc_retention_ms)
        out->floor_lag_ms = out->oldest_tombstone_ms - out->gc_retention_ms;
    out->gc_tombstones = gc.dropped;
    out->gc_bytes = gc.bytes;
    out->gc_wall_ms = gc.last_ms;
    return rc;
}

static int read_stats(ecrdt_txn *t, void *ctx) {
    struct stats_ctx c = {t, ctx, UINT64_MAX};
    uint32_t origins = 0;
    int rc = meta_get_u32(t, "m.origins", &origins);
    c.out->origins = origins;
    if (rc >= 0)
        rc = replica_each_bucket(t, add_bucket, &c);
    return rc < 0 ? rc : read_gc(t, &c);
}

int ecrdt_stat_read(ecrdt_store *s, ecrdt_stats *out) {
    int rc = store_check(s, "ecrdt_stat_read()");
    if (rc < 0)
        return rc;
    if (!out || out->size < sizeof(size_t) || out->size > 4096)
        return err_set(ECRDT_EINVAL, "ecrdt_stat_read(): set out->size to "
                                     "sizeof(ecrdt_stats) first");
    struct db_stat st;
    ecrdt_stats all = {.size = out->size};
    rc = db_stat(s->db, &st);
    if (rc == ECRDT_OK)
        rc = with_snapshot(s, "ecrdt_stat_read()", read_stats, &all);
    if (rc < 0)
        return rc;
    all.bytes_used = st.bytes_used;
    all.bytes_max = st.bytes_max;
    all.readers = st.readers;
    all.oldest_reader_pid = st.oldest_pid;
    all.oldest_reader_txns = st.oldest_pid && st.last_txn > st.oldest_txn
                                 ? st.last_txn - st.oldest_txn
                                 : 0;
    all.last_txn = st.last_txn;
    all.durability = s->durability;
    all.cleared_readers = st.cleared_readers;
    all.pidns_reads = atomic_load(&s->pidns_reads);
    replica_fork_counts(s, &all.fork_merges, &all.fork_unknown);
    all.reclaimable_bytes = db_free_bytes(s->db);
    all.disk_bytes = db_bytes_held(s->db);
    memcpy(out, &all, all.size < sizeof all ? all.size : sizeof all);
    return ECRDT_OK;
}

/* ---- backup ---------------------------------------------------------------
 */

/* A copy has no identity: at its next open it gets its own. */
static bool keep(enum db_table table, slice key) {
    return table != DB_PEERS &&
           (table != DB_META || (!slice_eq(key, ECRDT_STR("m.me")) &&
                                 !slice_eq(key, ECRDT_STR("m.key")) &&
                                 !slice_eq(key, ECRDT_STR("m.guard"))));
}

static int copy_to(ecrdt_txn *t, void *ctx) {
    struct db_conf conf = {
        .max_bytes = t->s->max_bytes, .max_readers = 16, .file_mode = 0660};
    return db_copy(t->db, ctx, &conf, keep);
}

/* To a folder that nobody else fills meanwhile. */
static int back_up(ecrdt_store *s, const char *path) {
    ecrdt_txn *t;
    int rc = os_folder_empty(path);
    if (rc == 0)
        return err_set(ECRDT_EINVAL,
                       "cannot back up to %s: the folder is not empty", path);
    if (rc == 1)
        rc = replica_expose(s, &t); /* a restored copy shows its heads */
    if (rc < 0)
        return rc;
    rc = copy_to(t, (void *)(uintptr_t)path);
    ecrdt_abort(t);
    return rc < 0 ? rc : os_sync_folder(path);
}

int ecrdt_backup(ecrdt_store *s, const char *path) {
    int fd, rc = store_check(s, "ecrdt_backup()");
    if (rc < 0)
        return rc;
    if (!path || !*path || strlen(path) > STORE_PATH_MAX)
        return err_set(ECRDT_EINVAL, "ecrdt_backup() needs the path of a "
                                     "folder");
    bool made;
    rc = os_make_folder(path, 0700, &made);
    if (rc == ECRDT_OK)
        rc = os_claim_folder(path, &fd);
    if (rc < 0)
        return rc;
    rc = back_up(s, path);
    close(fd);
    return rc;
}

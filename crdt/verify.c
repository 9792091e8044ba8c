/* verify.c: reads every record of a store and recomputes what is derived:
 * names of events, digests, counts, key heads, clocks, the log's bound. */
#include "crdt/clocks.h"
#include "crdt/dotlog.h"
#include "crdt/items.h"
#include "crdt/keyhead.h"
#include "crdt/step.h"
#include "crdt/tombs.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE = 512, ID_SHOWN = 48 };

struct logged {
    uint64_t seq;
    uint32_t origin;
};

/* What is known of the key whose items are being read. */
struct key_sum {
    uint8_t head_tag; /* 0: none yet */
    bool key_hashed;
    uint8_t id[KEY_K_MAX + 1]; /* of the key's head */
    size_t id_len;
    slice full_key; /* borrowed from an item's record */
    uint64_t live, rows;
    wide total;
};

struct verify {
    ecrdt_txn *t;
    ecrdt_sink out;
    void *ctx;
    uint64_t findings;
    int stop; /* ECANCELED or a failure that ends it */
    struct bucket *bk;
    struct vv log_bound;
    struct logged *log;
    size_t n_log, cap_log;
    uint8_t digest[16];
    uint64_t live, tombs;
    uint64_t heads[2]; /* that sets and counters need */
    uint64_t counter_heads;
    struct key_sum key;
    struct item it;
    struct buf scratch;
};

static void find(struct verify *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void find(struct verify *v, const char *fmt, ...) {
    char line[LINE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    v->findings++;
    if (v->out && v->out(v->ctx, line, strlen(line)))
        v->stop = err_set(ECRDT_ECANCELED, "the sink stopped the check");
}

static const char *show(slice id, char out[2 * ID_SHOWN + 4]) {
    const uint8_t *b = id.data;
    size_t n = id.len < ID_SHOWN ? id.len : ID_SHOWN;
    for (size_t i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", b[i]);
    strcpy(out + 2 * n, n < id.len ? "..." : "");
    return out;
}

/* ---- items ----------------------------------------------------------------
 */

/* A tomb has its row in the tombs table. */
static void check_tomb(struct verify *v, slice id, const struct event *e) {
    char hex[2 * ID_SHOWN + 4];
    uint8_t key[TOMB_KEY];
    struct tomb_row row = {e->arrival_ms, e->seq, e->origin};
    slice of;
    int rc = db_get(v->t->db, DB_TOMBS, tomb_key(key, v->bk->id, &row), &of);
    if (rc != 1 || !slice_eq(of, id))
        find(v,
             "bucket '%s' item %s: tomb %llu has no row in the table of "
             "tombs, or that of another item",
             v->bk->name, show(id, hex), (unsigned long long)e->seq);
}

static void check_event(struct verify *v, slice id, const struct item_parts *p,
                        const struct vv *clk, const struct event *e) {
    char hex[2 * ID_SHOWN + 4];
    const char *name = v->bk->name;
    const uint8_t *origin = origin_id(v->t, e->origin);
    if (!origin) {
        find(v, "bucket '%s' item %s: origin %u is unknown", name,
             show(id, hex), e->origin);
        return;
    }
    if (!payload_valid(id, p, e))
        find(v, "bucket '%s' item %s: an event of kind %u is malformed", name,
             show(id, hex), e->kind);
    if (!vv_covers(clk, origin, e->seq))
        find(v, "bucket '%s' item %s: event %llu is beyond the clock", name,
             show(id, hex), (unsigned long long)e->seq);
    uint8_t e16[CRYPTO_E16];
    if (event_live(e) &&
        event_e16(e16, v->bk->salt, origin, id, e, &v->scratch) < 0)
        v->stop = ECRDT_ENOMEM;
    else if (event_live(e))
        digest_add(v->digest, e16);
    if (!event_live(e))
        check_tomb(v, id, e);
    struct logged want = {e->seq, e->origin};
    bool in_log = false;
    size_t lo = 0, hi = v->n_log;
    while (lo < hi && !in_log) {
        size_t mid = (lo + hi) / 2;
        const struct logged *x = &v->log[mid];
        in_log = x->origin == want.origin && x->seq == want.seq;
        if (x->origin < want.origin ||
            (x->origin == want.origin && x->seq < want.seq))
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!in_log && !vv_covers(&v->log_bound, origin, e->seq))
        find(v,
             "bucket '%s' item %s: event %llu is neither in the log nor "
             "below its bound",
             name, show(id, hex), (unsigned long long)e->seq);
}

static void account(struct verify *v) {
    v->live += item_live(&v->it);
    for (size_t i = 0; i < v->it.n; i++)
        v->tombs += !event_live(&v->it.ev[i]);
}

/* ---- key heads ------------------------------------------------------------
 */

/* Compares the head of the key just read with what its items say. */
static void end_key(struct verify *v) {
    struct key_sum *s = &v->key;
    if (!s->head_tag)
        return;
    char hex[2 * ID_SHOWN + 4];
    struct keyhead_view head;
    struct item_key k;
    slice id = slice_of(s->id, s->id_len);
    item_key_set(&k, v->bk->id, id, (uint16_t)(s->id_len - 1));
    int rc = keyhead_read(v->t, &k, &head);
    bool counter = s->head_tag == TAG_COUNTER_HEAD;
    v->heads[counter] += counter ? s->rows > 1 : rc == 1;
    if (rc < 0 && rc != ECRDT_ECORRUPT)
        v->stop = rc;
    else if (rc < 0)
        find(v, "bucket '%s' key %s: %s", v->bk->name, show(id, hex),
             ecrdt_errmsg());
    else if (head.live != s->live || head.total != s->total ||
             (counter && head.rows != s->rows))
        find(v,
             "bucket '%s' key %s: its head says %llu items, there are "
             "%llu; or their totals differ",
             v->bk->name, show(id, hex), (unsigned long long)head.live,
             (unsigned long long)s->live);
    else if (rc == 1 && s->key_hashed && !slice_eq(head.full_key, s->full_key))
        find(v, "bucket '%s' key %s: its head holds another key", v->bk->name,
             show(id, hex));
    s->head_tag = 0;
}

/* Adds an item to the sum of its key, which may be a new one. */
static void sum_key(struct verify *v, slice id, const struct item_parts *p,
                    const struct type *ty) {
    struct key_sum *s = &v->key;
    if (s->head_tag != ty->head_tag || s->id_len != p->k_len + 1u ||
        memcmp(s->id, id.data, p->k_len) != 0) {
        end_key(v);
        *s = (struct key_sum){.head_tag = ty->head_tag,
                              .id_len = p->k_len + 1u,
                              .key_hashed = p->shape.key_hashed};
        memcpy(s->id, id.data, p->k_len);
        s->id[p->k_len] = ty->head_tag;
    }
    struct reading r;
    ty->read(p->shape, &v->it, &r);
    s->live += (uint64_t)r.live;
    s->rows++;
    s->total += r.total;
    slice full_key = item_full_key(p->shape, &v->it);
    if (full_key.len)
        s->full_key = full_key;
}

/* Rows of a table that belong to the bucket. */
static int count_rows(struct verify *v, enum db_table table, uint64_t *n) {
    uint8_t from[BUCKET_PREFIX];
    struct db_cursor *c;
    int rc = db_cursor_open(v->t->db, table, &c);
    if (rc < 0)
        return rc;
    slice key = item_key_prefix(from, v->bk->id), rec;
    *n = 0;
    for (rc = db_cursor_seek(c, &key, &rec);
         (rc == 1 || rc == ECRDT_ECORRUPT) && item_key_in(key, v->bk->id);
         rc = db_cursor_next(c, &key, &rec))
        ++*n;
    db_cursor_close(c);
    return rc < 0 && rc != ECRDT_ECORRUPT ? rc : ECRDT_OK;
}

static void check_heads(struct verify *v, const char *of, uint64_t heads,
                        uint64_t keys) {
    if (heads != keys)
        find(v, "bucket '%s': %llu key heads of %s, %llu keys that need one",
             v->bk->name, (unsigned long long)heads, of,
             (unsigned long long)keys);
}

/* Heads whose key has no items, and rows of tombs that are none. */
static int check_counts(struct verify *v) {
    uint64_t heads = 0, tombs = 0;
    int rc = count_rows(v, DB_KEYS, &heads);
    if (rc == ECRDT_OK)
        rc = count_rows(v, DB_TOMBS, &tombs);
    if (rc == ECRDT_OK)
        check_heads(v, "sets", heads, v->heads[0]);
    if (rc == ECRDT_OK)
        check_heads(v, "counters", v->counter_heads, v->heads[1]);
    if (rc == ECRDT_OK && tombs != v->tombs)
        find(v, "bucket '%s': %llu rows of tombs, %llu tombs", v->bk->name,
             (unsigned long long)tombs, (unsigned long long)v->tombs);
    return rc;
}

static void check_item(struct verify *v, slice id, const struct item_parts *p,
                       slice rec) {
    char hex[2 * ID_SHOWN + 4];
    const struct type *ty = type_of_tag(p->tag);
    int rc = ty ? item_decode(&v->it, rec) : ECRDT_ECORRUPT;
    if (rc == ECRDT_ENOMEM) {
        v->stop = rc;
        return;
    }
    if (rc < 0) {
        find(v, "bucket '%s' item %s: the record is malformed", v->bk->name,
             show(id, hex));
        return;
    }
    const struct ranges *rs = &v->bk->rs;
    const struct vv *clk = &rs->r[ranges_find(rs, id)].clk;
    for (size_t i = 0; i < v->it.n; i++) {
        check_event(v, id, p, clk, &v->it.ev[i]);
        if (i && v->it.ev[i].origin <= v->it.ev[i - 1].origin)
            find(v,
                 "bucket '%s' item %s: two siblings of one origin, or out "
                 "of order",
                 v->bk->name, show(id, hex));
    }
    account(v);
    if (!ty->head_tag)
        return;
    sum_key(v, id, p, ty);
}

/* A counter's row: the only entry, or a head, which is compared with the
 * entries behind them. */
static void check_counter(struct verify *v, slice id, struct item_parts *p,
                          slice rec) {
    char hex[2 * ID_SHOWN + 4];
    struct counter_row row;
    struct item_key k;
    item_key_set(&k, v->bk->id, id, p->k_len);
    if (!counter_row_open(rec, &row))
        find(v, "bucket '%s' key %s: the counter's row is malformed",
             v->bk->name, show(id, hex));
    else if (row.head)
        v->counter_heads++;
    else if (counter_row_entry(v->t, &row, &k) < 0)
        find(v, "bucket '%s' key %s: %s", v->bk->name, show(id, hex),
             ecrdt_errmsg());
    else if (item_id_parse(item_key_id(&k), p))
        check_item(v, item_key_id(&k), p, row.rec);
}

static void check_record(struct verify *v, slice key, slice rec) {
    char hex[2 * ID_SHOWN + 4];
    struct item_parts p;
    slice id = item_key_id_of(key);
    if (!item_id_parse(id, &p))
        find(v, "bucket '%s' item %s: the id is malformed", v->bk->name,
             show(id, hex));
    else if (p.tag == TAG_COUNTER_HEAD)
        check_counter(v, id, &p, rec);
    else
        check_item(v, id, &p, rec);
}

/* ---- a bucket -------------------------------------------------------------
 */

static int note_logged(void *ctx, const struct dotlog_entry *e) {
    struct verify *v = ctx;
    int rc = alloc_grow(&v->log, &v->cap_log, v->n_log + 1, sizeof *v->log);
    if (rc == ECRDT_OK)
        v->log[v->n_log++] = (struct logged){e->seq, e->origin};
    return rc;
}

static int by_dot(const void *a, const void *b) {
    const struct logged *x = a, *y = b;
    if (x->origin != y->origin)
        return x->origin < y->origin ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static int load_log(struct verify *v) {
    v->n_log = 0;
    vv_free(&v->log_bound);
    int rc = clocks_vector(v->t, v->bk, CLOCK_LOG, &v->log_bound);
    if (rc == ECRDT_OK)
        rc = dotlog_each(v->t, v->bk, 0, note_logged, v);
    if (rc == ECRDT_OK && v->n_log)
        qsort(v->log, v->n_log, sizeof *v->log, by_dot);
    return rc;
}

static void check_sums(struct verify *v) {
    const struct bucket_head *h = &v->bk->head;
    if (memcmp(h->digest, v->digest, sizeof v->digest) != 0)
        find(v, "bucket '%s': its digest is not that of its items",
             v->bk->name);
    if (h->live != v->live || h->tombs != v->tombs)
        find(v,
             "bucket '%s': its head says %llu live items and %llu tombs, "
             "there are %llu and %llu",
             v->bk->name, (unsigned long long)h->live,
             (unsigned long long)h->tombs, (unsigned long long)v->live,
             (unsigned long long)v->tombs);
}

/* All items of the bucket; a damaged record is a finding, not the end. */
static int read_items(struct verify *v) {
    uint8_t from[BUCKET_PREFIX];
    struct db_cursor *c;
    int rc = db_cursor_open(v->t->db, DB_ITEMS, &c);
    if (rc < 0)
        return rc;
    slice key = item_key_prefix(from, v->bk->id), rec;
    for (rc = db_cursor_seek(c, &key, &rec); rc != 0 && !v->stop;
         rc = db_cursor_next(c, &key, &rec)) {
        if (rc < 0 && rc != ECRDT_ECORRUPT)
            break;
        if (!item_key_in(key, v->bk->id)) {
            rc = 0;
            break;
        }
        if (rc < 0)
            find(v, "bucket '%s': %s", v->bk->name, ecrdt_errmsg());
        else
            check_record(v, key, rec);
    }
    db_cursor_close(c);
    return rc < 0 ? rc : ECRDT_OK;
}

static int check_bucket(void *ctx, const char *name) {
    struct verify *v = ctx;
    int rc = txn_bucket(v->t, name, false, &v->bk);
    if (rc == 1)
        rc = clocks_load(v->t, v->bk);
    if (rc == ECRDT_OK)
        rc = load_log(v);
    if (rc == ECRDT_ECORRUPT) {
        find(v, "bucket '%s': %s", name, ecrdt_errmsg());
        return v->stop;
    }
    memset(v->digest, 0, sizeof v->digest);
    v->live = v->tombs = 0;
    v->heads[0] = v->heads[1] = v->counter_heads = 0;
    v->key = (struct key_sum){0};
    if (rc == ECRDT_OK)
        rc = read_items(v);
    if (rc < 0 || v->stop)
        return rc < 0 ? rc : v->stop;
    end_key(v);
    check_sums(v);
    rc = check_counts(v);
    return v->stop ? v->stop : rc;
}

static int take_line(void *ctx, const char *line) {
    struct verify *v = ctx;
    return v->out ? v->out(v->ctx, line, strlen(line)) : 0;
}

/* The pages first: only if they are sound may LMDB read them. */
static int check_store(struct verify *v) {
    int rc = db_check_pages(v->t->db, take_line, v, &v->findings);
    if (rc == ECRDT_ECORRUPT)
        find(v, "%s", ecrdt_errmsg());
    if (rc <= 0)
        return rc;
    rc = replica_each_bucket(v->t, check_bucket, v);
    if (rc == ECRDT_ECORRUPT)
        find(v, "the table of buckets: %s", ecrdt_errmsg());
    return rc;
}

int ecrdt_verify(ecrdt_store *s, ecrdt_sink report, void *ctx) {
    struct verify v = {.out = report, .ctx = ctx};
    int rc = store_check(s, "ecrdt_verify()");
    if (rc == ECRDT_OK)
        rc = replica_begin(s, false, 0, &v.t);
    if (rc < 0)
        return rc;
    rc = check_store(&v);
    ecrdt_abort(v.t);
    vv_free(&v.log_bound);
    alloc_free(v.log);
    item_free(&v.it);
    buf_free(&v.scratch);
    if (rc < 0 && rc != ECRDT_ECORRUPT)
        return rc;
    if (!v.findings)
        return ECRDT_OK;
    return err_set(ECRDT_ECORRUPT,
                   "store %s has %llu findings; restore it from a backup or a "
                   "peer",
                   s->path, (unsigned long long)v.findings);
}

/* api_delta.c: summary, export and import for a transport of the caller's.
 *
 * summary  "ECRDTS1\n", msgpack array of what clock_encode() writes; of a
 *          store that holds a part "ECRDTS2\n", [subscription, that array]
 * export   "ECRDTX1\n", chunks (length u32, bytes), a zero length, and the
 *          CRC-32C of all before it (u32) */
#include "crdt/chunk.h"
#include "crdt/clocks.h"
#include "crdt/held.h"
#include "lib/alloc.h"
#include "lib/crc32c.h"
#include "lib/err.h"

enum { MAGIC = 8, DEFAULT_EXPORT = 1 << 20 };
static const char summary_magic[MAGIC + 1] = "ECRDTS1\n";
static const char partial_magic[MAGIC + 1] = "ECRDTS2\n";
static const char export_magic[MAGIC + 1] = "ECRDTX1\n";

/* ---- summary ---- */

struct summary {
    ecrdt_txn *t;
    struct buf out;
    uint32_t n;
};

static int add_clock(void *ctx, const char *bucket) {
    struct summary *m = ctx;
    struct ranges rs = {0};
    struct vv floor = {0};
    int rc = replica_clock(m->t, bucket, &rs, &floor);
    if (rc >= 0) {
        clock_encode(&m->out, ecrdt_str(bucket), &rs, &floor);
        m->n++;
        rc = m->out.err;
    }
    ranges_free(&rs);
    vv_free(&floor);
    return rc;
}

/* The beginning of a summary, which says what is held unless it is all. */
static int begin_summary(struct summary *m) {
    struct subscription holds = {0};
    int rc = subscription_load(m->t, &holds);
    bool whole = rc == ECRDT_OK && subscription_whole(&holds);
    buf_put(&m->out, whole ? summary_magic : partial_magic, MAGIC);
    if (!whole) {
        pack_array(&m->out, 2);
        subscription_encode(&m->out, &holds);
    }
    subscription_free(&holds);
    return rc;
}

static int sink_put(ecrdt_sink out, void *ctx, slice s) {
    if (!s.len || !out(ctx, s.data, s.len))
        return ECRDT_OK;
    return err_set(ECRDT_ECANCELED, "the sink stopped the output");
}

int ecrdt_summary(ecrdt_store *s, ecrdt_sink out, void *ctx) {
    int rc = store_check(s, "ecrdt_summary()");
    if (rc < 0)
        return rc;
    if (!out)
        return err_set(ECRDT_EINVAL, "ecrdt_summary() needs a sink");
    struct summary m = {0};
    rc = replica_expose(s, &m.t);
    if (rc < 0)
        return rc;
    rc = begin_summary(&m);
    size_t place = pack_array_begin(&m.out);
    if (rc == ECRDT_OK)
        rc = replica_each_bucket(m.t, add_clock, &m);
    pack_array_end(&m.out, place, m.n);
    if (rc == ECRDT_OK)
        rc = replica_flush(s); /* D1: a clock must not outlive a crash */
    ecrdt_abort(m.t);
    if (rc == ECRDT_OK)
        rc = m.out.err ? m.out.err : sink_put(out, ctx, buf_slice(&m.out));
    buf_free(&m.out);
    return rc;
}

/* ---- export ---- */

struct told {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    struct ranges rs;
};

struct export {
    ecrdt_txn *t;
    struct told *told;
    size_t n_told, cap_told;
    struct subscription holds; /* of the store that shall import */
    size_t max_bytes, bytes;
    ecrdt_sink out;
    void *ctx;
    uint32_t crc;
    bool more;
};

static int bad_summary(void) {
    return err_set(ECRDT_ECORRUPT, "this is not a whole summary of a store: "
                                   "make it with ecrdt_summary() or "
                                   "'edgecrdt summary'");
}

static int decode_told(struct export *x, struct unpack *u) {
    if (alloc_grow(&x->told, &x->cap_told, x->n_told + 1, sizeof *x->told) < 0)
        return ECRDT_ENOMEM;
    struct told *t = &x->told[x->n_told++];
    struct vv floor = {0};
    slice name;
    memset(t, 0, sizeof *t);
    int rc = clock_decode(u, &name, &t->rs, &floor);
    vv_free(&floor);
    if (rc == ECRDT_OK)
        memcpy(t->bucket, name.data, name.len);
    return rc;
}

static int decode_summary(struct export *x, slice s) {
    subscription_init(&x->holds);
    if (!s.len)
        return ECRDT_OK;
    bool whole = s.len >= MAGIC && !memcmp(s.data, summary_magic, MAGIC);
    if (s.len < MAGIC || (!whole && memcmp(s.data, partial_magic, MAGIC) != 0))
        return bad_summary();
    struct unpack u;
    int rc = ECRDT_OK;
    unpack_init(&u, slice_of((const uint8_t *)s.data + MAGIC, s.len - MAGIC));
    if (!whole) {
        unpack_array_exact(&u, 2);
        rc = subscription_decode(&u, &x->holds);
    }
    uint32_t n = unpack_array(&u, ECRDT_MAX_BUCKETS);
    for (uint32_t i = 0; i < n && rc == ECRDT_OK; i++)
        rc = decode_told(x, &u);
    unpack_leave(&u);
    if (!whole)
        unpack_leave(&u);
    if (rc == ECRDT_OK)
        rc = unpack_end(&u);
    return rc == ECRDT_ECORRUPT ? bad_summary() : rc;
}

static int emit(struct export *x, slice s) {
    x->crc = crc32c(x->crc, s.data, s.len);
    return sink_put(x->out, x->ctx, s);
}

static int emit_chunk(struct export *x, slice chunk) {
    uint8_t len[4];
    store32(len, (uint32_t)chunk.len);
    int rc = emit(x, slice_of(len, sizeof len));
    x->bytes += chunk.len;
    return rc < 0 ? rc : emit(x, chunk);
}

static struct ranges *peer_ranges(struct export *x, const char *bucket,
                                  struct ranges *none) {
    for (size_t i = 0; i < x->n_told; i++)
        if (!strcmp(x->told[i].bucket, bucket))
            return &x->told[i].rs;
    return none;
}

static int export_bucket(void *ctx, const char *bucket) {
    struct export *x = ctx;
    struct ranges none = {0}, *peer = peer_ranges(x, bucket, &none);
    struct chunk_tail tail = {0};
    struct spans within = {0};
    struct buf out = {0};
    int rc =
        subscription_spans(&x->holds, bucket, &within) < 0 ? ECRDT_ENOMEM : 1;
    while (rc == 1 && x->bytes < x->max_bytes) {
        size_t left = x->max_bytes - x->bytes;
        struct chunk_budget budget = {
            left < CHUNK_PUSH_BYTES ? left : CHUNK_PUSH_BYTES,
            CHUNK_PUSH_ITEMS};
        struct chunk_built built;
        buf_clear(&out);
        rc = chunk_build_within(x->t, bucket, &within, peer, &budget, &tail,
                                &out, &built);
        if (rc == 1 && emit_chunk(x, buf_slice(&out)) < 0)
            rc = ECRDT_ECANCELED;
    }
    x->more = x->more || rc == 1;
    ranges_free(&none);
    spans_free(&within);
    chunk_tail_free(&tail);
    buf_free(&out);
    return rc < 0 ? rc : ECRDT_OK;
}

static int export_all(struct export *x, ecrdt_store *s) {
    int rc = replica_flush(s); /* D1: after the snapshot, before the bytes */
    if (rc == ECRDT_OK)
        rc = emit(x, slice_of(export_magic, MAGIC));
    if (rc == ECRDT_OK)
        rc = replica_each_bucket(x->t, export_bucket, x);
    uint8_t end[8] = {0};
    store32(end + 4, crc32c(x->crc, end, 4));
    return rc < 0 ? rc : sink_put(x->out, x->ctx, slice_of(end, sizeof end));
}

int ecrdt_export(ecrdt_store *s, ecrdt_slice peer_summary, size_t max_bytes,
                 ecrdt_sink out, void *ctx) {
    int rc = store_check(s, "ecrdt_export()");
    if (rc < 0)
        return rc;
    if (!out)
        return err_set(ECRDT_EINVAL, "ecrdt_export() needs a sink");
    struct export x = {.out = out,
                       .ctx = ctx,
                       .max_bytes = max_bytes ? max_bytes : DEFAULT_EXPORT};
    rc = decode_summary(&x, peer_summary);
    if (rc == ECRDT_OK)
        rc = replica_expose(s, &x.t);
    if (rc == ECRDT_OK) {
        rc = export_all(&x, s);
        ecrdt_abort(x.t);
    }
    for (size_t i = 0; i < x.n_told; i++)
        ranges_free(&x.told[i].rs);
    alloc_free(x.told);
    subscription_free(&x.holds);
    return rc < 0 ? rc : x.more;
}

/* ---- import ---- */

static int bad_export(const char *why) {
    return err_set(ECRDT_ECORRUPT,
                   "this is not a whole export of a store (%s); nothing was "
                   "imported",
                   why);
}

/* Checks the frame and the sum; *end is where the zero length stands. */
static int check_export(slice d, size_t *end) {
    const uint8_t *b = d.data;
    if (d.len < MAGIC + 8 || memcmp(b, export_magic, MAGIC) != 0)
        return bad_export("it does not begin as one");
    size_t at = MAGIC;
    uint32_t len;
    while ((len = load32(b + at)) != 0) {
        if (len > d.len - at - 4 || d.len - at - 4 - len < 4)
            return bad_export("it is cut off");
        at += 4 + len;
    }
    if (d.len - at != 8 || load32(b + at + 4) != crc32c(0, b, at + 4))
        return bad_export("its checksum is wrong");
    *end = at;
    return ECRDT_OK;
}

static int import_all(ecrdt_txn *t, slice d, size_t end,
                      struct chunk_report *r) {
    const uint8_t *b = d.data;
    for (size_t at = MAGIC; at < end;) {
        uint32_t len = load32(b + at);
        int rc = chunk_apply(t, slice_of(b + at + 4, len), r);
        if (rc < 0)
            return rc;
        at += 4 + len;
    }
    return ECRDT_OK;
}

int ecrdt_import(ecrdt_store *s, ecrdt_slice delta, ecrdt_import_report *r) {
    int rc = store_check(s, "ecrdt_import()");
    if (rc < 0)
        return rc;
    size_t end = 0;
    struct chunk_report report = {0};
    rc = check_export(delta, &end);
    ecrdt_txn *t = rc < 0 ? NULL : ecrdt_write(s);
    if (!t)
        return rc < 0 ? rc : ecrdt_errcode();
    rc = import_all(t, delta, end, &report);
    if (rc < 0)
        ecrdt_abort(t);
    else
        rc = ecrdt_commit(t);
    if (rc == ECRDT_OK && r)
        *r = (ecrdt_import_report){report.applied, report.known, report.ahead,
                                   report.refused, report.foreign};
    return rc;
}

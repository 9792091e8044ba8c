/* dump.c: the wall around msgpack-c: writes a store's live content as one
 * self-describing msgpack map per key, through the public calls only. */
#include "crdt/dump.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include <msgpack.h>
#include <string.h>

/* Bytes are gathered here, so that the sink sees few large pieces. */
enum { DUMP_PIECE = 16384 };

struct dump {
    msgpack_packer pk;
    ecrdt_txn *t;
    const char *bucket;
    ecrdt_sink out;
    void *ctx;
    int err; /* sticky */
    size_t len;
    char piece[DUMP_PIECE];
};

/* Names of all buckets, one after the other, each with its NUL. */
struct names {
    char *text;
    size_t len, cap;
};

static void deliver(struct dump *d, const char *data, size_t len) {
    if (!d->err && len && d->out(d->ctx, data, len))
        d->err = err_set(ECRDT_ECANCELED, "dump: the sink stopped it");
}

/* msgpack-c's writer: gathers small writes, passes large ones on. */
static int gather(void *ctx, const char *data, size_t len) {
    struct dump *d = ctx;
    if (len > sizeof d->piece - d->len) {
        deliver(d, d->piece, d->len);
        d->len = 0;
    }
    if (len > sizeof d->piece) {
        deliver(d, data, len);
    } else {
        memcpy(d->piece + d->len, data, len);
        d->len += len;
    }
    return d->err ? -1 : 0;
}

static void text(struct dump *d, const char *s) {
    msgpack_pack_str(&d->pk, strlen(s));
    msgpack_pack_str_body(&d->pk, s, strlen(s));
}

static void bytes(struct dump *d, const void *data, size_t len) {
    msgpack_pack_bin(&d->pk, len);
    if (len)
        msgpack_pack_bin_body(&d->pk, data, len);
}

/* Opens the map of one key; its one field of content follows. */
static void open_map(struct dump *d, const char *type, ecrdt_slice key) {
    msgpack_pack_map(&d->pk, 4);
    text(d, "bucket");
    text(d, d->bucket);
    text(d, "type");
    text(d, type);
    text(d, "key");
    bytes(d, key.data, key.len);
}

/* How many rows an iterator has; closes it. */
static int64_t count_rows(ecrdt_iter *it) {
    ecrdt_entry e;
    int64_t n = 0;
    int rc;
    while ((rc = ecrdt_next(it, &e)) > 0)
        n++;
    ecrdt_iter_close(it);
    return rc < 0 ? rc : n;
}

static void pack_sibling(struct dump *d, const ecrdt_entry *e) {
    msgpack_pack_map(&d->pk, 4);
    text(d, "value");
    bytes(d, e->val.data, e->val.len);
    text(d, "by");
    bytes(d, e->who.by.b, sizeof e->who.by.b);
    text(d, "wall_ms");
    msgpack_pack_uint64(&d->pk, e->who.wall_ms);
    text(d, "logical");
    msgpack_pack_uint32(&d->pk, e->who.logical);
}

/* The rows of it as an array of n; both come from one snapshot. */
static int pack_rows(struct dump *d, ecrdt_iter *it, int64_t n, bool siblings) {
    ecrdt_entry e;
    int64_t seen = 0;
    int rc = 0;
    msgpack_pack_array(&d->pk, (size_t)n);
    while (!d->err && (rc = ecrdt_next(it, &e)) > 0 && seen++ < n) {
        if (siblings)
            pack_sibling(d, &e);
        else
            bytes(d, e.val.data, e.val.len);
    }
    ecrdt_iter_close(it);
    if (rc >= 0 && !d->err && seen != n)
        return err_set(ECRDT_ECORRUPT,
                       "dump of bucket %s: a key holds %lld rows and counts "
                       "%lld; run 'edgecrdt verify'",
                       d->bucket, (long long)seen, (long long)n);
    return rc < 0 ? rc : d->err;
}

static int pack_register(struct dump *d, ecrdt_slice key) {
    int64_t n = count_rows(ecrdt_reg_siblings(d->t, d->bucket, key));
    if (n < 0)
        return (int)n;
    open_map(d, "register", key);
    text(d, "values");
    return pack_rows(d, ecrdt_reg_siblings(d->t, d->bucket, key), n, true);
}

static int pack_set(struct dump *d, const ecrdt_entry *e) {
    open_map(d, "set", e->key);
    text(d, "elements");
    return pack_rows(
        d, ecrdt_elems(d->t, d->bucket, e->key, (ecrdt_slice){NULL, 0}), e->num,
        false);
}

static int pack_key(struct dump *d, const ecrdt_entry *e) {
    if (e->type == ECRDT_REG)
        return pack_register(d, e->key);
    if (e->type == ECRDT_SET)
        return pack_set(d, e);
    open_map(d, "counter", e->key);
    text(d, "value");
    msgpack_pack_int64(&d->pk, e->num);
    return d->err;
}

static int pack_bucket(struct dump *d) {
    ecrdt_iter *it =
        ecrdt_keys(d->t, d->bucket, (ecrdt_slice){NULL, 0}, ECRDT_ANY);
    ecrdt_entry e;
    int rc;
    while ((rc = ecrdt_next(it, &e)) > 0)
        if ((rc = pack_key(d, &e)) < 0)
            break;
    ecrdt_iter_close(it);
    return rc;
}

static int note_name(void *ctx, const void *data, size_t len) {
    struct names *n = ctx;
    if (alloc_grow(&n->text, &n->cap, n->len + len + 1, 1) < 0)
        return 1;
    memcpy(n->text + n->len, data, len);
    n->text[n->len + len] = '\0';
    n->len += len + 1;
    return 0;
}

int dump_store(ecrdt_store *s, ecrdt_sink out, void *ctx) {
    struct names names = {0};
    struct dump *d = NULL;
    int rc = ecrdt_buckets(s, note_name, &names);
    if (rc >= 0 && !(d = alloc_zeroed(1, sizeof *d)))
        rc = ECRDT_ENOMEM;
    if (rc >= 0) {
        d->out = out;
        d->ctx = ctx;
        msgpack_packer_init(&d->pk, d, gather);
        d->t = ecrdt_read(s);
        rc = d->t ? 0 : ecrdt_errcode();
        for (size_t at = 0; rc >= 0 && at < names.len;
             at += strlen(names.text + at) + 1) {
            d->bucket = names.text + at;
            rc = pack_bucket(d);
        }
        ecrdt_abort(d->t);
        if (rc >= 0)
            deliver(d, d->piece, d->len);
        rc = rc < 0 ? rc : d->err;
    }
    alloc_free(d);
    alloc_free(names.text);
    return rc;
}

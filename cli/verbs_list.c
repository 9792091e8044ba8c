/* verbs_list.c: the verbs that walk buckets and keys. */
#include "cli/verbs.h"
#include "crdt/dump.h"
#include <stdlib.h>

enum { BUCKET_ROOM = ECRDT_MAX_BUCKET_NAME + 1 };

/* The names of all buckets, NUL-terminated, BUCKET_ROOM apart. */
struct names {
    char (*name)[BUCKET_ROOM];
    size_t n;
};

static int note_name(void *ctx, const void *data, size_t len) {
    struct names *names = ctx;
    if (names->n == ECRDT_MAX_BUCKETS)
        return 1;
    memcpy(names->name[names->n], data, len);
    names->name[names->n++][len] = '\0';
    return 0;
}

/* Calls fn for each bucket; stops at its first nonzero result. Returns that,
 * or 0, or an exit code after a message. */
static int each_bucket(struct cli *c,
                       int (*fn)(struct cli *c, const char *bucket)) {
    struct names names = {calloc(ECRDT_MAX_BUCKETS, BUCKET_ROOM), 0};
    if (!names.name)
        return out_error(EXIT_OS, "out of memory");
    int rc = ecrdt_buckets(c->s, note_name, &names);
    int code = rc < 0 ? out_failed(rc) : 0;
    for (size_t i = 0; i < names.n && !code; i++)
        code = fn(c, names.name[i]);
    free(names.name);
    return code;
}

static int print_bucket(struct cli *c, const char *bucket) {
    out_text(c, "bucket", bucket);
    out_end(c);
    return 0;
}

int verb_buckets(struct cli *c) {
    return each_bucket(c, print_bucket);
}

static const char *type_name(ecrdt_type type) {
    return type == ECRDT_REG   ? "register"
           : type == ECRDT_SET ? "set"
                               : "counter";
}

/* A counter's value, a set's size, the bytes of a register's value. */
static int64_t number_of(const ecrdt_entry *e) {
    return e->type == ECRDT_REG ? (int64_t)e->val.len : e->num;
}

static void print_key(struct cli *c, const ecrdt_entry *e) {
    static const char *const field[] = {"size", "bytes", "value"};
    int f = e->type == ECRDT_SET ? 0 : e->type == ECRDT_REG ? 1 : 2;
    if (c->json)
        out_text(c, "bucket", c->word[0]);
    if (c->json || c->detail) {
        out_text(c, "type", type_name(e->type));
        out_int(c, field[f], number_of(e));
    }
    out_bytes(c, "key", e->key);
    out_end(c);
}

int verb_keys(struct cli *c) {
    slice prefix = c->n > 1 ? c->bytes[1] : slice_of(NULL, 0);
    unsigned types = c->types ? c->types : ECRDT_ANY;
    ecrdt_entry e;
    ecrdt_txn *t = ecrdt_read(c->s);
    ecrdt_iter *it = ecrdt_keys(t, c->word[0], prefix, types);
    int rc, any = 0;
    for (; (rc = ecrdt_next(it, &e)) > 0; any = 1)
        print_key(c, &e);
    ecrdt_abort(t);
    return out_found(rc < 0 ? rc : any);
}

/* The columns that all lines of dump begin with. */
static void dump_begin(struct cli *c, const char *bucket,
                       const ecrdt_entry *e) {
    out_text(c, "bucket", bucket);
    out_text(c, "type", type_name(e->type));
    out_bytes(c, "key", e->key);
}

static void dump_unsigned_end(struct cli *c) {
    if (!c->json) {
        out_text(c, "by", "-");
        out_text(c, "at", "-");
    }
    out_end(c);
}

/* One line per concurrent value, the one that is read first. */
static int dump_register(struct cli *c, ecrdt_txn *t, const char *bucket,
                         const ecrdt_entry *e) {
    ecrdt_entry v;
    ecrdt_iter *it = ecrdt_reg_siblings(t, bucket, e->key);
    int rc, n = 0;
    for (; (rc = ecrdt_next(it, &v)) > 0; n++) {
        dump_begin(c, bucket, e);
        out_bytes(c, "value", v.val);
        out_stamp(c, &v.who);
        out_bool(c, "-read", n == 0);
        out_end(c);
    }
    ecrdt_iter_close(it);
    return rc;
}

static int dump_set(struct cli *c, ecrdt_txn *t, const char *bucket,
                    const ecrdt_entry *e) {
    ecrdt_entry v;
    ecrdt_iter *it = ecrdt_elems(t, bucket, e->key, slice_of(NULL, 0));
    int rc;
    while ((rc = ecrdt_next(it, &v)) > 0) {
        dump_begin(c, bucket, e);
        out_bytes(c, "element", v.val);
        dump_unsigned_end(c);
    }
    ecrdt_iter_close(it);
    return rc;
}

static int dump_key(struct cli *c, ecrdt_txn *t, const char *bucket,
                    const ecrdt_entry *e) {
    if (e->type == ECRDT_REG)
        return dump_register(c, t, bucket, e);
    if (e->type == ECRDT_SET)
        return dump_set(c, t, bucket, e);
    dump_begin(c, bucket, e);
    out_int(c, "value", e->num);
    dump_unsigned_end(c);
    return 0;
}

static int dump_bucket(struct cli *c, const char *bucket) {
    ecrdt_entry e;
    ecrdt_txn *t = ecrdt_read(c->s);
    ecrdt_iter *it = ecrdt_keys(t, bucket, slice_of(NULL, 0), ECRDT_ANY);
    int rc;
    while ((rc = ecrdt_next(it, &e)) > 0)
        if ((rc = dump_key(c, t, bucket, &e)) < 0)
            break;
    ecrdt_abort(t);
    return rc < 0 ? out_failed(rc) : 0;
}

static int dump_msgpack(struct cli *c) {
    int code;
    FILE *f = out_binary(c, &code);
    if (!f)
        return code;
    int rc = dump_store(c->s, out_sink, f);
    code = out_binary_end(c, f);
    return rc < 0 && !code ? out_failed(rc) : code;
}

int verb_dump(struct cli *c) {
    if (!c->msgpack && c->out)
        return out_error(EXIT_USAGE, "--out goes with --msgpack; lines go to "
                                     "the output: use > FILE");
    if (c->msgpack && (c->json || c->hex))
        return out_error(EXIT_USAGE, "choose one of --msgpack, --json and "
                                     "--hex");
    return c->msgpack ? dump_msgpack(c) : each_bucket(c, dump_bucket);
}

static int print_digest(struct cli *c, const char *bucket) {
    uint8_t digest[16];
    char hex[33];
    int rc = c->n > 1 ? ecrdt_digest_prefix(c->s, bucket, c->bytes[1], digest)
                      : ecrdt_digest(c->s, bucket, digest);
    if (rc < 0)
        return out_failed(rc);
    out_hex(hex, digest, sizeof digest);
    out_text(c, "bucket", bucket);
    out_text(c, "digest", hex);
    out_bool(c, "-settled", ecrdt_settled(c->s, bucket) > 0);
    out_end(c);
    return 0;
}

int verb_digest(struct cli *c) {
    return c->n ? print_digest(c, c->word[0]) : each_bucket(c, print_digest);
}

/* verbs_set.c: the verbs on OR-sets. */
#include "cli/verbs.h"

/* "bucket" and "key" for JSON. */
static void out_place(struct cli *c) {
    out_text(c, "-bucket", c->word[0]);
    out_bytes(c, "-key", c->bytes[1]);
}

static int print_count(struct cli *c, const char *field, uint64_t n) {
    out_place(c);
    out_uint(c, field, n);
    write_out(c);
    return n ? EXIT_YES : EXIT_NO;
}

typedef int set_op(ecrdt_txn *t, const char *bucket, slice key, slice elem);

/* Applies op to all elements of the call, all or none; counts those that
 * made a difference. < 0 is an error. */
static int64_t each_element(struct cli *c, set_op *op) {
    ecrdt_txn *t = ecrdt_write(c->s);
    int64_t n = 0;
    int rc = 0;
    for (int i = 2; i < c->n && rc >= 0; i++)
        if ((rc = op(t, c->word[0], c->bytes[1], c->bytes[i])) > 0)
            n++;
    rc = write_end(c, t, rc);
    return rc < 0 ? rc : n;
}

int verb_sadd(struct cli *c) {
    int64_t n = each_element(c, ecrdt_set_add);
    if (n < 0)
        return out_failed((int)n);
    print_count(c, "added", (uint64_t)n);
    return EXIT_YES;
}

int verb_srem(struct cli *c) {
    int64_t n = each_element(c, ecrdt_set_remove);
    if (n < 0)
        return out_failed((int)n);
    return print_count(c, "removed", (uint64_t)n);
}

int verb_smembers(struct cli *c) {
    slice prefix = c->n > 2 ? c->bytes[2] : slice_of(NULL, 0);
    ecrdt_entry e;
    ecrdt_txn *t = ecrdt_read(c->s);
    ecrdt_iter *it = ecrdt_elems(t, c->word[0], c->bytes[1], prefix);
    int rc, any = 0;
    for (; (rc = ecrdt_next(it, &e)) > 0; any = 1) {
        out_place(c);
        out_bytes(c, "element", e.val);
        out_end(c);
    }
    ecrdt_abort(t);
    return out_found(rc < 0 ? rc : any);
}

int verb_sismember(struct cli *c) {
    ecrdt_txn *t = ecrdt_read(c->s);
    int rc = ecrdt_set_has(t, c->word[0], c->bytes[1], c->bytes[2]);
    ecrdt_abort(t);
    if (rc >= 0 && c->json) {
        out_place(c);
        out_bytes(c, "element", c->bytes[2]);
        out_bool(c, "member", rc > 0);
        out_end(c);
    }
    return out_found(rc);
}

int verb_scard(struct cli *c) {
    uint64_t n = 0;
    ecrdt_txn *t = ecrdt_read(c->s);
    int rc = ecrdt_set_size(t, c->word[0], c->bytes[1], &n);
    ecrdt_abort(t);
    if (rc < 0)
        return out_failed(rc);
    return print_count(c, "size", n);
}

int verb_sclear(struct cli *c) {
    uint64_t n = 0;
    ecrdt_txn *t = ecrdt_write(c->s);
    int rc = ecrdt_set_size(t, c->word[0], c->bytes[1], &n);
    if (rc >= 0)
        rc = ecrdt_set_clear(t, c->word[0], c->bytes[1]);
    rc = write_end(c, t, rc);
    if (rc < 0)
        return out_failed(rc);
    return print_count(c, "removed", n);
}

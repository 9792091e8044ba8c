/* verbs_data.c: the verbs on registers and counters. */
#include "cli/verbs.h"
#include <unistd.h>

/* "bucket" and "key" for JSON. */
static void out_place(struct cli *c) {
    out_text(c, "-bucket", c->word[0]);
    out_bytes(c, "-key", c->bytes[1]);
}

/* The value as it is, for a pipe; escaped on a terminal. */
static void print_value(struct cli *c, slice value) {
    if (!c->raw && (c->hex || isatty(STDOUT_FILENO))) {
        out_bytes(c, "value", value);
        out_end(c);
        return;
    }
    if (value.len)
        fwrite(value.data, 1, value.len, stdout);
    if (!c->raw)
        putchar('\n');
}

static void print_register(struct cli *c, slice value, const ecrdt_stamp *who) {
    if (!c->json) {
        print_value(c, value);
        return;
    }
    out_place(c);
    out_bytes(c, "value", value);
    out_stamp(c, who);
    out_end(c);
}

int verb_get(struct cli *c) {
    slice value;
    ecrdt_stamp who;
    ecrdt_txn *t = ecrdt_read(c->s);
    int rc = ecrdt_reg_get(t, c->word[0], c->bytes[1], &value, &who);
    if (rc > 0)
        print_register(c, value, &who);
    ecrdt_abort(t);
    return out_found(rc);
}

/* The JSON line of a write; people get silence. */
static int wrote(struct cli *c, int rc, const char *field) {
    if (rc < 0)
        return out_failed(rc);
    if (c->json) {
        out_place(c);
        out_bool(c, field, rc > 0);
        write_out(c);
    }
    write_out_line(c);
    return rc ? EXIT_YES : EXIT_NO;
}

int verb_set(struct cli *c) {
    ecrdt_txn *t = ecrdt_write(c->s);
    int rc = ecrdt_reg_set(t, c->word[0], c->bytes[1], c->bytes[2]);
    rc = write_end(c, t, rc);
    return wrote(c, rc < 0 ? rc : 1, "set");
}

int verb_del(struct cli *c) {
    ecrdt_txn *t = ecrdt_write(c->s);
    int rc = ecrdt_reg_del(t, c->word[0], c->bytes[1]);
    return wrote(c, write_end(c, t, rc), "deleted");
}

int verb_siblings(struct cli *c) {
    ecrdt_entry e;
    ecrdt_txn *t = ecrdt_read(c->s);
    ecrdt_iter *it = ecrdt_reg_siblings(t, c->word[0], c->bytes[1]);
    int rc, n = 0;
    for (; (rc = ecrdt_next(it, &e)) > 0; n++) {
        out_place(c);
        out_bytes(c, "value", e.val);
        out_stamp(c, &e.who);
        out_bool(c, "-read", n == 0);
        out_end(c);
    }
    ecrdt_abort(t);
    return out_found(rc < 0 ? rc : n > 0);
}

static void print_count(struct cli *c, int64_t now) {
    out_place(c);
    out_int(c, "value", now);
    write_out(c);
}

int verb_incr(struct cli *c) {
    int64_t by = 1, now = 0;
    if (c->n > 2 && !args_int64(c->word[2], &by))
        return out_error(EXIT_USAGE,
                         "incr wants a whole number of 64 bits, not \"%s\"",
                         c->word[2]);
    ecrdt_txn *t = ecrdt_write(c->s);
    int rc = ecrdt_counter_add(t, c->word[0], c->bytes[1], by, &now);
    if ((rc = write_end(c, t, rc)) < 0)
        return out_failed(rc);
    print_count(c, now);
    return EXIT_YES;
}

int verb_count(struct cli *c) {
    int64_t now = 0;
    ecrdt_txn *t = ecrdt_read(c->s);
    int rc = ecrdt_counter_get(t, c->word[0], c->bytes[1], &now);
    if (rc > 0 || rc == ECRDT_ERANGE)
        print_count(c, now);
    ecrdt_abort(t);
    return out_found(rc);
}

int verb_reset(struct cli *c) {
    int64_t now = 0;
    ecrdt_txn *t = ecrdt_write(c->s);
    int rc = ecrdt_counter_get(t, c->word[0], c->bytes[1], &now);
    if (rc > 0 || rc == ECRDT_ERANGE) {
        rc = ecrdt_counter_reset(t, c->word[0], c->bytes[1]);
        rc = rc < 0 ? rc : 1;
    }
    return wrote(c, write_end(c, t, rc), "reset");
}

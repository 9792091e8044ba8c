/* verbs_wait.c: the end of every verb that writes, with a receipt if one is
 * asked for, and waiting for a receipt. */
#include "cli/verbs.h"

enum { WAIT_TIMEOUT_MS = 30000 };

int write_end(struct cli *c, ecrdt_txn *t, int rc) {
    ecrdt_receipt r;
    if (rc >= 0 && c->receipt) {
        int err = ecrdt_receipt_of(t, c->word[0], &r);
        rc = err < 0 ? err : rc;
    }
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    int err = ecrdt_commit(t);
    if (err == 0 && c->receipt)
        out_hex(c->receipt_text, r.b, sizeof r.b);
    return err < 0 ? err : rc;
}

void write_out(struct cli *c) {
    if (*c->receipt_text)
        out_text(c, "-receipt", c->receipt_text);
    out_end(c);
    write_out_line(c);
}

void write_out_line(struct cli *c) {
    if (*c->receipt_text && !c->json)
        puts(c->receipt_text);
}

static bool parse_receipt(const char *text, ecrdt_receipt *r) {
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 2 * sizeof r->b)
        return false;
    for (size_t i = 0; i < 2 * sizeof r->b; i++) {
        const char *d = strchr(digits, text[i]);
        if (!d)
            return false;
        uint8_t v = (uint8_t)(d - digits);
        r->b[i / 2] = (uint8_t)(i & 1 ? r->b[i / 2] | v : v << 4);
    }
    return true;
}

int verb_wait(struct cli *c) {
    ecrdt_receipt r = {{0}};
    if (!parse_receipt(c->word[0], &r))
        return out_error(EXIT_USAGE,
                         "a receipt is %zu hex digits, as --receipt prints "
                         "them",
                         2 * sizeof r.b);
    int rc = ecrdt_wait(c->s, &r, c->where,
                        c->timeout_ms ? c->timeout_ms : WAIT_TIMEOUT_MS);
    if (rc < 0)
        return out_failed(rc);
    if (c->json) {
        out_bool(c, "fulfilled", rc > 0);
        out_end(c);
    }
    return rc ? EXIT_YES : out_error(EXIT_NO, "%s", ecrdt_errmsg());
}

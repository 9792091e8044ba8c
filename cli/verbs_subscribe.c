/* verbs_subscribe.c: what the store holds: shown, widened and narrowed. */
#include "cli/verbs.h"
#include "edgecrdt.h"

/* One bucket: all, nothing, or its prefixes. */
static int print_row(void *ctx, const ecrdt_subscription *row) {
    struct cli *c = ctx;
    out_text(c, "bucket", row->bucket ? row->bucket : "(others)");
    out_text(c, "holds", row->all ? "all" : row->n ? "prefixes" : "nothing");
    out_list(c, "prefixes", row->prefixes, row->n);
    out_bool(c, "-leaving", row->leaving);
    if (!c->json && row->leaving)
        out_text(c, "leaving", "(the rest is yet to be forgotten)");
    out_end(c);
    return 0;
}

/* What a change has led to: exit 1 if something waits. */
static int report(int rc) {
    if (rc < 0)
        return out_failed(rc);
    if (rc == 1)
        fprintf(stderr,
                "edgecrdt: what is no longer held is forgotten when a relay "
                "or a sync meets a core that has it; see 'edgecrdt peers'\n");
    return rc ? EXIT_NO : EXIT_YES;
}

static int one_of_both(const struct cli *c) {
    if (!c->others == (c->n > 0))
        return 0;
    return out_error(EXIT_USAGE, "name a bucket or --others, one of both");
}

int verb_subscribe(struct cli *c) {
    if (!c->n && !c->others) {
        int rc = ecrdt_subscriptions(c->s, print_row, c);
        return rc < 0 ? out_failed(rc) : EXIT_YES;
    }
    int code = one_of_both(c);
    if (code)
        return code;
    return report(ecrdt_subscribe(c->s, c->n ? c->word[0] : NULL,
                                  c->n > 1 ? &c->bytes[1] : NULL,
                                  c->n > 1 ? (size_t)c->n - 1 : 0));
}

int verb_unsubscribe(struct cli *c) {
    int code = one_of_both(c);
    return code ? code
                : report(ecrdt_unsubscribe(c->s, c->n ? c->word[0] : NULL));
}

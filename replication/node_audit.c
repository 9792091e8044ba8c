/* node_audit.c: picks peer, bucket and range, and makes a mismatch known: in
 * the peer's record and, loudly, in the log. */
#include "replication/node_audit.h"
#include "crdt/type.h"
#include "lib/err.h"
#include "lib/log.h"
#include "replication/node.h"
#include <stdio.h>

void node_audit_key(char *out, size_t size, slice id) {
    struct item_parts p;
    char key[KEY_RAW_MAX + 1], sub[65];
    if (!item_id_parse(id, &p)) {
        snprintf(out, size, "%s", id.len ? "a range within keys" : "the start");
        return;
    }
    const struct type *ty = type_of_tag(p.tag);
    message_text(key, KEY_RAW_MAX, slice_of(p.key, p.key_len));
    message_text(sub, sizeof sub - 1,
                 p.tag == TAG_ELEMENT ? p.sub : slice_of(NULL, 0));
    snprintf(out, size, "%s %s%s%s", ty ? ty->name : "item", key,
             *sub ? " " : "", sub);
}

static void found(void *ctx, const struct difference *d) {
    const struct peer *p = ctx;
    char key[KEY_RAW_MAX + 128];
    char here[COMPARE_DOTS * COMPARE_DOT_TEXT];
    char there[COMPARE_DOTS * COMPARE_DOT_TEXT];
    node_audit_key(key, sizeof key, d->id);
    compare_dots_text(here, d->here, d->n_here);
    compare_dots_text(there, d->there, d->n_there);
    log_line(ECRDT_LOG_ERROR,
             "msg=\"AUDIT: the same clock, but other content: one of the two "
             "stores is damaged\" peer=\"%s\" bucket=\"%s\" key=\"%s\" "
             "here=\"%s\" there=\"%s\"",
             log_text(p->r.name).s, log_text(d->bucket).s, log_text(key).s,
             here, there);
}

static void finish(struct node *n) {
    struct node_audit *na = &n->audit;
    struct peer *p = na->a.ctx;
    if (na->a.compared) {
        p->r.audits++;
        p->r.mismatches += na->a.findings > 0;
        p->dirty = true;
    }
    na->s->audit = NULL;
    na->s = NULL;
}

void node_audit_leave(struct node *n, const struct session *gone) {
    if (gone && n->audit.s != gone)
        return;
    if (n->audit.s)
        n->audit.s->audit = NULL;
    n->audit.s = NULL;
    audit_end(&n->audit.a);
}

/* Peers in sync, one of them by lot. */
static struct peer *pick_peer(struct node *n, uint32_t random) {
    size_t n_good = 0;
    struct peer *pick = NULL;
    for (int pass = 0; pass < 2; pass++) {
        size_t at = n_good ? random % n_good : 0;
        for (size_t i = 0; i < n->peers.n; i++) {
            const struct link *l = n->peers.p[i]->link;
            if (!l || !session_in_sync(l->s, n->gossip.push.n))
                continue;
            if (pass && at-- == 0)
                pick = n->peers.p[i];
            n_good += !pass;
        }
    }
    return pick;
}

static int begin(struct node *n, struct peer *p, const uint64_t random[2],
                 uint64_t now_ms) {
    const struct link *l = p->link;
    struct mirrors *ms = &l->s->mirrors;
    struct item_id lo, hi;
    bool bounded;
    ecrdt_txn *t;
    if (!ms->n)
        return 0;
    struct mirror *m = ms->m[random[0] % ms->n];
    int rc = replica_begin(n->conf.store, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = reconcile_random(t, m->bucket, random[1], NODE_AUDIT_ITEMS, &lo, &hi,
                          &bounded);
    ecrdt_abort(t);
    if (rc == 1)
        rc = audit_begin(&n->audit.a, m, &lo, bounded ? &hi : NULL, 0, now_ms);
    else
        return rc;
    if (rc < 0)
        return rc;
    n->audit.a.found = found;
    n->audit.a.ctx = p;
    n->audit.s = l->s;
    l->s->audit = &n->audit.a;
    return 0;
}

uint64_t node_audit_step(struct node *n, uint64_t now_ms) {
    struct node_audit *na = &n->audit;
    uint64_t random[2];
    if (na->s && na->a.state == AUDIT_IDLE)
        finish(n);
    if (!n->conf.audit_ms)
        return UINT64_MAX;
    if (na->s)
        return audit_at(&na->a);
    n->loop->t->random(n->loop, random, sizeof random);
    if (na->next_ms && now_ms >= na->next_ms) {
        struct peer *p = pick_peer(n, (uint32_t)(random[0] >> 32));
        if (p && begin(n, p, random, now_ms) < 0)
            log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(), "msg=\"cannot audit\"");
        na->next_ms = 0;
    }
    if (!na->next_ms) /* half to one and a half of the interval */
        na->next_ms =
            now_ms + n->conf.audit_ms / 2 + random[1] % n->conf.audit_ms + 1;
    return na->s ? 0 : na->next_ms;
}

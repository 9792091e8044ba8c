/* session_place.c: asks a keeper whether heads of ours lie on its chains, and
 * sends it the ranges on which they do not. */
#include "replication/session_place.h"
#include "replication/session_reconcile.h"

int session_ask_place(struct session *s, struct mirror *m, struct placed *ask,
                      struct buf *scratch, uint64_t now_ms) {
    struct session_place *p = &s->place;
    struct fp q = {.gen = p->number + 1};
    if (p->m || now_ms < m->place_at_ms)
        return 0;
    int rc = place_ask(ask, m->bucket, &q);
    if (!rc)
        rc = session_say_fp(s, MESSAGE_PLACE, &q, scratch, now_ms);
    fp_free(&q);
    if (rc < 0)
        return rc;
    p->number++;
    p->m = m;
    p->asked = *ask;
    *ask = (struct placed){0};
    return 0;
}

void session_place_drop(struct session *s) {
    placed_free(&s->place.asked);
    s->place.m = NULL;
}

int session_on_place(struct session *s, slice body, uint64_t now_ms) {
    struct fp m = {0};
    struct mirror *mirror;
    (void)now_ms;
    int rc = session_take_fp(s, MESSAGE_PLACE, body, &m, &mirror);
    if (!rc &&
        (m.n != 1 || m.n_clks != 1 || m.clks[0].n > PLACE_HEADS + VV_MAX_HEADS))
        rc = err_set(ECRDT_EPEER, "the peer asks about more than one range, or "
                                  "too many heads, in a place message");
    fp_free(&m);
    return rc < 0 ? rc : session_ask_add(s, mirror, MESSAGE_PLACE, body);
}

/* The keeper has another branch: it gets what we have there whole, on no base,
 * as if it had asked for it. */
static int send_whole(struct session *s, struct mirror *m, struct fp *off) {
    struct buf body = {0};
    if (s->n_asks >= SESSION_ASKS_MAX)
        return 0; /* the keeper will be asked again */
    for (size_t i = 0; i < off->n_clks; i++)
        vv_free(&off->clks[i]);
    off->flags = FP_AUDIT;
    fp_encode(&body, off, false);
    int rc = body.err ? body.err
                      : session_ask_add(s, m, MESSAGE_WANT, buf_slice(&body));
    buf_free(&body);
    return rc;
}

/* Does a part reach out of what was asked about? */
static bool outside(const struct placed *asked, const struct fp *m) {
    slice lo = item_id_slice(&asked->lo), hi = item_id_slice(&asked->hi);
    for (size_t i = 0; i < m->n; i++) {
        const struct item_id *end = fp_hi(&m->parts[i]);
        if (slice_cmp(item_id_slice(&m->parts[i].lo), lo) < 0 ||
            (hi.len && (!end || slice_cmp(item_id_slice(end), hi) > 0)))
            return true;
    }
    return false;
}

int session_on_placed(struct session *s, slice body, uint64_t now_ms) {
    struct session_place *p = &s->place;
    struct fp m = {0};
    struct mirror *mirror;
    int rc = session_take_fp(s, MESSAGE_PLACED, body, &m, &mirror);
    if (!rc && (p->m != mirror || m.gen != p->number || outside(&p->asked, &m)))
        rc = err_set(ECRDT_EPEER, "the peer answered a place message that was "
                                  "not sent");
    if (!rc && m.n) {
        rc = send_whole(s, mirror, &m);
        mirror->place_at_ms = now_ms + SESSION_PLACE_MS;
    } else if (!rc) {
        rc = said_add(&mirror->placed, &p->asked);
    }
    if (!rc)
        session_place_drop(s);
    fp_free(&m);
    return rc;
}

/* session_clocks.c: how the clocks of both sides become known to a link: whole
 * or by fingerprints at first, then word of each change. */
#include "lib/err.h"
#include "lib/mutant.h"
#include "replication/session.h"
#include <stdio.h>

int session_say(struct session *s, uint8_t type, slice body, uint64_t now_ms) {
    s->spoke_ms = now_ms;
    return channel_send(s->channel, type, body, now_ms);
}

int session_word(struct session *s, struct push *p, struct mirror *m) {
    uint8_t flags = mirror_flags(m);
    struct clock_state *was = clock_state_ref(m->said);
    bool sum = mirror_sum_due(m, p->now_ms);
    int rc = mirror_told(m, p->now_ms);
    buf_clear(&p->word);
    if (sum)
        m->summed_ms = p->now_ms;
    if (!rc && was)
        message_diff_encode(&p->word, s->consumed, flags, m->bucket, was,
                            m->said, sum);
    else if (!rc)
        message_clock_encode(&p->word, s->consumed, flags, m->bucket,
                             &m->said->ranges, &m->said->floor);
    clock_state_unref(was);
    rc = rc ? rc : p->word.err;
    return rc < 0 ? rc : was ? MESSAGE_CLOCK_DIFF : MESSAGE_CLOCK;
}

int session_tell(struct session *s, struct push *p, struct mirror *m) {
    int type = session_word(s, p, m);
    return type < 0
               ? type
               : session_say(s, (uint8_t)type, buf_slice(&p->word), p->now_ms);
}

/* ---- by fingerprints ------------------------------------------------------
 * The side that dialed begins, for each large clock. Who has a small one tells
 * it at once; who gets that instead of an answer tells its own. */

static void fp_drop(struct mirror *m) {
    clock_fp_free(m->fp);
    m->fp = NULL;
    buf_free(&m->fp_first);
}

/* Our side of the exchange: what we say from now on differs from this. */
static int fp_begin(struct session *s, struct push *p, struct mirror *m) {
    m->fp = clock_fp_new(m->view->state, channel_handshake_hash(s->channel));
    return m->fp ? mirror_told(m, p->now_ms) : ECRDT_ENOMEM;
}

static int fp_over(struct session *s, struct mirror *m, uint64_t now_ms) {
    struct clock c = {.state = clock_state_ref(m->fp->theirs)};
    int rc = mirror_hear(&s->mirrors, m, &c, 0, now_ms);
    clock_free(&c);
    fp_drop(m);
    return rc;
}

static int fp_answer(struct session *s, struct mirror *m, struct unpack *u,
                     uint64_t now_ms) {
    struct buf out = {0};
    message_fp_header(&out, m->bucket);
    int more = clock_fp_answer(m->fp, u, &out);
    unpack_leave(u);
    int rc = more < 0 ? more : unpack_end(u);
    if (rc < 0 && rc != ECRDT_ENOMEM)
        rc = err_set(ECRDT_EPEER, "the peer compares clocks in a way that "
                                  "this node does not know, or without end");
    if (!rc && more)
        rc = session_say(s, MESSAGE_CLOCK_FP, buf_slice(&out), now_ms);
    buf_free(&out);
    return rc || more == 1 ? rc : fp_over(s, m, now_ms);
}

int session_hear_fp(struct session *s, slice body, uint64_t now_ms) {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    struct unpack u;
    struct mirror *m = NULL;
    int rc = message_fp_begin(body, &u, bucket);
    if (!rc)
        rc = session_mirror(s, bucket, &m);
    s->waits = false;
    if (rc < 0)
        return rc;
    if (m->fp)
        return fp_answer(s, m, &u, now_ms);
    if (m->said)
        return 0;      /* it was small, and told: the peer tells its own */
    if (s->told_all) { /* a bucket that we lack: say so */
        m->ack_due = true;
        return 0;
    }
    if (body.len > CLOCK_FP_FIRST || m->fp_first.len)
        return err_set(ECRDT_EPEER,
                       "the peer compares clocks before it was answered");
    buf_put(&m->fp_first, body.data, body.len); /* until our clock is read */
    return m->fp_first.err;
}

void session_heard_whole(struct session *s, struct mirror *m) {
    s->waits = false;
    if (!m->fp)
        return;
    fp_drop(m);
    clock_state_unref(m->said);
    m->said = NULL;
}

/* ---- the first words ---- */

/* Answers the peer's first word, now that our own clock is read. */
static int answer_first(struct session *s, struct push *p, struct mirror *m) {
    struct buf first = m->fp_first;
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    struct unpack u;
    m->fp_first = (struct buf){0};
    int rc = message_fp_begin(buf_slice(&first), &u, bucket);
    if (!rc)
        rc = fp_answer(s, m, &u, p->now_ms);
    buf_free(&first);
    if (rc != ECRDT_EPEER)
        return rc < 0 ? rc : 1;
    char why[ERR_SENTENCE];
    snprintf(why, sizeof why, "%s", ecrdt_errmsg());
    session_bye(s, BYE_PROTOCOL, p->now_ms, why);
    return 1;
}

/* Begins or answers an exchange by fingerprints. 1 = begun, or not to begin
 * before the peer has said more; 0 = the clock is told by itself. */
static int tell_by_fp(struct session *s, struct push *p, struct mirror *m) {
    if (m->known || !m->view || !clock_fp_worth(m->view->state) ||
        s->state == SESSION_LIVE || MUTANT(nofp))
        return 0;
    if (!s->initiator && !m->fp_first.len)
        return 1;
    int rc = fp_begin(s, p, m);
    if (rc < 0)
        return rc;
    if (!s->initiator)
        return answer_first(s, p, m);
    buf_clear(&p->scratch);
    message_fp_header(&p->scratch, m->bucket);
    clock_fp_first(m->fp, &p->scratch);
    rc = p->scratch.err;
    if (!rc)
        rc =
            session_say(s, MESSAGE_CLOCK_FP, buf_slice(&p->scratch), p->now_ms);
    return rc < 0 ? rc : 1;
}

int session_tell_all(struct session *s, struct push *p) {
    bool open = false;
    for (size_t i = 0; i < s->mirrors.n; i++) {
        struct mirror *m = s->mirrors.m[i];
        if (session_out(s)->len > SESSION_OUT_MAX)
            return 0;
        int rc = m->fp || m->said ? 0 : tell_by_fp(s, p, m);
        if (rc == 0 && !m->said && (mirror_tell_due(m) || m->fp_first.len))
            rc = session_tell(s, p, m);
        if (rc < 0)
            return rc;
        open = open || m->fp || (rc == 1 && !m->said);
    }
    s->waits = open;
    if (open)
        return 0;
    s->told_all = true;
    int rc = session_say(s, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0), p->now_ms);
    return rc < 0 ? rc : 1;
}

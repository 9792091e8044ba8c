/* step.c: the frame of every public call on a transaction. */
#include "crdt/step.h"
#include "lib/err.h"
#include <stdio.h>

static int check_limit(slice s, size_t min, size_t max, const char *what) {
    if (s.len > max)
        return err_set(ECRDT_ETOOBIG,
                       "%s of %zu bytes is over the limit of "
                       "%zu",
                       what, s.len, max);
    if (s.len < min)
        return err_set(ECRDT_EINVAL,
                       "%s has at least %zu byte, this one is "
                       "empty",
                       what, min);
    if (s.len && !s.data)
        return err_set(ECRDT_EINVAL,
                       "%s of %zu bytes was given as NULL: its slice needs a "
                       "pointer to them",
                       what, s.len);
    return ECRDT_OK;
}

int check_key(slice key) {
    return check_limit(key, 1, ECRDT_MAX_KEY, "a key");
}

int check_value(slice value) {
    return check_limit(value, 0, ECRDT_MAX_VALUE, "a value");
}

int check_elem(slice elem) {
    return check_limit(elem, 0, ECRDT_MAX_ELEM, "a set element");
}

int check_out(const void *out, const char *call) {
    if (out)
        return ECRDT_OK;
    return err_set(ECRDT_EINVAL, "%s was given no place for its result", call);
}

static int begin_auto_read(struct step *st) {
    ecrdt_txn *outer = st->outer;
    int rc;
    if (outer->reader && db_err(outer->reader->db) < 0) {
        ecrdt_abort(outer->reader); /* it stuck on damage: begin afresh */
        outer->reader = NULL;
    }
    if (outer->reader)
        rc = txn_unpark(outer->reader);
    else
        rc = replica_begin(outer->s, false, 0, &outer->reader);
    st->t = outer->reader;
    return rc;
}

int step_begin(ecrdt_txn *t, bool write, const char *call, struct step *st) {
    if (!t)
        return err_null(call);
    int rc = store_check(t->s, call);
    if (rc < 0)
        return rc;
    *st = (struct step){t, t, write};
    if (t->mode == TXN_AUTO)
        return write ? replica_begin(t->s, true, t->s->lock_timeout_ms, &st->t)
                     : begin_auto_read(st);
    if (write && t->mode != TXN_WRITE)
        return err_set(ECRDT_ERDONLY,
                       "%s: this is a read transaction; begin one with "
                       "ecrdt_write()",
                       call);
    rc = db_err(t->db);
    if (rc < 0)
        return err_set(
            rc, "%s: an earlier call of this transaction failed, abort it: %s",
            call, st->t->why[0] ? st->t->why : ecrdt_strerror(rc));
    return ECRDT_OK;
}

int step_keep(struct step *st, slice *s) {
    if (st->outer->mode != TXN_AUTO)
        return ECRDT_OK;
    struct buf *copy = &st->outer->copy;
    buf_clear(copy);
    buf_put(copy, s->data, s->len);
    *s = slice_of(copy->data, s->len);
    return copy->err;
}

/* A reader that fell back to the writer lock must not keep it. */
static void end_auto_read(struct step *st) {
    if (st->t->has_lock) {
        ecrdt_abort(st->t);
        st->outer->reader = NULL;
    } else {
        txn_park(st->t);
    }
}

int step_end(struct step *st, int rc) {
    if (rc < 0 && db_err(st->t->db) < 0 && !st->t->why[0])
        snprintf(st->t->why, sizeof st->t->why, "%s", ecrdt_errmsg());
    if (st->outer->mode != TXN_AUTO)
        return rc;
    if (!st->write) {
        end_auto_read(st);
        return rc;
    }
    if (rc < 0) {
        ecrdt_abort(st->t);
        return rc;
    }
    int done = ecrdt_commit(st->t);
    return done < 0 ? done : rc;
}

/* trace_stores.c: stores that do the steps of a history.
 *
 * Ties between origins are decided by their ids, which are random: so the
 * stores are sorted by id, and the order of the replicas decides.
 *
 * A chunk is complete for a peer that is not above the sender's floor. For
 * that each store begins with a removal of its own, dropped by gc, and is
 * asked by an empty summary; gc at each sync then drops the history's own
 * tombs as well. */
#include "fuzz/sim/trace_stores.h"
#include "crdt/chunk_codec.h"
#include "fuzz/sim/senses.h"
#include "lib/buf.h"
#include "lib/err.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char bucket[] = "trace";
enum { EXPORT_HEAD = 8, MAX_EXPORT = 1 << 30 };

static slice key_of(void) {
    return ECRDT_STR("item");
}

/* ---- open and close ---- */

static int by_id(const void *a, const void *b) {
    ecrdt_node x, y;
    ecrdt_node_id(*(ecrdt_store *const *)a, &x);
    ecrdt_node_id(*(ecrdt_store *const *)b, &y);
    return memcmp(x.b, y.b, sizeof x.b);
}

/* A tomb of its own for the floor to stand on, older than any step. */
static int raise_floor(ecrdt_store *s) {
    slice floor = ECRDT_STR("floor");
    senses_set_wall_ms(0);
    ecrdt_txn *t = ecrdt_auto(s);
    int rc = ecrdt_set_add(t, bucket, floor, floor);
    if (rc >= 0)
        rc = ecrdt_set_remove(t, bucket, floor, floor);
    ecrdt_abort(t);
    return rc < 0 ? rc : ecrdt_gc(s, 0, 0, NULL);
}

static int make_folder(struct stores *c) {
    bool shm = access("/dev/shm", W_OK) == 0;
    snprintf(c->dir, sizeof c->dir, "%s/edgecrdt-trace-XXXXXX",
             shm ? "/dev/shm" : "/tmp");
    if (mkdtemp(c->dir))
        return ECRDT_OK;
    int rc = err_errno(errno, "cannot make the scratch folder", c->dir);
    c->dir[0] = '\0';
    return rc;
}

int stores_open(struct stores *c, size_t n, enum talk talk) {
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = ECRDT_EPHEMERAL;
    o.max_readers = 16;
    *c = (struct stores){.talk = talk};
    int rc = make_folder(c);
    for (size_t i = 0; i < n && rc == ECRDT_OK; i++) {
        char path[sizeof c->dir + 24];
        snprintf(path, sizeof path, "%s/%zu", c->dir, i);
        c->s[i] = ecrdt_open(path, &o);
        if (!c->s[i])
            return ecrdt_errcode();
        c->n++;
    }
    qsort(c->s, c->n, sizeof c->s[0], by_id);
    for (size_t i = 0; i < n && rc == ECRDT_OK; i++)
        if (talk == BY_COMPLETE_CHUNKS)
            rc = raise_floor(c->s[i]);
    return rc;
}

static int remove_entry(const char *path, const struct stat *st, int kind,
                        struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void stores_close(struct stores *c) {
    for (size_t i = 0; i < c->n; i++)
        ecrdt_close(c->s[i]);
    c->n = 0;
    if (c->dir[0])
        nftw(c->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* The wall clock of that replica from here on; 1 ms past the floor's tombs. */
static ecrdt_store *turn_to(struct stores *c, size_t at) {
    senses_set_wall_ms(c->wall_ms[at] + 1);
    return c->s[at];
}

/* ---- sync ---- */

static int put(void *ctx, const void *data, size_t len) {
    struct buf *b = ctx;
    buf_put(b, data, len);
    return b->err;
}

/* Which kind of parts travels? */
static int count_parts(struct stores *c, const struct buf *export) {
    int rc = ECRDT_OK;
    uint32_t len;
    for (size_t at = EXPORT_HEAD;
         rc == ECRDT_OK && (len = load32(export->data + at)) != 0;
         at += 4 + len) {
        struct chunk chunk = {0};
        rc = chunk_decode(slice_of(export->data + at + 4, len), &chunk);
        for (size_t i = 0; i < chunk.n_parts; i++)
            c->parts[chunk.parts[i].complete]++;
        chunk_free(&chunk);
    }
    return rc;
}

static int take(ecrdt_store *to, const struct buf *export) {
    ecrdt_import_report r;
    int rc = ecrdt_import(to, buf_slice(export), &r);
    if (rc == ECRDT_OK && (r.ahead || r.refused))
        return err_set(ECRDT_EINVAL,
                       "a sync brought %u parts that build on something "
                       "missing and %u that were refused",
                       r.ahead, r.refused);
    return rc;
}

int stores_sync(struct stores *c, size_t from, size_t to) {
    struct buf summary = {0}, export = {0};
    bool deltas = c->talk == BY_DELTAS;
    int rc = ECRDT_OK, more = 1;
    if (!deltas)
        rc = ecrdt_gc(turn_to(c, from), 0, 0, NULL);
    while (rc == ECRDT_OK && more) {
        buf_clear(&summary);
        buf_clear(&export);
        if (deltas)
            rc = ecrdt_summary(turn_to(c, to), put, &summary);
        if (rc < 0)
            break;
        more = ecrdt_export(turn_to(c, from), buf_slice(&summary),
                            deltas ? 0 : MAX_EXPORT, put, &export);
        rc = more < 0 ? more : count_parts(c, &export);
        if (rc == ECRDT_OK)
            rc = take(turn_to(c, to), &export);
        if (rc == ECRDT_OK && more && !deltas)
            rc = err_set(ECRDT_ETOOBIG, "a history of over 1 GiB cannot be "
                                        "sent whole");
    }
    buf_free(&summary);
    buf_free(&export);
    return rc;
}

/* ---- steps ---- */

int stores_step(struct stores *c, const struct step *step) {
    slice text = ecrdt_str(step->text), key = key_of();
    if (step->verb == STEP_SYNC)
        return stores_sync(c, step->at, step->to);
    if (step->verb == STEP_CLOCK) {
        c->wall_ms[step->at] = (uint64_t)step->num;
        return ECRDT_OK;
    }
    static const ecrdt_opcode ops[] = {
        [STEP_SET_ADD] = ECRDT_OP_SET_ADD,
        [STEP_SET_RM] = ECRDT_OP_SET_REMOVE,
        [STEP_SET_CLEAR] = ECRDT_OP_SET_CLEAR,
        [STEP_COUNTER_ADD] = ECRDT_OP_COUNTER_ADD,
        [STEP_COUNTER_RESET] = ECRDT_OP_COUNTER_RESET,
        [STEP_REG_SET] = ECRDT_OP_REG_SET,
        [STEP_REG_DEL] = ECRDT_OP_REG_DEL,
    };
    ecrdt_op op = {ops[step->verb], bucket, key, text, step->num};
    ecrdt_txn *t = ecrdt_write(turn_to(c, step->at));
    int rc = ecrdt_apply(t, &op, 1);
    if (rc == ECRDT_OK)
        return ecrdt_commit(t);
    ecrdt_abort(t);
    return rc;
}

/* ---- reading ---- */

struct elems {
    char **s;
    size_t n;
};

static int keep_elem(struct elems *e, slice elem) {
    char **more = realloc(e->s, (e->n + 1) * sizeof *more);
    if (!more)
        return err_nomem((e->n + 1) * sizeof *more);
    e->s = more;
    e->s[e->n] = strndup(elem.data, elem.len);
    return e->s[e->n++] ? ECRDT_OK : err_nomem(elem.len);
}

static int read_set(ecrdt_txn *t, char **text) {
    struct elems e = {0};
    ecrdt_entry row;
    uint64_t size = 0;
    ecrdt_iter *it = ecrdt_elems(t, bucket, key_of(), ecrdt_str(""));
    int rc;
    while ((rc = ecrdt_next(it, &row)) == 1 && rc > 0)
        if ((rc = keep_elem(&e, row.val)) < 0)
            break;
    ecrdt_iter_close(it);
    if (rc == ECRDT_OK)
        rc = ecrdt_set_size(t, bucket, key_of(), &size);
    if (rc >= 0 && size != e.n)
        rc = err_set(ECRDT_ECORRUPT,
                     "a set iterates over %zu elements and counts %llu", e.n,
                     (unsigned long long)size);
    if (rc >= 0 && !(*text = history_set_text(e.s, e.n)))
        rc = err_nomem(0);
    for (size_t i = 0; i < e.n; i++)
        free(e.s[i]);
    free(e.s);
    return rc < 0 ? rc : ECRDT_OK;
}

static int read_counter(ecrdt_txn *t, char **text) {
    int64_t now;
    int rc = ecrdt_counter_get(t, bucket, key_of(), &now);
    if (rc < 0 && rc != ECRDT_ERANGE)
        return rc;
    return asprintf(text, "%lld", (long long)now) < 0 ? err_nomem(0) : ECRDT_OK;
}

static int read_register(ecrdt_txn *t, char **text) {
    slice value = ECRDT_STR("null");
    int rc = ecrdt_reg_get(t, bucket, key_of(), &value, NULL);
    if (rc >= 0 && !(*text = strndup(value.data, value.len)))
        rc = err_nomem(value.len);
    return rc < 0 ? rc : ECRDT_OK;
}

int stores_read(struct stores *c, size_t at, enum history_type type,
                char **text) {
    ecrdt_txn *t = ecrdt_read(turn_to(c, at));
    int rc = ECRDT_OK;
    *text = NULL;
    switch (type) {
    case HISTORY_ORSET:
        rc = read_set(t, text);
        break;
    case HISTORY_COUNTER:
        rc = read_counter(t, text);
        break;
    case HISTORY_LWW:
        rc = read_register(t, text);
    }
    ecrdt_abort(t);
    return rc;
}

int stores_digest(struct stores *c, size_t at, uint8_t out[16]) {
    return ecrdt_digest(c->s[at], bucket, out);
}

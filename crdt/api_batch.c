/* api_batch.c: many operations in one call, all or none: all are checked
 * before the first one changes anything. */
#include "crdt/counter.h"
#include "crdt/keyhead.h"
#include "crdt/orset.h"
#include "crdt/register.h"
#include "crdt/step.h"
#include "lib/err.h"

/* One row an operation: what it takes and what it does. What takes no room
 * only takes away, and makes no bucket. */
struct op_row {
    bool has_value, has_elem, takes_room;
    int (*run)(ecrdt_txn *t, const ecrdt_op *op);
};

static int run_set(ecrdt_txn *t, const ecrdt_op *op) {
    return register_set(t, op->bucket, op->key, op->val);
}
static int run_del(ecrdt_txn *t, const ecrdt_op *op) {
    return register_del(t, op->bucket, op->key);
}
static int run_add(ecrdt_txn *t, const ecrdt_op *op) {
    return orset_add(t, op->bucket, op->key, op->val);
}
static int run_remove(ecrdt_txn *t, const ecrdt_op *op) {
    return orset_remove(t, op->bucket, op->key, op->val);
}
static int run_clear(ecrdt_txn *t, const ecrdt_op *op) {
    return orset_clear(t, op->bucket, op->key);
}
static int run_count(ecrdt_txn *t, const ecrdt_op *op) {
    return counter_add(t, op->bucket, op->key, op->num, NULL);
}
static int run_reset(ecrdt_txn *t, const ecrdt_op *op) {
    return counter_reset(t, op->bucket, op->key);
}

static const struct op_row rows[] = {
    [ECRDT_OP_REG_SET] = {.has_value = true,
                          .takes_room = true,
                          .run = run_set},
    [ECRDT_OP_REG_DEL] = {.run = run_del},
    [ECRDT_OP_SET_ADD] = {.has_elem = true, .takes_room = true, .run = run_add},
    [ECRDT_OP_SET_REMOVE] = {.has_elem = true, .run = run_remove},
    [ECRDT_OP_SET_CLEAR] = {.run = run_clear},
    [ECRDT_OP_COUNTER_ADD] = {.takes_room = true, .run = run_count},
    [ECRDT_OP_COUNTER_RESET] = {.run = run_reset}};

static const struct op_row *row_of(ecrdt_opcode op) {
    size_t i = (size_t)op;
    return i < sizeof rows / sizeof *rows && rows[i].run ? &rows[i] : NULL;
}

static int check_op(ecrdt_txn *t, const ecrdt_op *op, uint64_t *bytes) {
    const struct op_row *row = row_of(op->op);
    if (!row)
        return err_set(ECRDT_EINVAL, "there is no operation %d", (int)op->op);
    struct bucket *bk;
    int rc = check_key(op->key);
    if (rc == ECRDT_OK && row->has_value)
        rc = check_value(op->val);
    if (rc == ECRDT_OK && row->has_elem)
        rc = check_elem(op->val);
    if (rc == ECRDT_OK)
        rc = txn_bucket(t, op->bucket, row->takes_room, &bk);
    if (row->takes_room)
        *bytes +=
            op->key.len + (row->has_value || row->has_elem ? op->val.len : 0);
    return rc < 0 ? rc : ECRDT_OK;
}

static int check_all(ecrdt_txn *t, const ecrdt_op *ops, size_t n, size_t *bad) {
    static atomic_ullong batches;
    uint64_t batch = atomic_fetch_add(&batches, 1) + 1, bytes = t->bytes;
    for (*bad = 0; *bad < n; ++*bad) {
        const ecrdt_op *op = &ops[*bad];
        int rc = check_op(t, op, &bytes);
        if (rc == ECRDT_OK && bytes > ECRDT_MAX_TXN)
            rc = err_set(ECRDT_ETOOBIG,
                         "the transaction would hold over %d bytes of keys "
                         "and values",
                         ECRDT_MAX_TXN);
        bool counts =
            op->op == ECRDT_OP_COUNTER_ADD || op->op == ECRDT_OP_COUNTER_RESET;
        if (rc == ECRDT_OK && counts)
            rc = counter_plan(t, op, batch);
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

static int apply_all(ecrdt_txn *t, const ecrdt_op *ops, size_t n) {
    size_t bad, buckets = t->n_buckets;
    int rc = check_all(t, ops, n, &bad);
    if (rc < 0) {
        char why[ERR_SENTENCE];
        strcpy(why, ecrdt_errmsg());
        if (txn_unmake_buckets(t, buckets) < 0)
            return db_err(t->db);
        return err_set(rc,
                       "ecrdt_apply(): operation %zu of %zu: %.900s; none "
                       "was done",
                       bad, n, why);
    }
    for (size_t i = 0; i < n && rc >= 0; i++)
        rc = row_of(ops[i].op)->run(t, &ops[i]);
    if (rc < 0) /* half done: the transaction must not be committed */
        return db_stick(t->db, rc);
    return ECRDT_OK;
}

int ecrdt_apply(ecrdt_txn *t, const ecrdt_op *ops, size_t n) {
    struct step st;
    int rc = step_begin(t, true, "ecrdt_apply()", &st);
    if (rc < 0)
        return rc;
    if ((n && !ops) || n > ECRDT_MAX_BATCH)
        rc = err_set(n > ECRDT_MAX_BATCH ? ECRDT_ETOOBIG : ECRDT_EINVAL,
                     "ecrdt_apply() takes up to %d operations and a pointer "
                     "to them",
                     ECRDT_MAX_BATCH);
    else
        rc = apply_all(st.t, ops, n);
    return step_end(&st, rc);
}

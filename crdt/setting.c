/* setting.c: the table of settings, kept in the store's meta records. */
#include "crdt/setting.h"
#include "crdt/dotlog.h"
#include "crdt/gc.h"
#include "crdt/step.h"

struct row {
    const char *key, *name;
    uint64_t otherwise, min, max;
};

static const struct row *row_of(enum ecrdt_setting which) {
    static const struct row rows[] = {
        [ECRDT_GC_RETENTION_MS] = {"m.gc.retention", "gc-retention",
                                   GC_RETENTION_MS, 0, INT64_MAX},
        [ECRDT_LOG_CAP_BYTES] = {"m.log.cap", "log-cap", DOTLOG_CAP_BYTES,
                                 DOTLOG_CAP_MIN, DOTLOG_CAP_MAX}};
    size_t n = sizeof rows / sizeof *rows;
    return which >= 1 && (size_t)which < n ? &rows[which] : NULL;
}

const char *setting_name(enum ecrdt_setting which) {
    const struct row *r = row_of(which);
    return r ? r->name : NULL;
}

int setting_read(ecrdt_txn *t, enum ecrdt_setting which, uint64_t *value) {
    const struct row *r = row_of(which);
    slice v;
    *value = r->otherwise;
    int rc = db_get(t->db, DB_META, ecrdt_str(r->key), &v);
    if (rc <= 0)
        return rc;
    if (v.len != 8)
        return txn_corrupt(t, r->key);
    *value = load64(v.data);
    return ECRDT_OK;
}

static int known(ecrdt_store *s, enum ecrdt_setting which, const char *call) {
    int rc = store_check(s, call);
    if (rc < 0 || row_of(which))
        return rc;
    return err_set(ECRDT_EINVAL, "%s: there is no setting %d", call,
                   (int)which);
}

int ecrdt_setting_get(ecrdt_store *s, enum ecrdt_setting which,
                      uint64_t *value) {
    static const char call[] = "ecrdt_setting_get()";
    ecrdt_txn *t;
    int rc = known(s, which, call);
    if (rc == ECRDT_OK)
        rc = check_out(value, call);
    if (rc == ECRDT_OK)
        rc = replica_begin(s, false, 0, &t);
    if (rc < 0)
        return rc;
    rc = setting_read(t, which, value);
    ecrdt_abort(t);
    return rc;
}

static int check_range(const struct row *r, uint64_t value) {
    if (value >= r->min && value <= r->max)
        return ECRDT_OK;
    return err_set(ECRDT_ERANGE, "%s is %llu to %llu, not %llu", r->name,
                   (unsigned long long)r->min, (unsigned long long)r->max,
                   (unsigned long long)value);
}

int setting_write(ecrdt_txn *t, enum ecrdt_setting which, uint64_t value) {
    const struct row *r = row_of(which);
    uint64_t now;
    uint8_t b[8];
    int rc = check_range(r, value);
    if (rc == ECRDT_OK)
        rc = setting_read(t, which, &now);
    if (rc < 0 || now == value)
        return rc;
    store64(b, value);
    buf_clear(&t->rec);
    buf_put(&t->rec, b, sizeof b);
    return db_put(t->db, DB_META, ecrdt_str(r->key), &t->rec);
}

int ecrdt_setting_set(ecrdt_store *s, enum ecrdt_setting which,
                      uint64_t value) {
    ecrdt_txn *t;
    int rc = known(s, which, "ecrdt_setting_set()");
    if (rc == ECRDT_OK)
        rc = check_range(row_of(which), value); /* before it waits */
    if (rc == ECRDT_OK)
        rc = replica_begin(s, true, s->lock_timeout_ms, &t);
    if (rc < 0)
        return rc;
    rc = setting_write(t, which, value);
    if (rc == ECRDT_OK)
        return ecrdt_commit(t);
    ecrdt_abort(t);
    return rc;
}

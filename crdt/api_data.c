/* api_data.c: the public calls on registers, sets and counters: check the
 * arguments, frame the call, hand results out. */
#include "crdt/counter.h"
#include "crdt/orset.h"
#include "crdt/register.h"
#include "crdt/step.h"

/* ---- register ---- */

int ecrdt_reg_set(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                  ecrdt_slice value) {
    struct step st;
    int rc = step_begin(t, true, "ecrdt_reg_set()", &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = check_value(value);
    if (rc == ECRDT_OK)
        rc = register_set(st.t, bucket, key, value);
    return step_end(&st, rc);
}

int ecrdt_reg_get(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                  ecrdt_slice *value, ecrdt_stamp *who) {
    struct step st;
    int rc = step_read(t, "ecrdt_reg_get()", &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = check_out(value, "ecrdt_reg_get()");
    if (rc == ECRDT_OK)
        rc = register_get(st.t, bucket, key, value, who);
    if (rc == 1 && step_keep(&st, value) < 0)
        rc = ECRDT_ENOMEM;
    return step_end(&st, rc);
}

int ecrdt_reg_del(ecrdt_txn *t, const char *bucket, ecrdt_slice key) {
    struct step st;
    int rc = step_begin(t, true, "ecrdt_reg_del()", &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = register_del(st.t, bucket, key);
    return step_end(&st, rc);
}

/* ---- set ---- */

typedef int (*elem_fn)(ecrdt_txn *t, const char *bucket, slice key, slice elem);

static int on_element(ecrdt_txn *t, bool write, const char *call,
                      const char *bucket, slice key, slice elem, elem_fn fn) {
    struct step st;
    int rc = write ? step_begin(t, write, call, &st) : step_read(t, call, &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = check_elem(elem);
    if (rc == ECRDT_OK)
        rc = fn(st.t, bucket, key, elem);
    return step_end(&st, rc);
}

int ecrdt_set_add(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                  ecrdt_slice elem) {
    return on_element(t, true, "ecrdt_set_add()", bucket, key, elem, orset_add);
}

int ecrdt_set_remove(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                     ecrdt_slice elem) {
    return on_element(t, true, "ecrdt_set_remove()", bucket, key, elem,
                      orset_remove);
}

int ecrdt_set_has(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                  ecrdt_slice elem) {
    return on_element(t, false, "ecrdt_set_has()", bucket, key, elem,
                      orset_has);
}

int ecrdt_set_size(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                   uint64_t *n) {
    struct step st;
    int rc = step_begin(t, false, "ecrdt_set_size()", &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = check_out(n, "ecrdt_set_size()");
    if (rc == ECRDT_OK)
        rc = orset_size(st.t, bucket, key, n);
    return step_end(&st, rc);
}

typedef int (*key_fn)(ecrdt_txn *t, const char *bucket, slice key);

static int on_key(ecrdt_txn *t, const char *call, const char *bucket, slice key,
                  key_fn fn) {
    struct step st;
    int rc = step_begin(t, true, call, &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = fn(st.t, bucket, key);
    return step_end(&st, rc);
}

int ecrdt_set_clear(ecrdt_txn *t, const char *bucket, ecrdt_slice key) {
    return on_key(t, "ecrdt_set_clear()", bucket, key, orset_clear);
}

/* ---- counter ---- */

int ecrdt_counter_add(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                      int64_t by, int64_t *now) {
    struct step st;
    int rc = step_begin(t, true, "ecrdt_counter_add()", &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = counter_add(st.t, bucket, key, by, now);
    return step_end(&st, rc);
}

int ecrdt_counter_get(ecrdt_txn *t, const char *bucket, ecrdt_slice key,
                      int64_t *now) {
    struct step st;
    int rc = step_read(t, "ecrdt_counter_get()", &st);
    if (rc < 0)
        return rc;
    rc = check_key(key);
    if (rc == ECRDT_OK)
        rc = check_out(now, "ecrdt_counter_get()");
    if (rc == ECRDT_OK)
        rc = counter_get(st.t, bucket, key, now);
    return step_end(&st, rc);
}

int ecrdt_counter_reset(ecrdt_txn *t, const char *bucket, ecrdt_slice key) {
    return on_key(t, "ecrdt_counter_reset()", bucket, key, counter_reset);
}

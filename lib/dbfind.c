/* dbfind.c: searches that do not trust an answer of "not there": LMDB does
 * not notice a damaged key or page on its way to a place where a key is not,
 * so the rows on both sides of that place are checked. */
#include "lib/db_inner.h"

/* The row before key's place must be sound and lie before it: 0. */
static int check_before(struct db_cursor *c, slice key, bool last) {
    slice k, value;
    int rc = db_cursor_prev(c, &k, &value, last);
    if (rc <= 0)
        return rc;
    return slice_cmp(k, key) < 0 ? 0 : db_cursor_damaged(c);
}

int db_cursor_find(struct db_cursor *c, slice key, slice *value) {
    slice k = key, next;
    int rc = db_cursor_seek(c, &k, &next);
    if (rc < 0)
        return rc;
    int order = rc ? slice_cmp(k, key) : 1;
    if (order > 0)
        return check_before(c, key, !rc);
    if (order < 0)
        return db_cursor_damaged(c);
    *value = next;
    return 1;
}

int db_cursor_before(struct db_cursor *c, slice *key, slice *value) {
    slice k = *key, v, bound = *key;
    int rc = db_cursor_seek(c, &k, &v);
    if (rc < 0)
        return rc;
    rc = db_cursor_prev(c, key, value, !rc);
    return rc == 1 && slice_cmp(*key, bound) >= 0 ? db_cursor_damaged(c) : rc;
}

int db_absent(struct db_txn *t, enum db_table table, slice key) {
    struct db_cursor *c;
    slice value;
    int rc = db_cursor_open(t, table, &c);
    if (rc < 0)
        return rc;
    rc = db_cursor_find(c, key, &value);
    db_cursor_close(c);
    return rc == 1 ? db_damaged(t, table) : rc;
}

int db_clear_rows(struct db_txn *t, enum db_table table) {
    struct db_cursor *c;
    slice key, value;
    int rc = db_cursor_open(t, table, &c);
    while (rc >= 0 && (rc = db_cursor_next(c, &key, &value)) == 1)
        rc = db_cursor_del(c);
    db_cursor_close(c);
    return rc;
}

/* dbcopy.c: copies an environment row by row, so that what must not be in the
 * copy never touches its file, and no damaged record gets into it. */
#include "lib/db_inner.h"
#include "lib/dbfile.h"

enum { BATCH_BYTES = 8 << 20 };

struct copy {
    struct db_txn *from, *to;
    struct db *target;
    struct db_cursor *in, *out;
    enum db_table table;
    struct buf value;
    size_t bytes; /* since the last commit */
};

static int begin_batch(struct copy *c) {
    c->bytes = 0;
    int rc = db_begin(c->target, true, &c->to);
    return rc < 0 ? rc : db_cursor_open(c->to, c->table, &c->out);
}

static int end_batch(struct copy *c, int rc) {
    db_cursor_close(c->out);
    c->out = NULL;
    if (c->to && rc >= 0)
        rc = db_commit(c->to);
    else if (c->to)
        db_abort(c->to);
    c->to = NULL;
    return rc;
}

static int copy_row(struct copy *c, slice key, slice value) {
    buf_clear(&c->value);
    buf_put(&c->value, value.data, value.len);
    c->bytes += key.len + value.len;
    int rc = db_cursor_append(c->out, key, &c->value);
    if (rc < 0 || c->bytes < BATCH_BYTES)
        return rc;
    rc = end_batch(c, rc);
    return rc < 0 ? rc : begin_batch(c);
}

static int copy_table(struct copy *c,
                      bool (*keep)(enum db_table table, slice key)) {
    slice key, value;
    int rc = db_cursor_open(c->from, c->table, &c->in);
    if (rc == ECRDT_OK)
        rc = begin_batch(c);
    while (rc >= 0 && (rc = db_cursor_next(c->in, &key, &value)) == 1)
        if (keep(c->table, key))
            rc = copy_row(c, key, value);
    rc = end_batch(c, rc);
    db_cursor_close(c->in);
    return rc;
}

int db_copy(struct db_txn *t, const char *path, const struct db_conf *conf,
            bool (*keep)(enum db_table table, slice key)) {
    struct copy c = {.from = t};
    struct db_conf alone = *conf; /* and so on any filesystem */
    struct db_stat st;
    int rc = db_stat(db_of(t), &st);
    if (rc < 0)
        return rc;
    alone.alone = true;
    alone.max_bytes = st.bytes_max;
    rc = db_open(&c.target, path, &alone);
    if (rc < 0)
        return rc;
    rc = db_set_sync(c.target, DB_SYNC_NONE);
    for (int i = 0; i < DB_TABLES && rc >= 0; i++) {
        c.table = (enum db_table)i;
        rc = copy_table(&c, keep);
    }
    if (rc >= 0)
        rc = db_flush(c.target);
    buf_free(&c.value);
    db_close(c.target);
    if (rc < 0)
        dbfile_remove(path);
    return rc < 0 ? rc : ECRDT_OK;
}

/* fuzz_record.c: any record of a live store replaced by other bytes, with a
 * right checksum: each call answers with data or an error that has a
 * sentence, whatever stands there.
 * Covers: crdt/bucket.c crdt/clocks.c crdt/chain.c crdt/keyhead.c
 *         crdt/dotlog.c crdt/tombs.c crdt/verify.c crdt/held.c */
#include "fuzz/fuzz.h"

static int drop(void *ctx, const void *data, size_t len) {
    (void)ctx, (void)data, (void)len;
    return 0;
}

/* The first keep bytes of a row of that table, then value, in its place;
 * false if the table has none of that number. */
static bool replace(ecrdt_store *s, enum db_table table, uint32_t row,
                    uint32_t keep, slice value) {
    struct db_cursor *c;
    struct buf b = {0}, name = {0};
    slice key, old;
    int rc = 1;
    ecrdt_txn *t = ecrdt_write(s);
    FUZZ_CHECK(t && db_cursor_open(t->db, table, &c) == 0);
    for (uint32_t i = 0; i <= row % 64 && rc == 1; i++)
        rc = db_cursor_next(c, &key, &old);
    if (rc == 1) {
        buf_put(&name, key.data, key.len);
        buf_put(&b, old.data, keep < old.len ? keep : old.len);
        buf_put(&b, value.data, value.len);
    }
    db_cursor_close(c);
    FUZZ_CHECK(rc != 1 || db_put(t->db, table, buf_slice(&name), &b) == 0);
    FUZZ_CHECK(ecrdt_commit(t) == 0);
    buf_free(&name);
    buf_free(&b);
    return rc == 1;
}

static void read_all(ecrdt_store *s) {
    ecrdt_txn *t = ecrdt_read(s);
    ecrdt_iter *it = ecrdt_keys(t, FUZZ_B, slice_of(NULL, 0), ECRDT_ANY);
    ecrdt_entry e;
    slice v;
    int64_t n;
    int rc = it ? 1 : ecrdt_errcode();
    for (int i = 0; rc == 1 && i < 100; i++)
        FUZZ_CODE(rc = ecrdt_next(it, &e));
    FUZZ_CODE(ecrdt_reg_get(t, FUZZ_B, ecrdt_str("a"), &v, &e.who));
    FUZZ_CODE(ecrdt_set_has(t, FUZZ_B, ecrdt_str("s"), ecrdt_str("a")));
    FUZZ_CODE(ecrdt_counter_get(t, FUZZ_B, ecrdt_str("a"), &n));
    ecrdt_abort(t);
    FUZZ_CODE(ecrdt_verify(s, drop, NULL));
    FUZZ_CODE(ecrdt_summary(s, drop, NULL));
    FUZZ_CODE(ecrdt_export(s, slice_of(NULL, 0), 0, drop, NULL));
}

static void write_some(ecrdt_store *s) {
    ecrdt_txn *t = ecrdt_write(s);
    FUZZ_CODE(ecrdt_reg_set(t, FUZZ_B, ecrdt_str("a"), ecrdt_str("w")));
    FUZZ_CODE(ecrdt_set_clear(t, FUZZ_B, ecrdt_str("s")));
    FUZZ_CODE(ecrdt_counter_add(t, FUZZ_B, ecrdt_str("a"), 1, NULL));
    FUZZ_CODE(ecrdt_commit(t));
    fuzz_now_ms += UINT64_C(86400000) * 365;
    FUZZ_CODE(ecrdt_gc(s, 0, 0, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_in in = {data, data + size};
    ecrdt_store *s = fuzz_store(1, fuzz_content);
    enum db_table table = (enum db_table)(fuzz_byte(&in) % DB_TABLES);
    uint32_t row = fuzz_byte(&in), keep = fuzz_byte(&in);
    if (replace(s, table, row, keep, fuzz_take(&in, size))) {
        s = fuzz_reopen(1);
        if (s) {
            read_all(s);
            write_some(s);
        }
        fuzz_reset();
    }
    return 0;
}

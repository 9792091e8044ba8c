/* fuzz_import.c: an export and a summary from anybody: a refused import
 * changes nothing, not even what came before the bad chunk; an accepted one
 * goes on to an empty store.
 * Covers: crdt/api_delta.c crdt/chunk_codec.c crdt/chunk_apply.c */
#include "crdt/chunk.h"
#include "fuzz/fuzz.h"
#include "lib/crc32c.h"

static int drop(void *ctx, const void *data, size_t len) {
    (void)ctx, (void)data, (void)len;
    return 0;
}

/* As it is, or with a right beginning and end around any chunks. */
static void frame(struct buf *out, struct fuzz_in *in, bool raw) {
    uint8_t b[8] = {0};
    slice rest = slice_of(in->p, (size_t)(in->end - in->p));
    buf_put(out, "ECRDTX1\n", raw ? 0 : 8);
    while (!raw && in->p < in->end) {
        slice chunk = fuzz_take(in, 1 + fuzz_below(in, 4096));
        store32(b, (uint32_t)chunk.len);
        buf_put(out, b, chunk.len ? 4 : 0);
        buf_put(out, chunk.data, chunk.len);
    }
    if (raw)
        buf_put(out, rest.data, rest.len);
    memset(b, 0, sizeof b);
    store32(b + 4, crc32c(crc32c(0, out->data, out->len), b, 4));
    buf_put(out, b, raw ? 0 : sizeof b);
}

static void import(slice delta) {
    ecrdt_import_report r;
    ecrdt_store *s = fuzz_store(0, fuzz_content);
    struct fuzz_state before = fuzz_look(0);
    int rc = ecrdt_import(s, delta, &r);
    FUZZ_CODE(rc);
    struct fuzz_state after = fuzz_look(0);
    if (rc < 0)
        FUZZ_CHECK(rc == ECRDT_ECORRUPT || rc == ECRDT_EVERSION);
    FUZZ_CHECK(rc == 0 || before.txn == after.txn);
    if (before.txn == after.txn)
        return;
    fuzz_verify(0);
    fuzz_store(2, NULL);
    fuzz_pull(2, 0);
    struct fuzz_state copy = fuzz_look(2);
    FUZZ_CHECK(fuzz_same(&after, &copy));
    fuzz_reset();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_in in = {data, data + size};
    struct buf delta = {0};
    uint8_t how = fuzz_byte(&in);
    if (how % 4 == 3) {
        ecrdt_store *s = fuzz_store(0, fuzz_content);
        FUZZ_CODE(ecrdt_export(s, fuzz_take(&in, size), 4096, drop, NULL));
        return 0;
    }
    frame(&delta, &in, how % 4 == 0);
    import(buf_slice(&delta));
    buf_free(&delta);
    return 0;
}

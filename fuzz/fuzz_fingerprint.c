/* fuzz_fingerprint.c: FP, SAME, WANT and PLACE: one form on the wire, and
 * compared with a live store, where whatever they claim leaves it sound.
 * Covers: crdt/fingerprint.c crdt/chain_list.c crdt/fork_fp.c
 * crdt/reconcile.c crdt/fp_scan.c crdt/place.c */
#include "crdt/place.h"
#include "crdt/reconcile.h"
#include "fuzz/fuzz.h"

static const uint8_t key[RECONCILE_KEY] = "key";

/* Is it one, and in the one form? */
static bool decode(slice in, bool sums, struct fp *m) {
    struct buf out = {0};
    int rc = fp_decode(in, sums, m);
    if (rc < 0) {
        FUZZ_CHECK(rc == ECRDT_ECORRUPT);
        return false;
    }
    FUZZ_CHECK(m->n <= FP_PARTS_MAX && m->n_clks <= FP_CLOCKS_MAX);
    fp_encode(&out, m, sums);
    FUZZ_CHECK(slice_eq(buf_slice(&out), in));
    buf_free(&out);
    return true;
}

/* What an FP asks, and the parts that are to be sent. */
static void compare(ecrdt_store *s, slice in, struct reconcile *r) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
    struct chunk_built built;
    struct buf out = {0};
    ecrdt_txn *t;
    FUZZ_CHECK(replica_expose(s, &t) == 0);
    FUZZ_CODE(reconcile_compare(r, t, in, key));
    int rc = 0;
    while (rc == 0)
        rc = reconcile_step(r, 3);
    FUZZ_CHECK(rc == 1);
    FUZZ_CHECK(r->differing <= r->compared);
    for (rc = 1; rc == 1;)
        FUZZ_CODE(
            rc = reconcile_chunk(t, &r->leaf_parts, &budget, &out, &built));
    buf_free(&out);
    ecrdt_abort(t);
}

/* Whatever is asked about heads, the answer is a part of the question. */
static void place(ecrdt_store *s, slice in) {
    struct fp m = {0};
    ecrdt_txn *t = ecrdt_read(s);
    FUZZ_CHECK(fp_decode(in, false, &m) == 0);
    size_t n = m.n;
    FUZZ_CHECK(place_answer(t, &m) == 0);
    FUZZ_CHECK(n || !m.n);
    ecrdt_abort(t);
    fp_free(&m);
}

static void raise_by(ecrdt_store *s, const struct fp *m) {
    struct raise_report rep;
    ecrdt_txn *t = ecrdt_write(s);
    int rc = reconcile_raise(t, m, &rep);
    FUZZ_CHECK(rc == 0);
    FUZZ_CHECK(ecrdt_commit(t) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool sums = size && *data % 2;
    slice in = slice_of(data + !!size, size - !!size);
    struct fp m = {0};
    struct reconcile r = {0};
    if (decode(in, sums, &m)) {
        ecrdt_store *s = fuzz_store(0, fuzz_content);
        struct fuzz_state before = fuzz_look(0);
        if (sums)
            compare(s, in, &r);
        else
            place(s, in);
        raise_by(s, sums ? &r.raise : &m);
        struct fuzz_state after = fuzz_look(0);
        FUZZ_CHECK(fuzz_same(&before, &after)); /* clocks rise, no more */
        if (before.txn != after.txn) {
            fuzz_verify(0);
            fuzz_reset();
        }
    }
    reconcile_free(&r);
    fp_free(&m);
    return 0;
}

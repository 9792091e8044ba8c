/* fuzz_chunk.c: a chunk into a live store: a refused one changes nothing; an
 * applied one leaves it sound, does nothing the second time, and what the
 * store then holds goes on to an empty one as it is.
 * Covers: crdt/chunk_codec.c crdt/chunk_apply.c crdt/fork.c crdt/merge.c */
#include "crdt/chunk_codec.h"
#include "fuzz/fuzz.h"

/* The clock that the sender of linked chunks, store 1, has told before. */
static struct clock_state *said;

static void tell(void) {
    ecrdt_txn *t;
    FUZZ_CHECK(replica_expose(fuzz_store(1, fuzz_content), &t) == 0);
    said = clock_state_new();
    FUZZ_CHECK(said);
    ranges_free(&said->ranges);
    FUZZ_CHECK(replica_clock(t, FUZZ_B, &said->ranges, &said->floor) == 0);
    ecrdt_abort(t);
    fuzz_reset();
}

/* A whole chunk may come over a link as well. */
static int decode(slice in, bool linked, struct chunk *c) {
    return linked && chunk_is_linked(in)
               ? chunk_decode_linked(in, FUZZ_B, said, c)
               : chunk_decode(in, c);
}

static bool canonical(slice in, bool linked) {
    struct chunk c = {0};
    struct buf out = {0};
    int rc = decode(in, linked, &c);
    FUZZ_CODE(rc);
    if (rc == 0) {
        FUZZ_CHECK(c.n_parts <= CHUNK_MAX_PARTS);
        FUZZ_CHECK(c.n_items <= CHUNK_MAX_ITEMS);
        FUZZ_CHECK(c.n_events <= CHUNK_MAX_EVENTS);
        c.first = linked && chunk_is_linked(in) ? &said->ranges.r[0].clk : NULL;
        chunk_encode(&out, &c);
        FUZZ_CHECK(slice_eq(buf_slice(&out), in));
    }
    chunk_free(&c);
    buf_free(&out);
    return rc == 0;
}

static int apply(ecrdt_store *s, slice in, bool linked,
                 struct chunk_report *r) {
    *r = (struct chunk_report){0};
    ecrdt_txn *t = ecrdt_write(s);
    int rc = linked ? chunk_apply_linked(t, in, FUZZ_B, said, r)
                    : chunk_apply(t, in, r);
    FUZZ_CHECK(ecrdt_commit(t) == 0); /* a bad chunk spoils no transaction */
    return rc;
}

static void applied(ecrdt_store *s, slice in, bool linked,
                    const ecrdt_node *was) {
    struct chunk_report r;
    ecrdt_node is;
    fuzz_verify(0);
    FUZZ_CHECK(ecrdt_node_id(s, &is) == 0);
    /* It showed that the store is a copy: then all is fetched again. */
    if (memcmp(was, &is, sizeof is) != 0)
        FUZZ_CHECK(apply(s, in, linked, &r) == 0);
    struct fuzz_state first = fuzz_look(0);
    FUZZ_CHECK(apply(s, in, linked, &r) == 0);
    struct fuzz_state second = fuzz_look(0);
    FUZZ_CHECK(fuzz_same(&first, &second));
    fuzz_store(2, NULL);
    fuzz_pull(2, 0);
    struct fuzz_state copy = fuzz_look(2);
    FUZZ_CHECK(fuzz_same(&second, &copy));
    fuzz_verify(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct chunk_report r;
    ecrdt_node was;
    bool linked = size && *data % 2;
    slice in = slice_of(data + !!size, size - !!size);
    if (!said)
        tell();
    bool good = canonical(in, linked);
    ecrdt_store *s = fuzz_store(0, fuzz_content);
    struct fuzz_state before = fuzz_look(0);
    FUZZ_CHECK(ecrdt_node_id(s, &was) == 0);
    int rc = apply(s, in, linked, &r);
    FUZZ_CHECK(good == (rc == 0));
    if (replica_txn_id(s) == before.txn)
        return 0;
    FUZZ_CHECK(good);
    applied(s, in, linked, &was);
    fuzz_reset();
    return 0;
}

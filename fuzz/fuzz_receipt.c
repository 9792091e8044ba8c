/* fuzz_receipt.c: receipts, and the guard file of a store: with a wrong sum
 * both are refused; with a right one a receipt is waited for, and a store
 * behind another guard opens, and is itself or somebody new.
 * Covers: crdt/receipt.c crdt/guard.c crdt/api_wait.c */
#include "crdt/guard.h"
#include "crdt/receipt.h"
#include "fuzz/fuzz.h"
#include "lib/crc32c.h"

static void receipt(struct fuzz_in *in, bool right) {
    ecrdt_receipt r = {{0}}, again;
    struct receipt_of of = {{0}, {0}};
    uint64_t seq;
    slice text = fuzz_take(in, sizeof r);
    memcpy(r.b, text.data, text.len);
    memcpy(of.salt, r.b, sizeof of.salt);
    memcpy(of.origin, r.b + sizeof of.salt, sizeof of.origin);
    if (right)
        receipt_encode(&r, &of, load64(r.b + 32));
    int rc = receipt_decode(&r, &of, &seq);
    FUZZ_CHECK(rc == (right ? 0 : rc));
    FUZZ_CODE(rc);
    if (rc == 0) {
        receipt_encode(&again, &of, seq);
        FUZZ_CHECK(!memcmp(&r, &again, sizeof r));
    }
    ecrdt_store *s = fuzz_store(0, fuzz_content);
    int here = ecrdt_wait(s, &r, ECRDT_HERE, 0);
    FUZZ_CODE(here);
    FUZZ_CHECK((here < 0) == (rc < 0));
}

static void guard(struct fuzz_in *in, bool right) {
    static char path[512], file[600];
    struct guard g, again;
    ecrdt_node was, is;
    struct buf b = {0};
    ecrdt_store *s = fuzz_store(0, fuzz_content);
    snprintf(path, sizeof path, "%s", replica_path(s));
    snprintf(file, sizeof file, "s0/guard");
    FUZZ_CHECK(ecrdt_node_id(s, &was) == 0);
    slice text = fuzz_take(in, 4096);
    buf_put(&b, "ECRDTG1\n", right ? 8 : 0);
    buf_put(&b, text.data, text.len);
    uint8_t sum[4];
    store32(sum, crc32c(0, b.data, b.len));
    buf_put(&b, sum, right ? 4 : 0);
    fuzz_file(file, buf_slice(&b));
    int rc = guard_load(path, &g);
    FUZZ_CHECK(rc == 0 || rc == 1);
    if (rc == 1) {
        FUZZ_CHECK(guard_save(path, 0660, &g, false) == 0);
        FUZZ_CHECK(guard_load(path, &again) == 1);
        FUZZ_CHECK(!memcmp(&g, &again, sizeof g));
    }
    s = fuzz_reopen(0);
    FUZZ_CHECK(s);
    ecrdt_txn *t = ecrdt_write(s);
    FUZZ_CHECK(ecrdt_reg_set(t, FUZZ_B, ecrdt_str("a"), ecrdt_str("g")) == 0);
    FUZZ_CHECK(ecrdt_commit(t) == 0);
    FUZZ_CHECK(ecrdt_node_id(s, &is) == 0);
    FUZZ_CHECK(rc == 1 || memcmp(&was, &is, sizeof is) != 0);
    fuzz_verify(0);
    fuzz_reset();
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_in in = {data, data + size};
    uint8_t how = fuzz_byte(&in);
    if (how & 1)
        guard(&in, how & 2);
    else
        receipt(&in, how & 2);
    return 0;
}

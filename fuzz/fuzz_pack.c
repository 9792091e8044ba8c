/* fuzz_pack.c: any bytes as msgpack: our reader takes exactly those that our
 * writer makes of what msgpack-c reads.
 * Covers: lib/pack.c lib/buf.c */
#include "fuzz/fuzz.h"
#include "tests/support/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf b = {0};
    slice in = slice_of(data, size);
    /* A count that msgpack-c would allocate for, or a depth past ours. */
    bool ours = packed_canonical(in);
    if (ours) {
        FUZZ_CHECK(packed_reference(&b, in));
        FUZZ_CHECK(slice_eq(buf_slice(&b), in));
    }
    buf_free(&b);
    return 0;
}

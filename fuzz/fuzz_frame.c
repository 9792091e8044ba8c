/* fuzz_frame.c: frames cut from a stream: however the bytes arrive, the same
 * frames come out, and written again they are the stream.
 * Covers: replication/link/frame.c */
#include "fuzz/fuzz.h"
#include "replication/link/frame.h"

/* Takes all that is whole, writing it again; 1 if a frame was refused. */
static bool take_all(struct frame_reader *r, struct buf *again) {
    uint8_t *body;
    size_t len;
    int rc;
    while ((rc = frame_take(r, &body, &len)) == 1) {
        FUZZ_CHECK(len > 0 && len <= r->max);
        memcpy(frame_put(again, len), body, len);
    }
    FUZZ_CHECK(rc == 0 || rc == ECRDT_EPEER);
    FUZZ_CHECK(rc < 0 || frame_missing(r) > 0);
    return rc < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_in in = {data, data + size};
    uint8_t how = fuzz_byte(&in);
    size_t max = how & 1 ? FRAME_MAX : FRAME_MAX_STRANGER, step = 1 + how / 2;
    slice stream = fuzz_take(&in, size);
    struct frame_reader one = {.max = max}, parts = {.max = max};
    struct buf a = {0}, b = {0};
    FUZZ_CHECK(frame_feed(&one, stream) == 0);
    bool refused = take_all(&one, &a), stop = false;
    for (size_t at = 0; at < stream.len && !stop; at += step) {
        size_t n = stream.len - at < step ? stream.len - at : step;
        const uint8_t *p = (const uint8_t *)stream.data + at;
        FUZZ_CHECK(frame_feed(&parts, slice_of(p, n)) == 0);
        stop = take_all(&parts, &b);
        frame_shrink(&parts, 0);
    }
    FUZZ_CHECK(stop == refused && slice_eq(buf_slice(&a), buf_slice(&b)));
    FUZZ_CHECK(slice_starts(stream, buf_slice(&a)));
    FUZZ_CHECK(refused || a.len + frame_pending(&one) == stream.len);
    frame_free(&one);
    frame_free(&parts);
    buf_free(&a);
    buf_free(&b);
    return 0;
}
